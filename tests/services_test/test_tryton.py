"""A private Tryton server is an ERP: a sale goes from order to paid invoice in it, over its own wire."""

import base64
import datetime
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from deploy.services.tryton import TrytonServer

TAXED = {"SVC-DAY-DE"}  # Tryton warns when the taxes of a line are not those of its product
TODAY = datetime.datetime.now(datetime.UTC).date()


class Client:
    """As little of Tryton's JSON-RPC as these tests need."""

    def __init__(self, server: TrytonServer) -> None:
        self._url = f"{server.url}/{server.database}/rpc/"
        self._company = server.company_id
        self._headers = {"Content-Type": "application/json"}
        user, token, *_ = self._post("common.db.login", [server.user, {"password": server.password}, "en"])
        session = base64.b64encode(f"{server.user}:{user}:{token}".encode()).decode()
        self._headers["Authorization"] = f"Session {session}"

    def _post(self, method: str, parameters: list[Any]) -> Any:
        body = json.dumps({"id": 1, "method": method, "params": parameters}).encode()
        request = urllib.request.Request(self._url, body, self._headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            reply = json.load(answer)
        assert "error" not in reply, reply["error"]
        return reply["result"]

    def call(self, method: str, *parameters: Any, **context: Any) -> Any:
        return self._post(method, [*parameters, {"company": self._company, **context}])

    def create(self, model: str, **values: Any) -> int:
        return int(self.call(f"model.{model}.create", [values])[0])

    def read(self, model: str, record: int, *names: str) -> dict[str, Any]:
        (values,) = self.call(f"model.{model}.read", [record], list(names))
        return dict(values)


def decimal(text: str) -> dict[str, str]:
    return {"__class__": "Decimal", "decimal": text}


def day(value: datetime.date) -> dict[str, object]:
    return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}


@pytest.fixture(scope="module")
def client(tryton: TrytonServer) -> Client:
    return Client(tryton)


def order(client: Client, server: TrytonServer, reference: str, currency: str, product: str) -> int:
    """A confirmed sale of ten pieces at 49.00 to a new customer; its id."""
    party = client.create("party.party", name="Nordwind AG", addresses=[["create", [{"street": "Hafen 1", "city": "Hamburg"}]]])
    (address,) = client.read("party.party", party, "addresses")["addresses"]
    line = {
        "type": "line",
        "product": server.product_ids[product],
        "quantity": 10,
        "unit": server.unit_id,
        "unit_price": decimal("49.00"),
        "taxes": [["add", [server.tax_id] if product in TAXED else []]],
    }
    sale = client.create(
        "sale.sale",
        company=server.company_id,
        currency=server.currency_ids[currency],
        party=party,
        invoice_address=address,
        shipment_address=address,
        payment_term=server.payment_term_id,
        invoice_method="order",
        shipment_method="order",
        reference=reference,
        lines=[["create", [line]]],
    )
    client.call("model.sale.sale.quote", [sale])
    client.call("model.sale.sale.confirm", [sale])
    return sale


def pay(client: Client, server: TrytonServer, invoice: int, currency: str, amount: str) -> None:
    """Takes money in through the wizard that a person would use."""
    session, _, _ = client.call("wizard.account.invoice.pay.create")
    payee = client.read("account.invoice", invoice, "party")["party"]
    start = {
        "payee": payee,
        "payment_method": server.payment_method_id,
        "date": day(TODAY),
        "amount": decimal(amount),
        "currency": server.currency_ids[currency],
        "company": server.company_id,
    }
    active = {"active_id": invoice, "active_ids": [invoice], "active_model": "account.invoice"}
    client.call("wizard.account.invoice.pay.execute", session, {"start": start}, "choice", **active)
    client.call("wizard.account.invoice.pay.delete", session)


@pytest.mark.parametrize(
    ("currency", "product", "total"), [("EUR", "SUB-TEAM", "490.00"), ("EUR", "SVC-DAY-DE", "583.10"), ("USD", "SVC-ONB", "490.00")]
)
def test_a_sale_becomes_a_paid_invoice(client: Client, tryton: TrytonServer, currency: str, product: str, total: str) -> None:
    """An order is confirmed, its invoice posted and paid in full, and the sale is done; with and without tax, at home and in dollars."""
    sale = order(client, tryton, f"ORD-{currency}-{product}", currency, product)
    assert client.read("sale.sale", sale, "state")["state"] == "processing"
    (invoice,) = client.read("sale.sale", sale, "invoices")["invoices"]
    client.call("model.account.invoice.write", [invoice], {"invoice_date": day(TODAY)})
    client.call("model.account.invoice.post", [invoice])
    posted = client.read("account.invoice", invoice, "state", "number", "total_amount", "amount_to_pay")
    assert posted["state"] == "posted"
    assert posted["number"].startswith(f"{TODAY.year}-")
    assert posted["total_amount"] == posted["amount_to_pay"] == decimal(total)
    pay(client, tryton, invoice, currency, total)
    assert client.read("account.invoice", invoice, "state")["state"] == "paid"
    assert client.read("sale.sale", sale, "state")["state"] == "done"


def test_a_closed_month_takes_no_invoice(client: Client, tryton: TrytonServer) -> None:
    """Posting an invoice dated in the closed month is refused and leaves it a draft."""
    sale = order(client, tryton, "ORD-CLOSED", "EUR", "SUB-TEAM")
    (invoice,) = client.read("sale.sale", sale, "invoices")["invoices"]
    first = datetime.date.fromisoformat(f"{tryton.closed_period}-15")
    client.call("model.account.invoice.write", [invoice], {"invoice_date": day(first)})
    with pytest.raises((AssertionError, urllib.error.HTTPError), match="period"):
        client.call("model.account.invoice.post", [invoice])
    assert client.read("account.invoice", invoice, "state")["state"] == "draft"


def test_the_rest_interface_knows_the_key(tryton: TrytonServer) -> None:
    """The application key opens the REST interface, and another one does not."""
    address = f"{tryton.url}/{tryton.database}/rest/model/currency.currency?f=code"

    def codes(key: str) -> set[str]:
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return {row["code"] for row in json.load(answer)}

    assert {"EUR", "USD"} <= codes(tryton.application_key)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        codes("wrong")
