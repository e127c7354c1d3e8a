"""What the gateway needs to know of a Tryton database: where it is, who logs in, and which company books for which entity."""

from typing import Literal

import msgspec


class TrytonSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Tryton database.

    ``companies`` gives the Tryton company id of each of our legal entities. ``payment_method`` is the name of the invoice payment method
    on whose accounts received money is entered. ``external_tax`` is the name of a tax of type *fixed*, amount 0.01, by which the tax
    that our tax engine has calculated is booked (see `sales_order_lines`). ``unit_price_digits`` is the server's ``price_decimal``.
    ``shipment_method`` says whether Tryton makes the shipments when the order is booked or waits for a person; ``unidentified_payer``
    is the code of the party on whose account money is kept whose payer nobody knows.
    """

    base_url: str
    database: str = "erp"
    user: str
    password: str
    companies: dict[str, int]
    payment_method: str = "Bank transfer"
    external_tax: str = "Q2C external tax"
    unit_price_digits: int = 4
    shipment_method: Literal["order", "manual"] = "order"
    unidentified_payer: str = "UNIDENTIFIED"
    deadline_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.companies:
            raise ValueError("companies must name the Tryton company of at least one entity")

    @property
    def rpc_url(self) -> str:
        """Where the database takes calls; it wants the slash that is added with each."""
        return f"{self.base_url.rstrip('/')}/{self.database}/rpc"
