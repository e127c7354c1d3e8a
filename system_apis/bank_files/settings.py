"""Whose account is whose: which legal entity owns the money on a bank account."""

import msgspec


class BankFilesSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The accounts whose statements are taken in.

    ``accounts`` maps an account as the bank writes it (IBAN or number, without blanks) to our legal entity. ``currencies`` is for accounts
    that are not listed: their statements go to the entity named for their currency; a statement for which neither knows an entity is
    refused, because money must not land with the wrong owner.
    """

    accounts: dict[str, str] = {}
    currencies: dict[str, str] = {}
