"""Who said so, and how a thing is known elsewhere."""

from typing import Annotated

import msgspec

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$(?!\n)", description="our own id")]
Text = Annotated[str, msgspec.Meta(max_length=500, pattern=r"^[^\x00]*$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1 alpha-2 code")]
Date = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)", description="calendar date, YYYY-MM-DD")]


class ExternalId(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record as one connection knows it. ``number`` is what people see there (SO-1042), ``id`` what its API wants."""

    connection: str
    kind: str
    id: str
    number: str = ""

    def __str__(self) -> str:
        return f"{self.connection}:{self.kind}/{self.number or self.id}"


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a record came from: source system, connection, mapping version, correlation id, and when it was seen (UTC, ISO 8601)."""

    source_system: str
    connection: str
    mapping_version: str = "1"
    correlation_id: str = ""
    observed_at: str = ""
