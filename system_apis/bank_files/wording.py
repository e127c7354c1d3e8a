"""How the bytes of a bank file become words: code page, line breaks, and what must not reach a screen."""

import codecs
import re
from collections import Counter
from collections.abc import Iterable

from system_apis.bank_files.failures import StatementRefused

NAME_LENGTH_MAX = 500
TEXT_LENGTH_MAX = 2000
FULL_LINE = frozenset({64, 65})
FULL_FIRST_LINE = 61
"""A line of a SWIFT text field is full at 65 characters. Some banks count its line break, some count ``:86:`` in the first line."""

_CODE_PAGES = ("cp1252", "cp1250", "cp852")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Control characters could steer a terminal, direction marks could make 'IBAN …' read as another one, and lone
# surrogates and noncharacters cannot be stored everywhere.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]")
_NOTHING = frozenset({"", "NONREF", "NOREF", "NOTPROVIDED", "NOT PROVIDED", "EREF", "KREF", "EREF+", "KREF+", "NOT-PROVIDED"})


def decoded(data: bytes) -> str:
    """The text of a file without a declared encoding: by byte-order mark, as UTF-8, or in the code page that yields most letters."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding).removeprefix("\ufeff")
            except UnicodeDecodeError as error:
                raise StatementRefused(f"the file begins like {encoding} text but is not: byte {error.start} cannot be read") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(_likeliest_code_page(data), errors="replace")


def _likeliest_code_page(data: bytes) -> str:
    """A wrong code page turns letters into line-drawing characters and signs; ties go to the West European one."""
    high = Counter(data)

    def letters(code_page: str) -> int:
        return sum(count for byte, count in high.items() if byte > 127 and bytes([byte]).decode(code_page, errors="replace").isalpha())

    return max(_CODE_PAGES, key=letters)


def clean(text: str, length_max: int = NAME_LENGTH_MAX) -> str:
    """Words for people: no control characters, single spaces, cut with an ellipsis where it is too long to be meant."""
    words = " ".join(_UNWANTED.sub(" ", text).split())
    return words if len(words) <= length_max else words[: length_max - 2] + " …"


def reference(text: str) -> str:
    """A reference, or nothing where the bank wrote one of its words for nothing (NONREF, NOTPROVIDED)."""
    words = clean(text).strip("/")
    return "" if words.upper() in _NOTHING else words


def unwrapped(lines: Iterable[str], *, full: frozenset[int] = FULL_LINE, between: str = " ") -> str:
    """Lines of a field as one text: a full line was cut in mid-word and goes on without a space, after another stands ``between``."""
    parts: list[str] = []
    for count, line in enumerate(lines):
        if count:
            cut = len(parts[-1]) in full or (count == 1 and full is FULL_LINE and len(parts[-1]) == FULL_FIRST_LINE)
            parts.append("" if cut else between)
        parts.append(line)
    return "".join(parts)


def joined(texts: Iterable[str]) -> str:
    """Several texts as one, each once."""
    return clean("; ".join(dict.fromkeys(text for text in map(str.strip, texts) if text)), TEXT_LENGTH_MAX)
