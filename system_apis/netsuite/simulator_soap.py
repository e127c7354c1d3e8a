"""The SOAP side of the simulated NetSuite: searching sales tax items, page by page, with a signed token passport."""

import hmac
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from litestar import Request, Response
from lxml import etree

from system_apis.netsuite.auth import soap_signature
from system_apis.netsuite.settings import NetSuiteSettings
from system_apis.simulation import Simulation

VERSIONS = frozenset({"2023_2", "2024_2", "2025_2"})
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_ROWS_MIN, _ROWS_MAX = 5, 1000
_PORT = "NetSuitePort_"


class Fault(Exception):
    """A SOAP fault: its element in the vendor's fault namespace, its code, and the sentence."""

    def __init__(self, kind: str, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.code = code
        self.sentence = sentence


async def answer(simulation: Simulation, settings: NetSuiteSettings, port: str, request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer one SOAP call on ``NetSuitePort_<version>``."""
    version = port.removeprefix(_PORT)
    try:
        if version not in VERSIONS:
            raise Fault("invalidVersionFault", "UNSUPPORTED_WS_VERSION", f"The endpoint {version} is not supported.")  # noqa: TRY301 - one place turns faults into envelopes
        body = _operation(await request.body(), settings, version)
        return _reply(_envelope(OPERATIONS[etree.QName(body.tag).localname](simulation, settings, version, body)), 200)
    except Fault as fault:
        return _reply(_envelope(_fault(fault, version)), 500)


def _operation(raw: bytes, settings: NetSuiteSettings, version: str) -> Any:
    """The operation element of a request whose passport is genuine."""
    try:
        root: Any = etree.fromstring(raw, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    except etree.XMLSyntaxError as error:
        raise Fault("unexpectedErrorFault", "UNEXPECTED_ERROR", f"org.xml.sax.SAXParseException: {error}") from error
    messages, core = f"{{{_ns('messages', version)}}}", f"{{{_ns('core', version)}}}"
    passport = root.find(f"{{{_ENVELOPE}}}Header/{messages}tokenPassport")
    if passport is None or not _genuine({etree.QName(n.tag).localname: n for n in passport.iterfind(f"{core}*")}, settings):
        raise Fault("invalidCredentialsFault", "INVALID_LOGIN_CREDENTIALS", "Invalid login attempt.")
    body = root.find(f"{{{_ENVELOPE}}}Body")
    element = body[0] if body is not None and len(body) else None
    known = (
        element is not None and etree.QName(element.tag).namespace == messages[1:-1] and etree.QName(element.tag).localname in OPERATIONS
    )
    if not known:
        raise Fault("unexpectedErrorFault", "UNEXPECTED_ERROR", "org.xml.sax.SAXException: no such operation in this simulator")
    return element


def _genuine(passport: dict[str, Any], settings: NetSuiteSettings) -> bool:
    text = {name: node.text or "" for name, node in passport.items()}
    owner = (text.get("account"), text.get("consumerKey"), text.get("token"))
    if owner != (settings.account, settings.consumer_key, settings.token_id) or not text.get("timestamp", "").isdigit():
        return False
    expected = soap_signature(settings, text.get("nonce", ""), int(text["timestamp"]))
    algorithm = passport["signature"].get("algorithm") if "signature" in passport else ""
    return algorithm == "HMAC-SHA256" and hmac.compare_digest(expected, text["signature"])


def _search(simulation: Simulation, settings: NetSuiteSettings, version: str, element: Any) -> str:
    messages, core, common = (_ns(name, version) for name in ("messages", "core", "common"))
    record = element.find(f"{{{messages}}}searchRecord")
    kind = "" if record is None else record.get(f"{{{_XSI}}}type", "")
    prefix, _, name = kind.rpartition(":")
    if record is None or name != "SalesTaxItemSearchBasic" or record.nsmap.get(prefix or None) != common:
        raise Fault("unexpectedErrorFault", "UNEXPECTED_ERROR", f"this simulator does not search for {kind or 'nothing'}")
    inactive = record.findtext(f"{{{common}}}isInactive/{{{core}}}searchValue") or "any"
    rows = element.getroottree().findtext(f".//{{{messages}}}searchPreferences/{{{messages}}}pageSize") or str(_ROWS_MAX)
    if not _ROWS_MIN <= int(rows) <= _ROWS_MAX:
        return _result("search", version, _refused("INVALID_SEARCH_PAGE_SIZE", f"Page size must be {_ROWS_MIN} to {_ROWS_MAX}."))
    return _page(simulation, "search", version, f"WEBSERVICES_{settings.account}_{inactive}_{rows}", 1)


def _search_more(simulation: Simulation, _settings: NetSuiteSettings, version: str, element: Any) -> str:
    messages = _ns("messages", version)
    search_id = element.findtext(f"{{{messages}}}searchId") or ""
    return _page(simulation, "searchMoreWithId", version, search_id, int(element.findtext(f"{{{messages}}}pageIndex") or "0"))


OPERATIONS: dict[str, Callable[[Simulation, NetSuiteSettings, str, Any], str]] = {"search": _search, "searchMoreWithId": _search_more}


def _page(simulation: Simulation, operation: str, version: str, search_id: str, page: int) -> str:
    """One page. The search id carries its own conditions, so that a restart forgets no search."""
    _, _, conditions = search_id.partition("_SB1_")
    inactive, _, size = conditions.partition("_")
    if not size.isdigit():
        raise Fault("unexpectedErrorFault", "INVALID_JOB_ID", "That search id is unknown or has expired.")
    items = [item for item in simulation.all("taxItem") if inactive == "any" or item["isInactive"] is (inactive == "true")]
    rows = int(size)
    pages = -(-len(items) // rows)
    shown = items[(page - 1) * rows : page * rows]
    return _result(
        operation,
        version,
        '<status isSuccess="true"/>'
        f"<totalRecords>{len(items)}</totalRecords><pageSize>{rows}</pageSize><totalPages>{pages}</totalPages>"
        f"<pageIndex>{page}</pageIndex><searchId>{escape(search_id)}</searchId>"
        f"<recordList>{''.join(_tax_item(item, version) for item in shown)}</recordList>",
    )


def _tax_item(item: dict[str, Any], version: str) -> str:
    country = item["country"]
    return (
        f'<record internalId={quoteattr(item["id"])} xsi:type="listAcct:SalesTaxItem" xmlns:listAcct="{_ns("accounting", version)}">'
        f"<listAcct:itemId>{escape(item['itemId'])}</listAcct:itemId>"
        f"<listAcct:description>{escape(item['description'])}</listAcct:description>"
        f"<listAcct:rate>{escape(item['rate'])}</listAcct:rate>"
        f"<listAcct:isInactive>{'true' if item['isInactive'] else 'false'}</listAcct:isInactive>"
        f"<listAcct:nexusCountry internalId={quoteattr(country)}><name>{escape(country)}</name></listAcct:nexusCountry>"
        "</record>"
    )


def _refused(code: str, sentence: str) -> str:
    detail = f'<statusDetail type="ERROR"><code>{code}</code><message>{escape(sentence)}</message></statusDetail>'
    return f'<status isSuccess="false">{detail}</status>'


def _result(operation: str, version: str, inner: str) -> str:
    name = f"{operation}Response"
    result = f'<searchResult xmlns="{_ns("core", version)}">{inner}</searchResult>'
    return f'<{name} xmlns="{_ns("messages", version)}">{result}</{name}>'


def _fault(fault: Fault, version: str) -> str:
    name = f"platformFaults:{fault.kind}"
    detail = f'<{name} xmlns:platformFaults="{_ns("faults", version)}"><platformFaults:code>{fault.code}</platformFaults:code>'
    detail += f"<platformFaults:message>{escape(fault.sentence)}</platformFaults:message></{name}>"
    head = f"<faultcode>soapenv:Server.userException</faultcode><faultstring>{escape(fault.sentence)}</faultstring>"
    return f"<soapenv:Fault>{head}<detail>{detail}</detail></soapenv:Fault>"


def _ns(part: str, version: str) -> str:
    return f"urn:{part}_{version}.{'lists' if part == 'accounting' else 'platform'}.webservices.netsuite.com"


def _envelope(body: str) -> bytes:
    spaces = f'xmlns:soapenv="{_ENVELOPE}" xmlns:xsi="{_XSI}"'
    content = f"<soapenv:Body>{body}</soapenv:Body>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope {spaces}>{content}</soapenv:Envelope>'.encode()


def _reply(content: bytes, status: int) -> Response[bytes]:
    return Response(content, status_code=status, media_type="text/xml; charset=utf-8")
