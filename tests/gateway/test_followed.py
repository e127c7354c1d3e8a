"""A whole gateway with its simulated vendors in this process, from quote to cash: what its spans, numbers and log lines tell."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog.testing
from prometheus_client.parser import text_string_to_metric_families

from gateway.compose import Gateway
from gateway.running import development_token, migrate_store
from gateway.settings import Settings, TelemetrySettings, load
from gateway.simulated import SIMULATORS, settings
from runtime import telemetry
from system_apis.simulation import Simulation
from tests.integration.deals import ACME, DAYS_USD, DEVICES_USD, PLAN_USD, order, order_id, quote, signed
from tests.integration.doors import Door
from tests.runtime.collector import Collector
from tests.system_apis.harness import served

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
ACCOUNTS = {simulator.name for simulator in SIMULATORS}


class World(msgspec.Struct, frozen=True):
    """The gateway and its vendors."""

    url: str
    vendors: Mapping[str, str]
    token: str
    door: Door

    async def do(self, vendor: str, what: str, **said: str) -> dict[str, str]:
        """Have somebody do something at a vendor."""
        async with httpx.AsyncClient() as person:
            answer = await person.post(f"{self.vendors[vendor]}/_sim/do/{what}", json=said)
        assert answer.status_code < 300, answer.text
        found: dict[str, str] = answer.json()
        return found


@contextlib.asynccontextmanager
async def running(folder: Path, **wanted: str | float) -> AsyncIterator[World]:
    """A gateway that works, until the end of the block."""
    async with contextlib.AsyncExitStack() as stack:
        tree, vendors = settings("http://127.0.0.1:1", poll_every_s=0.2), {}
        simulations = {simulator.name: Simulation(simulator.name) for simulator in SIMULATORS}
        for simulator in SIMULATORS:
            vendors[simulator.name] = await stack.enter_async_context(served(simulator.build(simulations[simulator.name])))
            tree["connections"][simulator.name]["settings"] = msgspec.to_builtins(simulator.simulated(vendors[simulator.name]))
        base = load(None, base={**tree, "data": str(folder)}, environment={})
        found: Settings = msgspec.structs.replace(base, telemetry=msgspec.convert(wanted, TelemetrySettings))
        await migrate_store(found)
        gateway = Gateway(found)
        await gateway.start(works=True)
        stack.push_async_callback(gateway.stop)
        url = await stack.enter_async_context(served(gateway.app()))
        simulations["stripe"].webhook_url = f"{url}/webhooks/stripe"
        token = development_token(found, "tester", "", 1)
        yield World(url, vendors, token, await stack.enter_async_context(Door(url, token)))


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What was told of a deal that went from quote to cash, and of some requests besides."""

    collector: Collector
    lines: list[Any]
    before: dict[tuple[str, frozenset[tuple[str, str]]], float]
    after: dict[tuple[str, frozenset[tuple[str, str]]], float]
    order: str
    secrets: tuple[str, ...]

    def counted(self, name: str, **labels: str) -> float:
        """By how much a number has grown."""
        key = (name, frozenset(labels.items()))
        return self.after.get(key, 0.0) - self.before.get(key, 0.0)

    def events(self, event: str, **fields: Any) -> list[Any]:
        """The log lines of an event that say this."""
        return [line for line in self.lines if line["event"] == event and fields.items() <= line.items()]


