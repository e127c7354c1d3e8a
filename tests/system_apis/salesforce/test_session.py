"""Logging in: by client secret, by signed assertion, and again when the session is over."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from canonical.customer import FindCustomer
from canonical.failures import Misconfigured, Unavailable
from runtime.clock import SetClock
from system_apis.salesforce.client import SalesforceClient
from system_apis.salesforce.connector import SALESFORCE
from system_apis.salesforce.session import assertion
from system_apis.salesforce.settings import SalesforceSettings
from system_apis.simulation import Simulation
from tests.system_apis.harness import Bench
from tests.system_apis.salesforce.conftest import Do, Plan, booked

ACME = FindCustomer(customer_id="C-ACME")


@pytest.fixture(scope="module")
def key_pair() -> tuple[str, str]:
    """A fresh RSA key in PEM form: private, public."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.fixture
def by_assertion(base_url: str, key_pair: tuple[str, str]) -> SalesforceSettings:
    """Settings for the JWT bearer flow against the simulated org."""
    return SalesforceSettings(
        base_url=base_url, login_url=base_url, client_id="3MVG9-app", username="robot@northwind.example", private_key=key_pair[0]
    )


@pytest.fixture
async def app(do: Do, key_pair: tuple[str, str]) -> dict[str, Any]:
    """The org knows the connected app and its public key."""
    return await do("register_connected_app", client_id="3MVG9-app", username="robot@northwind.example", public_key=key_pair[1])


@pytest.fixture
async def jwt_bench(by_assertion: SalesforceSettings, app: dict[str, Any], clock: SetClock) -> AsyncIterator[Bench]:
    """A connection that logs in with signed assertions, at the time of the test's clock."""
    bench = Bench(SALESFORCE, by_assertion)
    bench.client = SalesforceClient(by_assertion, clock)
    yield bench
    await bench.aclose()


def sessions(simulation: Simulation) -> int:
    """How often somebody has logged in."""
    return len(simulation.all("sessions"))


def test_the_assertion_says_who_for_whom_and_for_how_long(by_assertion: SalesforceSettings, key_pair: tuple[str, str]) -> None:
    """RS256, issuer the app, subject the user, audience the login host, three minutes at most."""
    now = dt.datetime.now(dt.UTC)
    token = assertion(msgspec.structs.replace(by_assertion, login_url="https://login.salesforce.com"), key_pair[0], now)
    claims = jwt.decode(token, key_pair[1], algorithms=["RS256"], audience="https://login.salesforce.com")
    assert (claims["iss"], claims["sub"], claims["exp"]) == ("3MVG9-app", "robot@northwind.example", int(now.timestamp()) + 180)
    assert jwt.get_unverified_header(token)["alg"] == "RS256"


async def test_a_signed_assertion_opens_a_session(jwt_bench: Bench, simulation: Simulation) -> None:
    """The JWT bearer flow works end to end, and one session serves many requests."""
    assert (await jwt_bench.ask(ACME)).customer.id == "C-ACME"
    await jwt_bench.ask(booked())
    assert sessions(simulation) == 1


async def test_the_key_may_be_a_file(by_assertion: SalesforceSettings, app: dict[str, Any], clock: SetClock, tmp_path: Path) -> None:
    """private_key takes the path of a PEM file as well as its text."""
    file = tmp_path / "app.pem"
    file.write_text(by_assertion.private_key)
    bench = Bench(SALESFORCE, by_assertion)
    bench.client = SalesforceClient(msgspec.structs.replace(by_assertion, private_key=str(file)), clock)
    assert (await bench.ask(ACME)).customer.id == "C-ACME"
    await bench.aclose()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"client_id": "somebody-else"}, "login_refused"),
        ({"username": "mallory@northwind.example"}, "login_refused"),
        ({"audience": "https://evil.example"}, "login_refused"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----"}, "private_key_unreadable"),
        ({"private_key": "/no/such/file.pem"}, "private_key_unreadable"),
    ],
)
async def test_a_wrong_assertion_is_a_matter_for_a_person(
    by_assertion: SalesforceSettings, app: dict[str, Any], clock: SetClock, change: dict[str, str], code: str
) -> None:
    """A wrong app, user, audience or key is `Misconfigured`."""
    bench = Bench(SALESFORCE, by_assertion)
    bench.client = SalesforceClient(msgspec.structs.replace(by_assertion, **change), clock)
    with pytest.raises(Misconfigured) as failed:
        await bench.ask(ACME)
    await bench.aclose()
    assert failed.value.code == code


async def test_a_key_that_is_not_the_apps_and_an_old_assertion_are_refused(
    by_assertion: SalesforceSettings, app: dict[str, Any], simulation: Simulation
) -> None:
    """The org verifies signature and time: another key, or a clock that is an hour slow, gets no session."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    slow = SetClock(simulation.clock.now() - dt.timedelta(hours=1))
    for client in (
        SalesforceClient(msgspec.structs.replace(by_assertion, private_key=pem), SetClock(simulation.clock.now())),
        SalesforceClient(by_assertion, slow),
    ):
        with pytest.raises(Misconfigured, match="login_refused"):
            await client.holds("Account/001000000000001AAA", {})
        await client.aclose()
    assert sessions(simulation) == 0


async def test_a_wrong_secret_is_a_matter_for_a_person(bench: Bench) -> None:
    """Client credentials that the org does not know are `Misconfigured`."""
    wrong = Bench(bench.card, msgspec.structs.replace(bench.settings, client_secret="guessed"))
    with pytest.raises(Misconfigured, match="login_refused"):
        await wrong.ask(ACME)
    await wrong.aclose()


async def test_a_session_that_is_over_is_renewed_once(bench: Bench, simulation: Simulation, clock: SetClock, do: Do) -> None:
    """After 401 INVALID_SESSION_ID the request is sent again with a new token, reads and writes alike (V14)."""
    await bench.ask(ACME)
    await do("expire_sessions")
    assert (await bench.ask(ACME)).customer.id == "C-ACME"
    clock.move(2 * 3600 + 1)
    await bench.ask(booked())
    assert (sessions(simulation), len(simulation.ledger)) == (3, 1)


async def test_many_requests_renew_a_session_together(bench: Bench, simulation: Simulation, do: Do) -> None:
    """Twenty requests at once log in once, and when their session is over they renew it once (V14)."""
    asked = [bench.ask(FindCustomer(customer_id="C-ACME")) for _ in range(20)]
    await asyncio.gather(*asked)
    assert sessions(simulation) == 1
    await do("expire_sessions")
    answers = await asyncio.gather(*(bench.ask(ACME) for _ in range(20)))
    assert {answer.customer.id for answer in answers} == {"C-ACME"}
    assert sessions(simulation) == 2


async def test_a_login_host_in_trouble_means_that_nothing_was_done(bench: Bench, plan: Plan, simulation: Simulation) -> None:
    """A write whose login failed was never sent: `Unavailable`, not unknown."""
    plan("server_error", "oauth2/token")
    with pytest.raises(Unavailable):
        await bench.ask(booked())
    assert simulation.ledger == []
    await bench.ask(booked())


def test_settings_that_cannot_log_in_are_refused() -> None:
    """A flow without what it needs is told at start-up."""
    for values in ({}, {"flow": "client_credentials"}, {"username": "u"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"base_url": "https://x.my.salesforce.com", "client_id": "c", **values}, SalesforceSettings)
