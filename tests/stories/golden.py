"""A story held against the file in which it was accepted."""

import os
import re
from pathlib import Path

import msgspec

from canonical.messages import Event

HERE = Path(__file__).parent
ACCEPTS = os.environ.get("Q2C_ACCEPT") == "1"
# what differs from run to run: how long something took, how long is still to wait, a free port, an id that nobody has given, a number
# that depends on what was told before
CHANGING = (
    (r" \d+ ms$", " 0 ms"),
    (r"looking in \d+ s", "looking in 0 s"),
    (r"connection broke: \w+", "connection broke: ReadError"),
    (r"127\.0\.0\.1(:|', )\d+", r"127.0.0.1\g<1>0"),
    (r"\bBL-[0-9a-f]{32}\b", f"BL-{'0' * 32}"),
    (r"\bpi_1Sim\d{12}\b", f"pi_1Sim{'0' * 12}"),
    (r"\bINV-TR-\d{5}\b", "INV-TR-00000"),
    (r"\bINV-NS-\d{4}\b", "INV-NS-0000"),
    (r"q2c-[0-9a-f]{12}", "q2c-000000000000"),
)


def told(name: str, text: str) -> None:
    """The text is the accepted one; with Q2C_ACCEPT=1 it becomes so."""
    for changing, fixed in CHANGING:
        text = re.sub(changing, fixed, text, flags=re.MULTILINE)
    path = HERE / name
    if ACCEPTS:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    accepted = path.read_text("utf-8") if path.exists() else ""
    assert text == accepted, f"{name} is told in another way; look at the difference and, if it is right, run with Q2C_ACCEPT=1 to accept"


def answered(name: str, answer: Event) -> None:
    """The same for an answer in JSON."""
    told(name, msgspec.json.format(msgspec.json.encode(answer, order="deterministic"), indent=2).decode() + "\n")
