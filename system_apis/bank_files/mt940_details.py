"""What ``:86:`` tells about a line: each family of banks writes it in its own way, one function a way.

The table `WAYS` is tried from the top; the first way whose pattern fits the beginning of the text reads it, and plain text always fits.
"""

import re
from collections.abc import Callable, Iterable

import msgspec

from canonical.bank_statement import BankReferences, Counterparty
from system_apis.bank_files.wording import TEXT_LENGTH_MAX, clean, joined, reference, unwrapped


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """Who, which references, and what for."""

    counterparty: Counterparty = Counterparty()
    references: BankReferences = BankReferences()
    remittance_text: str = ""
    booking_text: str = ""
    transaction_code: str = ""


def read(*, information: str, non_swift: str, customer_reference: str, supplement: str) -> Details:
    """The details of one line from its ``:86:`` and ``:NS:`` fields and the two free parts of its ``:61:``."""
    details = _with_account_first(information, customer_reference, supplement)
    if details is not None:
        return details
    details = next(way(information) for pattern, way in WAYS if pattern.match(information))
    if non_swift:
        details = _with_non_swift(details, non_swift)
    if customer_reference and not details.references.customer:
        references = msgspec.structs.replace(details.references, customer=customer_reference)
        details = msgspec.structs.replace(details, references=references)
    return _with_supplement(details, supplement)


# ---- structured in the German way, used from Luxembourg to Poland: 166?00GUTSCHRIFT?20EREF+…?21…?30BIC?31IBAN?32Name

_FULL_SUBFIELD = frozenset({27})
_GERMAN = re.compile(r"\s*([0-9]{3})?([?~^<@|])(?=\n?[0-9]\n?[0-9])")
_KEYWORD = re.compile(r"\x1f?(EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|IBAN|BIC|PURP|MDAT|DDAT|SQTP|ORCR|ORMR|COAM|OAMT|RREF|RTRN)\+|\x1f")
_OWN_LINE = re.compile(r"([A-Z]{3,4}\+|MTLG:)")
_REFERENCES = frozenset({"EREF", "KREF", "MREF"})
_KEPT_AS_TEXT = ("COAM", "OAMT", "RTRN")


def _german(text: str) -> Details:
    head = _GERMAN.match(text)
    code, sign = (head[1] or "", head[2]) if head else ("", "?")
    parts = re.split(re.escape(sign) + r"([0-7][0-9])", unwrapped(text.split("\n"), between=""))
    subfields = list(zip(parts[1::2], parts[2::2], strict=True))
    told: dict[str, list[str]] = {}
    for number, value in subfields:
        told.setdefault(number, []).append(value)
    words = _by_keyword((int(number), value) for number, value in subfields if number[0] in "267")

    def first(*keys: str) -> str:
        return next((clean(" ".join(told[key])) for key in keys if key in told), "")

    def word(*keys: str) -> str:
        return next((" ".join(words[key]) for key in keys if key in words), "")

    names = [value for number, value in subfields if number in {"32", "33"}]
    kept = [f"{key} {clean(word(key))}" for key in _KEPT_AS_TEXT if key in words]
    return Details(
        counterparty=Counterparty(
            name=clean(unwrapped(names, full=_FULL_SUBFIELD)),
            account=first("38", "31") or clean(word("IBAN")),
            bank=first("30") or clean(word("BIC")),
            ultimate_name=clean(word("ABWA", "ABWE")),
        ),
        references=BankReferences(
            end_to_end_id=reference(word("EREF")), customer=reference(word("KREF")), mandate_id=reference(word("MREF"))
        ),
        remittance_text=clean(" ".join([*words.get("", []), *kept]), TEXT_LENGTH_MAX),
        booking_text=first("00"),
        transaction_code=code,
    )


