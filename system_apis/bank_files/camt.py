"""CAMT.053 statements, CAMT.052 interim reports and CAMT.054 notifications (ISO 20022), versions 1 to 13, with any namespace or none.

The XML is never trusted: a declared encoding out of a short list, no document type at all (so no entities: neither bombs nor files of
ours in the answer), no network, libxml2's own limits on depth and size, and a limit on the number of elements.
"""

import datetime as dt
import re

from lxml import etree

from canonical.bank_statement import Balance, BankStatement
from system_apis.bank_files import camt_entries
from system_apis.bank_files.assembly import checked, money_of, numbered
from system_apis.bank_files.failures import StatementRefused
from system_apis.bank_files.wording import clean

ELEMENTS_MAX = 1_000_000
KNOWN_VERSION_MAX = 13
_CHUNK_LENGTH = 1 << 16
# message, its statements, its page numbers
_KINDS = {
    "BkToCstmrStmt": ("053", "Stmt", "StmtPgntn"),
    "BkToCstmrAcctRpt": ("052", "Rpt", "RptPgntn"),
    "BkToCstmrDbtCdtNtfctn": ("054", "Ntfctn", "NtfctnPgntn"),
}
_VERSION_SUFFIX = re.compile(r"V[0-9]{2}$")
_NAMESPACE_VERSION = re.compile(r"camt\.05[234]\.001\.([0-9]{2})")
_DECLARATION = re.compile(r"""\s*<\?xml\s[^>]{0,200}?\?>""")
_ENCODING = re.compile(rb"""^\s*<\?xml\s[^>]{0,200}?encoding\s{0,5}=\s{0,5}["']([A-Za-z0-9._-]{1,40})["']""")
_ENCODINGS = re.compile(r"utf-?8|utf-?16(le|be)?|us-ascii|ascii|iso-?8859-(1|2|3|4|5|7|9|10|13|14|15|16)|windows-125[0-8]|cp125[0-8]")
_BEGINNINGS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
_OPENING, _CLOSING = ("OPBD", "PRCD"), ("CLBD", "ITBD")


def looks_like(data: bytes) -> bool:
    """Whether a file is XML, whatever is in it."""
    return data.startswith(tuple(mark for mark, _ in _BEGINNINGS[3:])) or _text_beginning(data).startswith("<")


def _text_beginning(data: bytes) -> str:
    beginning = data[:200]
    encoding = next((encoding for mark, encoding in _BEGINNINGS if beginning.startswith(mark)), "latin-1")
    return beginning.decode(encoding, errors="ignore").lstrip()


def read(data: bytes) -> list[BankStatement]:
    """All statements of all messages in a file. Raises `StatementRefused`."""
    messages = _messages(_text(data))
    if not messages:
        raise StatementRefused("this XML holds no CAMT.052, CAMT.053 or CAMT.054 message")
    statements = [
        _statement(element, message, version, f"statement {count}")
        for message, version in messages
        for count, element in enumerate(message.iterfind(_KINDS[message.tag][1]), start=1)
    ]
    if not statements:
        raise StatementRefused("the message holds no statement: it is an empty envelope")
    return statements


def _text(data: bytes) -> str:
    """The file as text, without its XML declaration: what was decoded here cannot hide a document type in an odd encoding."""
    encoding = next((encoding for mark, encoding in _BEGINNINGS if data.startswith(mark)), "")
    declared = _ENCODING.match(data)
    encoding = encoding or (declared[1].decode().lower() if declared else "utf-8")
    if not encoding.endswith("-sig") and not _ENCODINGS.fullmatch(encoding):
        raise StatementRefused(f"the XML declares the encoding {encoding!r}, which no bank file should have")
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        raise StatementRefused(f"the XML is not valid {encoding}") from None
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise StatementRefused("the XML has a document type (DOCTYPE): bank statements have none, and it can be an attack")
    text = text.removeprefix("\ufeff")
    declaration = _DECLARATION.match(text)
    return text[declaration.end() :] if declaration else text


