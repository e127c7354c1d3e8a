"""A configured issuer, over real HTTP."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.settings import Settings, TokenSettings
from gateway.tokens import verifier_of
from policies.development_issuer import DevelopmentIssuer
from policies.problems import Problem
from tests.policies.tokens import AUD, ISS, JWKS, token
from tests.system_apis.harness import served


class Jwks:
    """An issuer's web server: counts who asks for what, and can be broken."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        self.asked.append(scope["path"])
        body = msgspec.json.encode({"keys": JWKS})
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})


async def test_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are fetched from the configured address alone; an issuer in trouble makes 503, and all is well when it is back."""
    monkeypatch.setattr("tests.policies.tokens.CLAIMS", {"iss": ISS, "aud": AUD, "sub": "crm", "iat": 0, "exp": 4_000_000_000})
    monkeypatch.setattr("policies.issuer_keys.RETRY_S", 0.0)
    jwks = Jwks()
    async with served(jwks) as base:
        settings = Settings(data=str(tmp_path), tokens=TokenSettings(issuer=ISS, audience=AUD, jwks_url=f"{base}/keys"))
        verifier = verifier_of(settings)
        jwks.status = 500
        with pytest.raises(Problem) as away:
            await verifier.verify(f"Bearer {token()}")
        assert (away.value.status, base in away.value.detail) == (503, False)
        jwks.status = 200
        assert (await verifier.verify(f"Bearer {token()}")).subject == "crm"
        for bad in (token(header={"jku": f"{base}/evil"}), token(header={"kid": f"{base}/evil"}), token(header={"x5u": f"{base}/evil"})):
            with pytest.raises(Problem) as refusal:
                await verifier.verify(f"Bearer {bad}")
            assert refusal.value.status == 401
        with pytest.raises(Problem) as refusal:
            await verifier.verify(f"Bearer {DevelopmentIssuer(tmp_path).mint('crm')}")
        assert refusal.value.status == 401
    assert jwks.asked == ["/keys", "/keys"]
