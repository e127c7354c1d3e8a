"""The closed list of ways to fail.

::

    Failure
    ├── Rejected         the vendor or a rule says no: undo, or a business exception with an owner
    ├── Misconfigured    keys or rights are wrong: park, and call whoever runs the connection
    ├── Throttled        too fast: wait `retry_after_s`, then ask again
    ├── Unavailable      not reachable, and certainly nothing done: ask again later
    ├── OutcomeUnknown   it may have happened: find out first, never ask blindly again
    └── Broken           our bug, or an answer that we cannot read: park with the raw payload

The process engine reads nothing but these six words. A vendor's ``failures.py`` maps its own codes to them.
"""

from typing import Any

import msgspec


class Failure(Exception):
    """One of the six words, with a stable ``code`` (snake_case, ours), a sentence for people, and where it hurts.

    ``pointer`` is a JSON pointer into the command that was refused, ``raw`` what the other side said, cut to 4,000 characters.
    """

    word = "failure"

    def __init__(self, code: str, detail: str = "", *, pointer: str = "", retry_after_s: float | None = None, raw: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail or code
        self.pointer = pointer
        self.retry_after_s = retry_after_s
        self.raw = raw[:4000]


class Rejected(Failure):
    """The vendor or a rule says no. Asking again will not help."""

    word = "rejected"


class Misconfigured(Failure):
    """Credentials, rights or settings are wrong."""

    word = "misconfigured"


class Throttled(Failure):
    """The vendor's budget is spent; `retry_after_s` is set where the vendor said when."""

    word = "throttled"


class Unavailable(Failure):
    """The vendor cannot be reached, and nothing was done."""

    word = "unavailable"


class OutcomeUnknown(Failure):
    """The request may have been carried out; `retry_after_s` tells when looking becomes meaningful."""

    word = "outcome_unknown"


class Broken(Failure):
    """Our bug, or an answer that nobody can read."""

    word = "broken"


WORDS: dict[str, type[Failure]] = {f.word: f for f in (Rejected, Misconfigured, Throttled, Unavailable, OutcomeUnknown, Broken)}


class FailureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A failure as it is stored and sent over the bus."""

    word: str
    code: str
    detail: str = ""
    pointer: str = ""
    retry_after_s: float | None = None
    raw: str = ""

    @classmethod
    def of(cls, failure: Failure) -> "FailureRecord":
        return cls(
            word=failure.word,
            code=failure.code,
            detail=failure.detail,
            pointer=failure.pointer,
            retry_after_s=failure.retry_after_s,
            raw=failure.raw,
        )

    def to_failure(self) -> Failure:
        """The exception again; a word that this release does not know comes back as `Broken`."""
        options: dict[str, Any] = {"pointer": self.pointer, "retry_after_s": self.retry_after_s, "raw": self.raw}
        return WORDS.get(self.word, Broken)(self.code, self.detail, **options)
