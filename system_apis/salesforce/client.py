"""The way to one Salesforce org: queries with paging, reads, and writes that are read back.

Every write here is absolute (an upsert by external id, or an update by record id of named fields), so that the same write again
changes nothing; and every write is read back at once and compared field by field with what was sent, because the usual answer to a
write is empty. For that reason the body of a write's answer is not read at all. Where the read-back fails the outcome is unknown,
never "nothing done".
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from canonical.failures import Broken, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.money import plain
from runtime.clock import Clock, SystemClock
from runtime.http.client import HttpClient
from system_apis.salesforce.failures import FAILURES
from system_apis.salesforce.session import Session
from system_apis.salesforce.settings import SalesforceSettings
from system_apis.salesforce.soql import select

Row = TypeVar("Row", bound=msgspec.Struct)
Value = str | Decimal | None
PAGES_MAX = 100


class Page(msgspec.Struct, Generic[Row]):
    """One batch of a query's answer."""

    records: list[Row]
    done: bool
    next_path: str = msgspec.field(name="nextRecordsUrl", default="")


class SalesforceClient:
    """Logs in when first used; raises only failures."""

    def __init__(self, settings: SalesforceSettings, clock: Clock | None = None) -> None:
        self._data = f"/services/data/{settings.api_version}"
        self._batch = {"Sforce-Query-Options": f"batchSize={settings.query_batch}"}
        self._session = Session(settings, clock or SystemClock())
        self._http = HttpClient(settings.base_url, failures=FAILURES, auth=self._session, deadline_s=settings.deadline_s)

    async def query(self, row: type[Row], sobject: str, where: str, order_by: str = "") -> list[Row]:
        """All records that the condition finds, however many batches Salesforce makes of them."""
        rows: list[Row] = []
        soql = select(row, sobject, where, order_by)
        answer = await self._http.send("GET", f"{self._data}/query", params={"q": soql}, headers=self._batch)
        for _ in range(PAGES_MAX):
            page: Page[Row] = answer.decode(Page[row])  # type: ignore[valid-type]  # the shape is a value here
            rows.extend(page.records)
            if page.done:
                return rows
            if not page.next_path.startswith("/"):
                raise Broken("unreadable_answer", "the answer is not the last one and names no next one", raw=answer.text)
            answer = await self._http.send("GET", page.next_path, headers=self._batch)
        raise Broken("answer_too_large", f"the query has more than {PAGES_MAX} batches")

    async def read(self, path: str, fields: Sequence[str], shape: type[Any]) -> Any | None:
        """The named fields of one record (``Account/Q2C_Id__c/C-1`` or ``Account/001…``), or None.

        Raises `Rejected("ambiguous_external_id")` where there are several.
        """
        try:
            answer = await self._http.send("GET", f"{self._data}/sobjects/{path}", params={"fields": ",".join(fields)})
        except Rejected as refused:
            if refused.code == "not_found":
                return None
            raise
        return answer.decode(shape)

    async def write(self, path: str, values: Mapping[str, Value]) -> str:
        """Set fields of the record at `path`, read them back, and give the record's Id.

        The record is created where the path is an external id that is new.
        """
        try:
            await self._http.send("PATCH", f"{self._data}/sobjects/{path}", json={name: _wire(value) for name, value in values.items()})
        except Rejected as refused:
            if refused.code == "not_found":  # an upsert makes what is missing, so the object or its field is missing in the org
                raise Misconfigured("object_missing_in_org", refused.detail, raw=refused.raw) from refused
            raise
        try:
            kept = await self.read(path, ["Id", *values], dict[str, msgspec.Raw])
        except (Throttled, Unavailable, Broken) as failure:
            raise OutcomeUnknown("not_read_back", failure.detail, retry_after_s=failure.retry_after_s, raw=failure.raw) from failure
        differing = differences(values, kept or {})
        if differing:
            raise Broken("read_back_differs", "; ".join(differing), pointer=f"/{differing[0].split(':')[0]}")
        return _id(kept)

    async def holds(self, path: str, values: Mapping[str, Value]) -> str | None:
        """The Id of the record at `path` where it holds exactly these values; None where it does not, or does not exist."""
        kept = await self.read(path, ["Id", *values], dict[str, msgspec.Raw])
        return None if kept is None or differences(values, kept) else _id(kept)

    async def aclose(self) -> None:
        """Close the kept connections."""
        await self._http.aclose()
        await self._session.aclose()


def record_path(sobject: str, field: str, value: str) -> str:
    """The path of a record by external id; slashes and the like in the id are escaped."""
    return f"{sobject}/{field}/{quote(value, safe='')}"


def differences(sent: Mapping[str, Value], kept: Mapping[str, msgspec.Raw]) -> list[str]:
    """What was not kept as it was sent, one sentence a field. Salesforce keeps an empty text as null and trims blanks: no difference."""
    found = []
    for name, value in sent.items():
        raw = bytes(kept.get(name, msgspec.Raw(b"null")))
        same = _number(raw) == value if isinstance(value, Decimal) else _text(raw) == (value or "").strip()
        if not same:
            found.append(f"{name}: sent {value}, kept {raw[:80].decode('utf-8', 'replace')}")
    return found


def _id(kept: Mapping[str, msgspec.Raw] | None) -> str:
    return _text(bytes((kept or {}).get("Id", msgspec.Raw(b"null"))))


def _wire(value: Value) -> msgspec.Raw | str | None:
    return msgspec.Raw(plain(value).encode()) if isinstance(value, Decimal) else value


def _number(raw: bytes) -> Decimal | None:
    try:
        return msgspec.json.decode(raw, type=Decimal)
    except msgspec.DecodeError:
        return None


def _text(raw: bytes) -> str:
    try:
        return (msgspec.json.decode(raw, type=str | None) or "").strip()
    except msgspec.DecodeError:
        return raw.decode("utf-8", "replace")
