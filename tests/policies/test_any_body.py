"""Whatever is sent to the gateway, the answer is never a 500, and a refusal is always a problem document."""

import asyncio
import copy
import datetime as dt
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.compose import Gateway
from gateway.settings import Settings
from gateway.simulated import settings as simulated
from policies.development_issuer import DevelopmentIssuer
from runtime.store.migrations import migrate
from tests.policies.shop import problem

NOBODY_LISTENS = "http://127.0.0.1:1"
TODAY = dt.datetime.now(dt.UTC).date()
EUR = {"amount": "1200.00", "currency": "EUR"}
QUOTE: dict[str, Any] = {
    "id": "Q-1",
    "version": 1,
    "entity": "DE01",
    "customer": {
        "id": "C-1",
        "legal_name": "Muster AG",
        "currency": "EUR",
        "bill_to": {"city": "Bern", "country": "CH"},
        "tax_registrations": [{"country": "CH", "number": "CHE123"}],
    },
    "currency": "EUR",
    "issued_on": str(TODAY),
    "expires_on": str(TODAY + dt.timedelta(30)),
    "lines": [
        {
            "number": 1,
            "item_code": "SUB-TEAM",
            "charge_type": "recurring",
            "quantity": {"amount": "10", "unit": "seat"},
            "unit_price": {"amount": "120.00", "currency": "EUR"},
            "discount": {"percent": "0"},
            "net_total": EUR,
            "term": {"start": "2026-01-01", "end": "2026-12-31"},
        }
    ],
    "total": EUR,
}
LINE = {name: value for name, value in QUOTE["lines"][0].items() if name != "unit_cost"}
SOLD = {name: QUOTE[name] for name in ("entity", "customer", "currency")}
ORDER = {
    **SOLD,
    "total": EUR,
    "id": "ORD-1",
    "quote_id": "Q-1",
    "quote_version": 1,
    "ordered_on": str(TODAY),
    "lines": [LINE],
}
SUBSCRIPTION = {**SOLD, "order_id": "ORD-1", "starts_on": str(TODAY), "lines": [LINE]}
TAXED_LINE = {"number": 1, "item_code": "SUB-TEAM", "quantity": LINE["quantity"], "amount": EUR}
TAXED = {**SOLD, "code": "T-1", "date": str(TODAY), "ship_to": {"country": "CH"}, "lines": [TAXED_LINE]}
PAYMENT = {"id": "P-1", "entity": "DE01", "source": "manual", "received_on": str(TODAY), "amount": EUR, "references": ["INV-1"]}
SIGNATURE = {"signed_by": "Ada", "signed_at": "2026-01-15T09:00:00Z", "fingerprint": "0" * 64}
DECISION = {"version": 1, "decision": "sign", "reason": "good", "signature": SIGNATURE}
BODIES: dict[str, Any] = {
    "/process/v1/quotes": {"quote": QUOTE, "signature": SIGNATURE},
    "/process/v1/quotes/validate": {"quote": QUOTE, "as_of": str(TODAY)},
    "/process/v1/quotes/Q-1/decision": DECISION,
    "/process/v1/quotes/%00/decision": DECISION,
    "/process/v1/orders": {"order": ORDER},
    "/process/v1/payments": {"payment": PAYMENT},
    "/process/v1/instances/resume": {"process": "order_booking", "key": "ORD-1"},
    "/process/v1/instances/cancel": {"process": "order_booking", "key": "ORD-1", "reason": "no"},
    "/experience/v1/sales/quotes": {"quote": QUOTE},
    "/experience/v1/sales/quotes/check": {"quote": QUOTE},
    "/experience/v1/sales/quotes/decisions": {**DECISION, "quote_id": "Q-1"},
    "/experience/v1/finance/allocations": {"payment_id": "P-1", "invoices": [{"invoice_id": "INV-1", "amount": EUR}]},
    "/system/v1/netsuite/customers": {"customer": QUOTE["customer"]},
    "/system/v1/stripe/subscriptions": {"subscription": SUBSCRIPTION},
    "/system/v1/avalara/tax-estimates": {"document": TAXED},
    "/system/v1/nowhere/nothing": {},
    "/webhooks/stripe": {"id": "evt_1", "type": "invoice.paid", "data": {"object": {}}},
}
FILES = "/system/v1/bank/statements"


