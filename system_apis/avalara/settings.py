"""What an AvaTax account needs: its credentials, and which AvaTax company keeps the books of which legal entity."""

import msgspec

from canonical.customer import Address


class Company(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The AvaTax company of one legal entity. ``ship_from`` None: AvaTax taxes as if sold where it is delivered."""

    code: str
    ship_from: Address | None = None


class AvalaraSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One AvaTax account. ``companies`` is keyed by our legal entity; ``machine`` names the sender in ``X-Avalara-Client``."""

    account_id: str
    license_key: str
    companies: dict[str, Company]
    base_url: str = "https://rest.avatax.com"
    deadline_s: float = 30.0
    machine: str = "gateway"
