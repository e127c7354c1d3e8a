"""The ways in which banks write :86:: who, which references, and what for."""

import pytest

from canonical.bank_statement import Counterparty
from system_apis.bank_files.reader import read_statement
from tests.system_apis.bank_files.samples import detailed, mt940, only_line


def test_german_subfields_give_party_references_and_text() -> None:
    """?20–?29 and ?60–?63 hold SEPA keywords and text cut at 27 characters; ?30–?33 the party."""
    line = detailed(
        "166?00GUTSCHRIFT?109310?20EREF+RE-2024-0815?21KREF+OUR-REF-1?22MREF+MANDATE-7?23SVWZ+Rechnung 4711 vom 02.0"
        "?241.2024, abzgl. Skonto?25ABWA+Holding Nord AG?30COBADEFFXXX?31FR7630006000011234567890189?32Nordlicht Handelsgesells"
        "cha?33ft mbH?34997"
    )
    assert line.counterparty == Counterparty(
        name="Nordlicht Handelsgesellschaft mbH",
        account="FR7630006000011234567890189",
        bank="COBADEFFXXX",
        ultimate_name="Holding Nord AG",
    )
    assert line.references.end_to_end_id == "RE-2024-0815"
    assert (line.references.customer, line.references.mandate_id) == ("OUR-REF-1", "MANDATE-7")
    assert line.remittance_text == "Rechnung 4711 vom 02.01.2024, abzgl. Skonto"
    assert (line.booking_text, line.transaction_code) == ("GUTSCHRIFT", "NTRF 166")


def test_a_full_subfield_goes_on_in_the_next_a_short_one_ends_a_word() -> None:
    """27 characters are cut in mid-word; fewer are a line of their own."""
    line = detailed("166?20ERSTATTUNG AUSLANDSEINSATZE?21NTGELT?22FUER VISA?32Richter Renate 70 Zeichen B?33rief")
    assert line.remittance_text == "ERSTATTUNG AUSLANDSEINSATZENTGELT FUER VISA"
    assert line.counterparty.name == "Richter Renate 70 Zeichen Brief"


def test_a_reference_ends_where_its_subfield_is_not_full() -> None:
    """What follows a short EREF+ is text, not reference; the full one goes on."""
    line = detailed("159?00RETOURE?20EREF+TFNR 40001 00005?21MTLG:Grund nicht spezifizie?22rt")
    assert (line.references.end_to_end_id, line.remittance_text) == ("TFNR 40001 00005", "MTLG:Grund nicht spezifiziert")
    line = detailed("171?20EREF+TRX-0A4A47C3-F846-4729?21-8A1B-5DF620F?22SVWZ+Abo?60zehn Lizenzen")
    assert (line.references.end_to_end_id, line.remittance_text) == ("TRX-0A4A47C3-F846-4729-8A1B-5DF620F", "Abo zehn Lizenzen")


def test_repeated_subfields_and_question_marks_lose_nothing() -> None:
    """The same subfield twice is both texts, and a question mark in a text is a question mark."""
    assert detailed("166?20INV-1001?20INV-1002?32N").remittance_text == "INV-1001 INV-1002"
    assert detailed("166?20why? INV-1003?32N").remittance_text == "why? INV-1003"


def test_lines_of_a_structured_field_are_cut_anywhere() -> None:
    """A line break may fall into a subfield's number or into a word."""
    whole = "166?00GUTSCHRIFT?20SVWZ+Verwendungszweck AB?21CD?31DE89370400440532013000?32Nordlicht"
    broken = "166?00GUTSCHRIFT?20SVWZ+Verwendungszweck AB?2\r\n1CD?31DE8937040044053201\r\n3000?32Nord\r\nlicht"
    assert detailed(broken) == detailed(whole)


