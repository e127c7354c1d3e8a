"""The one door for all vendors that push: verify on raw bytes, keep, answer; translate later, from what was kept."""

from collections.abc import Mapping

from canonical.failures import Misconfigured, Rejected
from canonical.messages import Accepted, Command
from runtime import metrics
from runtime.bus.contract import Address
from runtime.bus.topology import INBOX
from runtime.bus.wire import envelope
from runtime.clock import Clock
from runtime.context import Context, current
from runtime.house import House
from runtime.keys import message_id_for, new_correlation_id
from runtime.store.contract import Duplicate, Keep, Received, Send
from system_apis.desk import Connection

KEPT_HEADERS = {"content-type", "stripe-signature", "user-agent", "x-request-id"}


class Translate(Command[Accepted], frozen=True, kw_only=True):
    """Find out what a kept webhook means."""

    port = "runtime"
    connection: str
    event_id: str


async def receive(house: House, connection: Connection, headers: Mapping[str, str], body: bytes, clock: Clock) -> bool:
    """Take a webhook in; False where it is known already. Raises `Rejected` when its signature is not right: nothing is kept then."""
    webhooks = connection.card.webhooks
    if webhooks is None:
        raise Misconfigured("no_webhooks", f"{connection.card.title} does not push")
    now = clock.now()
    try:
        webhooks.verify(connection.settings, headers, body, now)
    except Rejected:
        metrics.WEBHOOKS.labels(connection.name, "refused").inc()
        raise
    event_id = webhooks.identify(body)
    kept = Received(
        tenant=connection.tenant,
        connection=connection.name,
        event_id=event_id,
        body=body,
        headers={name: value for name, value in headers.items() if name in KEPT_HEADERS},
        received_at=now,
    )
    here = current()
    context = Context(tenant=connection.tenant, correlation_id=here.correlation_id or new_correlation_id(), traceparent=here.traceparent)
    message = Translate(connection=connection.name, event_id=event_id)
    letter = envelope(message, context, now=now, message_id=message_id_for("webhook", connection.tenant, connection.name, event_id))
    try:
        await house.commit([Keep(kept), Send(Address(INBOX), letter)])
    except Duplicate:
        metrics.WEBHOOKS.labels(connection.name, "known").inc()
        return False
    metrics.WEBHOOKS.labels(connection.name, "kept").inc()
    return True
