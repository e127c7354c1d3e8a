"""Whatever the bytes: statements, or a refusal with a reason. No other exception, no reading of our files, no endless work."""

import logging
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from system_apis.bank_files import camt as camt_module
from system_apis.bank_files.reader import FILE_SIZE_MAX, StatementRefused, read_statement
from tests.system_apis.bank_files.samples import ACCOUNT, LINE, balance, camt, damaged, detail, entry, harmless, mt940

_FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_SEEDS = (
    mt940(LINE, ":86:166?00GUTSCHRIFT?20EREF+A-1?21SVWZ+INV-1001?30COBADEFF?31FR76300?32Müller?33Söhne?60more", LINE),
    mt940(":61:240131    D65,00NOVBNL47INGB9999999999\r\nnoord licht", ":86:/TRTP/SEPA/IBAN/NL47/NAME/NOORD/REMI/STRD/CUR/90/EREF/E2E"),
    mt940(LINE, ":86:911 COLLECT; ID IPH: X; Z RACH.: 1; OD: JAN; TYT.: FV; TNR: 1.1", LINE, ":NS:01A\r\n15B\r\n3499"),
    f":20:A\n:25:{ACCOUNT}\n:34F:EURC0,00\n:13D:2401311200\n{LINE}\n:86:REK: NL65 / NAAM: X\n".encode(),
    camt(entry("300.00", detail("120.00"), detail("180.00")), head=balance("OPBD", "0.00") + balance("CLBD", "300.00")),
    camt(entry("1.00", detail(), status="<Sts><Cd>BOOK</Cd></Sts>"), kind="054", version=8),
)


def refusal(data: bytes) -> str:
    with pytest.raises(StatementRefused) as caught:
        read_statement(data)
    assert caught.value.reason
    return caught.value.reason


@_FUZZ
@given(st.binary(max_size=400))
def test_random_bytes_are_harmless(data: bytes) -> None:
    """Bytes from nowhere never raise anything but a refusal."""
    harmless(data)


@_FUZZ
@given(st.text(alphabet=":0123456789CDREUF,.\n-NTS6/?+<>&; ", max_size=300))
def test_text_that_looks_like_mt940_is_harmless(text: str) -> None:
    """Text from the letters of the format never raises anything but a refusal."""
    harmless(f":20:X\n:25:A1EUR\n{text}".encode())


@_FUZZ
@given(st.sampled_from(_SEEDS), st.integers(0, 2**32), st.integers(1, 8))
def test_damaged_statements_are_harmless(seed: bytes, choice: int, blows: int) -> None:
    """Valid files with bytes changed, cut out, doubled or moved never raise anything but a refusal."""
    harmless(damaged(seed, random.Random(choice), blows))


@_FUZZ
@given(
    st.lists(st.tuples(st.sampled_from(["C", "D", "RC", "RD"]), st.integers(0, 10**9)), min_size=1, max_size=20),
    st.integers(-(10**9), 10**9),
)
def test_a_statement_made_of_any_lines_balances(moves: list[tuple[str, int]], start: int) -> None:
    """Opening balance plus the signed lines is the closing balance, for whatever lines and marks."""
    signs = {"C": 1, "RD": 1, "D": -1, "RC": -1}
    end = start + sum(signs[mark] * cents for mark, cents in moves)
    lines = [f":61:240131{mark}{cents // 100},{cents % 100:02d}NTRFX" for mark, cents in moves]
    written = [f"{'C' if cents >= 0 else 'D'}240131EUR{abs(cents) // 100},{abs(cents) % 100:02d}" for cents in (start, end)]
    (statement,) = read_statement(mt940(*lines, opening=written[0], closing=written[1]))
    assert statement.balanced is True
    assert [abs(line.signed_minor) for line in statement.lines] == [cents for _, cents in moves]


def xml_with(document_type: str, text: str = "&x;") -> bytes:
    return camt(entry("1.00", detail(text=text))).decode().replace("<Document", f"{document_type}<Document", 1).encode()


def test_a_document_type_is_refused_before_anything_in_it_happens(tmp_path: Path) -> None:
    """Neither a file of ours nor an address outside is read, and no entity grows."""
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    bomb = "".join(f'<!ENTITY x{level} "{f"&x{level - 1};" * 10}">' for level in range(1, 10))
    attacks = (
        f'<!DOCTYPE Document [<!ENTITY x SYSTEM "{secret.as_uri()}">]>',
        '<!DOCTYPE Document [<!ENTITY x SYSTEM "http://127.0.0.1:9/">]>',
        '<!DOCTYPE Document SYSTEM "http://127.0.0.1:9/evil.dtd">',
        f'<!DOCTYPE Document [<!ENTITY x0 "lol">{bomb}<!ENTITY x "&x9;">]>',
        '<!DOCTYPE Document [<!ENTITY % p SYSTEM "http://127.0.0.1:9/">%p;]>',
    )
    for attack in attacks:
        for encoding in ("utf-8", "utf-16"):
            data = xml_with(attack).decode().replace("UTF-8", encoding).encode(encoding)
            assert "document type (DOCTYPE)" in refusal(data)