def test_returned_amounts_stay_readable_and_other_separators_are_known() -> None:
    """Original and compensation amounts of a return are kept as text; Polish banks write ~ or ^ for the question mark."""
    assert detailed("109?20EREF+A?21OAMT+12,34?22COAM+3,00?23SVWZ+Return").remittance_text == "Return COAM 3,00 OAMT 12,34"
    line = detailed("020~00Przelew~20FAKTURA FV-1001~30114~3100001111~32Zaklad Nowak~38PL61109010140000071219812874")
    assert (line.remittance_text, line.counterparty.account) == ("FAKTURA FV-1001", "PL61109010140000071219812874")


def test_dutch_slashes_of_abn_amro() -> None:
    """/TRTP/…/IBAN/…/NAME/…/REMI/…/EREF/… over several lines of 65 characters."""
    text = (
        "/TRTP/SEPA OVERBOEKING/IBAN/FR7630006000011234567890189/BIC/BNPAFRPP"
        "/NAME/NORDLICHT SARL/REMI/FACTUUR INV-1001 EN INV-1002/EREF/E2E-55"
    )
    line = detailed("\r\n".join(text[start : start + 65] for start in range(0, len(text), 65)))
    assert line.counterparty == Counterparty(name="NORDLICHT SARL", account="FR7630006000011234567890189", bank="BNPAFRPP")
    assert (line.remittance_text, line.references.end_to_end_id) == ("FACTUUR INV-1001 EN INV-1002", "E2E-55")
    assert line.booking_text == "SEPA OVERBOEKING"


def test_dutch_slashes_of_ing_with_structured_reference() -> None:
    """/CNTP/ holds account, bank and name; /REMI/STRD/ a creditor reference, /REMI/USTD// free text."""
    head = "/EREF/E2E-1//MARF/MND-EV01//CSID/NL32ZZZ999999991234//CNTP/NL32INGB0000012345/INGBNL2A/NOORDERLICHT BV///"
    line = detailed(head + "REMI/STRD/CUR/9001123412341234/")
    assert line.counterparty == Counterparty(name="NOORDERLICHT BV", account="NL32INGB0000012345", bank="INGBNL2A")
    assert (line.references.creditor, line.references.mandate_id, line.remittance_text) == (("9001123412341234",), "MND-EV01", "")
    assert detailed(head + "REMI/USTD//INV-1001/").remittance_text == "INV-1001"


def test_dutch_slashes_of_rabobank_with_the_account_in_the_line_itself() -> None:
    """The other account stands in the second line of :61:; an empty /REMI/ is no text; EREF there is no reference."""
    line = detailed("/ORDP//NAME/J. JANSEN/REMI//ISDT/2024-01-31", ":61:240131C000000000250,00N102EREF\r\nNL70ABNA0987654321")
    assert line.counterparty == Counterparty(name="J. JANSEN", account="NL70ABNA0987654321")
    assert (line.remittance_text, line.references.customer) == ("", "")


def test_a_return_says_so() -> None:
    """The reason of a returned payment is part of the kind of movement."""
    assert detailed("/TRTP/SEPA INCASSO/RTRN/AC04/REMI/INV-1001/").booking_text == "SEPA INCASSO return AC04"


def test_labels_of_knab_and_mbank() -> None:
    """REK:/NAAM: and the Polish labels give party, text and references."""
    line = detailed("FACTUUR INV-1001\r\nREK: NL65INGB0123456789/NAAM: NOORDERLICHT")
    assert (line.counterparty.name, line.counterparty.account) == ("NOORDERLICHT", "NL65INGB0123456789")
    assert line.remittance_text == "FACTUUR INV-1001"
    line = detailed(
        "911 TRANSAKCJA COLLECT; ID IPH: XX000000000042; Z RACH.: \r\n61109010140000071219812874; OD: JAN KOWAL  \r\n"
        "UL. POLNA 1; TYT.: FAKTURA FV-1001 ; \r\nTNR: 179171073864111.010001"
    )
    assert (line.counterparty.name, line.counterparty.account) == ("JAN KOWAL", "61109010140000071219812874")
    assert (line.remittance_text, line.booking_text, line.transaction_code) == ("FAKTURA FV-1001", "TRANSAKCJA COLLECT", "NTRF 911")
    assert (line.references.creditor, line.references.transaction_id) == (("XX000000000042",), "179171073864111.010001")


