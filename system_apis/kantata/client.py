"""The way to one Kantata account: bearer token, paging to the end, and writes whose answer must be readable."""

from collections.abc import Mapping
from typing import Any

from canonical.failures import Broken, OutcomeUnknown
from runtime.http.client import HttpClient, StaticHeaders
from system_apis.kantata.envelope import Envelope
from system_apis.kantata.failures import FAILURES
from system_apis.kantata.settings import KantataSettings

PER_PAGE = 200
PAGES_MAX = 50
_WITH_REFERENCES = {"include": "external_references"}


class KantataClient:
    """One Kantata account. Raises `Failure`s only."""

    def __init__(self, settings: KantataSettings) -> None:
        self._http = HttpClient(
            settings.base_url,
            failures=FAILURES,
            auth=StaticHeaders({"Authorization": f"Bearer {settings.access_token}"}),
            deadline_s=settings.deadline_s,
        )

    async def collect(self, collection: str, filters: Mapping[str, str]) -> Envelope:
        """All pages of a list with the external references of what was found."""
        params = {**filters, **_WITH_REFERENCES, "order": "created_at:asc", "per_page": str(PER_PAGE)}
        gathered: Envelope | None = None
        for page in range(1, PAGES_MAX + 1):
            response = await self._http.send("GET", f"/{collection}", params={**params, "page": str(page)})
            envelope: Envelope = response.decode(Envelope)
            gathered = envelope if gathered is None else gathered.and_then(envelope)
            if not envelope.results or len(gathered.results) >= envelope.count:
                return gathered
        raise Broken("too_many_pages", f"{collection} has more than {PAGES_MAX} pages of {PER_PAGE} for {dict(filters)}")

    async def write(self, method: str, path: str, body: Any) -> tuple[Envelope, str]:
        """Create or change something; gives the answer and its raw text. One that nobody can read leaves the outcome unknown."""
        response = await self._http.send(method, path, json=body, params=_WITH_REFERENCES)
        try:
            envelope: Envelope = response.decode(Envelope)
        except Broken as failure:
            raise OutcomeUnknown(failure.code, failure.detail, raw=failure.raw) from failure
        if not envelope.results:
            raise OutcomeUnknown("unreadable_answer", "the answer to a write names nothing", raw=response.text)
        return envelope, response.text

    async def aclose(self) -> None:
        await self._http.aclose()