async def numbers(url: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What Prometheus would read."""
    async with httpx.AsyncClient() as prometheus:
        text = (await prometheus.get(f"{url}/metrics")).text
    families = [family for family in text_string_to_metric_families(text) if family.name.startswith("q2c_")]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for family in families for sample in family.samples}


async def strange_requests(world: World) -> None:
    """Requests that no route serves, and one that comes with a trace."""
    async with httpx.AsyncClient(base_url=world.url) as stranger:
        for number in range(10):
            assert (await stranger.get(f"/nowhere/{number}")).status_code == 404
        await stranger.request("PROPFIND", "/health/live")
        await stranger.get("/health/live", headers={"traceparent": f"00-{CALLER}-00f067aa0ba902b7-00"})


async def quote_to_cash(folder: Path, collector: Collector) -> Told:
    """Let a deal go all the way, and stop the gateway."""
    sold = quote("US01", ACME, PLAN_USD, DAYS_USD, DEVICES_USD)
    with structlog.testing.capture_logs() as lines:
        async with served(collector) as url, running(folder, otlp_url=url) as world:
            before = await numbers(world.url)
            await world.door.post("/process/v1/quotes", signed(sold), key="k-secret-1", correlation_id="q2c-deal")
            await world.door.until("q2c-deal", {"booked"})
            invoice = await world.do("netsuite", "post_invoice", order_id=order_id(sold))
            await world.door.until("q2c-deal", {"invoiced"})
            paid = {"amount": invoice["total"], "currency": "USD", "invoice": invoice["number"]}
            await world.do("stripe", "pay", **paid, payer=ACME.legal_name, entity="US01")
            await world.door.until("q2c-deal", {"paid", "cash_applied"})
            await strange_requests(world)
            after = await numbers(world.url)
            secrets = (world.token, "k-secret-1", "Acme", "ap@acme", "sk_test", "Bearer", "Market Street", "45.00")
    return Told(collector=collector, lines=lines, before=before, after=after, order=order_id(sold), secrets=secrets)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    with pytest.MonkeyPatch.context() as patience:  # on a busy machine no span shall be given up
        patience.setattr(telemetry, "EXPORT_WITHIN_S", 30.0)
        patience.setattr(telemetry, "STOP_WITHIN_S", 60.0)
        return asyncio.run(quote_to_cash(tmp_path_factory.mktemp("gateway"), Collector()))


@pytest.fixture(autouse=True)
def silent_afterwards() -> Iterator[None]:
    """Nobody records when a test has ended, and nobody goes on trying to tell."""
    yield
    assert not telemetry.active()
    exporting = [thread for thread in threading.enumerate() if thread.name.startswith("OtelBatch")]
    for thread in exporting:
        thread.join(10)
    assert [thread for thread in exporting if thread.is_alive()] == []


def test_no_span_is_an_orphan(told: Told) -> None:
    """Each parent and each target of a link was recorded, too; the collector knows who tells (O1)."""
    assert len(told.collector.spans) > 80
    callers = "00f067aa0ba902b7"
    assert [span for span in told.collector.orphans() if span.parent != callers] == []
    assert told.collector.resource["service.name"] == "q2c-gateway"


def test_every_span_carries_the_correlation_id(told: Told) -> None:
    """Whatever the gateway does is recorded under a correlation id; only the simulated vendor's own push has none."""
    without = {(span.kind, span.name) for span in told.collector.spans if not span.correlation_id}
    assert without == {("CLIENT", "POST 127.0.0.1")}


def test_a_request_that_books_an_order_is_one_chain(told: Told) -> None:
    """Request, message, process, step and vendor call hang together: children within a process, links from message to message."""
    by_id = {span.id: span for span in told.collector.spans}
    request = told.collector.named("POST /process/v1/quotes")
    assert (request.kind, request.parent, request.correlation_id) == ("SERVER", "", "q2c-deal")
    started = told.collector.named("process process.order_booking")
    assert (started.kind, started.parent, started.attributes["q2c.message_type"]) == ("CONSUMER", "", "process.BookOrder")
    [sent] = [by_id[link] for link in started.links]
    assert (sent.kind, sent.name, by_id[sent.parent].name) == ("PRODUCER", "send process.order_booking", "quote_approval/book_order")
    steps = [span for span in told.collector.spans if span.name.startswith("order_booking/")]
    assert {span.parent for span in steps} == {started.id}
    booking = told.collector.named("order_booking/book_in_erp")
    assert booking.attributes["q2c.step_key"] == f"order_booking/{told.order}/book_in_erp"
    assert (booking.attributes["q2c.entity"], booking.attributes["q2c.connection"]) == ("US01", "netsuite")
    calls = {span.name for span in told.collector.spans if span.parent == booking.id and span.kind == "CLIENT"}
    assert calls == {"GET netsuite", "PUT netsuite"}
    ours = {span.id for span in told.collector.spans if span.correlation_id == "q2c-deal" and not span.name.startswith("GET /")}
    assert ours <= told.collector.chain(request)


def test_quote_to_cash_is_one_chain(told: Told) -> None:
    """Invoice and payment come in at doors of their own, in traces of their own, and are linked to the order that they belong to (O1)."""
    chain = told.collector.chain(told.collector.named("POST /process/v1/quotes"))
    names = {span.name for span in told.collector.spans if span.id in chain}
    expected = {
        "quote_validation/customer",
        "quote_approval/book_order",
        "order_booking/open_billing",
        "poll netsuite/posted_invoices",
        "invoicing/show_in_crm",
        "POST /webhooks/{connection}",
        "process system.inbox",
        "cash_application/apply_in_erp",
        "cash_application/show_in_crm",
    }
    assert expected <= names, sorted(names)


def test_a_span_tells_no_payload_and_no_secret(told: Told) -> None:
    """Nothing of what was sold, of who bought it, and of how anybody proves who he is leaves the gateway with the spans."""
    assert len(told.collector.bytes) > 10_000
    assert [secret for secret in told.secrets if secret.encode() in told.collector.bytes] == []


def test_the_callers_trace_is_gone_on_with(told: Told) -> None:
    """A request that comes with a trace is recorded within it, also when the caller does not record his part."""
    [span] = [span for span in told.collector.spans if span.trace == CALLER]
    assert (span.name, span.parent) == ("GET /health/live", "00f067aa0ba902b7")


def test_what_happened_is_counted(told: Told) -> None:
    """Requests, steps, instances, vendor calls, messages, webhooks and commits are counted by name."""
    post = {"route": "/process/v1/quotes", "method": "POST"}
    assert told.counted("q2c_http_requests_total", **post, status="202") == 1
    assert told.counted("q2c_http_request_seconds_count", **post) == 1
    assert told.counted("q2c_process_steps_total", process="order_booking", step="book_in_erp", outcome="done") == 1
    assert told.counted("q2c_process_step_seconds_count", process="order_booking", step="book_in_erp") == 1
    assert told.counted("q2c_process_steps_total", process="cash_application", step="show_in_crm", outcome="done") == 1
    assert told.counted("q2c_process_instances_total", process="cash_application", status="done") == 1
    assert told.counted("q2c_vendor_calls_total", connection="stripe", outcome="done") >= 1
    assert told.counted("q2c_messages_total", queue="process.order_booking", outcome="handled") == 1
    assert told.counted("q2c_webhooks_total", connection="stripe", outcome="kept") >= 1
    assert told.counted("q2c_commit_units_count") > 5


def test_labels_are_names_and_not_ids(told: Told) -> None:
    """What callers and vendors make up never becomes a label: unknown paths are one route, unknown methods one method."""
    assert told.counted("q2c_http_requests_total", route="unmatched", method="GET", status="404") == 10
    assert told.counted("q2c_http_requests_total", route="unmatched", method="other", status="405") == 1
    ours = [key for key, number in told.after.items() if number != told.before.get(key)]  # other tests of this process have theirs
    values = {(name, value) for _, labels in ours for name, value in labels}
    bounded = {"method", "outcome", "status", "process", "step", "queue", "connection", "le", "route"}
    assert {name for name, _ in values} == bounded
    assert {value for name, value in values if name == "connection"} <= {*ACCOUNTS, "bank"}
    ids = (told.order, "q2c-", "INV-", "pi_", "nowhere")
    assert [value for _, value in values if any(part in value for part in ids)] == []


def test_each_finished_request_and_instance_is_a_line(told: Told) -> None:
    """One line for each finished request, with its route and status, and one for each finished instance."""
    [line] = told.events("request_finished", method="POST", route="/process/v1/quotes")
    assert (line["log_level"], line["status"], line["ms"] > 0) == ("info", 202, True)
    assert len(told.events("request_finished", route="unmatched", status=404)) == 10
    [finished] = told.events("instance_finished", instance=f"order_booking/{told.order}")
    assert (finished["log_level"], finished["status"], finished["correlation_id"]) == ("info", "done", "q2c-deal")


async def test_a_collector_that_never_answers_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a collector that takes the connection and says nothing, an order is booked and the gateway stops in order."""
    monkeypatch.setattr(telemetry, "STOP_WITHIN_S", 0.2)
    monkeypatch.setattr(telemetry, "EXPORT_WITHIN_S", 0.5)
    sold = quote("US01", ACME, PLAN_USD)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        async with running(tmp_path, otlp_url=f"http://127.0.0.1:{mute.getsockname()[1]}") as world:
            assert telemetry.active()
            answer = await world.door.post("/process/v1/orders", order(sold), key="k-1", correlation_id="q2c-mute")
            assert answer.status == 202
            await world.door.until("q2c-mute", {"booked"})