def test_banks_that_write_by_position() -> None:
    """ASN begins with account and name of :61:, Raiffeisen Hungary has a line each, German 999 text follows its prima nota."""
    line = detailed(
        "FR7630006000011234567890189 noord licht\r\n\r\nfactuur INV-1001", ":61:240131C250,00NOVBFR7630006000011234567890189\r\nnoord licht"
    )
    assert line.counterparty == Counterparty(name="noord licht", account="FR7630006000011234567890189")
    assert (line.remittance_text, line.references.customer, line.booking_text) == ("factuur INV-1001", "", "")
    line = detailed("CAB18D1700041116\r\n109876543210000012345678\r\nNORDLICHT KFT.\r\nSZAMLA INV-1001")
    assert (line.counterparty.name, line.counterparty.account) == ("NORDLICHT KFT.", "109876543210000012345678")
    assert (line.references.bank, line.remittance_text) == ("CAB18D1700041116", "SZAMLA INV-1001")
    line = detailed("999PN0920SCHNELLUEB INV-1001")
    assert (line.remittance_text, line.transaction_code) == ("SCHNELLUEB INV-1001", "NTRF 999")


def test_non_swift_fields_of_hungarian_and_german_banks() -> None:
    """:NS: instead of :86:: 01–14 text, 15–16 name, 33 bank, 34 account."""
    fields = ":NS:01INV-1001\r\n02INV-1002\r\n15Nordlicht Versicherungs Fio\r\n16kja\r\n17ATUTALAS\r\n3310918001\r\n340000004279070017"
    line = only_line(read_statement(mt940(":61:240131C250,00S   X", fields)))
    assert line.counterparty == Counterparty(name="Nordlicht Versicherungs Fiokja", account="0000004279070017", bank="10918001")
    assert (line.remittance_text, line.booking_text, line.transaction_code) == ("INV-1001; INV-1002", "ATUTALAS", "S")


def test_plain_text_is_unwrapped_and_several_fields_are_one_text() -> None:
    """Full lines of 65 characters go on without a space, shorter ones with one; a second :86: continues the first."""
    first = "Betaling van factuur INV-1001 volgens afspraak met de heer Jansse"
    assert len(first) == 65
    assert detailed(f"{first}\r\nn uit Utrecht\r\ndank").remittance_text == f"{first}n uit Utrecht dank"
    data = mt940(":61:240131C250,00NTRFNONREF\r\nCard transaction", ":86:one", ":86:two")
    assert (only_line(read_statement(data)).remittance_text, only_line(read_statement(data)).booking_text) == (
        "one two",
        "Card transaction",
    )


@pytest.mark.parametrize("word", ["NONREF", "KREF+", "EREF+", "EREF", "NOTPROVIDED", ""])
def test_a_word_for_no_reference_is_no_reference(word: str) -> None:
    """NONREF and its like never become a reference that could match something."""
    line = only_line(read_statement(mt940(f":61:240131C250,00NTRF{word}")))
    assert line.references.every() == ()


def test_control_characters_never_reach_the_text() -> None:
    """Escape sequences and direction marks cannot steer a terminal or turn an account around."""
    line = detailed("166?20SVWZ+pay \x1b[31mnow\u202e?32Nord\u200blicht\x9b")
    assert (line.remittance_text, line.counterparty.name) == ("pay [31mnow", "Nord licht")


def test_a_text_without_end_is_cut_with_an_ellipsis() -> None:
    """A remittance text of more than 2,000 characters is cut so that it fits the canonical line."""
    text = detailed("word " * 1000).remittance_text
    assert (len(text), text[-2:]) == (2000, " …")