def _by_keyword(subfields: Iterable[tuple[int, str]]) -> dict[str, list[str]]:
    """The purpose by its SEPA keywords (EREF+ …); what has none, and what follows SVWZ+, is the remittance text under ``""``.

    A keyword's value runs on into the next subfields, but not over a gap in their numbers, and a reference not past a subfield
    that is not full: what comes after it is text.
    """
    stream: list[str] = []
    before, value_before, keyword = -1, "", ""
    for number, value in subfields:
        full = len(value_before) in _FULL_SUBFIELD
        follows = number == before + 1 or (before, number) == (29, 60)
        if stream and (_OWN_LINE.match(value) or not follows or (keyword in _REFERENCES and not full)):
            stream.append("\x1f")
            value_before = keyword = ""
        elif stream and not full:
            stream.append(" ")
        stream.append(value)
        keyword = next((match[1] for match in reversed([*_KEYWORD.finditer(value_before + value)])), keyword)
        before, value_before = number, value
    pieces = _KEYWORD.split("".join(stream))
    words: dict[str, list[str]] = {}
    for key, value in zip(["", *pieces[1::2]], pieces[0::2], strict=True):
        if value.strip():
            words.setdefault("" if key in {None, "SVWZ"} else key, []).append(value.strip())
    return words


# ---- with words between slashes, the Dutch way: /EREF/…/IBAN/…/NAME/…/REMI/…

_SLASH_WORDS = (
    "TRTP|TRCD|IBAN|BIC|NAME|REMI|EREF|MARF|CSID|BENM|ORDP|ISDT|CNTP|PREF|RTRN|ADDR|OCMT|IACC|CHGS|PURP|SVCL|EXCH|INIT|ULTB|ULTD|ULTC|"
    "NRTX|SUBA|BUSP|OPRP"
)
_SLASHED = re.compile(rf"\s*/(?:{_SLASH_WORDS})/")
_SLASH_SPLIT = re.compile(rf"/({_SLASH_WORDS})/")
_STRUCTURED = re.compile(r"STRD/(?:[A-Z]+/)?(.+)")
_UNSTRUCTURED = re.compile(r"USTD/+")


def _slashed(text: str) -> Details:
    parts = _SLASH_SPLIT.split(unwrapped(text.split("\n")))
    values: dict[str, list[str]] = {}
    for word, value in zip(parts[1::2], parts[2::2], strict=True):
        values.setdefault(word, []).append(value.strip("/ "))
    told = {word: " ".join(filter(None, several)) for word, several in values.items()}
    party = [*told.get("CNTP", "").split("/"), "", "", ""]
    remittance = told.get("REMI", "")
    structured = _STRUCTURED.match(remittance)
    returned = f"return {told['RTRN']}" if told.get("RTRN") else ""
    return Details(
        counterparty=Counterparty(
            name=clean(told.get("NAME", "") or party[2]),
            account=clean(told.get("IBAN", "") or party[0]),
            bank=clean(told.get("BIC", "") or party[1]),
            ultimate_name=clean(told.get("ULTD", "") or told.get("ULTC", "") or told.get("ULTB", "")),
        ),
        references=BankReferences(
            end_to_end_id=reference(told.get("EREF", "")),
            mandate_id=reference(told.get("MARF", "")),
            customer=reference(told.get("PREF", "")),
            creditor=(clean(structured[1]),) if structured else (),
        ),
        remittance_text="" if structured else clean(_UNSTRUCTURED.sub("", remittance, count=1), TEXT_LENGTH_MAX),
        booking_text=clean(" ".join(filter(None, (told.get("TRTP", ""), returned)))),
        transaction_code=clean(told.get("TRCD", "")),
    )


# ---- with labels in the language of the country

_KNAB = re.compile(r"(?=.*\bREK:)(?=.*\bNAAM:)", re.DOTALL)
_POLISH = re.compile(r"(?=.*\bTYT\.:)", re.DOTALL)
_POLISH_LABEL = re.compile(r"(ID IPH|Z RACH\.|NA RACH\.|OD|DLA|TYT\.|TNR):")


def _knab(text: str) -> Details:
    before, _, after = text.partition("REK:")
    account, _, name = after.partition("NAAM:")
    return Details(
        counterparty=Counterparty(name=clean(name), account=clean(account).rstrip("/ ")),
        remittance_text=clean(unwrapped(before.split("\n")), TEXT_LENGTH_MAX),
    )


