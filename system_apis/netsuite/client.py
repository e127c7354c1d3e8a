"""The way to one NetSuite account: signed REST calls on records, SuiteQL, and SOAP for what is still only there."""

import urllib.parse
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from runtime.http.client import HttpClient, Response
from runtime.http.soap import SoapClient
from system_apis.netsuite.auth import TokenAuth
from system_apis.netsuite.failures import FAILURES, MEANINGS, NOT_FOUND
from system_apis.netsuite.settings import NetSuiteSettings
from system_apis.netsuite.wire import external_id

WSDL = Path(__file__).parent / "wsdl" / "netsuite.wsdl"
WSDL_VERSION = "2023_2"  # the version that the files are written in; another one is put in its place on loading
PAGE_ROWS_MAX = 1000

_RECORDS = "/services/rest/record/v1"
_SUITEQL = "/services/rest/query/v1/suiteql"
# amounts are JSON numbers for NetSuite; decimals are written digit by digit, never through a float
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_JSON = {"Content-Type": "application/json"}

Shape = TypeVar("Shape")


class _Page(msgspec.Struct):
    items: tuple[msgspec.Raw, ...]
    hasMore: bool = False  # noqa: N815 - NetSuite's own spelling


class _Currency(msgspec.Struct):
    id: str
    symbol: str


class NetSuiteClient:
    """One NetSuite account. Raises `Failure`s only."""

    def __init__(self, settings: NetSuiteSettings) -> None:
        self.auth = TokenAuth(settings)
        self.soap = SoapClient(
            WSDL,
            settings.soap_endpoint,
            failures=MEANINGS,
            deadline_s=settings.deadline_s,
            substitutions={WSDL_VERSION: settings.soap_version},
        )
        self._http = HttpClient(settings.rest_root, failures=FAILURES, auth=self.auth, deadline_s=settings.deadline_s)
        self._currencies = dict(settings.currencies)  # ISO code to internal id; read from the account on first need
        self._item_ids: dict[str, str] = {}  # item code to internal id, which never changes

    # records ---------------------------------------------------------------------------------------------------------

    async def read(self, record: str, ref: str, shape: type[Shape]) -> Shape | None:
        """A record by internal id or ``eid:`` reference, with its lines; None where NetSuite says that it does not exist."""
        try:
            answer = await self._http.send("GET", _path(record, ref), params={"expandSubResources": "true"})
        except Rejected as refusal:
            if refusal.code == NOT_FOUND:
                return None
            raise
        found: Shape = answer.decode(shape)
        return found

    async def upsert(self, record: str, our_id: str, body: dict[str, Any], *, lines: str = "") -> None:
        """Create the record under our id, or bring it to this state; ``lines`` names the sublist that is replaced, never added to."""
        _done(await self._write("PUT", _path(record, f"eid:{external_id(our_id)}"), body, {"replace": lines} if lines else {}))

    async def update(self, record: str, ref: str, body: dict[str, Any]) -> None:
        """Change fields and lines of an existing record."""
        _done(await self._write("PATCH", _path(record, ref), body, {}))

    async def _write(self, method: str, path: str, body: dict[str, Any], params: dict[str, str]) -> Response:
        return await self._http.send(method, path, content=_ENCODER.encode(body), headers=_JSON, params=params)

    async def read_back(self, record: str, ref: str, shape: type[Shape]) -> Shape:
        """What a write has made. The write is done, so whatever goes wrong here leaves its outcome to be looked up."""
        try:
            found = await self.read(record, ref, shape)
        except (Unavailable, Throttled, Broken) as failure:
            raise _unproven(failure) from failure
        if found is None:
            raise OutcomeUnknown("not_there_after_write", f"{record} {ref} was accepted and cannot be read")
        return found

    # queries ---------------------------------------------------------------------------------------------------------

    async def rows(self, query: str, shape: type[Shape], *, limit: int = PAGE_ROWS_MAX) -> tuple[Shape, ...]:
        """The rows of a SuiteQL query, at most ``limit``, over as many pages as that takes."""
        found: list[Shape] = []
        while True:
            page_rows = min(PAGE_ROWS_MAX, limit - len(found))
            page = await self._page(query, page_rows, offset=len(found))
            found.extend(_row(raw, shape) for raw in page.items)
            if not page.hasMore or not page.items or len(found) >= limit:
                return tuple(found[:limit])

    async def _page(self, query: str, limit: int, *, offset: int) -> _Page:
        answer = await self._http.send(
            "POST",
            _SUITEQL,
            content=_ENCODER.encode({"q": query}),
            headers={**_JSON, "Prefer": "transient"},
            params={"limit": str(limit), "offset": str(offset)},
            writes=False,
        )
        page: _Page = answer.decode(_Page)
        return page

    async def currency_id(self, code: str) -> str:
        """The account's id of a currency. Raises `Rejected` where the account does not have it."""
        if code not in self._currencies:
            await self._learn_currencies()
        if code not in self._currencies:
            raise Rejected("currency_not_in_erp", f"the NetSuite account has no currency {code}")
        return self._currencies[code]

    async def currency_code(self, internal_id: str) -> str:
        """The ISO code behind the account's id of a currency; empty where nobody knows it."""
        if internal_id not in self._currencies.values():
            await self._learn_currencies()
        return next((code for code, known in self._currencies.items() if known == internal_id), "")

    async def _learn_currencies(self) -> None:
        rows = await self.rows("SELECT id, symbol FROM currency ORDER BY id", _Currency)
        self._currencies = {row.symbol: row.id for row in rows} | self._currencies

    def known_item_id(self, code: str) -> str:
        """The internal id of an item that has been read before; empty otherwise."""
        return self._item_ids.get(code, "")

    def remember_item(self, code: str, internal_id: str) -> None:
        self._item_ids[code] = internal_id

    async def aclose(self) -> None:
        await self._http.aclose()
        await self.soap.aclose()


def subsidiary(settings: NetSuiteSettings, entity: str) -> str:
    """The subsidiary that keeps the books of our legal entity. Raises `Misconfigured` where the settings name none."""
    if entity not in settings.subsidiaries:
        raise Misconfigured("entity_not_mapped", f"the connection has no subsidiary for the legal entity {entity!r}")
    return settings.subsidiaries[entity]


def _path(record: str, ref: str) -> str:
    return f"{_RECORDS}/{record}/{urllib.parse.quote(ref, safe=':~')}"


def _row(raw: msgspec.Raw, shape: type[Shape]) -> Shape:
    row: Shape = Response(200, {}, bytes(raw)).decode(shape)
    return row


def _done(answer: Response) -> None:
    """A write is confirmed by 204 and an empty body. Any other success is a page by someone in between: find out what happened."""
    if answer.status != 204:
        raise OutcomeUnknown("unreadable_answer", f"a write was answered with {answer.status} and a body", raw=answer.text)


def _unproven(failure: Failure) -> OutcomeUnknown:
    detail = f"written, but not read back: {failure.detail}"
    return OutcomeUnknown(failure.code, detail, retry_after_s=failure.retry_after_s, raw=failure.raw)
