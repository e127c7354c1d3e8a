"""Whose tokens are accepted, and whose are not."""

import json
from collections.abc import Callable
from typing import Any

import jwt
import msgspec
import pytest

from canonical.failures import Misconfigured
from policies import jwt as policy
from policies.development_issuer import ISSUER
from policies.jwt import Caller, Verifier, require_scope
from policies.problems import Problem
from tests.policies.shop import Shop, problem
from tests.policies.tokens import (
    AUD,
    CLAIMS,
    EC_JWK,
    EC_KEY,
    ED_KEY,
    ISS,
    JWKS,
    NOW,
    OTHER_EC_KEY,
    PUBLIC_PEM,
    RSA_KEY,
    SHORT_RSA_KEY,
    Issuer,
    handmade,
    jwk,
    segment,
    signed_with,
    token,
)


@pytest.mark.parametrize(
    ("kid", "key", "alg"), [("ec", EC_KEY, "ES256"), ("rsa", RSA_KEY, "RS256"), ("pss", RSA_KEY, "PS256"), ("ed", ED_KEY, "EdDSA")]
)
async def test_good_tokens(issuer: Issuer, kid: str, key: Any, alg: str) -> None:
    """A token that is signed with a key of the issuer's list, in that key's algorithm, says who is calling."""
    caller = await issuer.verify(token(key, alg, header={"kid": kid}))
    assert caller == Caller(subject="crm", client="crm-app", tenant="default", scopes=frozenset({"a", "b:c"}), expires_at=NOW + 600)


async def test_variations_of_good_tokens(issuer: Issuer) -> None:
    """Several audiences, a float as a moment, the long media type, a tenant, and a moment within the tolerance are fine."""
    for good in (
        token(aud=["x", AUD]),
        token(exp=NOW + 0.5),
        token(exp=NOW - 9),
        token(nbf=NOW + 9, iat=NOW + 9),
        token(exp=1e15),
        token(header={"typ": "application/AT+JWT"}),
    ):
        assert (await issuer.verify(good)).subject == "crm"
    assert (await issuer.verify(token(tenant="acme"))).tenant == "acme"
    nameless = await issuer.verify(token(without="client_id"))
    assert (nameless.client, (await issuer.verify(token(without="scope"))).scopes) == ("sub:crm", frozenset())