def _polish(text: str) -> Details:
    """mBank: ``911 TRANSAKCJA COLLECT; ID IPH: …; Z RACH.: account; OD: name, two spaces, address; TYT.: title; TNR: number``."""
    parts = _POLISH_LABEL.split(unwrapped(text.split("\n")))
    told = {label: value.strip().removesuffix(";").strip() for label, value in zip(parts[1::2], parts[2::2], strict=True)}
    code, _, kind = clean(parts[0]).rstrip("; ").partition(" ")
    virtual_account = clean(told.get("ID IPH", ""))
    return Details(
        counterparty=Counterparty(
            name=clean(re.split(r"\s{2,}", told.get("OD", "") or told.get("DLA", ""), maxsplit=1)[0]),
            account=clean(told.get("Z RACH.", "") or told.get("NA RACH.", "")),
        ),
        references=BankReferences(transaction_id=reference(told.get("TNR", "")), creditor=(virtual_account,) if virtual_account else ()),
        remittance_text=clean(told.get("TYT.", ""), TEXT_LENGTH_MAX),
        booking_text=kind,
        transaction_code=code,
    )


# ---- by position

_HUNGARIAN = re.compile(r"[A-Z0-9]{6,20}\n[0-9]{16}(?:[0-9]{8})?\n[^\n]")
_PRIMA_NOTA = re.compile(r"(?P<code>[0-9]{3})PN[0-9]{4}(?P<text>.*)", re.DOTALL)


def _hungarian(text: str) -> Details:
    """The bank's reference, the account, the name, then the text, a line each."""
    lines = text.split("\n")
    return Details(
        counterparty=Counterparty(account=lines[1], name=clean(lines[2])),
        references=BankReferences(bank=clean(lines[0])),
        remittance_text=clean(unwrapped(lines[3:], between=""), TEXT_LENGTH_MAX),
    )


def _prima_nota(text: str) -> Details:
    match = _PRIMA_NOTA.match(text)
    code, rest = (match["code"], match["text"]) if match else ("", text)
    return msgspec.structs.replace(_plain(rest), transaction_code=code)


def _with_account_first(text: str, account: str, name: str) -> Details | None:
    """ASN and SNS repeat account and name of ``:61:`` as the first line of ``:86:``; the text follows."""
    head, _, rest = text.partition("\n")
    if not account or not name or clean(head) != f"{account} {name}":
        return None
    return Details(
        counterparty=Counterparty(account=account, name=name),
        remittance_text=clean(unwrapped(filter(None, rest.split("\n"))), TEXT_LENGTH_MAX),
    )


def _plain(text: str) -> Details:
    return Details(remittance_text=clean(unwrapped(filter(None, text.split("\n"))), TEXT_LENGTH_MAX))


WAYS: tuple[tuple[re.Pattern[str], Callable[[str], Details]], ...] = (
    (_GERMAN, _german),
    (_SLASHED, _slashed),
    (_KNAB, _knab),
    (_POLISH, _polish),
    (_HUNGARIAN, _hungarian),
    (_PRIMA_NOTA, _prima_nota),
    (re.compile(""), _plain),
)


# ---- beside :86:

_NON_SWIFT_LINE = re.compile(r"([0-9]{2})(.*)")
_ACCOUNT = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}|P?[0-9]{8,26}")


def _with_non_swift(details: Details, text: str) -> Details:
    """``:NS:`` as German and Hungarian banks use it: 01–14 text, 15–16 name, 17 kind, 33 bank, 34 account."""
    told = [(match[1], match[2]) for match in map(_NON_SWIFT_LINE.fullmatch, text.split("\n")) if match]
    names = [value for number, value in told if number in {"15", "16"}]
    last = dict(told)
    party = details.counterparty
    return msgspec.structs.replace(
        details,
        counterparty=Counterparty(
            name=party.name or clean(unwrapped(names, full=_FULL_SUBFIELD)),
            account=party.account or clean(last.get("34", "")),
            bank=party.bank or clean(last.get("33", "")),
            ultimate_name=party.ultimate_name,
        ),
        remittance_text=details.remittance_text or joined(value for number, value in told if "01" <= number <= "14"),
        booking_text=details.booking_text or clean(last.get("17", "")),
    )


def _with_supplement(details: Details, supplement: str) -> Details:
    """The last part of ``:61:`` is the other account at some banks, and the bank's word for the movement at others."""
    if _ACCOUNT.fullmatch(supplement):
        if details.counterparty.account:
            return details
        return msgspec.structs.replace(details, counterparty=msgspec.structs.replace(details.counterparty, account=supplement))
    return details if details.booking_text else msgspec.structs.replace(details, booking_text=supplement)
