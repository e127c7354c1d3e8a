"""The issuer of the embedded way of running: one key, its owner's alone, and good nowhere else."""

import asyncio
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from policies.development_issuer import AUDIENCE, ISSUER, DevelopmentIssuer
from policies.jwt import Verifier
from tests.policies.tokens import RSA_KEY, Issuer


async def test_the_development_issuer_is_no_real_one(issuer: Issuer, tmp_path: Path) -> None:
    """A token of the development issuer is refused where a real issuer is configured, even one that lists the same key."""
    development = DevelopmentIssuer(tmp_path)
    minted = development.mint("crm")
    assert (await issuer.refused(f"Bearer {minted}")).status == 401
    listed = msgspec.json.decode(await development.keys())["keys"]
    careless = Issuer()
    careless.keys = listed
    assert (await careless.refused(f"Bearer {minted}")).status == 401
    home = Verifier(ISSUER, AUDIENCE, development.keys)
    assert (await home.verify(f"Bearer {minted}")).subject == "crm"


MINT = """
import sys, pathlib
from policies.development_issuer import DevelopmentIssuer
print("ready", flush=True)
sys.stdin.read(1)
print(DevelopmentIssuer(pathlib.Path(sys.argv[1])).mint("crm"))
"""


def minted_at_once(folder: Path, count: int) -> list[str]:
    """A token from each of some processes that wait for each other to be ready before they begin."""
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", MINT, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        for _ in range(count)
    ]
    for process in starting:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in starting:
        assert process.stdin is not None
        process.stdin.write("g")
        process.stdin.flush()
    return [process.communicate(timeout=60)[0].strip() for process in starting]


async def test_processes_that_start_at_once_make_one_key(tmp_path: Path) -> None:
    """Processes that start at the same time agree on one key; its file is its owner's alone, and no other file stays behind."""
    folder = tmp_path / "data"
    minted = await asyncio.to_thread(minted_at_once, folder, 4)
    verifier = Verifier(ISSUER, AUDIENCE, DevelopmentIssuer(folder).keys)
    assert [(await verifier.verify(f"Bearer {each}")).subject for each in minted] == ["crm"] * 4
    assert [path.name for path in folder.iterdir()] == ["development-issuer.pem"]
    assert stat.S_IMODE((folder / "development-issuer.pem").stat().st_mode) == 0o600


def test_whoever_is_late_uses_the_key_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that saw no key and makes one, while another was faster, uses the other's and leaves its own behind."""
    DevelopmentIssuer(tmp_path).mint("crm")
    first = (tmp_path / "development-issuer.pem").read_bytes()
    monkeypatch.setattr(Path, "exists", lambda _: False)
    DevelopmentIssuer(tmp_path).mint("crm")
    assert (tmp_path / "development-issuer.pem").read_bytes() == first
    assert len(list(tmp_path.iterdir())) == 1


def test_the_mode_of_the_key_does_not_hang_on_the_umask(tmp_path: Path) -> None:
    """The key's file is its owner's alone, whatever the umask is."""
    before = os.umask(0)
    try:
        DevelopmentIssuer(tmp_path).mint("crm")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "development-issuer.pem").stat().st_mode) == 0o600


async def test_the_key_that_is_shown_is_public(tmp_path: Path) -> None:
    """The list of keys has the public key only; a file that is no such key is not used."""
    development = DevelopmentIssuer(tmp_path)
    assert set(msgspec.json.decode(await development.keys())["keys"][0]) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    (tmp_path / "development-issuer.pem").write_bytes(RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(TypeError, match=re.escape("is not an elliptic-curve key")):
        development.mint("crm")
