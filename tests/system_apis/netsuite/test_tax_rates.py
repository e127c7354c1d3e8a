"""Tax rates over SOAP, and the day on which that ends."""

import datetime as dt
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zeep
from lxml import etree

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown, Throttled, Unavailable
from canonical.tax import FindTaxRates
from system_apis.netsuite import soap_tax_rates
from system_apis.netsuite.client import NetSuiteClient
from system_apis.netsuite.connector import NETSUITE
from system_apis.netsuite.simulator import simulated
from system_apis.simulation import FaultKind
from tests.system_apis.netsuite.conftest import Account

SHARED = Path(os.environ.get("Q2C_SHARED", Path(__file__).parents[4] / "shared"))
REAL = SHARED / "vendors" / "specs" / "netsuite" / "wsdl-2023_2"
PORT = "POST /services/NetSuitePort"


async def test_tax_rates_are_read_over_all_pages(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight active rates in pages of five, with percent, country and name; inactive ones only when asked for."""
    monkeypatch.setattr(soap_tax_rates, "PAGE_ROWS", 5)
    active = (await account.ask(FindTaxRates())).rates
    everything = (await account.ask(FindTaxRates(active_only=False))).rates
    assert {rate.code: (rate.percent, rate.country) for rate in active} == {
        "CA-SF": ("8.625", "US"),
        "NY-NYC": ("8.875", "US"),
        "TX-AUS": ("8.25", "US"),
        "WA-SEA": ("10.1", "US"),
        "IL-CHI": ("10.25", "US"),
        "DE-S": ("19", "DE"),
        "AT-S": ("20", "AT"),
        "DK-S": ("25", "DK"),
    }
    assert [rate.code for rate in everything if not rate.active] == ["DE-2020"]
    assert (active[0].name, active[0].external_id.kind) == ("California, San Francisco", "salesTaxItem")


@pytest.mark.parametrize("version", ["2023_2", "2025_2"])
async def test_one_set_of_files_speaks_every_endpoint(account: Account, version: str) -> None:
    """The version of the endpoint is a setting; the namespaces follow it."""
    other = Account(account.simulation, account.base_url, soap_version=version)
    assert len((await other.ask(FindTaxRates())).rates) == 8
    await other.aclose()


async def test_a_retired_endpoint_is_ours_to_configure(account: Account) -> None:
    """A version that NetSuite does not serve any more is told as such."""
    old = Account(account.simulation, account.base_url, soap_version="2019_1")
    with pytest.raises(Misconfigured) as told:
        await old.ask(FindTaxRates())
    await old.aclose()
    assert told.value.code == "soap_endpoint_retired"


async def test_trouble_on_the_way_is_one_of_the_six_words(account: Account) -> None:
    """Reading tax rates changes nothing, so a lost answer is merely unavailable."""
    cases: dict[FaultKind, type[Failure]] = {
        "throttle": Throttled,
        "server_error": Unavailable,
        "timeout_after_write": Unavailable,
        "malformed": Broken,
    }
    for kind, word in cases.items():
        account.fault(kind, PORT)
        with pytest.raises(word):
            await account.ask(FindTaxRates())


async def test_a_search_that_netsuite_refuses_says_why(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal inside a success: the status of the result counts, not the status of the answer."""
    monkeypatch.setattr(soap_tax_rates, "PAGE_ROWS", 4)
    with pytest.raises(Broken) as told:
        await account.ask(FindTaxRates())
    assert (told.value.code, told.value.detail) == ("search_refused", "Page size must be 5 to 1000.")
    with pytest.raises(Throttled):
        soap_tax_rates.read_result({"searchResult": {"status": {"isSuccess": False, "statusDetail": [{"code": "WS_REQUEST_BLOCKED"}]}}})
    with pytest.raises(Broken):
        soap_tax_rates.read_result({"something": "else"})


@pytest.mark.parametrize("rate", ["", "NaN%", "1e1%", "INF", "-5%"])
def test_a_rate_that_is_no_percentage_is_broken(rate: str) -> None:
    """Text is all that the vendor promises of a rate."""
    item = msgspec.convert({"itemId": "X", "rate": rate}, soap_tax_rates.SalesTaxItem)
    with pytest.raises(Broken):
        soap_tax_rates.to_tax_rate(item, "vendor")


def test_the_adapter_carries_its_end_date() -> None:
    """The card knows what ends, when, and which command goes with it."""
    (sunset,) = NETSUITE.sunsets
    assert (sunset.on, sunset.commands) == (dt.date(2028, 8, 1), (FindTaxRates,))
    assert "2028.2" in sunset.note
    assert "2025.2" in sunset.note


# against the vendor's own interface description ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Any:
    """The vendor's WSDL 2023.2, which is not part of this repository."""
    if not REAL.exists():
        pytest.skip(f"NetSuite's own WSDL is not at {REAL}: our envelopes were not compared with it")
    untyped: Any = zeep
    return untyped.Client(str(REAL / "netsuite.wsdl"), settings=zeep.Settings(strict=True, forbid_dtd=True, forbid_external=True))


def _ours() -> NetSuiteClient:
    return NetSuiteClient(msgspec.structs.replace(simulated("http://127.0.0.1:1"), soap_version="2023_2"))


def _requests(client: NetSuiteClient) -> dict[str, bytes]:
    headers = soap_tax_rates._headers(client)
    record = client.soap.value(soap_tax_rates.common_namespace("2023_2"), "SalesTaxItemSearchBasic", isInactive={"searchValue": False})
    return {
        "search": client.soap.envelope("search", headers, searchRecord=record),
        "searchMoreWithId": client.soap.envelope("searchMoreWithId", headers, searchId="S-1", pageIndex=2),
    }


def test_our_requests_are_valid_by_the_vendors_schema(real: Any) -> None:
    """The vendor's own types read every header and body that we send, and write them again unchanged."""
    for operation, envelope in _requests(_ours()).items():
        root: Any = etree.fromstring(envelope)
        for part in [*root[0], *root[1]]:
            element = real.get_element(part.tag)
            value = element.parse(part, real.wsdl.types)
            again = etree.Element("again")
            element.render(again, value)
            assert _facts(again[0]) == _facts(part), operation


async def test_the_simulators_answers_are_valid_by_the_vendors_schema(account: Account, real: Any) -> None:
    """The vendor's own types read what the simulator says, pages and faults alike, and give the same rates."""
    old = Account(account.simulation, account.base_url, soap_version="2023_2")
    requests = _requests(old.client)
    page, fault = [await _post(account, envelope) for envelope in (requests["search"], requests["search"].replace(b"sim-token-id", b"x"))]
    result = real.service._binding.get("search").process_reply(etree.fromstring(page)).body.searchResult
    detail: Any = etree.fromstring(fault).find(".//detail")
    refusal = real.get_element(detail[0].tag).parse(detail[0], real.wsdl.types)
    assert result.status.isSuccess
    assert [record.itemId for record in result.recordList.record] == [rate.code for rate in (await old.ask(FindTaxRates())).rates]
    assert (refusal.code, refusal.message) == ("INVALID_LOGIN_CREDENTIALS", "Invalid login attempt.")
    await old.aclose()


async def _post(account: Account, envelope: bytes) -> bytes:
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"search"'}
    try:
        return (await account.plain.send("POST", "/services/NetSuitePort_2023_2", content=envelope, headers=headers)).body
    except OutcomeUnknown as fault:  # a fault comes with 500
        return fault.raw.encode()


def _facts(element: Any) -> list[tuple[str, str, dict[str, str]]]:
    """What an element says, prefixes aside."""
    kind = "{http://www.w3.org/2001/XMLSchema-instance}type"
    return [
        (node.tag, node.text or "", {k: v.rpartition(":")[2] if k == kind else v for k, v in node.attrib.items()})
        for node in element.iter()
    ]