BAD: dict[str, Callable[[], str]] = {
    "alg none": lambda: f"{segment(msgspec.json.encode({'alg': 'none', 'typ': 'at+jwt', 'kid': 'ec'}))}.{token().split('.')[1]}.",
    "alg None": lambda: f"{segment(msgspec.json.encode({'alg': 'None', 'typ': 'at+jwt', 'kid': 'ec'}))}.{token().split('.')[1]}.",
    "no alg": lambda: handmade(b'{"typ":"at+jwt","kid":"ec"}'),
    "alg a list": lambda: handmade(b'{"typ":"at+jwt","kid":"ec","alg":["ES256"]}'),
    "alg null": lambda: handmade(b'{"typ":"at+jwt","kid":"ec","alg":null}'),
    "HS256 with the public key": lambda: signed_with(PUBLIC_PEM),
    "HS256 with the listed key": lambda: signed_with(msgspec.json.encode(EC_JWK)),
    "HS256 with the whole list": lambda: signed_with(msgspec.json.encode({"keys": JWKS})),
    "HS256 with nothing": lambda: signed_with(b""),
    "HS256 that says ES256": lambda: signed_with(PUBLIC_PEM, "ES256"),
    "RS256 with a PS256 key": lambda: token(RSA_KEY, "RS256", header={"kid": "pss"}),
    "the key of another": lambda: token(OTHER_EC_KEY),
    "a short key": lambda: token(SHORT_RSA_KEY, "RS256", header={"kid": "short"}),
    "no signature": lambda: token().rpartition(".")[0] + ".",
    "another signature": lambda: token().rpartition(".")[0] + "." + token(sub="x").rpartition(".")[2],
    "other claims": lambda: ".".join((token().split(".")[0], token(sub="admin").split(".")[1], token().split(".")[2])),
    "wrong audience": lambda: token(aud="other"),
    "wrong audiences": lambda: token(aud=["other", AUD + "x"]),
    "audience within": lambda: token(aud=f"x{AUD}x"),
    "audience of numbers": lambda: token(aud=[1]),
    "no audience": lambda: token(without="aud"),
    "empty audience": lambda: token(aud=[]),
    "wrong issuer": lambda: token(iss="https://evil.example"),
    "issuer within": lambda: token(iss=ISS[:-1]),
    "issuer and more": lambda: token(iss=ISS + "/"),
    "issuer of the development": lambda: token(iss=ISSUER),
    "a list of issuers": lambda: handmade(b'{"alg":"ES256","typ":"at+jwt","kid":"ec"}', msgspec.json.encode({**CLAIMS, "iss": [ISS]})),
    "no issuer": lambda: token(without="iss"),
    "expired": lambda: token(exp=NOW - 10),
    "long expired": lambda: token(exp=0),
    "before all time": lambda: token(exp=-1e300),
    "future nbf": lambda: token(nbf=NOW + 11),
    "future iat": lambda: token(iat=NOW + 11),
    "nbf a text": lambda: token(nbf=str(NOW)),
    "no exp": lambda: token(without="exp"),
    "exp null": lambda: token(exp=None),
    "exp a text": lambda: token(exp=str(int(NOW + 600))),
    "exp true": lambda: token(exp=True),
    "exp a list": lambda: token(exp=[NOW + 600]),
    "exp NaN": lambda: token(exp=float("nan")),
    "exp Infinity": lambda: token(exp=float("inf")),
    "exp 1e999": lambda: handmade(
        b'{"alg":"ES256","typ":"at+jwt","kid":"ec"}', json.dumps({**CLAIMS, "exp": 7}).replace('"exp": 7', '"exp": 1e999').encode()
    ),
    "exp huge": lambda: token(exp=10**400),
    "exp of 5000 digits": lambda: handmade(
        b'{"alg":"ES256","typ":"at+jwt","kid":"ec"}', json.dumps({**CLAIMS, "exp": 7}).replace('"exp": 7', f'"exp": {"9" * 5000}').encode()
    ),
    "no iat": lambda: token(without="iat"),
    "iat NaN": lambda: token(iat=float("nan")),
    "no sub": lambda: token(without="sub"),
    "sub a number": lambda: handmade(b'{"alg":"ES256","typ":"at+jwt","kid":"ec"}', msgspec.json.encode({**CLAIMS, "sub": 7})),
    "sub empty": lambda: token(sub=""),
    "sub with a line break": lambda: token(sub="crm\nadmin"),
    "sub with a NUL": lambda: token(sub="crm\0"),
    "sub endless": lambda: token(sub="x" * 256),
    "client_id a list": lambda: token(client_id=["crm"]),
    "client_id endless": lambda: token(client_id="x" * 256),
    "tenant a number": lambda: token(tenant=1),
    "tenant null": lambda: token(tenant=None),
    "tenant with a NUL": lambda: token(tenant="a\0"),
    "scope a list": lambda: token(scope=["operator"]),
    "an ID token": lambda: token(header={"typ": "JWT"}),
    "no typ": lambda: token(header={"typ": None}),
    "kid a number": lambda: handmade(b'{"alg":"ES256","typ":"at+jwt","kid":7}'),
    "no kid": lambda: handmade(b'{"alg":"ES256","typ":"at+jwt"}'),
    "kid a path": lambda: token(header={"kid": "../../../../dev/null"}),
    "kid SQL": lambda: token(header={"kid": "' UNION SELECT 'key' --"}),
    "kid a URL": lambda: token(header={"kid": "https://evil.example/jwks.json"}),
    "kid endless": lambda: token(header={"kid": "k" * 4000}),
    "jku": lambda: token(header={"jku": "https://evil.example/jwks.json"}),
    "x5u": lambda: token(header={"x5u": "https://evil.example/cert.pem"}),
    "x5c": lambda: token(header={"x5c": ["MII"]}),
    "jwk": lambda: token(OTHER_EC_KEY, header={"jwk": jwk(jwt.algorithms.ECAlgorithm, OTHER_EC_KEY, "ec")}),
    "crit": lambda: handmade(b'{"alg":"ES256","typ":"at+jwt","kid":"ec","crit":["x"],"x":1}'),
    "crit b64": lambda: handmade(b'{"alg":"ES256","typ":"at+jwt","kid":"ec","crit":["b64"],"b64":true}'),
    "b64": lambda: handmade(b'{"alg":"ES256","typ":"at+jwt","kid":"ec","b64":false}'),
    "header a list": lambda: handmade(b"[]"),
    "header deep": lambda: handmade(b"[" * 5000),
    "header no JSON": lambda: handmade(b"\xff\xfe"),
    "header with many digits": lambda: handmade(b'{"alg":"ES256","typ":"at+jwt","kid":"ec","n":' + b"9" * 4400 + b"}"),
    "claims a list": lambda: handmade(b'{"alg":"ES256","typ":"at+jwt","kid":"ec"}', b"[]"),
    "claims deep": lambda: handmade(b'{"alg":"ES256","typ":"at+jwt","kid":"ec"}', b'{"a":' * 1000),
    "claims no text": lambda: handmade(b'{"alg":"ES256","typ":"at+jwt","kid":"ec"}', b"\xff"),
    "no token": lambda: "x",
    "two dots": lambda: "..",
    "five parts": lambda: "a.b.c.d.e",
    "padding": lambda: token() + "=",
    "not ASCII": lambda: token()[:-1] + "ü",
    "endless": lambda: token(fill="x" * 9000),
}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")  # PyJWT's, when the test signs with the short key
@pytest.mark.parametrize("name", BAD)
async def test_bad_tokens(issuer: Issuer, name: str) -> None:
    """A token that is not beyond doubt is 401, and at most the issuer's own list of keys was fetched for it, once."""
    refusal = await issuer.refused(f"Bearer {BAD[name]()}")
    assert (refusal.status, refusal.code) == (401, "not_authenticated")
    assert refusal.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert issuer.fetches <= 1


