"""An entry of a CAMT message as lines: one a transaction where the bank gives them all with their amounts, else one for the whole."""

import datetime as dt
import re
from collections.abc import Iterable

import msgspec
from lxml import etree

from canonical.bank_statement import BankLine, BankReferences, Batch, Counterparty, Direction, Status
from canonical.money import Money
from system_apis.bank_files.assembly import Draft, money_of
from system_apis.bank_files.failures import StatementRefused
from system_apis.bank_files.wording import TEXT_LENGTH_MAX, clean, joined, reference, unwrapped

_FULL_BLOCK = frozenset({140})
_DIRECTIONS: dict[str, Direction] = {"CRDT": "credit", "DBIT": "debit"}
_STATUSES: dict[str, Status] = {"BOOK": "booked", "PDNG": "pending", "FUTR": "pending", "INFO": "information"}
_COUNT = re.compile(r"[0-9]{1,15}")
_TRUE = {"true", "1"}
# Where a transaction says its amount in the currency of the account, best first. Version 2 has only the second, and often none.
_DETAIL_AMOUNTS = ("Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/CntrValAmt/Amt", "AmtDtls/InstdAmt/Amt")
_ACCOUNT_IDS = ("Id/IBAN", "Id/Othr/Id", "Id/BBAN", "Id/PrtryAcct/Id", "Id/UPIC", "Prxy/Id")
# The party, its account and its bank on the side of who pays, and of who is paid.
_SIDES = {"payer": ("Dbtr", "DbtrAcct", "DbtrAgt", "UltmtDbtr"), "payee": ("Cdtr", "CdtrAcct", "CdtrAgt", "UltmtCdtr")}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of an entry, and what is odd about it."""

    drafts: tuple[Draft, ...]
    warnings: tuple[str, ...] = ()


def read(entry: etree._Element, own_account: str, kind: str, where: str) -> Entry:
    """The lines of one ``Ntry``. ``kind`` is 052, 053 or 054. Raises `StatementRefused`."""
    whole = _whole(entry, kind, where)
    details = [*entry.iterfind("NtryDtls/TxDtls"), *entry.iterfind("TxDtls")]
    amounts = [_detail_amount(detail, whole, where) for detail in details]
    warnings = [] if _status(entry, kind)[1] else [f"{where}: unknown status, taken as pending"]
    parts = [part for part in amounts if part is not None]
    fits = len(parts) == len(details) and sum(_signed(part, whole.direction) for part in parts) == whole.amount.minor
    batch = _batch(entry, details, whole)
    if len(details) > 1 and fits:
        lines = [
            _described(entry, [detail], own_account, _part_of(whole, money, direction, batch, position))
            for position, (detail, (money, direction)) in enumerate(zip(details, parts, strict=True), start=1)
        ]
    else:
        lines = [_described(entry, details, own_account, msgspec.structs.replace(whole, batch=batch))]
        if not fits and (parts or len(details) > 1):
            warnings.append(f"{where}: its {len(details)} transaction(s) do not add up to {whole.amount}; the entry is kept whole")
    evidence = [[detail] for detail in details] if len(lines) > 1 else [details]
    return Entry(
        drafts=tuple(Draft(line=line, evidence=_evidence(entry, of)) for line, of in zip(lines, evidence, strict=True)),
        warnings=tuple(warnings),
    )


def amount_of(element: etree._Element | None, where: str) -> Money:
    """The money in an ``Amt``."""
    if element is None:
        raise StatementRefused(f"{where} has no amount")
    return money_of((element.text or "").strip(), element.get("Ccy", "").strip(), where)


def direction_of(element: etree._Element, where: str) -> Direction:
    """Credit or debit, by ``CdtDbtInd``."""
    mark = element.findtext("CdtDbtInd", "").strip()
    if mark not in _DIRECTIONS:
        raise StatementRefused(f"{where}: {clean(mark, 20)!r} says neither credit (CRDT) nor debit (DBIT)")
    return _DIRECTIONS[mark]


def date_of(element: etree._Element, path: str, where: str) -> dt.date | None:
    """A date, or the day of a date and time as the bank's own clock shows it; None where there is none."""
    text = element.findtext(path, "").strip()
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError:
        raise StatementRefused(f"{where}: {clean(text, 40)!r} is not a date") from None