class Installation:
    """A gateway with everything in it, and vendors that nobody reaches; driven from outside of any event loop."""

    def __init__(self, folder: Path) -> None:
        tree = {**simulated(NOBODY_LISTENS, poll_every_s=0.0), "data": str(folder)}
        self._runner = asyncio.Runner()
        self._settings = msgspec.convert(tree, Settings)
        self._token = DevelopmentIssuer(folder).mint("anybody")

    def __enter__(self) -> Self:
        self._runner.run(self._start())
        return self

    async def _start(self) -> None:
        await migrate(self._settings.store_url)
        self.gateway = Gateway(self._settings)
        await self.gateway.start(works=True)
        self.app = self.gateway.app()

    def __exit__(self, *_: object) -> None:
        self._runner.run(self.gateway.stop())
        self._runner.close()

    def post(self, path: str, body: bytes, kind: str = "application/json", **headers: bytes) -> httpx.Response:
        """One request; whatever escapes the application is raised here."""
        return self._runner.run(
            self._send("POST", path, body, {"content_type": kind.encode(), "idempotency_key": secrets.token_hex(8).encode(), **headers})
        )

    def get(self, path: str) -> httpx.Response:
        """One question."""
        return self._runner.run(self._send("GET", path, b"", {}))

    async def _send(self, method: str, path: str, body: bytes, headers: dict[str, bytes]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)  # type: ignore[arg-type]  # ASGI, in other words for its types
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            named = [(b"authorization", f"Bearer {self._token}".encode()), *((n.replace("_", "-").encode(), v) for n, v in headers.items())]
            return await client.request(method, path, content=body, headers=named)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A gateway."""
    with Installation(tmp_path_factory.mktemp("gateway")) as started:
        yield started


JUNK_TEXT = st.sampled_from(
    ["", "\0", "NaN", "-0", "1e999999", "../..", "9999-12-31", "0001-01-01", "EUR", "\ud800", "\u202e", "a" * 600, "Q-1\n", "{}"]
)
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | JUNK_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def places(tree: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document."""
    yield at
    for step, inner in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places(inner, (*at, step))


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, bytes]:
    """A path and a body that was good, with something else in one or two places, or with some bytes changed."""
    path = draw(st.sampled_from(sorted(BODIES)))
    body = copy.deepcopy(BODIES[path])
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(sorted(places(body), key=repr)))
        if not place:
            continue
        parent = body
        for step in place[:-1]:
            parent = parent[step]
        how = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if how == "replace":
            parent[place[-1]] = draw(JUNK)
        elif how == "remove":
            del parent[place[-1]]
        elif isinstance(parent, dict):
            parent[draw(st.text(max_size=8))] = draw(JUNK)
    raw = httpx.Request("POST", "http://x", json=body).content if draw(st.booleans()) and finite(body) else dumped(body)
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.binary(max_size=8)) + raw[at + draw(st.integers(0, 8)) :]
    return path, raw


def dumped(body: Any) -> bytes:
    """JSON as careless programs write it: NaN, Infinity and halves of surrogate pairs included."""
    import json  # noqa: PLC0415 - the standard library's is the careless one

    return json.dumps(body).encode()


def finite(body: Any) -> bool:
    """Whether a strict program could write this."""
    try:
        msgspec.json.encode(body)
    except (UnicodeEncodeError, msgspec.EncodeError, OverflowError, ValueError):
        return False
    return b"NaN" not in dumped(body) and b"Infinity" not in dumped(body)


def never_500(answer: httpx.Response) -> None:
    """The promise."""
    assert answer.status_code != 500, answer.text
    if answer.status_code >= 400:
        code = answer.json()["type"].rpartition(":")[2].replace("-", "_")
        document = problem(answer, answer.status_code, code)
        assert all(entry.get("pointer", "").startswith("/") or not entry.get("pointer") for entry in document.get("errors", ()))


def many(count: int) -> settings:
    """The same examples in every run; a new one is found by changing the strategies."""
    return settings(max_examples=count, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)


def test_the_samples_are_good(installation: Installation) -> None:
    """The bodies from which the others are made are read: none of them is refused as malformed or unfit."""
    refused = {
        path: answer.json()["detail"]
        for path, body in BODIES.items()
        if (answer := installation.post(path, msgspec.json.encode(body))).status_code in {400, 413, 415}
        or answer.json().get("type") == "urn:q2c:problem:invalid-body"
    }
    assert set(refused) == {"/process/v1/quotes/%00/decision"}, refused  # its path is what is wrong there


def test_spoilt_bodies(installation: Installation) -> None:
    """Good bodies with something wrong in them are never a 500."""

    @many(400)
    @given(spoilt())
    def check(sent: tuple[str, bytes]) -> None:
        never_500(installation.post(*sent))

    check()


def test_any_json(installation: Installation) -> None:
    """Any JSON at all is never a 500."""

    @many(150)
    @given(st.sampled_from(sorted(BODIES)), JUNK)
    def check(path: str, body: Any) -> None:
        never_500(installation.post(path, dumped(body)))

    check()


def test_any_bytes(installation: Installation) -> None:
    """Any bytes at all are never a 500, neither as a body nor as a bank statement, a webhook, a key or a correlation id."""

    @many(150)
    @given(
        st.sampled_from([*sorted(BODIES), FILES]),
        st.binary(max_size=200),
        st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=30),
    )
    def check(path: str, body: bytes, text: str) -> None:
        kind = "text/plain" if path == FILES else "application/json"
        header = text.encode("latin-1")
        never_500(installation.post(path, body, kind, idempotency_key=header, x_correlation_id=header, traceparent=header))

    check()


QUESTIONS = (
    "/process/v1/transactions/{}",
    "/process/v1/transactions?limit={}",
    "/process/v1/cases?kind={}&limit=5",
    "/experience/v1/sales/quotes/{}",
    "/experience/v1/finance/allocations?limit={}",
    "/system/v1/{}/customers",
    "/system/v1/netsuite/{}",
    "/system/v1/netsuite/items?item_codes={}",
    "/system/v1/netsuite/invoices?entity={}&cursor={}",
    "/system/v1/salesforce/customers?customer_id={}",
    "/system/v1/salesforce/quotes?quote_id={}&quote_id=2",
    "/docs/{}",
    "/{}",
)


def test_any_question(installation: Installation) -> None:
    """Any text at all in a path or a query is never a 500."""

    @many(300)
    @given(st.sampled_from(QUESTIONS), st.text(max_size=20) | JUNK_TEXT)
    def check(question: str, text: str) -> None:
        never_500(installation.get(question.replace("{}", quote(text, safe="", errors="surrogatepass"))))

    check()
