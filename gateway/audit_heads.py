"""Signed heads of the audit trail: what shows, from outside the store, that a trail was cut off or rewritten.

A head is a JSON Web Signature (Ed25519) over tenant, row number, hash and time. Workers append one per tenant to ``audit-heads.jws`` in
the data folder whenever a trail has grown; copies belong where the database's owner cannot write. The key is the installation's: a PEM
file that the settings name, or one in the data folder that is made at first use.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import jwt
import msgspec
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from canonical.failures import Failure, Misconfigured, Rejected
from gateway.settings import Settings
from runtime.clock import Clock
from runtime.store.contract import AuditHead

log = structlog.get_logger("q2c.audit")

KEY_FILE = "audit-key.pem"
HEADS_FILE = "audit-heads.jws"
TYPE = "q2c-audit-head"
ALGORITHM = "EdDSA"


class AuditKey:
    """Signs heads, and says whether a signed one is ours."""

    def __init__(self, folder: Path, pem: str = "") -> None:
        self._path = folder / KEY_FILE
        self._pem = pem

    def _key(self) -> Ed25519PrivateKey:
        try:
            key = serialization.load_pem_private_key(self._pem.encode() if self._pem else self._made(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise Misconfigured("audit_key", f"the key of the audit trail cannot be read: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Misconfigured("audit_key", "the key of the audit trail is to be an Ed25519 key: openssl genpkey -algorithm ed25519")
        return key

    def _made(self) -> bytes:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return self._path.read_bytes()
        except OSError as error:
            raise Misconfigured("audit_key", f"{self._path}: {error.strerror}") from error
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        return pem

    def public_pem(self) -> str:
        """The public key, for whoever verifies elsewhere."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key().public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def sign(self, head: AuditHead, at_s: int) -> str:
        """The head as a compact JWS; ``at_s`` in seconds since 1970."""
        return jwt.encode({**msgspec.to_builtins(head), "iat": at_s}, self._key(), algorithm=ALGORITHM, headers={"typ": TYPE})


def opened(token: str, public_pem: str) -> AuditHead:
    """The head in a JWS. Raises `Rejected` where the signature, or what is signed, is not a head of ours."""
    try:
        key = serialization.load_pem_public_key(public_pem.encode())
        if not isinstance(key, Ed25519PublicKey) or jwt.get_unverified_header(token).get("typ") != TYPE:
            raise Rejected("audit_head", "this is not a signed head of an audit trail")
        claims = jwt.decode(token, key, algorithms=[ALGORITHM], options={"verify_iat": False})
        return msgspec.convert({name: claims[name] for name in ("tenant", "seq", "hash")}, AuditHead)
    except (jwt.InvalidTokenError, KeyError, ValueError, msgspec.ValidationError) as error:
        raise Rejected("audit_head", f"a signed head cannot be believed: {error}") from error


def kept_heads(path: Path, public_pem: str) -> tuple[AuditHead, ...]:
    """The heads in a file, a JWS a line. Raises `Rejected` with the line that cannot be believed; a missing file holds none."""
    if not path.exists():
        return ()
    found = []
    for number, line in enumerate(path.read_text("ascii", "replace").splitlines(), start=1):
        if line.strip():
            try:
                found.append(opened(line.strip(), public_pem))
            except Rejected as failure:
                raise Rejected("audit_head", f"{path}, line {number}: {failure.detail}") from failure
    return tuple(found)


class HeadKeeper:
    """Appends the signed heads of trails that have grown."""

    def __init__(self, folder: Path, key: AuditKey) -> None:
        self._path = folder / HEADS_FILE
        self._key = key
        self._kept: dict[str, int] = {}

    def keep(self, heads: Iterable[AuditHead], *, at_s: int | None = None) -> int:
        """Sign what is new and append it; returns how many there were."""
        new = [head for head in heads if self._kept.get(head.tenant) != head.seq and head.seq]
        if new:
            lines = [self._key.sign(head, at_s if at_s is not None else int(time.time())) for head in new]
            with self._path.open("a", encoding="ascii") as file:
                file.write("".join(f"{line}\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
            self._kept |= {head.tenant: head.seq for head in new}
        return len(new)


class Headed(Protocol):
    """A store whose trails have heads."""

    async def audit_heads(self) -> tuple[AuditHead, ...]: ...


async def keep_heads(store: Headed, settings: Settings, clock: Clock) -> None:
    """Sign the heads again and again, until cancelled; a store or a folder that is away is tried again the next time."""
    keeper = HeadKeeper(settings.folder, AuditKey(settings.folder, settings.audit.key))
    while True:
        await clock.sleep(settings.audit.sign_every_s)
        try:
            keeper.keep(await store.audit_heads(), at_s=int(clock.now().timestamp()))
        except (Failure, OSError) as error:
            log.warning("audit_heads_not_signed", why=str(error))