def account_of(element: etree._Element | None) -> str:
    """The IBAN or, where there is none, whatever else identifies the account."""
    if element is None:
        return ""
    return next((clean(found) for path in _ACCOUNT_IDS if (found := element.findtext(path, "").strip())), "")


def _whole(entry: etree._Element, kind: str, where: str) -> BankLine:
    """The entry as one line, without what its transactions tell."""
    return BankLine(
        id="BL",
        booking_date=date_of(entry, "BookgDt/Dt", where) or date_of(entry, "BookgDt/DtTm", where),
        value_date=date_of(entry, "ValDt/Dt", where) or date_of(entry, "ValDt/DtTm", where),
        amount=amount_of(entry.find("Amt"), where),
        direction=direction_of(entry, where),
        reversal=entry.findtext("RvslInd", "").strip() in _TRUE,
        status=_status(entry, kind)[0],
        booking_text=clean(entry.findtext("AddtlNtryInf", "")),
        transaction_code=_transaction_code(entry),
    )


def _status(entry: etree._Element, kind: str) -> tuple[Status, bool]:
    """The status and whether it is known. A statement of the day (053) has only booked entries, also where it does not say so."""
    code = next((code for path in ("Sts/Cd", "Sts/Prtry", "Sts") if (code := entry.findtext(path, "").strip())), "")
    if not code and kind == "053":
        return "booked", True
    return _STATUSES.get(code, "pending"), code in _STATUSES


def _part_of(whole: BankLine, money: Money, direction: Direction, batch: Batch | None, position: int) -> BankLine:
    place = msgspec.structs.replace(batch, position=position) if batch else None
    return msgspec.structs.replace(whole, amount=money, direction=direction, batch=place)


def _transaction_code(element: etree._Element) -> str:
    paths = ("BkTxCd/Domn/Cd", "BkTxCd/Domn/Fmly/Cd", "BkTxCd/Domn/Fmly/SubFmlyCd")
    domain = "-".join(filter(None, (element.findtext(path, "").strip() for path in paths)))
    return clean(domain or element.findtext("BkTxCd/Prtry/Cd", ""))


def _detail_amount(detail: etree._Element, whole: BankLine, where: str) -> tuple[Money, Direction] | None:
    """The amount of a transaction in the entry's currency with its direction; None where the bank gives it in no such currency."""
    direction = direction_of(detail, where) if detail.find("CdtDbtInd") is not None else whole.direction
    for path in _DETAIL_AMOUNTS:
        element = detail.find(path)
        if element is not None and element.get("Ccy", "").strip() == whole.amount.currency:
            return amount_of(element, where), direction
    return None


def _signed(part: tuple[Money, Direction], along: Direction) -> int:
    money, direction = part
    return money.minor if direction == along else -money.minor


def _described(entry: etree._Element, details: list[etree._Element], own_account: str, line: BankLine) -> BankLine:
    """A line with what its transactions tell; several of them speak for one line only where they agree."""
    parties = [_counterparty(detail, line, own_account) for detail in details]
    told = joined(detail.findtext("AddtlTxInf", "") for detail in details)
    return msgspec.structs.replace(
        line,
        counterparty=Counterparty(
            **{field: _agreed(getattr(party, field) for party in parties) for field in Counterparty.__struct_fields__}
        ),
        references=_references(entry, details),
        remittance_text=joined(_remittance(detail) for detail in details),
        booking_text=clean(told) or line.booking_text,
        transaction_code=_agreed(_transaction_code(detail) for detail in details) or line.transaction_code,
    )


def _agreed(values: Iterable[str]) -> str:
    """The value on which all agree, else nothing."""
    different = set(values)
    return different.pop() if len(different) == 1 else ""


def _counterparty(detail: etree._Element, line: BankLine, own_account: str) -> Counterparty:
    """Who is on the other side: who paid us, or whom we paid; the parties of a reversal are those of what it reverses."""
    other = "payer" if (line.direction == "credit") != line.reversal else "payee"
    party = _party(detail, other)
    if party == Counterparty() or party.account == own_account:
        # Some banks name the sides as the payment order did, and the order was not ours.
        instead = _party(detail, "payee" if other == "payer" else "payer")
        return instead if instead != Counterparty() and instead.account != own_account else party
    return party


