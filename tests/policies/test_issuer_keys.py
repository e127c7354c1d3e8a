"""The issuer's keys: fetched when needed, seldom enough, and through its outages."""

import asyncio
from typing import Any

import jwt
import pytest

from canonical.failures import Unavailable
from policies import issuer_keys
from policies import jwt as policy
from tests.policies.tokens import (
    EC_JWK,
    JWKS,
    NOW,
    OTHER_EC_KEY,
    RSA_KEY,
    Issuer,
    jwk,
    segment,
    signed_with,
    token,
)


async def test_made_up_keys_do_not_make_us_fetch(issuer: Issuer) -> None:
    """Tokens with unknown key ids make us ask the issuer once in thirty seconds, however many come."""
    for number in range(50):
        issuer.now = NOW + number * 0.5
        await issuer.refused(f"Bearer {token(header={'kid': f'made-up-{number}'})}")
    assert issuer.fetches == 1
    issuer.now = NOW + 30
    await issuer.refused(f"Bearer {token(header={'kid': 'made-up'})}")
    assert issuer.fetches == 2


async def test_a_new_key(issuer: Issuer) -> None:
    """A key that the issuer has begun to use is found, half a minute after the last look at the latest."""
    await issuer.verify(token())
    issuer.keys = [*JWKS, jwk(jwt.algorithms.ECAlgorithm, OTHER_EC_KEY, "new")]
    new = token(OTHER_EC_KEY, header={"kid": "new"})
    await issuer.refused(f"Bearer {new}")
    issuer.now += 30
    assert (await issuer.verify(new)).subject == "crm"


async def test_a_withdrawn_key(issuer: Issuer) -> None:
    """Tokens under a key that the issuer has withdrawn are refused after a quarter of an hour at the latest, remembered or not."""
    good = token(exp=NOW + 3600)
    await issuer.verify(good)
    issuer.keys = [jwk(jwt.algorithms.ECAlgorithm, OTHER_EC_KEY, "new")]
    for wait_s in range(0, int(issuer_keys.FRESH_S), 200):
        issuer.now = NOW + wait_s
        await issuer.verify(good)
    issuer.now = NOW + issuer_keys.FRESH_S + policy.REMEMBERED_S
    assert (await issuer.refused(f"Bearer {good}")).status == 401


async def test_many_at_once(issuer: Issuer) -> None:
    """Those who come while the keys are on their way wait for them; they are fetched once."""
    issuer.gate.clear()
    tasks = [asyncio.create_task(issuer.verify(token(sub=f"caller-{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    issuer.gate.set()
    assert len({caller.subject for caller in await asyncio.gather(*tasks)}) == 20
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    "trouble",
    [Unavailable("unreachable", "https://issuer.internal"), OSError("no route"), TimeoutError(), b"<html>", b"{}", b'{"keys":', b"[]"],
)
async def test_an_issuer_that_is_away(issuer: Issuer, trouble: Any) -> None:
    """While the keys cannot be had, tokens are 503 and the caller may try again; nothing is told of the inside; later all is well."""
    issuer.failure, issuer.keys = (trouble, JWKS) if isinstance(trouble, Exception) else (None, trouble)
    for _ in range(3):
        refusal = await issuer.refused(f"Bearer {token()}")
        assert (refusal.status, refusal.code, refusal.headers["Retry-After"]) == (503, "issuer_unreadable", "2")
        assert "internal" not in refusal.detail
    assert issuer.fetches == 1
    issuer.failure, issuer.keys = None, JWKS
    issuer.now += issuer_keys.RETRY_S
    assert (await issuer.verify(token())).subject == "crm"


async def test_known_keys_outlive_an_outage(issuer: Issuer) -> None:
    """Keys that are known are used while the issuer is away, for an hour; a token under an unknown one is 503 then, not 401."""
    await issuer.verify(token())
    issuer.failure = Unavailable("unreachable")
    issuer.now = NOW + issuer_keys.FRESH_S + 1
    assert (await issuer.verify(token(sub="x", exp=NOW + 9000))).subject == "x"
    assert (await issuer.refused(f"Bearer {token(header={'kid': 'new'}, exp=NOW + 9000)}")).status == 503
    issuer.now = NOW + issuer_keys.STALE_S_MAX
    assert (await issuer.refused(f"Bearer {token(sub='y', exp=NOW + 9000)}")).status == 503
    issuer.failure = None
    issuer.now += issuer_keys.RETRY_S
    assert (await issuer.verify(token(sub="y", exp=NOW + 9000))).subject == "y"


async def test_keys_that_cannot_be_used(issuer: Issuer) -> None:
    """One key in the issuer's list that we cannot read, must not use, or that is no public key does not spoil the others."""
    private = jwt.algorithms.ECAlgorithm.to_jwk(OTHER_EC_KEY, as_dict=True)
    issuer.keys = [
        {"kty": "AKP", "alg": "ML-DSA-44", "kid": "future", "pub": "x"},
        {"kty": "EC", "crv": "P-1", "kid": "curve", "x": "a", "y": "b"},
        {"kty": "RSA", "alg": "HS256", "kid": "confused", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "kid": "broken", "n": 7},
        {"kty": "oct", "kid": "secret", "k": segment(b"s" * 32), "alg": "HS256"},
        jwk(jwt.algorithms.RSAAlgorithm, RSA_KEY, "encryption", use="enc"),
        {**private, "kid": "private"},
        "a text",
        {"kty": "EC"},
        {"kty": "EC", "kid": 7},
        EC_JWK,
    ]
    assert (await issuer.verify(token())).subject == "crm"
    for key, alg, kid in ((RSA_KEY, "RS256", "encryption"), (OTHER_EC_KEY, "ES256", "private")):
        await issuer.refused(f"Bearer {token(key, alg, header={'kid': kid})}")
    await issuer.refused(f"Bearer {signed_with(b's' * 32, kid='secret')}")
