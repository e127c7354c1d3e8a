"""What a Stripe account needs to be used: its key, its webhook secrets, and which legal entity its money belongs to."""

import msgspec


class StripeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Stripe account.

    ``api_version`` pins the wire format. ``webhook_secrets`` are tried one after the other, so that a secret can be rolled without a gap.
    ``default_entity`` owns the payments that carry no ``q2c_entity`` in their metadata; there is no safe default for it.
    """

    api_key: str
    webhook_secrets: tuple[str, ...]
    default_entity: str
    base_url: str = "https://api.stripe.com"
    api_version: str = "2026-10-28.endive"
    deadline_s: float = 20.0
    webhook_tolerance_s: int = 300
