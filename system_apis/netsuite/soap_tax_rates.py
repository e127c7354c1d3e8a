"""Tax rates, over SOAP: the one thing that this connection still reads there. An adapter with an end date.

NetSuite's calendar: from release 2027.1 only endpoint 2025.2 is served, with 2028.2 SOAP is gone. Everything that has to do with it is this
module, ``wsdl/`` and one line on the card; what comes after is the sales tax item as a REST record.
"""

import datetime as dt
import re
from typing import Any

import msgspec

from canonical.failures import Broken, Failure
from canonical.money import decimal_of, plain
from canonical.provenance import ExternalId
from canonical.tax import FindTaxRates, TaxRate, TaxRatesFound
from runtime.http.failure_table import Meaning
from system_apis.connector import Call, Sunset
from system_apis.netsuite.client import NetSuiteClient
from system_apis.netsuite.failures import MEANINGS

SUNSET = Sunset(
    what="NetSuite SOAP web services",
    on=dt.date(2028, 8, 1),  # the first accounts get release 2028.2 in the third quarter
    commands=(FindTaxRates,),
    note="gone with release 2028.2; from 2027.1 only endpoint 2025.2 is served. Then: REST record salesTaxItem.",
)

PAGE_ROWS = 200  # NetSuite takes 5 to 1,000
PAGES_MAX = 50
_RATE = re.compile(r"\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%?\s*")
_COUNTRY = re.compile(r"[A-Z]{2}")

# wire shapes ---------------------------------------------------------------------------------------------------------


class NamedRef(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to another record."""

    internalId: str | None = None  # noqa: N815 - NetSuite's own spelling
    name: str | None = None


class SalesTaxItem(msgspec.Struct, frozen=True, kw_only=True):
    """A tax rate as NetSuite keeps it: ``rate`` is text with a percent sign."""

    internalId: str | None = None  # noqa: N815 - NetSuite's own spelling
    itemId: str | None = None  # noqa: N815 - NetSuite's own spelling
    displayName: str | None = None  # noqa: N815 - NetSuite's own spelling
    description: str | None = None
    rate: str | None = None
    isInactive: bool | None = None  # noqa: N815 - NetSuite's own spelling
    nexusCountry: NamedRef | None = None  # noqa: N815 - NetSuite's own spelling


class StatusDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Why a search was refused."""

    code: str | None = None
    message: str | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the search was done; an answer without a word about it is taken as a refusal."""

    isSuccess: bool | None = None  # noqa: N815 - NetSuite's own spelling
    statusDetail: tuple[StatusDetail, ...] | None = None  # noqa: N815 - NetSuite's own spelling


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """The records of a page."""

    record: tuple[SalesTaxItem, ...] | None = None


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a search; ``searchId`` is good for 15 minutes."""

    status: Status
    totalPages: int | None = None  # noqa: N815 - NetSuite's own spelling
    searchId: str | None = None  # noqa: N815 - NetSuite's own spelling
    recordList: Records | None = None  # noqa: N815 - NetSuite's own spelling


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an answer."""

    searchResult: SearchResult  # noqa: N815 - NetSuite's own spelling


# mapping -------------------------------------------------------------------------------------------------------------


def to_tax_rate(item: SalesTaxItem, connection: str) -> TaxRate:
    """A tax item as our rate. Raises `Broken` where its rate is not a percentage."""
    matched = _RATE.fullmatch(item.rate or "")
    code = item.itemId or item.internalId or ""
    if matched is None or not code:
        raise Broken("unreadable_answer", f"tax item {code!r} has the rate {item.rate!r}", raw=str(item))
    country = item.nexusCountry.internalId if item.nexusCountry else None
    return TaxRate(
        code=code,
        name=item.displayName or item.description or code,
        percent=plain(decimal_of(matched[1])),
        country=country if country and _COUNTRY.fullmatch(country) else None,
        active=not item.isInactive,
        external_id=ExternalId(connection=connection, kind="salesTaxItem", id=item.internalId or code, number=code),
    )


def read_result(body: dict[str, Any]) -> SearchResult:
    """The page in an answer. Raises what the status says where the search was refused."""
    try:
        result = msgspec.convert(body, Answer).searchResult
    except msgspec.ValidationError as error:
        raise Broken("unreadable_answer", f"the search result is not what NetSuite documents: {error}", raw=str(body)) from error
    if not result.status.isSuccess:
        raise _refusal(result.status)
    return result


def _refusal(status: Status) -> Failure:
    detail = (status.statusDetail or (StatusDetail(),))[0]
    meaning = MEANINGS.get(detail.code or "", Meaning(Broken, "search_refused"))
    return meaning.word(meaning.code, detail.message or detail.code or "the search was refused")


# operations ----------------------------------------------------------------------------------------------------------


async def find(call: Call, command: FindTaxRates) -> TaxRatesFound:
    """Search the tax items and read all pages."""
    client: NetSuiteClient = call.client
    conditions = {"isInactive": {"searchValue": False}} if command.active_only else {}
    record = client.soap.value(common_namespace(call.settings.soap_version), "SalesTaxItemSearchBasic", **conditions)
    result = read_result(await client.soap.ask("search", headers=_headers(client), searchRecord=record))
    items = list(_records(result))
    for page in range(2, min(result.totalPages or 1, PAGES_MAX) + 1):
        body = await client.soap.ask("searchMoreWithId", headers=_headers(client), searchId=result.searchId, pageIndex=page)
        items.extend(_records(read_result(body)))
    return TaxRatesFound(rates=tuple(to_tax_rate(item, call.connection) for item in items))


def common_namespace(version: str) -> str:
    """Where the search conditions live in the schemas of an endpoint."""
    return f"urn:common_{version}.platform.webservices.netsuite.com"


def _headers(client: NetSuiteClient) -> dict[str, Any]:
    """The SOAP headers of one call: a token passport is signed for one call only."""
    preferences = {"bodyFieldsOnly": True, "returnSearchColumns": False, "pageSize": PAGE_ROWS}
    return {"tokenPassport": client.auth.token_passport(), "searchPreferences": preferences}


def _records(result: SearchResult) -> tuple[SalesTaxItem, ...]:
    return (result.recordList.record if result.recordList else None) or ()
