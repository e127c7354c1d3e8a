"""SOAP: local files only, strict, one deadline, faults in six words."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, Request, Response, post

from canonical.failures import Broken, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from runtime.context import Context, working_in
from runtime.http.failure_table import Meaning
from runtime.http.soap import LocalFiles, SoapClient, read_fault
from tests.system_apis.harness import served

WSDL = """<?xml version="1.0"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
  xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:tns="urn:bank_v1" targetNamespace="urn:bank_v1">
  <types><xsd:schema targetNamespace="urn:bank_v1" elementFormDefault="qualified">
    <xsd:include schemaLocation="%s"/>
    <xsd:element name="passport" type="xsd:string"/>
    <xsd:element name="rate"><xsd:complexType><xsd:sequence>
      <xsd:element name="on" type="tns:Day"/></xsd:sequence></xsd:complexType></xsd:element>
    <xsd:element name="rateResponse"><xsd:complexType><xsd:sequence><xsd:element name="rate" type="xsd:string"/>
      <xsd:element name="day" type="xsd:date" minOccurs="0"/></xsd:sequence></xsd:complexType></xsd:element>
  </xsd:schema></types>
  <message name="headers"><part name="passport" element="tns:passport"/></message>
  <message name="rateRequest"><part name="parameters" element="tns:rate"/></message>
  <message name="rateResponse"><part name="parameters" element="tns:rateResponse"/></message>
  <portType name="Bank"><operation name="rate"><input message="tns:rateRequest"/><output message="tns:rateResponse"/></operation></portType>
  <binding name="Bank" type="tns:Bank"><soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="rate"><soap:operation soapAction="rate"/>
      <input><soap:header message="tns:headers" part="passport" use="literal"/><soap:body use="literal"/></input>
      <output><soap:body use="literal"/></output></operation></binding>
  <service name="Bank"><port name="Bank" binding="tns:Bank"><soap:address location="http://nowhere.invalid/"/></port></service>
</definitions>"""
TYPES = """<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:bank_v1">
  <xsd:simpleType name="Day"><xsd:restriction base="xsd:string"/></xsd:simpleType></xsd:schema>"""
FAULT = "<soapenv:Fault><faultcode>soapenv:Server</faultcode><faultstring>no</faultstring><detail>%s</detail></soapenv:Fault>"
MEANINGS = {"BUSY": Meaning(Throttled, "busy"), "refused": Meaning(Rejected, "refused"), "Client": Meaning(Misconfigured, "client")}


def envelope(body: str, head: str = "") -> str:
    return f'{head}<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>'


def rate(inner: str) -> str:
    return envelope(f'<rateResponse xmlns="urn:bank_v1">{inner}</rateResponse>')


class Endpoint:
    """An endpoint that says what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], str]] = []
        self.says: tuple[int, str] = (200, rate("<rate>1.0875</rate>"))

    def app(self) -> Litestar:
        @post("/bank")
        async def answer(request: Request[Any, Any, Any]) -> Response[bytes]:
            self.asked.append((dict(request.headers), (await request.body()).decode()))
            return Response(self.says[1].encode(), status_code=self.says[0], media_type="text/xml")

        return Litestar([answer], openapi_config=None, logging_config=None)


@pytest.fixture
def wsdl(tmp_path: Path) -> Callable[[str], Path]:
    """A WSDL file that includes the given location."""

    def write(included: str) -> Path:
        (tmp_path / "inner").mkdir(exist_ok=True)
        (tmp_path / "inner" / "types.xsd").write_text(TYPES)
        (tmp_path / "outside.xsd").write_text(TYPES)
        (tmp_path / "inner" / "bank.wsdl").write_text(WSDL % included)
        return tmp_path / "inner" / "bank.wsdl"

    return write


@pytest.fixture
async def endpoint() -> AsyncIterator[tuple[Endpoint, str]]:
    spoken = Endpoint()
    async with served(spoken.app()) as base_url:
        yield spoken, f"{base_url}/bank"


@pytest.fixture
async def client(endpoint: tuple[Endpoint, str], wsdl: Callable[[str], Path]) -> AsyncIterator[SoapClient]:
    made = SoapClient(wsdl("types.xsd"), endpoint[1], failures=MEANINGS, deadline_s=5)
    yield made
    await made.aclose()


async def _ask(client: SoapClient, **more: Any) -> dict[str, Any]:
    return await client.ask("rate", headers={"passport": "p"}, on="2026-01-15", **more)


