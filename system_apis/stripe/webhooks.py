"""What Stripe pushes: is it from Stripe, which event is it, and what does it mean to us. No order of arrival is relied upon."""

import datetime as dt
import hashlib
import hmac
from collections.abc import Callable, Mapping

import msgspec

from canonical.failures import Rejected
from system_apis.connector import Call, Translated, Webhooks
from system_apis.stripe import invoices, payments
from system_apis.stripe.events import StripeEvent, decoded
from system_apis.stripe.settings import StripeSettings

MEANS: dict[str, Callable[[Call, StripeEvent], tuple[Translated, ...]]] = {
    "payment_intent.succeeded": payments.of_intent,
    "charge.succeeded": payments.of_charge,
    "charge.captured": payments.of_charge,
    "invoice.finalized": invoices.posted,
}
SIGNATURES_MAX = 20
HEADER_LENGTH_MAX = 4000


class EventId(msgspec.Struct, frozen=True):
    """All of an event that is needed to recognise it."""

    id: str


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The hex HMAC-SHA256 over time and raw body that Stripe writes as ``v1``."""
    return hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def verify(settings: StripeSettings, headers: Mapping[str, str], body: bytes, now: dt.datetime) -> None:
    """Whether Stripe has signed these very bytes within the last five minutes.

    Any of several ``v1`` signatures may fit any of our secrets, so that either side can roll its secret. Raises
    `Rejected("signature_invalid")` and nothing else, whatever the header looks like.
    """
    timestamp, given = _parts(headers.get("stripe-signature", ""))
    if abs(int(now.timestamp()) - timestamp) > settings.webhook_tolerance_s:
        raise Rejected("signature_invalid", f"the signature's time is more than {settings.webhook_tolerance_s} s away from ours")
    expected = [signature(secret, timestamp, body).encode() for secret in settings.webhook_secrets if secret]
    # no short cut: each pair is compared, so that the time taken says nothing
    if not sum(hmac.compare_digest(ours, theirs) for ours in expected for theirs in given):
        raise Rejected("signature_invalid", "no signature fits")


def _parts(header: str) -> tuple[int, list[bytes]]:
    pairs = [pair.strip().partition("=") for pair in header[:HEADER_LENGTH_MAX].split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    given = [value.encode("utf-8", "replace") for name, _, value in pairs if name == "v1" and value][:SIGNATURES_MAX]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) <= 12) or not given:
        raise Rejected("signature_invalid", "the Stripe-Signature header is missing or malformed")
    return int(times[0]), given


def identify(body: bytes) -> str:
    """The event's id. A signed body that cannot be read is kept under its own hash, so that it is not lost."""
    try:
        return msgspec.json.decode(body, type=EventId).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"sha256:{hashlib.sha256(body).hexdigest()}"


async def translate(call: Call, body: bytes) -> tuple[Translated, ...]:
    """What the event means; nothing, for the many types that do not concern us. It is read off the event alone."""
    event = decoded(body, StripeEvent)
    meaning = MEANS.get(event.type)
    return meaning(call, event) if meaning else ()


WEBHOOKS = Webhooks(verify=verify, identify=identify, translate=translate)
