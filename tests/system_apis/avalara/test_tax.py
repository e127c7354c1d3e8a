"""Estimating, committing and voiding tax at AvaTax, the good way and each bad way."""

from typing import Any

import msgspec
import pytest

from canonical.customer import Address
from canonical.failures import Broken, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from canonical.money import Money
from canonical.tax import CommitTax, EstimateTax, VoidTax
from runtime.clock import SetClock
from system_apis.avalara.simulator import build
from system_apis.simulation import Fault, FaultKind, Simulation
from tests.system_apis.avalara.conftest import ACME, MUSTER, Documents
from tests.system_apis.harness import Bench, served

KEY = "order_booking/ORD-1001/commit_tax"
VOID = VoidTax(code="ORD-1001", entity="US01")


def fault(simulation: Simulation, kind: FaultKind, **options: Any) -> None:
    """Plan a misbehaviour."""
    simulation.faults.append(Fault(kind=kind, **options))


def kinds(simulation: Simulation) -> list[str]:
    """The effects in the books, in order."""
    return [effect.kind for effect in simulation.ledger]


async def test_estimate_is_by_line_half_up_and_leaves_no_trace(bench: Bench, simulation: Simulation, document: Documents) -> None:
    """8.625 % of 0.20 and of 1000.00 is 0.02 and 86.25, their sum is the total, and nothing is recorded."""
    reply = await bench.ask(EstimateTax(document=document("0.20", "1000.00")))
    assert [line.tax.amount for line in reply.lines] == ["0.02", "86.25"]
    assert reply.total == Money("86.27", "USD")
    assert simulation.ledger == []
    assert simulation.all("transactions") == []


async def test_half_a_cent_goes_up(bench: Bench, document: Documents) -> None:
    """8.625 % of 4.00 is 0.345, which is 0.35."""
    assert (await bench.ask(EstimateTax(document=document("4.00")))).total == Money("0.35", "USD")


@pytest.mark.parametrize(
    ("amount", "tax_code", "tax"), [("-100.00", "", "-8.63"), ("0.00", "", "0.00"), ("100.00", "NT", "0.00"), ("100.00", "S", "0.00")]
)
async def test_credits_zeros_and_untaxed_codes(bench: Bench, document: Documents, amount: str, tax_code: str, tax: str) -> None:
    """A negative line has negative tax; nothing, untaxed goods and services in the United States have none."""
    assert (await bench.ask(EstimateTax(document=document((amount, tax_code))))).total.amount == tax


async def test_services_are_taxed_outside_the_united_states(bench: Bench, document: Documents) -> None:
    """German VAT of 19 % is due on a service, and the address to bill stands in where none to ship to is known."""
    reply = await bench.ask(EstimateTax(document=document(("100.00", "S"), customer=MUSTER, currency="EUR")), entity="DE01")
    assert reply.total == Money("19.00", "EUR")


async def test_commit_records_once_under_our_code(bench: Bench, simulation: Simulation, document: Documents) -> None:
    """The same document committed twice is one document with one effect, and carries correlation id and step key."""
    first = await bench.ask(CommitTax(document=document("100.00")), KEY)
    second = await bench.ask(CommitTax(document=document("100.00")), KEY)
    assert first == second
    assert (first.code, first.total, first.tax_ref.connection) == ("ORD-1001", Money("8.63", "USD"), "tax-main")
    assert [(e.kind, e.business_key, e.amount, e.currency) for e in simulation.ledger] == [("tax_document", "ORD-1001", "8.63", "USD")]
    assert simulation.all("transactions")[0]["description"] == f"q2c-test {KEY}"


async def test_an_amended_document_is_adjusted(bench: Bench, simulation: Simulation, document: Documents) -> None:
    """The same code with other lines adjusts the document; `find` does not take the old content for the new."""
    await bench.ask(CommitTax(document=document("100.00")), KEY)
    assert await bench.find(CommitTax(document=document("200.00")), KEY) is None
    assert (await bench.ask(CommitTax(document=document("200.00")), KEY)).total == Money("17.25", "USD")
    assert kinds(simulation) == ["tax_document", "tax_adjustment"]


async def test_a_code_too_long_for_avatax_is_still_one_document(bench: Bench, simulation: Simulation, document: Documents) -> None:
    """A code of 64 characters with a slash is shortened the same way each time, and comes back as ours."""
    code = "ORD/" + "9" * 60
    command = CommitTax(document=document("100.00", code=code))
    reply = await bench.ask(command)
    assert reply.code == code
    assert len(reply.tax_ref.id) == 50
    assert await bench.find(command) == reply
    await bench.ask(VoidTax(code=code, entity="US01"))
    assert [(e.kind, e.business_key) for e in simulation.ledger] == [("tax_document", code), ("tax_void", code)]