async def test_a_call_carries_its_own_headers_and_gives_plain_values(client: SoapClient, endpoint: tuple[Endpoint, str]) -> None:
    """SOAP headers of the call, SOAPAction, and the trace of the house go out; a dict comes back."""
    endpoint[0].says = (200, rate("<rate>1.0875</rate><day>2026-01-15</day>"))
    with working_in(Context(correlation_id="q2c-7f3a")):
        answer = await _ask(client)
    headers, sent = endpoint[0].asked[0]
    assert (answer["rate"], answer["day"].isoformat()) == ("1.0875", "2026-01-15")
    assert (headers["soapaction"], headers["content-type"], headers["x-correlation-id"]) == (
        '"rate"',
        "text/xml; charset=utf-8",
        "q2c-7f3a",
    )
    assert ">p</" in sent
    assert ">2026-01-15</" in sent


async def test_faults_become_words_by_code_then_element_then_fault_code(client: SoapClient, endpoint: tuple[Endpoint, str]) -> None:
    """The vendor's own code in the detail says most; a fault with status 200 is still a fault (V11)."""
    cases: list[tuple[int, str, type[BaseException]]] = [
        (500, FAULT % "<blocked><code>BUSY</code></blocked>", Throttled),
        (200, FAULT % "<x:refused xmlns:x='urn:x'/>", Rejected),
        (500, (FAULT % "").replace("Server", "Client"), Misconfigured),
        (500, FAULT % "<novel><code>NOVEL</code></novel>", Unavailable),
    ]
    for status, fault, word in cases:
        endpoint[0].says = (status, envelope(fault))
        with pytest.raises(word):
            await _ask(client)
    with pytest.raises(OutcomeUnknown):
        await _ask(client, writes=True)


@pytest.mark.parametrize(
    "said",
    [
        "<html><body>It works!</body></html>",
        "not xml",
        "",
        rate("<rate>1</rate><novel>2</novel>"),
        rate("<rate>1</rate><day>tomorrow</day>"),
        envelope("<other xmlns='urn:bank_v1'/>"),
        envelope("", '<!DOCTYPE x [<!ENTITY a "aaaa">]>'),
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">' + rate("<rate>1</rate>"),
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + rate("<rate>&e;</rate>"),
    ],
)
async def test_an_answer_that_is_not_in_the_wsdl_is_broken(client: SoapClient, endpoint: tuple[Endpoint, str], said: str) -> None:
    """Strict: unknown elements, wrong types, document types and anything else are kept raw and told; after a write they are looked up.

    Shown here (V17).
    """
    endpoint[0].says = (200, said)
    with pytest.raises(Broken) as told:
        await _ask(client)
    assert told.value.raw == said
    with pytest.raises(OutcomeUnknown):
        await _ask(client, writes=True)


async def test_a_request_that_is_not_in_the_wsdl_is_never_sent(client: SoapClient, endpoint: tuple[Endpoint, str]) -> None:
    """Our own mistake is found before the wire."""
    with pytest.raises(Broken) as told:
        await client.ask("rate", headers={"passport": "p"}, until="2026-01-15")
    assert told.value.code == "request_not_in_wsdl"
    assert endpoint[0].asked == []


@pytest.mark.parametrize("location", ["http://127.0.0.1:9/x.xsd", "https://example.invalid/x.xsd", "file:///etc/passwd", "../outside.xsd"])
def test_a_wsdl_that_points_elsewhere_is_refused(wsdl: Callable[[str], Path], location: str) -> None:
    """Nothing is loaded but files beside the WSDL."""
    with pytest.raises(Misconfigured) as told:
        SoapClient(wsdl(location), "http://127.0.0.1:9/", failures={})
    assert told.value.code == "wsdl_unreadable"


def test_substitutions_reach_every_file(tmp_path: Path) -> None:
    """A vendor that dates its namespaces needs one set of files."""
    (tmp_path / "a.xsd").write_text("urn:x_2023_2")
    assert LocalFiles(tmp_path, {"2023_2": "2025_2"}).load(str(tmp_path / "a.xsd")) == b"urn:x_2025_2"


@pytest.mark.parametrize("body", [b"", b"<a/>", b"<!DOCTYPE a><a/>", envelope("<a/>").encode()])
def test_what_holds_no_fault_is_no_fault(body: bytes) -> None:
    """A proxy's error page is judged by its status, not read as a fault."""
    with pytest.raises(ValueError, match=r"."):
        read_fault(body)
