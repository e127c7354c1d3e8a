"""Settings: a file, then the environment, then secret files; a mistake is said in one line, with its place and without its secrets."""

from pathlib import Path

import pytest

from canonical.failures import Misconfigured
from gateway.compose import connections_of
from gateway.settings import Settings, load
from gateway.simulated import settings as simulated

FILE = """
data = "/var/lib/q2c"

[http]
port = 8100

[approval]
amount_max = { USD = "100000", EUR = "90000" }
discount_max = { percent = "20" }

[entities.US01]
name = "Northwind Software Inc."
country = "US"
currency = "USD"
bindings = { billing = "stripe-us", payments = "stripe-us" }

[connections.stripe-us]
connector = "stripe"

[connections.stripe-us.settings]
api_key = "sk_test_1"
webhook_secrets = ["whsec_1"]
default_entity = "US01"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(FILE, "utf-8")
    return path


def wrong(path: Path | None, environment: dict[str, str] | None = None) -> str:
    """What is said of settings that are not right."""
    with pytest.raises(Misconfigured) as refused:
        load(path, environment=environment or {})
    return refused.value.detail


def test_without_anything_there_are_embedded_defaults() -> None:
    """No file and no environment: a SQLite file in the data folder, the embedded bus, 127.0.0.1:8000."""
    found = load(None, environment={})
    assert found == Settings()
    assert (found.http.host, found.http.port, found.bus.url) == ("127.0.0.1", 8000, "")
    assert found.store_url == f"sqlite:///{Path('q2c-data/q2c.db').resolve()}"


def test_the_file_is_read(file: Path) -> None:
    """What the file says stands in the tree; what it does not say keeps its default."""
    found = load(file, environment={})
    assert (found.data, found.http.port, found.http.host) == ("/var/lib/q2c", 8100, "127.0.0.1")
    assert (found.approval.amount_max["USD"], found.approval.discount_max.percent, found.approval.margin_min.percent) == (
        "100000",
        "20",
        "40",
    )
    assert found.connections["stripe-us"].settings["webhook_secrets"] == ["whsec_1"]


def test_the_environment_wins_over_the_file(file: Path) -> None:
    """Two underscores go one level down, and values become the type that is wanted."""
    given = {
        "Q2C_HTTP__PORT": "9000",
        "Q2C_STORE__URL": "postgresql://db/q2c",
        "Q2C_CONNECTIONS__STRIPE-US__STRICT": "false",
        "PATH": "/bin",
    }
    found = load(file, environment=given)
    assert (found.http.port, found.store_url, found.connections["stripe-us"].strict) == (9000, "postgresql://db/q2c", False)


def test_the_environment_finds_names_whatever_their_case(file: Path) -> None:
    """An entity that is called US01 in the file is the one that the environment means."""
    found = load(file, environment={"Q2C_ENTITIES__US01__NAME": "Northwind Inc.", "Q2C_ENTITIES__US01__BINDINGS__ERP": "tryton"})
    assert list(found.entities) == ["US01"]
    assert (found.entities["US01"].name, found.entities["US01"].bindings["erp"]) == ("Northwind Inc.", "tryton")


def test_a_secret_comes_from_a_file(file: Path, tmp_path: Path) -> None:
    """A key that ends in `_file` is replaced by the content of that file, without the line end; the file wins over the value."""
    (tmp_path / "key").write_text("sk_live_1\n", "utf-8")
    found = load(file, environment={"Q2C_CONNECTIONS__STRIPE-US__SETTINGS__API_KEY_FILE": str(tmp_path / "key")})
    assert found.connections["stripe-us"].settings["api_key"] == "sk_live_1"
    assert "api_key_file" not in found.connections["stripe-us"].settings


def test_a_base_lies_under_the_file(file: Path) -> None:
    """What is given as a base is overridden by the file, table by table."""
    found = load(file, base=simulated("http://127.0.0.1:8101"), environment={})
    assert found.entities["US01"].bindings == {
        "crm": "salesforce",
        "billing": "stripe-us",
        "payments": "stripe-us",
        "tax": "avalara",
        "psa": "kantata",
        "erp": "netsuite",
    }
    assert set(found.connections) >= {"netsuite", "tryton", "stripe", "stripe-us"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[http]\nprot = 1", "unknown field `prot` - at `$.http`"),
        ("colour = 1", "unknown field `colour`"),
        ('[http]\nport = "many"', "`$.http.port`"),
        ("[entities.US01]\nname = 1", "`$.entities[...]"),
        ('[entities.US01]\nname = "x"\ncountry = "US"\ncurrency = "USD"', "missing required field `bindings`"),
        ('[approval]\namount_max = { USD = "a lot" }', "'a lot' is not a decimal number"),
        ('[approval]\ndiscount_max = { percent = "120" }', "a percentage lies between 0 and 100"),
        ('[connections.x]\nconnector = "stripe"\nretries = 3', "unknown field `retries`"),
        ("[http\nport = 1", "settings.toml: "),
    ],
)
def test_a_mistake_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    """An unknown key, a wrong type, a missing value, a file that is no TOML: one line that names the file and the place."""
    path = tmp_path / "settings.toml"
    path.write_text(text, "utf-8")
    found = wrong(path)
    assert said in found
    assert found.startswith(str(path))
    assert "\n" not in found.removeprefix(str(path)) or "TOML" in found or "line" in found


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    assert "nowhere.toml" in wrong(tmp_path / "nowhere.toml")


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are refused, not guessed."""
    (tmp_path / "settings.toml").write_bytes(b"data = '\xff'")
    assert "settings.toml" in wrong(tmp_path / "settings.toml")


