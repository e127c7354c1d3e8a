"""The AsyncAPI document: it is what the code does, and every reference in it leads somewhere."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from canonical.messages import message_types
from gateway.asyncapi import asyncapi, text
from gateway.context import Where
from runtime.bus.parcel import CLOUD_EVENTS, Parcel
from tests.contracts.stores import letter

CHECKED_IN = Path(__file__).parents[2] / "docs" / "asyncapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as it is made now."""
    return asyncapi(Where().load())


def test_the_checked_in_document_is_up_to_date() -> None:
    """docs/asyncapi.json is what ``q2c asyncapi`` prints (ME1)."""
    assert CHECKED_IN.read_text("utf-8") == text(Where().load()), "make it anew: q2c asyncapi --out docs/asyncapi.json"


def references(part: Any) -> list[str]:
    """Every reference in the document."""
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [ref for value in part.values() for ref in references(value)]
    return [ref for value in part for ref in references(value)] if isinstance(part, list) else []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Each ``$ref`` names something in the same document."""
    found = references(document)
    assert len(found) > 100
    for reference in found:
        place: Any = document
        for word in reference.removeprefix("#/").split("/"):
            place = place[word]


def test_the_form_is_that_of_asyncapi_3(document: dict[str, Any]) -> None:
    """The document has the parts that AsyncAPI 3 asks for, and no others at its top."""
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(document["info"])
    assert set(document) == {"asyncapi", "info", "defaultContentType", "servers", "channels", "operations", "components"}
    assert all({"address", "messages"} <= set(channel) for channel in document["channels"].values())
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation.get("messages", []))


def test_every_message_is_one_of_ours(document: dict[str, Any]) -> None:
    """Each message of the document is a declared class, with its body among the schemas."""
    known = message_types()
    for name, message in document["components"]["messages"].items():
        assert name in known
        assert known[name].__name__ in document["components"]["schemas"], message["name"]


def test_a_published_message_bears_the_attributes() -> None:
    """What goes to the broker bears the attributes that the document promises, and keeps them when it is laid elsewhere."""
    sent = Parcel.of(letter("m-1"))
    headers = sent.headers()
    assert set(CLOUD_EVENTS) <= set(headers)
    assert (headers["cloudEvents:specversion"], headers["cloudEvents:id"], headers["cloudEvents:type"]) == ("1.0", "m-1", sent.type)
    again = Parcel.found(sent.body, message_id=sent.id, wire_type=sent.type, correlation_id=sent.correlation_id, headers=headers)
    assert again.headers() == headers


def test_nothing_of_the_body_is_outside() -> None:
    """The attributes hold ids, types and times, and nothing of what the message says."""
    one = letter("m-1")
    said = {name.removeprefix("cloudEvents:") for name in Parcel.of(one).headers() if name.startswith("cloudEvents:")}
    assert said == {"specversion", "id", "source", "type", "time", "correlationid"}
    assert msgspec.json.decode(one.body) is not None
