"""Outgoing SOAP: zeep builds and reads the envelopes, the house's own HTTP client carries them.

zeep is kept from the network altogether: it reads a WSDL and its schemas from local files at start-up, refuses document types and
anything remote, and is then used as a writer and a reader only. So a SOAP call has the same single deadline, byte cap, trace headers and
failure table as every other call. This is the only module that imports zeep.
"""

import asyncio
from collections.abc import Mapping
from decimal import DecimalException
from pathlib import Path
from typing import Any

import msgspec
import zeep
import zeep.exceptions
import zeep.helpers
import zeep.loader
from lxml import etree

from canonical.failures import Broken, Failure, Misconfigured, OutcomeUnknown
from runtime.http.client import DEADLINE_S, HttpClient, Response
from runtime.http.failure_table import FailureTable, Meaning, VendorError

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"

_zeep: Any = zeep  # published without complete type information
_STRICT = zeep.Settings(strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True, xml_huge_tree=False)
_UNREADABLE = (zeep.exceptions.Error, etree.LxmlError, ValueError, TypeError, LookupError, AttributeError, DecimalException)


class SoapFault(msgspec.Struct, frozen=True):
    """What a fault says: the vendor's own code where its detail carries one, and the sentence."""

    code: str
    detail: str


class LocalFiles:
    """zeep's view of the world: files beside the WSDL, and nothing else.

    ``substitutions`` are applied to the text of every file: a vendor that dates its namespaces (``2023_2``) needs one set of files.
    """

    def __init__(self, folder: Path, substitutions: Mapping[str, str]) -> None:
        self._folder = folder.resolve()
        self._substitutions = dict(substitutions)

    def load(self, location: str) -> bytes:
        """Read one file. Raises `ValueError` for anything that is not a file in the WSDL's own folder."""
        path = Path(location).resolve()
        if "://" in location or not path.is_relative_to(self._folder):
            raise ValueError(f"a WSDL may only refer to files beside it, not to {location}")
        text = path.read_text("utf-8")
        for old, new in self._substitutions.items():
            text = text.replace(old, new)
        return text.encode()


class SoapClient:
    """One SOAP endpoint, spoken to as its local WSDL says. Raises only `Failure`s (and `CancelledError`)."""

    def __init__(
        self,
        wsdl_path: Path,
        endpoint: str,
        *,
        failures: Mapping[str, Meaning],
        deadline_s: float = DEADLINE_S,
        substitutions: Mapping[str, str] | None = None,
    ) -> None:
        files = LocalFiles(wsdl_path.parent, substitutions or {})
        try:
            self._zeep = _zeep.Client(str(wsdl_path.resolve()), transport=files, settings=_STRICT)
        except (*_UNREADABLE, OSError) as error:
            raise Misconfigured("wsdl_unreadable", f"{wsdl_path.name}: {type(error).__name__}: {error}") from error
        service = next(iter(self._zeep.wsdl.services.values()))
        self._binding = next(iter(service.ports.values())).binding
        self._files = files
        self._endpoint = endpoint
        self._table = FailureTable(failures, _read_fault)
        self._http = HttpClient(endpoint, failures=self._table, headers={"Accept": "text/xml"}, deadline_s=deadline_s)

    def value(self, namespace: str, name: str, **fields: Any) -> Any:
        """A value of a named schema type, for a place where the WSDL asks for an abstract one."""
        return self._zeep.get_type(f"{{{namespace}}}{name}")(**fields)

    def envelope(self, operation: str, headers: Mapping[str, Any], **body: Any) -> bytes:
        """The request as it goes over the wire. Raises `Broken` where the WSDL does not allow it."""
        try:
            document = self._zeep.create_message(self._zeep.service, operation, _soapheaders=dict(headers), **body)
        except _UNREADABLE as error:
            raise Broken("request_not_in_wsdl", f"{operation}: {error}") from error
        return bytes(etree.tostring(document, xml_declaration=True, encoding="utf-8"))

    async def ask(self, operation: str, *, headers: Mapping[str, Any], writes: bool = False, **body: Any) -> dict[str, Any]:
        """Call an operation and give the body of its answer as plain dicts, lists and scalars.

        ``headers`` are the SOAP headers of this call by part name; ``writes`` is as in `HttpClient.send`.
        """
        content = self.envelope(operation, headers, **body)
        named = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{operation}"'}
        answer = await self._http.send("POST", self._endpoint, content=content, headers=named, writes=writes)
        return await asyncio.to_thread(self.read, operation, answer, writes=writes)  # a large answer must not hold up the loop

    def read(self, operation: str, answer: Response, *, writes: bool = False) -> dict[str, Any]:
        """An answer as the WSDL describes it. Raises the failure behind a fault, and one for what cannot be read."""
        try:
            document = _zeep.loader.parse_xml(answer.body, self._files, settings=_STRICT)
        except _UNREADABLE as error:
            raise _unreadable(operation, error, answer, writes=writes) from error
        if document.find(f"{{{ENVELOPE}}}Body/{{{ENVELOPE}}}Fault") is not None:
            raise self._table.failure(500, answer.headers, answer.body, writes=writes, retry_after_s=None)
        try:
            return self._parsed(operation, document)
        except _UNREADABLE as error:
            raise _unreadable(operation, error, answer, writes=writes) from error

    def _parsed(self, operation: str, document: Any) -> dict[str, Any]:
        """The body as zeep reads it, and two checks that zeep leaves out even when strict: the element's name, and that nothing is lost."""
        described = self._binding.get(operation)
        element = document.find(f"{{{ENVELOPE}}}Body/{described.output.body.qname.text}")
        if element is None:
            raise ValueError(f"the body is not {described.output.body.qname.text}")
        parsed = _zeep.helpers.serialize_object(described.process_reply(document), dict)
        body = parsed["body"] if isinstance(parsed, dict) and parsed.keys() == {"header", "body"} else parsed
        if not isinstance(body, dict):
            raise TypeError("the body is empty")
        if _values_in(body) < _values_said(element):  # zeep makes nothing of a value that it cannot read, and tells only its log
            raise ValueError("a value is not of its type")
        return body

    async def aclose(self) -> None:
        """Close the kept connections."""
        await self._http.aclose()


