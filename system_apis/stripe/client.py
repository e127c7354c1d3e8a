"""The way to one Stripe account: bracketed forms out, structs in, every write under an idempotency key."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from canonical.failures import Broken, OutcomeUnknown
from runtime.http.client import HttpClient, Response, StaticHeaders
from runtime.keys import vendor_key
from system_apis.stripe.failures import FAILURES
from system_apis.stripe.settings import StripeSettings
from system_apis.stripe.wire import Page, form

Shape = TypeVar("Shape", bound=msgspec.Struct)

KEY_LENGTH_MAX = 255
PAGE_SIZE = 100
PAGES_MAX = 50


class StripeClient:
    """Raises only `Failure`s. An answer to a write that cannot be read is an unknown outcome: every write here can be found again."""

    def __init__(self, settings: StripeSettings) -> None:
        self._http = HttpClient(
            settings.base_url,
            failures=FAILURES,
            auth=StaticHeaders({"Authorization": f"Bearer {settings.api_key}"}),
            headers={"Stripe-Version": settings.api_version},
            deadline_s=settings.deadline_s,
        )

    async def read(self, path: str, shape: type[Shape], **params: Any) -> Shape:
        """Read one record."""
        record: Shape = (await self._http.send("GET", path, params=form(params))).decode(shape)
        return record

    async def every(self, path: str, shape: type[Shape], **params: Any) -> list[Shape]:
        """All records of a list, page after page."""
        records: list[Shape] = []
        after: str | None = None
        for _ in range(PAGES_MAX):
            asked = form({**params, "limit": PAGE_SIZE, "starting_after": after})
            answer = await self._http.send("GET", path, params=asked)
            page: Page = answer.decode(Page)
            records += [_record(answer, raw, shape) for raw in page.data]
            if not page.has_more or not records:
                return records
            after = str(getattr(records[-1], "id", ""))
        raise Broken("list_too_long", f"{path} has more than {PAGES_MAX * PAGE_SIZE} records")

    async def search(self, path: str, query: str, shape: type[Shape]) -> list[Shape]:
        """The first page of a search. Stripe's search lags behind its writes by up to a minute: a "no" is not proof."""
        answer = await self._http.send("GET", f"{path}/search", params={"query": query, "limit": str(PAGE_SIZE)})
        return [_record(answer, raw, shape) for raw in answer.decode(Page).data]

    async def write(self, path: str, params: Mapping[str, Any], *, key: str, shape: type[Shape]) -> tuple[Shape, bool]:
        """Write once under a key; says whether the answer is a replay of an earlier one."""
        handle = vendor_key(key, KEY_LENGTH_MAX)
        answer = await self._http.send("POST", path, form=form(params), headers={"Idempotency-Key": handle})
        return _written(answer, shape), answer.headers.get("idempotent-replayed") == "true"

    async def create(
        self, path: str, params: Mapping[str, Any], *, key: str, shape: type[Shape], find: Callable[[], Awaitable[Shape | None]]
    ) -> tuple[Shape, bool]:
        """Write once, even where Stripe has kept a 500 under the key and would replay it for a day.

        Such an answer says that the first request has ended, not how; so we look, and where nothing was made the next name of the key is
        used. The names are always the same ones, so whoever comes again walks the same way.
        """
        for name in (key, f"{key}~2", f"{key}~3"):
            try:
                return await self.write(path, params, key=name, shape=shape)
            except OutcomeUnknown as failure:
                if failure.code != "failure_replayed":
                    raise
                found = await find()
                if found is not None:
                    return found, True
        raise Broken("failure_replayed", f"Stripe keeps failing under every name of the key {key}")

    async def delete(self, path: str, shape: type[Shape], **params: Any) -> Shape:
        """Delete or cancel; Stripe takes no idempotency key here, because doing it twice is refused."""
        return _written(await self._http.send("DELETE", path, params=form(params)), shape)

    async def aclose(self) -> None:
        """Close the kept connections."""
        await self._http.aclose()


def _record(answer: Response, raw: msgspec.Raw, shape: type[Shape]) -> Shape:
    return Response(answer.status, answer.headers, bytes(raw)).decode(shape)  # type: ignore[no-any-return]  # decode gives the shape asked for


def _written(answer: Response, shape: type[Shape]) -> Shape:
    try:
        record: Shape = answer.decode(shape)
    except Broken as error:
        raise OutcomeUnknown(error.code, f"done perhaps, but {error.detail}", raw=answer.text) from error
    return record
