"""An issuer of tokens, good and bad."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from policies.jwt import Caller, Verifier
from policies.problems import Problem

NOW = 1_800_000_000.0
ISS, AUD = "https://issuer.example", "q2c"

EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
SHORT_RSA_KEY = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that such a key is refused is what is tested
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def jwk(algorithm: Any, key: Any, kid: str, alg: str = "", **more: Any) -> dict[str, Any]:
    """A public key as an issuer lists it."""
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **({"alg": alg} if alg else {}), **more}


EC_JWK = jwk(jwt.algorithms.ECAlgorithm, EC_KEY, "ec", "ES256", use="sig")
JWKS = [
    EC_JWK,
    jwk(jwt.algorithms.RSAAlgorithm, RSA_KEY, "rsa"),
    jwk(jwt.algorithms.RSAAlgorithm, RSA_KEY, "pss", "PS256"),
    jwk(jwt.algorithms.OKPAlgorithm, ED_KEY, "ed", "EdDSA"),
    jwk(jwt.algorithms.RSAAlgorithm, SHORT_RSA_KEY, "short"),
]


class Issuer:
    """An issuer whose keys, outages and clock are set; it counts how often it is asked."""

    def __init__(self) -> None:
        self.now = NOW
        self.fetches = 0
        self.keys: Any = JWKS
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.verifier = Verifier(ISS, AUD, self.fetch, now=lambda: self.now)

    async def fetch(self) -> bytes:
        self.fetches += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return self.keys if isinstance(self.keys, bytes) else msgspec.json.encode({"keys": self.keys})

    async def verify(self, token: str) -> Caller:
        return await self.verifier.verify(f"Bearer {token}")

    async def refused(self, authorization: str) -> Problem:
        """The refusal of a header."""
        with pytest.raises(Problem) as refusal:
            await self.verifier.verify(authorization)
        return refusal.value


CLAIMS: Mapping[str, Any] = {"iss": ISS, "aud": AUD, "sub": "crm", "client_id": "crm-app", "iat": NOW, "exp": NOW + 600, "scope": "a b:c"}


def token(key: Any = EC_KEY, alg: str = "ES256", *, header: Mapping[str, Any] | None = None, without: str = "", **claims: Any) -> str:
    """A token, by default a good one."""
    content = {name: value for name, value in {**CLAIMS, **claims}.items() if name != without}
    return jwt.encode(content, key, algorithm=alg, headers={"kid": "ec", "typ": "at+jwt", **(header or {})})


def segment(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def handmade(header: bytes, claims: bytes | None = None) -> str:
    """A token whose parts are any bytes; its signature is good where the header asks for the elliptic curve."""
    signed = f"{segment(header)}.{segment(claims if claims is not None else msgspec.json.encode(dict(CLAIMS)))}"
    return f"{signed}.{segment(jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(signed.encode(), EC_KEY))}"


PUBLIC_PEM = EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
HMAC = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)


def signed_with(secret: bytes, alg: str = "HS256", kid: str = "ec") -> str:
    """A token signed with a secret that everybody knows."""
    head = msgspec.json.encode({"alg": alg, "typ": "at+jwt", "kid": kid})
    signed = f"{segment(head)}.{segment(msgspec.json.encode(dict(CLAIMS)))}"
    return f"{signed}.{segment(HMAC.sign(signed.encode(), secret))}"
