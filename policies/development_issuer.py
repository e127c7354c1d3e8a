"""A token issuer for the embedded way of running: one key pair in the data folder, tokens by ``q2c token``. Not for production."""

import os
import secrets
import time
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER = "urn:q2c:development-issuer"
AUDIENCE = "q2c-gateway"
ALL_SCOPES = (
    "quotes:validate quotes:write quotes:decide orders:write payments:write transactions:read "
    "system:read system:write cases:read cases:write operator"
)
KID = "development"


class DevelopmentIssuer:
    """Signs tokens with a key that is made on first use and kept readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "development-issuer.pem"

    def _key(self) -> ec.EllipticCurvePrivateKey:
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            unfinished = self._path.with_suffix(f".{secrets.token_hex(8)}")
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
            try:
                os.link(unfinished, self._path)  # whoever links first has made the key; the others use it
            except FileExistsError:
                pass
            finally:
                unfinished.unlink()
        key = serialization.load_pem_private_key(self._path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._path} is not an elliptic-curve key")
        return key

    def mint(self, subject: str, *, scopes: str = ALL_SCOPES, tenant: str = "default", valid_s: int = 12 * 3600) -> str:
        """A signed access token."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "client_id": subject,
            "tenant": tenant,
            "scope": scopes,
            "iat": now,
            "exp": now + valid_s,
        }
        return jwt.encode(claims, self._key(), algorithm="ES256", headers={"kid": KID, "typ": "at+jwt"})

    async def keys(self) -> bytes:
        """The public key as a JWKS document."""
        public = jwt.algorithms.ECAlgorithm.to_jwk(self._key().public_key(), as_dict=True)
        return msgspec.json.encode({"keys": [{**public, "kid": KID, "use": "sig", "alg": "ES256"}]})
