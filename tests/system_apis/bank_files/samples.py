"""Small statements written for these tests: one in each format, and the pieces to vary them."""

import random

import msgspec

from canonical.bank_statement import BankLine, BankStatement
from system_apis.bank_files.printing import statements_as_json, statements_as_text
from system_apis.bank_files.reader import StatementRefused, read_statement

ACCOUNT = "DE89370400440532013000"


def mt940(*fields: str, opening: str = "C240130EUR1000,00", closing: str = "C240131EUR1250,00") -> bytes:
    """One statement around the given ``:61:``, ``:86:`` … fields; balances that are empty are left out."""
    head = [":20:STMT-0131", f":25:{ACCOUNT}", ":28C:00012/00001"]
    balances = ([f":60F:{opening}"] if opening else []), ([f":62F:{closing}"] if closing else [])
    return "\r\n".join([*head, *balances[0], *fields, *balances[1], "-", ""]).encode()


LINE = ":61:2401310131CR250,00NTRFNONREF//BANK-77"


def detailed(information: str, line: str = LINE) -> BankLine:
    """The one line of a statement whose ``:86:`` reads as given."""
    return only_line(read_statement(mt940(line, f":86:{information}")))


def only(statements: list[BankStatement]) -> BankStatement:
    (statement,) = statements
    return statement


def only_line(statements: list[BankStatement]) -> BankLine:
    (line,) = only(statements).lines
    return line


_CONTAINERS = {"052": ("BkToCstmrAcctRpt", "Rpt"), "053": ("BkToCstmrStmt", "Stmt"), "054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn")}


def camt(*entries: str, kind: str = "053", version: int = 2, head: str = "", account: str | None = None, currency: str = "EUR") -> bytes:
    """One CAMT statement around the given entries; ``head`` stands before them (balances, pages, summary)."""
    message, statement = _CONTAINERS[kind]
    message += "V01" if version == 1 else ""
    own = account if account is not None else f"<Id><IBAN>{ACCOUNT}</IBAN></Id>" + (f"<Ccy>{currency}</Ccy>" if currency else "")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.{kind}.001.{version:02d}"><{message}>'
        f"<GrpHdr><MsgId>M-1</MsgId></GrpHdr><{statement}><Id>ST-1</Id><ElctrncSeqNb>12</ElctrncSeqNb><Acct>{own}</Acct>"
        f"{head}{''.join(entries)}</{statement}></{message}></Document>"
    ).encode()


def entry(
    amount: str = "250.00",
    *details: str,
    direction: str = "CRDT",
    status: str = "<Sts>BOOK</Sts>",
    currency: str = "EUR",
    dates: str = "<BookgDt><Dt>2024-01-31</Dt></BookgDt><ValDt><Dt>2024-02-01</Dt></ValDt>",
    more: str = "",
    batch: str = "",
) -> str:
    """An ``Ntry`` with its transaction details."""
    inside = f"<NtryDtls>{batch}{''.join(details)}</NtryDtls>" if details or batch else ""
    return (
        f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd>{status}{dates}'
        f"<AcctSvcrRef>BANK-77</AcctSvcrRef><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>"
        f"{inside}{more}</Ntry>"
    )


def detail(
    amount: str = "", name: str = "Nordlicht GmbH", text: str = "Invoice INV-1001", end_to_end: str = "E2E-1", more: str = ""
) -> str:
    """A ``TxDtls`` of version 2 as most banks write it, paid by ``name``."""
    money = f'<AmtDtls><TxAmt><Amt Ccy="EUR">{amount}</Amt></TxAmt></AmtDtls>' if amount else ""
    return (
        f"<TxDtls><Refs><EndToEndId>{end_to_end}</EndToEndId></Refs>{money}<RltdPties><Dbtr><Nm>{name}</Nm></Dbtr>"
        f"<DbtrAcct><Id><IBAN>FR7630006000011234567890189</IBAN></Id></DbtrAcct></RltdPties>"
        f"<RmtInf><Ustrd>{text}</Ustrd></RmtInf>{more}</TxDtls>"
    )


def balance(code: str, amount: str, day: str = "2024-01-31", direction: str = "CRDT", currency: str = "EUR") -> str:
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="{currency}">{amount}</Amt>'
        f"<CdtDbtInd>{direction}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
    )


def harmless(data: bytes) -> None:
    """Read or refused; what is read can be printed, fits its types, and has as many ids as lines."""
    refused: StatementRefused | None = None
    statements: list[BankStatement] = []
    try:
        statements = read_statement(data)
    except StatementRefused as failure:
        refused = failure
    assert statements if refused is None else (refused.reason and refused.code == "statement_refused")
    statements_as_text(statements).encode()
    statements_as_json(statements)
    for statement in statements:
        assert msgspec.json.decode(msgspec.json.encode(statement), type=BankStatement) == statement
        assert len({line.id for line in statement.lines}) == len(statement.lines)


_SPLINTERS = (b"\x00", b"\xff\xfe", b"<!DOCTYPE a>", b"&x;", b"]]>", b"?2", b":61:", b"\r\n", b"<n:a/>", b"9" * 25)


def damaged(seed: bytes, dice: random.Random, blows: int) -> bytes:
    """A file after some blows: a byte changed, a piece cut out, doubled or moved, or something foreign driven in."""
    data = bytearray(seed)
    for _ in range(blows):
        at, length = dice.randrange(len(data) + 1), dice.randrange(1, 30)
        piece = bytes(data[at : at + length])
        blow = dice.randrange(5)
        if blow == 0 and at < len(data):
            data[at] = dice.randrange(256)
        elif blow == 1:
            del data[at : at + length]
        elif blow == 2:
            data[at:at] = piece * 2
        elif blow == 3:
            data[at:at] = dice.choice(_SPLINTERS)
        else:
            other = dice.randrange(len(data) + 1)
            data[other:other] = piece
    return bytes(data)