def _party(detail: etree._Element, side: str) -> Counterparty:
    party, account, bank, ultimate = _SIDES[side]
    agent = detail.find(f"RltdAgts/{bank}/FinInstnId")
    at = detail.find(f"RltdPties/{account}")
    ultimate_name = _name(detail, ultimate)
    return Counterparty(
        name=_name(detail, party) or (clean(at.findtext("Nm", "")) if at is not None else "") or ultimate_name,
        account=account_of(at),
        bank=clean(agent.findtext("BICFI", "") or agent.findtext("BIC", "")) if agent is not None else "",
        ultimate_name=ultimate_name,
    )


def _name(detail: etree._Element, party: str) -> str:
    """A party's name; from version 8 on it stands one level deeper, and the party may be a bank."""
    paths = ("Nm", "Pty/Nm", "Agt/FinInstnId/Nm")
    return next((clean(name) for path in paths if (name := detail.findtext(f"RltdPties/{party}/{path}", "").strip())), "")


def _references(entry: etree._Element, details: list[etree._Element]) -> BankReferences:
    def agreed(*paths: str) -> str:
        return next((found for path in paths if (found := _agreed(reference(detail.findtext(path, "")) for detail in details))), "")

    def every(*paths: str) -> tuple[str, ...]:
        texts = (clean(found.text or "") for detail in details for path in paths for found in detail.iterfind(path))
        return tuple(dict.fromkeys(filter(None, texts)))

    return BankReferences(
        end_to_end_id=agreed("Refs/EndToEndId"),
        customer=agreed("Refs/InstrId", "Refs/PmtInfId", "Refs/ChqNb"),
        bank=agreed("Refs/AcctSvcrRef") or reference(entry.findtext("AcctSvcrRef", "") or entry.findtext("NtryRef", "")),
        creditor=every("RmtInf/Strd/CdtrRefInf/Ref", "RmtInf/Strd/CdtrRefInf/CdtrRef"),
        documents=every("RmtInf/Strd/RfrdDocInf/Nb", "RmtInf/Strd/RfrdDocInf/RfrdDocNb"),
        mandate_id=agreed("Refs/MndtId"),
        transaction_id=agreed("Refs/TxId", "Refs/UETR", "Refs/ClrSysRef"),
    )


def _remittance(detail: etree._Element) -> str:
    """The free text; a block of 140 characters was cut in mid-word, a shorter one ended by itself."""
    blocks = [" ".join((block.text or "").split()) for block in detail.iterfind("RmtInf/Ustrd")]
    more = [block.text or "" for block in detail.iterfind("RmtInf/Strd/AddtlRmtInf")]
    return clean(" ".join([unwrapped(blocks, full=_FULL_BLOCK), *more]), TEXT_LENGTH_MAX)


def _batch(entry: etree._Element, details: list[etree._Element], whole: BankLine) -> Batch | None:
    """The collective booking, as a whole; None for a single movement."""
    head = entry.find("NtryDtls/Btch")
    head = entry.find("Btch") if head is None else head
    claimed = head.findtext("NbOfTxs", "").strip() if head is not None else ""
    count = max(int(claimed) if _COUNT.fullmatch(claimed) else 0, len(details))
    if count <= 1:
        return None

    def agreed(tag: str) -> str:
        told = reference(head.findtext(tag, "")) if head is not None else ""
        return told or _agreed(reference(detail.findtext(f"Refs/{tag}", "")) for detail in details)

    return Batch(
        position=0,
        transactions=count,
        amount=whole.amount,
        entry_reference=reference(entry.findtext("AcctSvcrRef", "") or entry.findtext("NtryRef", "")),
        message_id=agreed("MsgId"),
        payment_id=agreed("PmtInfId"),
    )


def _evidence(entry: etree._Element, details: list[etree._Element]) -> str:
    """What the bank wrote to tell this movement from others, whatever the version of the message."""
    own = [entry.findtext(path, "") for path in ("NtryRef", "AcctSvcrRef", "AddtlNtryInf")]
    told = [
        "".join(str(text) for text in part.itertext())
        for detail in details
        for path in ("Refs", "RltdPties", "RmtInf", "AddtlTxInf")
        for part in detail.iterfind(path)
    ]
    return "\x1f".join(own + told)
