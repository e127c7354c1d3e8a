"""A print held against the file in which it was accepted."""

import os
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
ACCEPTS = os.environ.get("Q2C_ACCEPT") == "1"


def printed(name: str, text: str) -> None:
    """The print is the accepted one; with Q2C_ACCEPT=1 it becomes so."""
    path = GOLDEN / name
    if ACCEPTS:
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    accepted = path.read_text("utf-8") if path.exists() else ""
    assert text == accepted, f"golden/{name} prints in another way; look at the difference and, if it is right, accept it with Q2C_ACCEPT=1"
