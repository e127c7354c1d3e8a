"""Money on account: the entry that keeps received money as a credit on a party's receivable until an invoice takes it."""

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec

from canonical.failures import Misconfigured, Rejected, Unavailable
from canonical.money import Money
from canonical.payment import Payment
from system_apis.connector import Call
from system_apis.tryton.client import EITHER, Books
from system_apis.tryton.customers import PARTY, Company, Currency
from system_apis.tryton.failures import CODE_TAKEN

UNIDENTIFIED_NAME = "Unidentified payers"

# wire shapes ----------------------------------------------------------------------------------------------------------


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """A payment method: the journal, and the account on which received money is."""

    id: int
    journal: int
    debit_account: int


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The party on whose account money is kept; its own receivable account, where it has one."""

    id: int
    account_receivable: int | None = None


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts that count where a party has none of its own."""

    id: int
    default_account_receivable: int | None = None


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """An accounting period."""

    id: int
    name: str = ""
    state: str = ""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A currency's rate on a day, as units of it for one of the base currency."""

    id: int
    rate: Decimal | None = None


# mapping --------------------------------------------------------------------------------------------------------------


def lines_of(amount: Money, booked: Decimal, foreign: int | None, accounts: tuple[int, int], party: int) -> list[dict[str, Any]]:
    """Debit the bank, credit the party. ``booked`` is the amount in the company's currency, ``foreign`` the currency that it came in."""
    bank, receivable = accounts
    second = {"second_currency": foreign} if foreign else {}
    debit, credit = ({"amount_second_currency": sign * amount.number} if foreign else {} for sign in (1, -1))
    return [
        {"account": bank, "debit": booked, "credit": Decimal(0), **second, **debit},
        {"account": receivable, "party": party, "debit": Decimal(0), "credit": booked, **second, **credit},
    ]


# operations -----------------------------------------------------------------------------------------------------------


async def payment_method(books: Books, name: str) -> Method:
    """The payment method of the settings."""
    method = await books.lookup("account.invoice.payment.method", [["name", "=", name], ["company", "=", books.company]], Method)
    if method is None:
        raise Misconfigured("payment_method_missing", f"Tryton has no invoice payment method {name!r}")
    return method


async def enter_on_account(
    call: Call, books: Books, payment: Payment, amount: Money, holder: tuple[int, int] | None, method: Method, description: str
) -> None:
    """Enter money as a credit on the account of a party (party and receivable account), or of whoever the payer is found to be."""
    party, receivable = holder or await _holder(call, books, payment)
    booked, foreign = await _in_company_currency(books, amount, payment.received_on)
    values = {
        "company": books.company,
        "journal": method.journal,
        "period": (await _period(books, payment.received_on)).id,
        "date": payment.received_on,
        "description": description,
        "lines": [["create", lines_of(amount, booked, foreign, (method.debit_account, receivable), party)]],
    }
    move = await books.create("account.move", values)
    await books.press("account.move", "post", [move])


async def _holder(call: Call, books: Books, payment: Payment) -> tuple[int, int]:
    """The one party named like the payer, else the one for unidentified payers."""
    parties = await books.rows(PARTY, [["name", "=", payment.payer]], Holder, limit=2) if payment.payer else []
    party = parties[0] if len(parties) == 1 else await _unidentified(books, call.settings.unidentified_payer)
    if party.account_receivable is not None:
        return party.id, party.account_receivable
    defaults = await books.lookup("account.configuration", [], Defaults)
    if defaults is None or defaults.default_account_receivable is None:
        raise Misconfigured("accounts_missing", "Tryton has no default receivable account")
    return party.id, defaults.default_account_receivable


async def _unidentified(books: Books, code: str) -> Holder:
    domain = [["code", "=", code], EITHER]
    for _ in range(2):  # the second time another worker has just made it
        if found := await books.rows(PARTY, domain, Holder):
            return found[0]
        try:
            return Holder(id=await books.create(PARTY, {"name": UNIDENTIFIED_NAME, "code": code}))
        except Unavailable as race:
            if race.code != CODE_TAKEN:
                raise
    raise Unavailable(CODE_TAKEN, f"party {code} is just being made")


async def _period(books: Books, day: dt.date) -> Period:
    covers = [["start_date", "<=", day], ["end_date", ">=", day], ["type", "=", "standard"]]
    periods = await books.rows("account.period", [*covers, ["fiscalyear.company", "=", books.company]], Period)
    if not any(period.state == "open" for period in periods):
        raise Rejected("closed_period", f"no open period for {day}", pointer="/payment/received_on")
    return next(period for period in periods if period.state == "open")


async def _in_company_currency(books: Books, amount: Money, day: dt.date) -> tuple[Decimal, int | None]:
    """The amount in the company's currency by Tryton's rates of the day, and the foreign currency's id where it is another one."""
    company = await books.lookup("company.company", [["id", "=", books.company]], Company)
    if company is None:
        raise Misconfigured("company_unknown", f"Tryton has no company {books.company}")
    if company.currency.code == amount.currency:
        return amount.number, None
    foreign = await books.lookup("currency.currency", [["code", "=", amount.currency]], Currency)
    if foreign is None:
        raise Rejected("currency_unknown", f"Tryton has no currency {amount.currency}", pointer="/payment/amount")
    ids = [["id", "in", [foreign.id, company.currency.id]]]
    rates = {r.id: r.rate for r in await books.rows("currency.currency", ids, Rate, context={"date": day})}
    there, here = rates.get(foreign.id), rates.get(company.currency.id)
    if not there or not here:
        raise Misconfigured("rate_missing", f"Tryton has no rate for {amount.currency} on {day}")
    return Money.rounded(amount.number * here / there, company.currency.code).number, foreign.id
