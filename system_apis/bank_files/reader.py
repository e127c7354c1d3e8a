"""The door: bytes of a file in, bank statements out, or one refusal with its reason. No other exception, whatever the bytes."""

import re

from canonical.bank_statement import BankStatement
from system_apis.bank_files import camt, mt940
from system_apis.bank_files.failures import StatementRefused
from system_apis.bank_files.wording import decoded

FILE_SIZE_MAX_MB = 20
FILE_SIZE_MAX = FILE_SIZE_MAX_MB * 1024 * 1024

_OTHER_KINDS = (
    (b"PK\x03\x04", "a ZIP archive: unpack it first"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"%PDF", "a PDF document: ask the bank for MT940 or CAMT.053"),
    (b"\xd0\xcf\x11\xe0", "an old office document: ask the bank for MT940 or CAMT.053"),
)


def read_statement(data: bytes) -> list[BankStatement]:
    """All statements of a file, at least one. Raises `StatementRefused` with a reason for people, and nothing else."""
    if len(data) > FILE_SIZE_MAX:
        raise StatementRefused(f"the file is larger than {FILE_SIZE_MAX_MB} MB")
    if not data.strip():
        raise StatementRefused("the file is empty")
    for mark, kind in _OTHER_KINDS:
        if data.startswith(mark):
            raise StatementRefused(f"this is {kind}")
    if camt.looks_like(data):
        return camt.read(data)
    text = decoded(data)
    if "\x00" in text:
        raise StatementRefused("the file has NUL characters: it is not a text file, or it was damaged on its way")
    if not mt940.looks_like(text):
        beginning = re.sub(r"\s+", " ", text[:60]).strip()
        raise StatementRefused(f"this is neither MT940 (fields such as ':20:') nor CAMT (XML); it begins with {beginning!r}")
    return mt940.read(text)


__all__ = ["FILE_SIZE_MAX", "StatementRefused", "read_statement"]
