"""The AsyncAPI 3 document of the messages: made from their classes, the tables and the queues, so that it says what the code does."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec

from canonical.messages import Command, Event, Message, message_type
from gateway.compose import Gateway
from gateway.roster import INQUIRIES
from gateway.settings import Settings
from process_apis.worker import all_queues as process_queues
from runtime.bus.contract import Queue
from runtime.bus.parcel import CLOUD_EVENTS
from runtime.bus.topology import EXCHANGE_EVENTS, INBOX
from runtime.process.declare import Process, Tell
from runtime.process.layout import Continue
from system_apis.webhooks import Translate

Document = dict[str, Any]

REF = "#/components/schemas/{name}"
TEXT: Document = {"type": "string"}
# What `runtime.bus.wire.Envelope` carries around a body; `body` is the message itself.
ENVELOPE: Document = {
    "id": {"type": "string", "description": "The same on every retry: the inbox of a receiver tells by it."},
    "type": {"type": "string", "description": "The wire name of the message."},
    "wire_version": {"type": "integer", "minimum": 1, "description": "The version of the body; older ones are lifted by the reader."},
    "tenant": TEXT,
    "entity": {"type": "string", "description": "The legal entity."},
    "correlation_id": {"type": "string", "description": "The commercial transaction, from quote to cash."},
    "causation_id": {"type": "string", "description": "The message that led to this one."},
    "traceparent": {"type": "string", "description": "W3C trace context."},
    "actor": {"type": "string", "description": "The subject of the token that caused it."},
    "key": {"type": "string", "description": "The step key."},
    "sent_at": {"type": "string", "format": "date-time"},
}
REQUIRED = ["id", "type", "body", "correlation_id"]


def asyncapi(settings: Settings) -> Document:
    """The whole document. Channels are the broker's: one for each type of event, one for each queue of work."""
    gateway = Gateway(settings)
    queues = [queue for queue in process_queues(gateway.tables, INQUIRIES) if not queue.asks]
    told = _told(gateway.tables)
    taken = {queue.name: _taken(queue, gateway.tables) for queue in queues}
    taken[INBOX] = [Translate]
    messages: list[type[Message]] = sorted({*told, *_flat(taken.values())}, key=_name)
    events = [message for message in messages if issubclass(message, Event)]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "q2c-gateway",
            "version": version("q2c-gateway"),
            "description": "Messages on the bus: from quote to cash. Delivery is at least once; the same id is the same message.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": {"host": "broker.example:5672", "protocol": "amqp", "description": "RabbitMQ, quorum queues"}},
        "channels": {**{f"event.{_name(e)}": _event_channel(e) for e in events}, **{n: _queue_channel(n, t) for n, t in taken.items()}},
        "operations": _operations(events, taken),
        "components": {
            "messages": {_name(message): _message(message) for message in messages},
            "schemas": _schemas(messages),
            "messageTraits": {"envelope": {"headers": _headers(), "contentType": "application/json"}},
        },
    }


def text(settings: Settings) -> str:
    """The document as JSON, always the same for the same code."""
    return msgspec.json.format(msgspec.json.encode(asyncapi(settings)), indent=1).decode() + "\n"


def _name(message: type[Message]) -> str:
    return message.wire_name()


def _flat(lists: Iterable[Iterable[type[Message]]]) -> list[type[Message]]:
    return [message for messages in lists for message in messages]


def _told(tables: Iterable[Process]) -> list[type[Message]]:
    """What the tables tell, as far as their functions say what they return."""
    functions: list[object] = [step.message for table in tables for step in table.steps if isinstance(step, Tell)]
    functions += [table.if_undone for table in tables if table.if_undone is not None]
    found = [getattr(function, "__annotations__", {}).get("return") for function in functions]
    return [message for message in found if isinstance(message, type) and issubclass(message, Message) and message not in (Message, Event)]


def _taken(queue: Queue, tables: Iterable[Process]) -> list[type[Message]]:
    """What is handled from a queue of work."""
    starters: dict[str, type[Message]] = {}
    for table in tables:
        if queue.name.endswith(f".{table.name}"):
            every: tuple[type[Message], ...] = (*table.starters, *table.waits_for, Continue)
            starters |= {_name(message): message for message in every}
    return [*starters.values(), *(message_type(event) for event in queue.events if event not in starters)]


def _event_channel(event: type[Message]) -> Document:
    exchange = {"name": EXCHANGE_EVENTS, "type": "topic", "durable": True, "autoDelete": False}
    return {
        "address": _name(event),
        "messages": {_name(event): {"$ref": f"#/components/messages/{_name(event)}"}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": "0.3.0"}},
    }


def _queue_channel(name: str, taken: Iterable[type[Message]]) -> Document:
    queue = {"name": name, "durable": True, "exclusive": False, "autoDelete": False}
    return {
        "address": name,
        "messages": {_name(message): {"$ref": f"#/components/messages/{_name(message)}"} for message in taken},
        "bindings": {"amqp": {"is": "queue", "queue": queue, "bindingVersion": "0.3.0"}},
    }


def _operations(events: Iterable[type[Message]], taken: dict[str, list[type[Message]]]) -> Document:
    """What the gateway sends (events, to everyone) and what it takes from its queues."""
    names = [_name(event) for event in events]
    sends = {f"tell.{name}": {"action": "send", "channel": {"$ref": f"#/channels/event.{name}"}} for name in names}
    takes = {
        f"handle.{name}": {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{name}"},
            "messages": [{"$ref": f"#/channels/{name}/messages/{_name(message)}"} for message in messages],
        }
        for name, messages in taken.items()
    }
    return {**sends, **takes}


def _message(message: type[Message]) -> Document:
    kind = "command" if issubclass(message, Command) else "event"
    return {
        "name": _name(message),
        "title": message.__name__,
        "summary": (message.__doc__ or "").strip().partition("\n")[0],
        "tags": [{"name": kind}],
        "traits": [{"$ref": "#/components/messageTraits/envelope"}],
        "payload": {
            "type": "object",
            "required": REQUIRED,
            "properties": {**ENVELOPE, "type": {"const": _name(message)}, "body": {"$ref": REF.format(name=message.__name__)}},
        },
    }


def _schemas(messages: Iterable[type[Message]]) -> Document:
    _, components = msgspec.json.schema_components(messages, ref_template=REF)
    return dict(sorted(components.items()))


def _headers() -> Document:
    """The attributes of CloudEvents, in the form that its AMQP binding gives them."""
    return {"type": "object", "properties": {name: {"type": "string", "description": said} for name, said in CLOUD_EVENTS.items()}}