@pytest.mark.parametrize("encoding", ["utf-7", "cp037", "utf-32", "idna", "zlib", "no-such-encoding"])
def test_an_encoding_that_could_hide_a_document_type_is_refused(encoding: str) -> None:
    """A declared encoding out of the ordinary is not decoded at all."""
    assert encoding in refusal(xml_with("").decode().replace("UTF-8", encoding).encode())


def test_entities_without_a_document_type_and_undeclared_prefixes_are_refused() -> None:
    """Loose ends of XML are not well-formed, and that is the reason given."""
    assert "not well-formed XML" in refusal(xml_with(""))
    assert "not well-formed XML" in refusal(xml_with("", "<n:a/>"))
    assert "not well-formed XML" in refusal(xml_with("", "\x01"))


def test_depth_and_number_of_elements_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million brackets exhaust neither the stack nor the memory."""
    assert "not well-formed XML" in refusal(b"<a>" * 1_000_000)
    assert "not well-formed XML" in refusal(camt(entry("1.00", detail(text="<a>" * 5000 + "</a>" * 5000))))
    monkeypatch.setattr(camt_module, "ELEMENTS_MAX", 1000)
    assert "more than 1,000 elements" in refusal(camt(*[entry("1.00")] * 200))


def test_size_has_an_end() -> None:
    """One byte more than 20 MB is refused before it is looked at."""
    assert refusal(b" " * (FILE_SIZE_MAX + 1)) == "the file is larger than 20 MB"


@pytest.mark.parametrize(
    "data",
    [
        mt940(LINE, ":86:" + " " * 19_000 + "x"),
        mt940(LINE, ":86:" + "REK:" * 4_000 + "NAAM:"),
        mt940(LINE, ":86:166" + "?20EREF+" * 2_000),
        mt940(LINE, ":86:" + "/REMI/a" * 2_500),
        mt940(LINE, ":86:TYT.:" + "OD: a  " * 2_500),
        mt940(LINE, ":86:" + "\r\n" * 9_000),
        mt940(*[f"{LINE}\r\n:86:{'REK: ' * 3_000}"] * 40),
        b"\n" * 2_000_000 + b":20:A",
        b" " * 2_000_000 + b"<?xml",
        b"<?xml " + b" " * 2_000_000,
        b":25:A\n" * 200_000,
        b"{4: " * 500_000 + b"\n:20:A",
        camt(entry("5000.00", *[detail("1.00")] * 5_000)),
    ],
    ids=range(13),
)
def test_nothing_takes_more_time_than_its_size_is_worth(data: bytes) -> None:
    """Texts made to trap a careless pattern are read in a moment; a quadratic one would run into the time limit of the test."""
    harmless(data)


def test_a_file_that_names_a_path_is_not_opened(tmp_path: Path) -> None:
    """The content of a file is never taken for the name of another."""
    other = tmp_path / "other.sta"
    other.write_bytes(mt940(LINE))
    assert "neither MT940" in refusal(os.fsencode(other))


def test_reading_writes_nothing_to_logs_or_screen(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Accounts and names of customers are nobody's log line, whether a file is read or refused."""
    with caplog.at_level(logging.DEBUG):
        for seed in _SEEDS:
            harmless(seed)
            harmless(seed.replace(b"250", b"2.5.0").replace(b"<Amt", b"<Amx"))
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b" \r\n\t", "the file is empty"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\xd0\xcf\x11\xe0", "an old office document"),
        (b":20:A\x00\n:25:B", "NUL characters"),
        (b"date;amount\n2024-01-31;5,00", "neither MT940 (fields such as ':20:') nor CAMT (XML); it begins with 'date;amount"),
        (b"\xff\xfe\x00\xd8\x00\x00", "utf-16"),
        (b"\xef\xbb\xbf:20:\xff", "utf-8"),
        (b"<?xml version='1.0' encoding='UTF-8'?><a>\xff</a>", "not valid utf-8"),
        (b"\x7fELF\x02\x01", "neither MT940"),
    ],
)
def test_what_is_no_statement_at_all_is_named(data: bytes, reason: str) -> None:
    """An archive, a PDF, a table, something damaged: the reason says what it is."""
    assert reason in refusal(data)
