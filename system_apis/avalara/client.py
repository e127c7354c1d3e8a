"""The way to one AvaTax account: Basic authentication, the client header that AvaTax asks for, and its way to spell codes in paths."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.http.client import HttpClient, Response, StaticHeaders
from system_apis.avalara.failures import FAILURES
from system_apis.avalara.settings import AvalaraSettings

# AvaTax wants amounts as JSON numbers; decimals are written digit by digit, never through a float
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_TYPE = {"documentType": "SalesInvoice"}
_IN_PATH = {"/": "_-ava2f-_", "+": "_-ava2b-_", "?": "_-ava3f-_", "%": "_-ava25-_", "#": "_-ava23-_", " ": "%20"}


def in_path(code: str) -> str:
    """A company or document code as AvaTax wants it inside a path (its own escapes, no percent encoding for these)."""
    return "".join(_IN_PATH.get(character, character) for character in code)


class AvalaraClient:
    """One AvaTax account. Raises `Failure`s only."""

    def __init__(self, settings: AvalaraSettings) -> None:
        credentials = base64.b64encode(f"{settings.account_id}:{settings.license_key}".encode()).decode()
        self._http = HttpClient(
            settings.base_url,
            failures=FAILURES,
            auth=StaticHeaders({"Authorization": f"Basic {credentials}"}),
            headers={"X-Avalara-Client": f"q2c-gateway; 1.0; q2c-gateway; 1.0; {settings.machine}"},
            deadline_s=settings.deadline_s,
        )

    async def calculate(self, model: Any) -> Response:
        """Calculate without recording: safe to ask again at any time."""
        return await self._post("/api/v2/transactions/create", model, writes=False)

    async def create_or_adjust(self, model: Any) -> Response:
        """Record a document, or adjust the one that has the same code."""
        return await self._post("/api/v2/transactions/createoradjust", model)

    async def get_sales_invoice(self, company: str, code: str) -> Response:
        """The current state of a recorded document with its lines. Raises `Rejected` with `NOT_FOUND` where there is none."""
        return await self._http.send("GET", _document(company, code), params={**_TYPE, "$include": "Lines"})

    async def void_sales_invoice(self, company: str, code: str) -> Response:
        """Void a recorded document."""
        return await self._post(f"{_document(company, code)}/void", {"code": "DocVoided"}, params=_TYPE)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _post(self, path: str, model: Any, *, writes: bool = True, params: Mapping[str, str] | None = None) -> Response:
        content, headers = _ENCODER.encode(model), {"Content-Type": "application/json"}
        return await self._http.send("POST", path, content=content, headers=headers, params=params, writes=writes)


def _document(company: str, code: str) -> str:
    return f"/api/v2/companies/{in_path(company)}/transactions/{in_path(code)}"