def _messages(text: str) -> list[tuple[etree._Element, int]]:
    """The CAMT messages in a document with their version (0: unknown); all tags have lost their namespaces."""
    parser = etree.XMLPullParser(
        events=("end",),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    data = text.encode("utf-8")
    messages = []
    count = 0
    try:
        for start in range(0, len(data), _CHUNK_LENGTH):
            parser.feed(data[start : start + _CHUNK_LENGTH])
            for _, ended in parser.read_events():
                element: etree._Element = ended  # type: ignore[assignment]  # "end" events carry elements, the others do not
                count += 1
                if count > ELEMENTS_MAX:
                    raise StatementRefused(f"the XML has more than {ELEMENTS_MAX:,} elements")
                name = etree.QName(element)
                element.tag = _VERSION_SUFFIX.sub("", name.localname)
                if element.tag in _KINDS:
                    version = _NAMESPACE_VERSION.search(name.namespace or "")
                    messages.append((element, int(version[1]) if version else 0))
        parser.close()
    except (etree.LxmlError, ValueError) as error:  # ValueError: a name with an undeclared prefix
        raise StatementRefused(f"the file is not well-formed XML: {clean(str(error))}") from None
    return messages


def _statement(element: etree._Element, message: etree._Element, version: int, where: str) -> BankStatement:
    kind, _, pages = _KINDS[message.tag]
    account = camt_entries.account_of(element.find("Acct"))
    if not account:
        raise StatementRefused(f"{where} names no account (Acct/Id)")
    where = f"{where} (account {account})"
    balances = _balances(element, where)
    opening = next((balances[code] for code in _OPENING if code in balances), None)
    closing = next((balances[code] for code in _CLOSING if code in balances), None)
    entries = element.findall("Ntry")
    read = [camt_entries.read(entry, account, kind, f"{where}, entry {count}") for count, entry in enumerate(entries, start=1)]
    drafts = [draft for entry in read for draft in entry.drafts]
    currency = _currency(element, [*balances.values()], [draft.line.amount.currency for draft in drafts], where)
    oddities = _gaps(element, message, pages, len(entries))
    complete = not oddities
    oddities += [
        f"the {label} balance is in {balance.amount.currency}, the account in {currency}"
        for label, balance in (("opening", opening), ("closing", closing))
        if balance and balance.amount.currency != currency
    ]
    oddities += [warning for entry in read for warning in entry.warnings]
    if version > KNOWN_VERSION_MAX:
        oddities.append(f"version {version} of CAMT.{kind} is newer than what this reader knows ({KNOWN_VERSION_MAX})")
    return checked(
        BankStatement(
            format=f"camt.{kind}.001.{version:02d}" if version else f"camt.{kind}",
            account=account,
            account_owner=clean(element.findtext("Acct/Ownr/Nm", "") or element.findtext("Acct/Nm", "")),
            currency=currency,
            reference=clean(element.findtext("Id", "")),
            number=clean(element.findtext("LglSeqNb", "") or element.findtext("ElctrncSeqNb", "")),
            opening=opening,
            closing=closing,
            from_date=camt_entries.date_of(element, "FrToDt/FrDtTm", where) or (opening.on if opening else None),
            to_date=camt_entries.date_of(element, "FrToDt/ToDtTm", where) or (closing.on if closing else None),
            lines=numbered(account, drafts),
            complete=complete,
            warnings=tuple(oddities),
        ),
        where,
    )


def _balances(element: etree._Element, where: str) -> dict[str, Balance]:
    """Balances by their type. Of two interim balances (a page in the middle) the first opens and the last closes."""
    found: dict[str, Balance] = {}
    for number, balance in enumerate(element.iterfind("Bal"), start=1):
        code = balance.findtext("Tp/CdOrPrtry/Cd", "") or balance.findtext("Tp/Cd", "")
        code = code.strip()
        if code not in {*_OPENING, *_CLOSING}:
            continue
        place = f"{where}, balance {number}"
        money = camt_entries.amount_of(balance.find("Amt"), place)
        debit = camt_entries.direction_of(balance, place) == "debit"
        read = Balance(amount=-money if debit else money, on=_balance_date(balance, place))
        if code == "ITBD" and code in found and "OPBD" not in found:
            found["OPBD"] = found[code]
        if code in found and code != "ITBD":
            continue
        found[code] = read
    return found


def _balance_date(balance: etree._Element, where: str) -> dt.date | None:
    return camt_entries.date_of(balance, "Dt/Dt", where) or camt_entries.date_of(balance, "Dt/DtTm", where)


def _currency(element: etree._Element, balances: list[Balance], lines: list[str], where: str) -> str | None:
    """The account's currency; where it is not said, that of the balances, then that of the lines."""
    own = element.findtext("Acct/Ccy", "").strip()
    if own:
        return money_of("0", own, f"{where}, account currency").currency
    return next((currency for currency in (*(balance.amount.currency for balance in balances), *lines)), None)


def _gaps(element: etree._Element, message: etree._Element, pages: str, entries: int) -> list[str]:
    """What says that the file does not hold the whole statement."""
    gaps = []
    for page in (*element.iterfind(pages), *message.iterfind("GrpHdr/MsgPgntn")):
        number, last = page.findtext("PgNb", "1").strip().lstrip("0"), page.findtext("LastPgInd", "true").strip()
        if number != "1" or last in {"false", "0"}:
            gaps.append(f"this is page {number or '?'} of a statement of several pages")
            break
    claimed = element.findtext("TxsSummry/TtlNtries/NbOfNtries", "").strip()
    if claimed and claimed.lstrip("0") != str(entries).lstrip("0"):
        gaps.append(f"the summary counts {clean(claimed, 20)} entries, the file has {entries}")
    return gaps