def test_a_secret_that_is_not_there_is_said(file: Path) -> None:
    """The key and the path of a secret that cannot be read are named."""
    said = wrong(file, {"Q2C_TOKENS__ISSUER_FILE": "/nowhere/secret"})
    assert "issuer_file" in said
    assert "/nowhere/secret" in said


def test_the_environment_cannot_go_below_a_value(file: Path) -> None:
    """A variable that treats a value as a table is refused."""
    assert "below" in wrong(file, {"Q2C_HTTP__PORT__X": "1"})


def test_an_unknown_variable_is_an_error(file: Path) -> None:
    """A misspelt variable is said, not passed over."""
    assert "unknown field `prot`" in wrong(file, {"Q2C_HTTP__PROT": "1"})


def test_a_secret_does_not_show_in_an_error(file: Path, tmp_path: Path) -> None:
    """What is wrong beside a secret is said without the secret."""
    (tmp_path / "key").write_text("sk_live_very_secret", "utf-8")
    said = wrong(file, {"Q2C_HTTP__PORT_FILE": str(tmp_path / "key")})
    assert "$.http.port" in said
    assert "very_secret" not in said


# connections ----------------------------------------------------------------------------------------------------------


def test_a_connection_gets_its_card_and_its_users(file: Path) -> None:
    """Each vendor account has its card, its own settings, and the entities that are bound to it."""
    (found,) = connections_of(load(file, environment={}))
    assert (found.name, found.card.name, found.entities, found.strict) == ("stripe-us", "stripe", ("US01",), True)
    assert getattr(found.settings, "api_key", "") == "sk_test_1"


def test_an_unknown_connector_is_said_with_those_that_there_are(file: Path) -> None:
    """A connection to a system that nobody knows is refused with the roster."""
    settings = load(file, environment={"Q2C_CONNECTIONS__STRIPE-US__CONNECTOR": "stirpe"})
    with pytest.raises(Misconfigured, match=r"connections\.stripe-us: no connector is called 'stirpe'; there are salesforce, netsuite"):
        connections_of(settings)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("API_KEYS", "x", "unknown field `api_keys`"), ("DEADLINE_S", "soon", "`$.deadline_s`")],
)
def test_a_connections_own_settings_are_checked(file: Path, key: str, value: str, said: str) -> None:
    """A key that the connector does not know, or a wrong type, is said with the name of the connection."""
    settings = load(file, environment={f"Q2C_CONNECTIONS__STRIPE-US__SETTINGS__{key}": value})
    with pytest.raises(Misconfigured) as refused:
        connections_of(settings)
    assert refused.value.detail.startswith("connections.stripe-us.settings: ")
    assert said in refused.value.detail
    assert "sk_test_1" not in refused.value.detail


@pytest.mark.parametrize(
    ("name", "value"), [("SETTLES_IN_S", "-1"), ("SETTLES_IN_S", "nan"), ("POLL_EVERY_S", "-1"), ("POLL_EVERY_S", "inf")]
)
def test_a_span_of_time_is_a_number_that_can_be_waited(file: Path, name: str, value: str) -> None:
    """Negative, infinite and undefined seconds are refused when the settings are read."""
    assert "connections" in wrong(file, {f"Q2C_CONNECTIONS__STRIPE-US__{name}": value})