async def test_good_after_bad(issuer: Issuer) -> None:
    """The helpers of these tests make tokens that are good where nothing is wrong with them."""
    assert (await issuer.verify(handmade(b'{"alg":"ES256","typ":"at+jwt","kid":"ec"}'))).subject == "crm"


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic Y3JtOnB3", "{}", "bearer  {}", "Bearer {}, Bearer {}", "Token {}"])
async def test_other_credentials(issuer: Issuer, header: str) -> None:
    """What is no single bearer token is 401."""
    assert (await issuer.refused(header.replace("{}", token()))).status == 401


async def test_no_credentials(issuer: Issuer) -> None:
    """Who sends nothing is asked for a token, without being told that it was wrong; the word Bearer may be written in any case."""
    assert (await issuer.refused("")).headers["WWW-Authenticate"] == "Bearer"
    assert (await issuer.verifier.verify(f"bEARER {token()}")).subject == "crm"


async def test_remembered_tokens_expire(issuer: Issuer) -> None:
    """A token that was good is refused when its time is over."""
    good = token(exp=NOW + 60)
    await issuer.verify(good)
    issuer.now = NOW + 69
    await issuer.verify(good)
    issuer.now = NOW + 70
    assert "expired" in (await issuer.refused(f"Bearer {good}")).detail


async def test_signatures_are_verified_once(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature is verified once in five minutes, however often the token comes."""
    verified: list[str] = []
    decode = jwt.decode

    def counted(token: str, *args: Any, **options: Any) -> Any:
        verified.append(token)
        return decode(token, *args, **options)

    monkeypatch.setattr(jwt, "decode", counted)
    good = token(exp=NOW + 3600)
    for _ in range(5):
        await issuer.verify(good)
    assert len(verified) == 1
    issuer.now += policy.REMEMBERED_S
    await issuer.verify(good)
    assert len(verified) == 2


async def test_the_memory_is_bounded(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many tokens are remembered, and none that was refused."""
    monkeypatch.setattr(policy, "REMEMBERED_MAX", 3)
    for number in range(5):
        await issuer.verify(token(sub=f"caller-{number}"))
        await issuer.refused(f"Bearer {token(OTHER_EC_KEY)}")
    assert [caller.subject for caller, _ in issuer.verifier._remembered.values()] == ["caller-2", "caller-3", "caller-4"]


def test_a_verifier_without_a_name_to_check() -> None:
    """Without an issuer or an audience nothing could be checked, so there is no such verifier."""

    async def fetch() -> bytes:
        return b""

    for issuer_name, audience in (("", AUD), (ISS, "")):
        with pytest.raises(Misconfigured):
            Verifier(issuer_name, audience, fetch)


def test_scopes() -> None:
    """A token without the scope of the route is 403 and told which one it needs; a part of a scope is none."""
    caller = Caller(subject="s", client="c", tenant="t", scopes=frozenset({"orders:read", "orders:writer"}), expires_at=0)
    require_scope(caller, "orders:read")
    with pytest.raises(Problem) as refusal:
        require_scope(caller, "orders:write")
    assert (refusal.value.status, refusal.value.code) == (403, "scope_missing")
    assert refusal.value.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="orders:write"'


async def test_over_http(shop: Shop) -> None:
    """Without a token 401, without the scope 403, each with its challenge, and the body of such a request is not even parsed."""
    async with shop.caller() as client:
        nobody = await client.get("/purchases", headers={"authorization": ""})
        problem(nobody, 401, "not_authenticated")
        assert nobody.headers["www-authenticate"] == "Bearer"
        kind = {"content-type": "application/json", "authorization": f"Bearer {shop.token(scopes='shop:read')}"}
        problem(await client.post("/purchases", content=b"{{{", headers=kind), 403, "scope_missing")
        assert (await client.get("/purchases", headers={"authorization": f"Bearer {shop.token(scopes='shop:read')}"})).status_code == 200