async def test_void_twice_is_fine(bench: Bench, simulation: Simulation, document: Documents) -> None:
    """Voiding a void document succeeds, has no second effect, and `find` says that it is done."""
    await bench.ask(CommitTax(document=document()), KEY)
    assert await bench.find(VOID) is None
    assert (await bench.ask(VOID)).code == "ORD-1001"
    assert (await bench.ask(VOID)).code == "ORD-1001"
    assert (await bench.find(VOID)).code == "ORD-1001"
    assert kinds(simulation) == ["tax_document", "tax_void"]


async def test_void_of_what_was_never_recorded_is_done(bench: Bench, simulation: Simulation) -> None:
    """Nothing is there to void, so nothing counts: success, and no effect."""
    assert (await bench.ask(VOID)).code == "ORD-1001"
    assert (await bench.find(VOID)).code == "ORD-1001"
    assert simulation.ledger == []


async def test_after_a_void_the_code_can_be_used_again(bench: Bench, simulation: Simulation, document: Documents) -> None:
    """A void document is not found as committed, and committing again makes a new one."""
    command = CommitTax(document=document())
    await bench.ask(command, KEY)
    await bench.ask(VOID)
    assert await bench.find(command, KEY) is None
    await bench.ask(command, KEY)
    assert kinds(simulation) == ["tax_document", "tax_void", "tax_document"]


@pytest.mark.parametrize("kind", ["timeout_after_write", "server_error_after_write", "malformed"])
async def test_unknown_outcome_is_found(bench: Bench, simulation: Simulation, document: Documents, kind: FaultKind) -> None:
    """The document was recorded although no readable answer came: `find` gives the reply, and there is one effect."""
    command = CommitTax(document=document("100.00"))
    assert await bench.find(command, KEY) is None
    fault(simulation, kind, on="POST")
    with pytest.raises(OutcomeUnknown):
        await bench.ask(command, KEY)
    found = await bench.find(command, KEY)
    assert found == await bench.ask(command, KEY)
    assert kinds(simulation) == ["tax_document"]


@pytest.mark.parametrize("kind", ["timeout_after_write", "server_error_after_write", "malformed"])
async def test_unknown_outcome_of_a_void_is_found(bench: Bench, simulation: Simulation, document: Documents, kind: FaultKind) -> None:
    """The void was done although no readable answer came: `find` says so."""
    await bench.ask(CommitTax(document=document()), KEY)
    fault(simulation, kind, on="void")
    with pytest.raises(OutcomeUnknown):
        await bench.ask(VOID)
    assert (await bench.find(VOID)).code == "ORD-1001"
    assert kinds(simulation) == ["tax_document", "tax_void"]


async def test_server_error_before_the_write(bench: Bench, simulation: Simulation, document: Documents) -> None:
    """A 500 on a write is an unknown outcome, on an estimate merely a reason to ask again; here nothing had happened."""
    fault(simulation, "server_error", times=2)
    with pytest.raises(OutcomeUnknown):
        await bench.ask(CommitTax(document=document()), KEY)
    with pytest.raises(Unavailable):
        await bench.ask(EstimateTax(document=document()))
    assert await bench.find(CommitTax(document=document()), KEY) is None


@pytest.mark.parametrize("retry_after_s", [7.0, None])
async def test_throttled(bench: Bench, simulation: Simulation, document: Documents, retry_after_s: float | None) -> None:
    """A 429 is `Throttled`, with the time to wait where AvaTax gives it."""
    fault(simulation, "throttle", retry_after_s=retry_after_s)
    with pytest.raises(Throttled) as caught:
        await bench.ask(CommitTax(document=document()), KEY)
    assert caught.value.retry_after_s == retry_after_s


async def test_too_slow(bench: Bench, simulation: Simulation, document: Documents, clock: SetClock) -> None:
    """Past the deadline an estimate is unavailable, a commit of unknown outcome."""
    hasty = Bench(bench.card, msgspec.structs.replace(bench.settings, deadline_s=0.1))
    fault(simulation, "slow", delay_s=60.0, times=2)
    with pytest.raises(Unavailable):
        await hasty.ask(EstimateTax(document=document()))
    with pytest.raises(OutcomeUnknown):
        await hasty.ask(CommitTax(document=document()), KEY)
    clock.move(60)
    await hasty.aclose()


async def test_a_malformed_estimate_is_asked_for_again(bench: Bench, simulation: Simulation, document: Documents) -> None:
    """A read that is answered with a web page is `Unavailable`, and keeps the raw payload (V10)."""
    fault(simulation, "malformed")
    with pytest.raises(Unavailable) as caught:
        await bench.ask(EstimateTax(document=document()))
    assert caught.value.code == "unreadable_answer"
    assert "It works!" in caught.value.raw


@pytest.mark.parametrize("field", ["currencyCode", "totalTax", "status", "lines"])
async def test_a_dropped_field_is_noticed(bench: Bench, simulation: Simulation, document: Documents, field: str) -> None:
    """What AvaTax did not keep is seen on its answer, and its payload is kept."""
    fault(simulation, "drop_field", field=field)
    with pytest.raises(Broken) as caught:
        await bench.ask(CommitTax(document=document()), KEY)
    assert caught.value.code == "read_back_differs"
    assert '"code":"ORD-1001"' in caught.value.raw


