"""Money that arrives in the stories."""

from canonical.customer import Customer
from canonical.money import Money
from canonical.payment import Payment
from tests.stories.sales import SELLERS, TODAY


def payment(number: str, amount: Money, payer: Customer, *, reference: str = "", text: str = "") -> Payment:
    """A payment of a customer to whom that customer owes."""
    return Payment(
        id=number,
        entity=SELLERS.get(payer.id, "US01"),
        source="manual",
        received_on=TODAY,
        amount=amount,
        payer=payer.legal_name,
        references=(reference,) if reference else (),
        remittance=text,
    )
