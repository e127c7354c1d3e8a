"""Customers, their credit, and items."""

from typing import Any

import msgspec
import pytest

from canonical.customer import Address, CheckCredit, TaxRegistration
from canonical.failures import Broken, Misconfigured, OutcomeUnknown, Rejected
from canonical.item import FindItems
from canonical.money import Quantity
from canonical.order import CancelSalesOrder
from tests.system_apis.netsuite.conftest import Account, ensure, invoiced, order, payment, usd

WRITE = "PUT /services/rest/record/v1/customer"


async def test_a_new_customer_is_made_once_under_our_id(account: Account) -> None:
    """The first asking creates, every other finds; the books hold one customer."""
    first = await account.ask(ensure(ship_to=Address(city="Dallas", country="US")), correlation_id="q2c-7f3a")
    second = await account.ask(ensure())
    kept = account.simulation.get("customer", first.customer.id)
    assert kept is not None
    assert (first.created, second.created, first.customer) == (True, False, second.customer)
    assert (kept["externalId"], kept["comments"], kept["terms"]["id"]) == ("C-INITECH", "C-INITECH q2c-7f3a", "2")
    assert [(a["defaultBilling"], a["defaultShipping"]) for a in kept["addressBook"]["items"]] == [(True, False), (False, True)]
    assert account.booked("customer") == ["C-INITECH"]


async def test_a_known_customer_is_found_by_our_id(account: Account) -> None:
    """Nothing is written for a customer that is there."""
    found = await account.ask(ensure("C-ACME"))
    assert (found.created, found.customer.number) == (False, "CUST1001")
    assert account.booked("customer") == []


async def test_a_customer_that_was_there_before_us_is_linked_and_not_doubled(account: Account) -> None:
    """Exact name and e-mail, in whatever case and with whatever quote in it, or the tax number, find it; it then carries our id."""
    await account.ask(ensure("C-OLD", legal_name="O'Neil & Sons", email="Pay@ONeil.example"))
    kept = account.simulation.get("customer", "1005")
    assert kept is not None
    account.simulation.put("customer", "1005", {name: value for name, value in kept.items() if name != "externalId"})
    account.simulation.put("eid", "customer/C-OLD", {"id": "none"})
    linked = await account.ask(ensure("C-NEW", legal_name="O'NEIL & Sons", email="pay@oneil.example"))
    again = await account.ask(ensure("C-NEW", legal_name="O'NEIL & Sons", email="pay@oneil.example"))
    assert (linked.created, linked.customer.id, again.customer.id) == (False, "1005", "1005")
    numbered = (TaxRegistration(country="US", scheme="ein", number="12-3456789"),)
    made = await account.ask(ensure("C-TAX", legal_name="Taxed Inc.", email="", tax_registrations=numbered))
    same = await account.ask(ensure("C-TAX2", legal_name="Taxed Incorporated", email="", tax_registrations=numbered))
    assert (made.created, same.created, same.customer.id) == (True, False, made.customer.id)


async def test_several_customers_that_fit_are_for_a_person(account: Account) -> None:
    """Two customers with the same name and e-mail: we do not guess."""
    twin = account.simulation.get("customer", "1001")
    assert twin is not None
    account.simulation.put("customer", "9", {**twin, "id": "9", "externalId": ""})
    with pytest.raises(Rejected) as refused:
        await account.ask(ensure("C-ACME2", legal_name="Acme Robotics Inc.", email="ap@acme.example"))
    assert refused.value.code == "customer_ambiguous"


async def test_a_lost_answer_is_found_as_made_within_this_deal(account: Account) -> None:
    """`find` after a time-out gives the reply of the write; for a customer of long ago it says that nothing was created."""
    account.fault("timeout_after_write", WRITE)
    with pytest.raises(OutcomeUnknown):
        await account.ask(ensure(), correlation_id="q2c-7f3a")
    found = await account.find(ensure(), correlation_id="q2c-7f3a")
    assert (found.created, found.customer.number) == (True, "CUST2001")
    assert (await account.find(ensure("C-ACME"), correlation_id="q2c-7f3a")).created is False
    assert await account.find(ensure("C-NOBODY")) is None
    assert account.booked("customer") == ["C-INITECH"]


async def test_a_currency_that_netsuite_drops_is_noticed(account: Account) -> None:
    """A customer whose currency was lost on the way in is not called ensured."""
    account.fault("drop_field", "PUT /customer", field="currency")
    with pytest.raises(Broken) as told:
        await account.ask(ensure())
    assert told.value.code == "read_back_differs"


async def test_payment_terms_that_nobody_mapped_are_ours_to_configure(account: Account) -> None:
    """45 days are in no terms of the account; without any mapping NetSuite's default holds."""
    odd = msgspec.structs.replace(ensure().customer, payment_terms_days=45)
    with pytest.raises(Misconfigured) as refused:
        await account.ask(msgspec.structs.replace(ensure(), customer=odd))
    assert refused.value.code == "terms_not_mapped"
    lax = Account(account.simulation, account.base_url, terms={})
    assert (await lax.ask(msgspec.structs.replace(ensure(), customer=odd))).created
    await lax.aclose()


def _credit(customer_id: str, name: str = "", currency: str = "USD") -> CheckCredit:
    return CheckCredit(customer_id=customer_id, customer_name=name or customer_id, currency=currency)


async def test_credit_is_limit_hold_and_what_is_open(account: Account) -> None:
    """What is open is what is invoiced and unpaid plus what is ordered and not billed; payments and cancellations bring it down."""
    assert await account.ask(_credit("C-NOBODY")) == _known(known=False)
    assert (await account.ask(_credit("C-HOLD"))).on_hold
    small = await account.ask(_credit("C-OTHER", "smallco ltd"))
    assert (small.limit, small.open_balance, small.on_hold) == (usd("10000"), usd("0"), False)
    bill = await invoiced(account)
    second = await account.ask(order("ORD-1002"))
    acme = await account.ask(_credit("C-ACME"))
    assert (acme.limit, acme.open_balance) == (None, usd("2172.50"))
    await account.ask(payment("PAY-1", "1000.00", (bill, "1000.00")))
    await account.ask(CancelSalesOrder(order_id="ORD-1002", erp_ref=second.erp_ref))
    assert (await account.ask(_credit("C-ACME"))).open_balance == usd("86.25")


def _known(**fields: Any) -> Any:
    return CheckCredit.reply_type()(**fields)


async def test_credit_in_another_currency_is_not_compared(account: Account) -> None:
    """A limit in dollars says nothing about euros."""
    with pytest.raises(Rejected) as refused:
        await account.ask(_credit("C-SMALL", currency="EUR"))
    assert refused.value.code == "credit_in_other_currency"


async def test_items_come_with_their_state_and_stock(account: Account) -> None:
    """An unknown code is not among them; stock is told only where NetSuite keeps it."""
    found = await account.ask(FindItems(item_codes=("SUB-TEAM", "SUB-OLD", "SVC-ONB", "HW-RACK", "NO-SUCH", "IT'S")))
    told = {item.code: (item.active, item.charge_type, item.available) for item in found.items}
    assert told == {
        "SUB-TEAM": (True, None, None),
        "SUB-OLD": (False, None, None),
        "SVC-ONB": (True, "service", None),
        "HW-RACK": (True, "one_time", Quantity("3")),
    }
    assert (await account.ask(FindItems(item_codes=()))).items == ()