async def test_closed_period(bench: Bench, simulation: Simulation, document: Documents) -> None:
    """A date in a reported period is rejected with its field named; what was reported as we want it is found, not refused."""
    reported = CommitTax(document=document("100.00"))
    reply = await bench.ask(reported, KEY)
    act = bench.client._http
    await act.send("POST", "/_sim/do/file_return", json={"company": "US01", "until": "2026-01-31"})
    assert await bench.ask(reported, KEY) == reply
    for refused in (CommitTax(document=document("100.00", code="ORD-1002")), CommitTax(document=document("200.00")), VOID):
        with pytest.raises(Rejected) as caught:
            await bench.ask(refused, KEY)
        assert caught.value.code == "closed_period"
    assert kinds(simulation) == ["tax_document"]


async def test_closed_period_on_demand(bench: Bench, simulation: Simulation, document: Documents) -> None:
    """The planned fault speaks the same words, once."""
    fault(simulation, "closed_period")
    with pytest.raises(Rejected) as caught:
        await bench.ask(CommitTax(document=document()), KEY)
    assert (caught.value.code, caught.value.pointer) == ("closed_period", "/document/date")
    assert "locked" in caught.value.detail
    await bench.ask(CommitTax(document=document()), KEY)


async def test_unknown_region(bench: Bench, document: Documents) -> None:
    """A place without a rate is rejected in AvaTax's words, with the address named."""
    nowhere = msgspec.structs.replace(ACME, ship_to=Address(city="Hamilton", region="ZZ", postal_code="00000", country="US"))
    with pytest.raises(Rejected) as caught:
        await bench.ask(EstimateTax(document=document(customer=nowhere)))
    assert (caught.value.code, caught.value.pointer) == ("tax_jurisdiction_unknown", "/document/ship_to")
    assert "Hamilton" in caught.value.detail


async def test_what_avatax_could_not_keep_is_refused_before_it_is_sent(bench: Bench, simulation: Simulation, document: Documents) -> None:
    """No address, an address, item code or number that AvaTax has no room for: rejected with the field, and nothing was sent."""
    fault(simulation, "server_error", times=10)
    street = msgspec.structs.replace(ACME, ship_to=Address(street="Long Avenue " * 20, country="US", region="CA"))
    plain = document("1.00", "2.00")
    twice = msgspec.structs.replace(plain, lines=plain.lines[:1] * 2)
    mixed = msgspec.structs.replace(plain, currency="EUR")
    cases = {
        "/document/ship_to": document(customer=msgspec.structs.replace(ACME, ship_to=None)),
        "/document/ship_to/street": document(customer=street),
        "/document/lines/0/tax_code": document(("1.00", "X" * 26)),
        "/document/lines": twice,
        "/document/lines/0/amount/currency": mixed,
    }
    for pointer, refused in cases.items():
        with pytest.raises(Rejected) as caught:
            await bench.ask(CommitTax(document=refused), entity="US01")
        assert caught.value.pointer == pointer


async def test_an_entity_without_company_is_misconfigured(bench: Bench, document: Documents) -> None:
    """An entity that the settings do not know, or a company that AvaTax does not know, needs whoever runs the connection."""
    with pytest.raises(Misconfigured) as caught:
        await bench.ask(EstimateTax(document=msgspec.structs.replace(document(), entity="FR01")))
    assert caught.value.code == "entity_not_mapped"
    companies = {"US01": msgspec.structs.replace(bench.settings.companies["US01"], code="GONE")}
    bench.settings = msgspec.structs.replace(bench.settings, companies=companies)
    with pytest.raises(Misconfigured) as caught:
        await bench.ask(EstimateTax(document=document()))
    assert caught.value.code == "company_unknown"


async def test_wrong_credentials_are_misconfigured(bench: Bench, document: Documents) -> None:
    """A wrong licence key is nobody's business but the operator's."""
    stranger = Bench(bench.card, msgspec.structs.replace(bench.settings, license_key="wrong"))
    with pytest.raises(Misconfigured) as caught:
        await stranger.ask(EstimateTax(document=document()))
    await stranger.aclose()
    assert caught.value.code == "credentials_refused"


async def test_the_books_survive_a_restart(document: Documents, tmp_path: Any, bench: Bench) -> None:
    """A simulator that starts again on its file knows the document and its amounts."""
    path = tmp_path / "avalara.jsonl"
    command = CommitTax(document=document("0.20", "1000.00"))
    replies = []
    for _ in range(2):
        async with served(build(Simulation("avalara", path=path))) as base_url:
            again = Bench(bench.card, msgspec.structs.replace(bench.settings, base_url=base_url))
            replies.append(await again.find(command, KEY) or await again.ask(command, KEY))
            await again.aclose()
    assert replies[0] == replies[1]
    assert [e.kind for e in Simulation("avalara", path=path).ledger] == ["tax_document"]
