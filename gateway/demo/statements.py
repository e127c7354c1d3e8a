"""Bank statements as a bank would send them, with the demo's payments in them: MT940 with German subfields, and CAMT.053 of version 8.

Beside what customers paid, each statement has a fee that the bank took: money that goes out is not cash to apply.
"""

import datetime as dt
from decimal import Decimal
from typing import Literal
from xml.sax.saxutils import escape

import msgspec

from canonical.money import Money

ACCOUNTS = {"US01": ("US01-OPERATING-4471", "Northwind Software Inc."), "DE01": ("DE89370400440532013000", "Northwind Software GmbH")}
CONTENT_TYPES = {"mt940": "text/plain", "camt053": "application/xml"}
FEE, OPENING = Decimal("4.50"), Decimal("182344.10")
SUBFIELD_LENGTH = 27


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A credit on the account of an entity."""

    entity: str
    number: int
    on: dt.date
    amount: Money
    payer: str
    reference: str = ""
    text: str = ""


def statement(kind: Literal["mt940", "camt053"], credit: Received) -> bytes:
    """A statement of one day with this credit and a fee."""
    return {"mt940": _mt940, "camt053": _camt053}[kind](credit)


def _closing(credit: Received) -> Decimal:
    return OPENING + credit.amount.number - FEE


def _swift(number: Decimal) -> str:
    return f"{number:.2f}".replace(".", ",")


def _mt940(credit: Received) -> bytes:
    account, _ = ACCOUNTS[credit.entity]
    currency, day = credit.amount.currency, f"{credit.on:%y%m%d}"
    purpose = "".join([f"EREF+{credit.reference:<{SUBFIELD_LENGTH - 5}}" if credit.reference else "", f"SVWZ+{credit.text}"])
    fields = [
        f":20:STMT{credit.number:06d}",
        f":25:{account}",
        f":28C:{credit.number:05d}/00001",
        f":60F:C{day}{currency}{_swift(OPENING)}",
        f":61:{day}{credit.on:%m%d}C{_swift(credit.amount.number)}NTRFNONREF//B{credit.number:08d}",
        ":86:166?00CREDIT TRANSFER" + _subfields(20, purpose) + _subfields(32, credit.payer),
        f":61:{day}{credit.on:%m%d}D{_swift(FEE)}NCHGNONREF//F{credit.number:08d}",
        ":86:808?00BANK CHARGES?20SVWZ+ACCOUNT MAINTENANCE",
        f":62F:C{day}{currency}{_swift(_closing(credit))}",
        "-",
    ]
    return ("\r\n".join(fields) + "\r\n").encode("latin-1", "replace")


def _subfields(first: int, text: str) -> str:
    """A text in subfields of 27 characters."""
    pieces = [text[at : at + SUBFIELD_LENGTH] for at in range(0, len(text), SUBFIELD_LENGTH)]
    return "".join(f"?{first + index}{piece}" for index, piece in enumerate(pieces))


def _camt053(credit: Received) -> bytes:
    account, owner = ACCOUNTS[credit.entity]
    iban = f"<IBAN>{account}</IBAN>" if account[:2].isalpha() and account.isalnum() else f"<Othr><Id>{account}</Id></Othr>"
    currency, amount = credit.amount.currency, credit.amount.amount
    paid = (
        f"<NtryDtls><TxDtls><Refs><EndToEndId>{escape(credit.reference or 'NOTPROVIDED')}</EndToEndId></Refs>"
        f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
        f"<RltdPties><Dbtr><Pty><Nm>{escape(credit.payer)}</Nm></Pty></Dbtr></RltdPties>"
        f"<RmtInf><Ustrd>{escape(credit.text)}</Ustrd></RmtInf></TxDtls></NtryDtls>"
    )
    entries = _entry(credit, amount, "CRDT", f"B{credit.number:08d}", paid) + _entry(credit, f"{FEE}", "DBIT", f"F{credit.number:08d}", "")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>M{credit.number:06d}</MsgId><CreDtTm>{credit.on}T21:00:00</CreDtTm></GrpHdr>"
        f"<Stmt><Id>S{credit.number:06d}</Id><ElctrncSeqNb>{credit.number}</ElctrncSeqNb>"
        f"<Acct><Id>{iban}</Id><Ccy>{currency}</Ccy><Ownr><Nm>{escape(owner)}</Nm></Ownr></Acct>"
        f"{_balance('OPBD', OPENING, credit)}{_balance('CLBD', _closing(credit), credit)}{entries}</Stmt></BkToCstmrStmt></Document>\n"
    ).encode()


def _balance(code: str, amount: Decimal, credit: Received) -> str:
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="{credit.amount.currency}">{amount:.2f}</Amt>'
        f"<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>{credit.on}</Dt></Dt></Bal>"
    )


def _entry(credit: Received, amount: str, direction: str, reference: str, details: str) -> str:
    day = f"<Dt>{credit.on}</Dt>"
    return (
        f'<Ntry><Amt Ccy="{credit.amount.currency}">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>'
        f"<BookgDt>{day}</BookgDt><ValDt>{day}</ValDt><AcctSvcrRef>{reference}</AcctSvcrRef>"
        f"<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>{details}</Ntry>"
    )
