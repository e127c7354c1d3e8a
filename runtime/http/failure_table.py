"""How an answer that is not a success becomes one of the six words."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable

RETRY_AFTER_S_MAX = 24 * 3600.0


class VendorError(NamedTuple):
    """What a vendor's error body says: its own code, its sentence, and the field, where it names one."""

    code: str
    detail: str = ""
    pointer: str = ""


class Meaning(NamedTuple):
    """What a vendor's code means to us."""

    word: type[Failure]
    code: str


Reader = Callable[[int, Mapping[str, str], bytes], VendorError]


def _unread(status: int, _headers: Mapping[str, str], body: bytes) -> VendorError:
    return VendorError(str(status), body[:300].decode("utf-8", "replace"))


class FailureTable(NamedTuple):
    """A vendor's codes and what they mean. ``meanings`` is looked up by the vendor's code, then by ``HTTP <status>``."""

    meanings: Mapping[str, Meaning]
    read: Reader = _unread

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, *, writes: bool, retry_after_s: float | None) -> Failure:
        """The failure behind an answer. A 5xx after a write is an unknown outcome unless the table knows better."""
        try:
            error = self.read(status, headers, body)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):  # an error page that is not what the vendor documents
            error = _unread(status, headers, body)
        meaning = self.meanings.get(error.code) or self.meanings.get(f"HTTP {status}") or _by_status(status, writes=writes)
        raw = body[:4000].decode("utf-8", "replace")
        return meaning.word(meaning.code, error.detail or error.code, pointer=error.pointer, retry_after_s=retry_after_s, raw=raw)


def _by_status(status: int, *, writes: bool) -> Meaning:
    if status == 429:
        return Meaning(Throttled, "throttled")
    if status in {401, 403}:
        return Meaning(Misconfigured, "not_authorised")
    if status in {408, 425} or status >= 500:
        return Meaning(OutcomeUnknown, "outcome_unknown") if writes and status != 503 else Meaning(Unavailable, "unavailable")
    if 300 <= status < 400:
        return Meaning(Broken, "unexpected_redirect")
    return Meaning(Rejected, "rejected_by_vendor")
