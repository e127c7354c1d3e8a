"""One frozen tree of settings: a TOML file, then the environment, then secret files.

* An environment variable ``Q2C_STORE__URL`` sets ``[store] url``: two underscores go one level down.
* A key that ends in ``_file`` is replaced by the key without it and the content of that file: ``api_key_file = "/run/secrets/stripe"``.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from canonical.failures import Misconfigured
from process_apis.quote_approval.rules import Rules

Seconds = Annotated[float, msgspec.Meta(ge=0, le=7 * 86400)]

PREFIX = "Q2C_"
SECRET_BYTES_MAX = 64 * 1024


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings; a key that nobody knows is an error, not a silence."""


class StoreSettings(Part, frozen=True, kw_only=True):
    """``url``: ``sqlite:///…`` or ``postgresql://…``; empty: a SQLite file in the data folder."""

    url: str = ""


class BusSettings(Part, frozen=True, kw_only=True):
    """``url``: ``amqp://…``; empty: the embedded bus, which lives in the store."""

    url: str = ""


class HttpSettings(Part, frozen=True, kw_only=True):
    """Where to listen."""

    host: str = "127.0.0.1"
    port: int = 8000


class TokenSettings(Part, frozen=True, kw_only=True):
    """Whose tokens are accepted. Empty ``jwks_url``: the development issuer in the data folder (not for production)."""

    issuer: str = ""
    audience: str = "q2c-gateway"
    jwks_url: str = ""


class TelemetrySettings(Part, frozen=True, kw_only=True):
    """``otlp_url``: a collector that takes spans over OTLP/HTTP, e.g. ``http://collector:4318``; empty: no spans are made.
    ``sample_ratio``: the part of all traces that is recorded; a trace is recorded as a whole or not at all. ``metrics_port``: where a
    worker, which serves no other HTTP, shows its metrics; 0: nowhere.
    """

    otlp_url: Annotated[str, msgspec.Meta(pattern="^(https?://.+)?$")] = ""
    sample_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0


class AuditSettings(Part, frozen=True, kw_only=True):
    """``key`` (or ``key_file``): the Ed25519 key in PEM that signs the heads of the audit trail; empty: one in the data folder, made at
    first use. ``sign_every_s``: how often a worker signs the head of a trail that has grown.
    """

    key: str = ""
    sign_every_s: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 60.0


class StopSettings(Part, frozen=True, kw_only=True):
    """``within_s``: seconds that a process has, once it is asked to end, to finish or hand back its work; then it ends as it is. Give it
    less than whatever would kill it (Kubernetes: 30 s).
    """

    within_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = 25.0


class EntitySettings(Part, frozen=True, kw_only=True):
    """A legal entity: its name, country, currency, and which connection it has bound to each port."""

    name: str
    country: str
    currency: str
    bindings: dict[str, str]


class ConnectionSettings(Part, frozen=True, kw_only=True):
    """A vendor account. ``settings`` are the connector's own (see its settings.py); ``strict``: refuse what the vendor would drop.

    ``settles_in_s``: how long this vendor may still be at a write whose answer was lost, where that is known better than on the card.
    """

    connector: str
    settings: dict[str, Any] = {}
    strict: bool = True
    poll_every_s: Seconds = 0.0
    settles_in_s: Seconds | None = None


class Settings(Part, frozen=True, kw_only=True):
    """Everything that can be set. ``data`` is a folder for what this host keeps."""

    data: str = "./q2c-data"
    store: StoreSettings = StoreSettings()
    bus: BusSettings = BusSettings()
    http: HttpSettings = HttpSettings()
    tokens: TokenSettings = TokenSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    audit: AuditSettings = AuditSettings()
    stop: StopSettings = StopSettings()
    approval: Rules = Rules()
    entities: dict[str, EntitySettings] = {}
    connections: dict[str, ConnectionSettings] = {}

    @property
    def folder(self) -> Path:
        return Path(self.data)

    @property
    def store_url(self) -> str:
        return self.store.url or f"sqlite:///{(self.folder / 'q2c.db').resolve()}"


def load(path: Path | None, *, base: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings. Raises `Misconfigured` with the place of the mistake."""
    tree: dict[str, Any] = _merged({}, base or {})
    if path is not None:
        try:
            tree = _merged(tree, tomllib.loads(path.read_text("utf-8")))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Misconfigured("settings_unreadable", f"{path}: {error}") from error
    for name, value in sorted((environment if environment is not None else os.environ).items()):
        if name.startswith(PREFIX) and "__" in name:
            _put(tree, [part.lower() for part in name.removeprefix(PREFIX).split("__")], value)
    try:
        return msgspec.convert(_with_secrets(tree), Settings, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise Misconfigured("settings_invalid", f"{path or 'settings'}: {error}") from error


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(under)
    for key, value in over.items():
        known = both.get(key)
        both[key] = _merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return both


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    """Set a value deep in the tree; names of entities and connections keep the case that they have in the file."""
    *parents, last = path
    for part in parents:
        known = next((key for key in tree if key.lower() == part), part)
        tree = tree.setdefault(known, {})
        if not isinstance(tree, dict):
            raise Misconfigured("settings_invalid", f"the environment sets something below {part}, which is a value")
    tree[next((key for key in tree if key.lower() == last), last)] = value


def _with_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        found = {}
        for key, inner in value.items():
            if key.endswith("_file") and isinstance(inner, str):
                found[key.removesuffix("_file")] = _secret(key, Path(inner))
            else:
                found[key] = _with_secrets(inner)
        return found
    return [_with_secrets(inner) for inner in value] if isinstance(value, list) else value


def _secret(key: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(SECRET_BYTES_MAX).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured("secret_unreadable", f"{key}: {error}") from error
