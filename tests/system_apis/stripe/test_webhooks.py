import datetime as dt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canonical.failures import Rejected
from system_apis.stripe.settings import StripeSettings
from system_apis.stripe.simulator import simulated
from system_apis.stripe.webhooks import identify, signature, verify
from tests.system_apis.harness import NOW

SETTINGS = simulated("http://stripe.example")
SECRET = SETTINGS.webhook_secrets[0]
BODY = b'{"id": "evt_1", "type": "charge.succeeded"}'
T = int(NOW.timestamp())


def header(body: bytes = BODY, *, at: int = T, secret: str = SECRET) -> dict[str, str]:
    return {"stripe-signature": f"t={at},v1={signature(secret, at, body)}"}


def refused(headers: dict[str, str], body: bytes = BODY, now: dt.datetime = NOW, settings: StripeSettings = SETTINGS) -> str:
    with pytest.raises(Rejected) as failure:
        verify(settings, headers, body, now)
    return failure.value.code


def test_a_known_signature_is_what_openssl_computes() -> None:
    """The signature is hex HMAC-SHA256 over time, point and raw body, checked against an independent computation."""
    expected = "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925"
    assert signature("whsec_test", 1700000000, b'{"id":"evt_1"}') == expected


def test_what_stripe_has_signed_is_accepted() -> None:
    """The right secret over the raw bytes passes, whatever the bytes are (W5)."""
    verify(SETTINGS, header(), BODY, NOW)
    verify(SETTINGS, header(b"\xff\xfe\x00"), b"\xff\xfe\x00", NOW)
    verify(SETTINGS, header(b""), b"", NOW)


def test_one_of_several_signatures_and_secrets_is_enough() -> None:
    """While either side rolls its secret, old and new are both good (W9)."""
    good = signature(SECRET, T, BODY)
    verify(SETTINGS, {"stripe-signature": f"t={T},v1={'0' * 64},v1={good},v0=abc"}, BODY, NOW)
    rolling = msgspec.structs.replace(SETTINGS, webhook_secrets=("whsec_new", SECRET))
    verify(rolling, header(), BODY, NOW)
    verify(rolling, header(secret="whsec_new"), BODY, NOW)


def test_a_changed_body_or_another_secret_is_refused() -> None:
    """One byte more, or the signature of someone else, and it is not from Stripe (W2)."""
    assert refused(header(), BODY + b" ") == "signature_invalid"
    assert refused(header(secret="whsec_other")) == "signature_invalid"
    assert refused({"stripe-signature": f"t={T},v0={signature(SECRET, T, BODY)}"}) == "signature_invalid"


def test_an_account_without_a_secret_accepts_nothing() -> None:
    """An empty secret is no secret."""
    assert refused(header(secret=""), settings=msgspec.structs.replace(SETTINGS, webhook_secrets=("",))) == "signature_invalid"
    assert refused(header(), settings=msgspec.structs.replace(SETTINGS, webhook_secrets=())) == "signature_invalid"


@pytest.mark.parametrize(("seconds", "fresh"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_five_minutes_either_way_are_fresh(seconds: int, fresh: bool) -> None:
    """A replay of yesterday's webhook is refused, and so is one from the future (W3)."""
    if fresh:
        verify(SETTINGS, header(at=T + seconds), BODY, NOW)
    else:
        assert refused(header(at=T + seconds)) == "signature_invalid"


MALFORMED = [
    *("", "t", "t=", "v1=", "v1=abc", ",,,===,,,", "t=abc,v1=abc", "t=-1,v1=a", "t=١٢٣,v1=abc", "t=" + "9" * 5000 + ",v1=a"),
    *(f"t={T}", f"t={T},v1=", f"t={T},t={T},v1=a", f"t={T},v1=é", f"t={T}\x00,v1=a", f"t={T},v1=\ud800", f"t={T},v1=" + "a" * 100_000),
]


@pytest.mark.parametrize("value", MALFORMED)
def test_a_malformed_header_is_refused_and_nothing_else(value: str) -> None:
    """Whatever stands in the header, the only exception is the refusal (W2)."""
    assert refused({"stripe-signature": value}) == "signature_invalid"


def test_a_missing_header_is_refused() -> None:
    """An unsigned webhook is not from Stripe."""
    assert refused({}) == "signature_invalid"


@given(st.text(max_size=200), st.binary(max_size=200))
def test_no_header_and_no_body_gets_another_exception(value: str, body: bytes) -> None:
    """Arbitrary headers and bodies are refused, never a crash."""
    assert refused({"stripe-signature": value}, body) == "signature_invalid"
    assert refused({"stripe-signature": f"t={T},v1={value}"}, body) == "signature_invalid"


def test_an_event_is_known_by_its_id_and_an_unreadable_one_by_its_bytes() -> None:
    """Stripe sends an event again under the same id; what cannot be read is kept under its hash, so that it is not lost."""
    assert identify(BODY) == "evt_1"
    assert identify(b"\xff\xfe").startswith("sha256:")
    assert identify(b"[]") == identify(b"[]") != identify(b"{}")