def _values_said(element: Any) -> int:
    """How many texts and attributes an element holds."""
    nodes = [node for node in element.iter() if isinstance(node.tag, str)]
    attributes = sum(1 for node in nodes for name in node.attrib if not name.startswith(f"{{{_XSI}}}"))
    return attributes + sum(1 for node in nodes if not len(node) and (node.text or "").strip())


def _values_in(parsed: Any) -> int:
    """How many values were read, those of elements that the schema lets through unread included."""
    if isinstance(parsed, dict):
        return sum(_values_in(value) for value in parsed.values())
    if isinstance(parsed, list):
        return sum(_values_in(value) for value in parsed)
    return _values_said(parsed) if etree.iselement(parsed) else int(parsed is not None)


def _unreadable(operation: str, error: BaseException, answer: Response, *, writes: bool) -> Failure:
    """A success that nobody can read: after a write it may have happened, so it has to be looked for."""
    word = OutcomeUnknown if writes else Broken
    return word("unreadable_answer", f"the answer to {operation} is not what the WSDL describes: {error}", raw=answer.text)


def read_fault(body: bytes) -> SoapFault:
    """The fault in an envelope: the first ``code`` in its detail, else the detail's element, else the fault code itself.

    Raises `ValueError` where there is no fault to read.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"not XML: {error}") from error
    if b"<!DOCTYPE" in body:
        raise ValueError("an envelope has no document type")
    fault = root.find(f"{{{ENVELOPE}}}Body/{{{ENVELOPE}}}Fault")
    if fault is None:
        raise ValueError("no fault in the envelope")
    detail = [node for node in fault.iterfind("detail//*") if isinstance(node.tag, str)]
    code = next((n.text for n in detail if etree.QName(n).localname == "code" and n.text), "")
    kind = etree.QName(detail[0]).localname if detail else ""
    plain = (fault.findtext("faultcode") or "").rpartition(":")[2]
    return SoapFault(code.strip() or kind or plain, fault.findtext("faultstring") or "")


def _read_fault(_status: int, _headers: Mapping[str, str], body: bytes) -> VendorError:
    fault = read_fault(body)
    return VendorError(fault.code, fault.detail)
