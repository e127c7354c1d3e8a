"""The way to a Tryton database: JSON-RPC calls with a session, and the books of one company as the operations use them."""

import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from canonical.failures import Broken, Misconfigured, OutcomeUnknown
from runtime.http.client import HttpClient, Response
from system_apis.tryton.failures import FAILURES
from system_apis.tryton.session import Session
from system_apis.tryton.settings import TrytonSettings
from system_apis.tryton.wire import asked, lift, pack

Shape = TypeVar("Shape", bound=msgspec.Struct)
Domain = Sequence[Any]
# A search leaves inactive records out unless its domain speaks of them; an OR in it does so again, whatever stands beside it.
EITHER = ["active", "in", [True, False]]


class _Answer(msgspec.Struct):
    result: Any = msgspec.UNSET
    error: list[object] | None = None


_READER = msgspec.json.Decoder(_Answer, float_hook=Decimal)


def _unreadable(why: str, answer: Response, *, writes: bool) -> OutcomeUnknown | Broken:
    word = OutcomeUnknown if writes else Broken
    return word("unreadable_answer", f"the answer is not JSON-RPC: {why}", raw=answer.text)


class TrytonClient:
    """One connection to one database."""

    def __init__(self, settings: TrytonSettings) -> None:
        self._settings = settings
        self._session = Session(settings)
        self._http = HttpClient(settings.rpc_url, failures=FAILURES, auth=self._session, deadline_s=settings.deadline_s)
        self._ids = itertools.count(1)
        self._known: dict[tuple[str, str], Any] = {}

    def books(self, entity: str) -> "Books":
        """The books of the company that stands for an entity. A single company also serves calls that name no entity."""
        companies = self._settings.companies
        company = companies.get(entity) or (next(iter(companies.values())) if not entity and len(companies) == 1 else None)
        if company is None:
            raise Misconfigured("entity_without_company", f"no Tryton company is set for entity {entity!r}")
        return Books(self, company, self._known)

    async def rpc(self, method: str, params: Sequence[Any], *, writes: bool) -> Any:
        """Call a method. An answer that cannot be read leaves a write unknown; of a read it is `Broken`."""
        question = {"id": next(self._ids), "method": method, "params": pack(params)}
        try:
            answer = await self._http.send("POST", "/", json=question, writes=writes)
        except Misconfigured as refused:
            if refused.code != "forbidden":
                raise
            await self._session.renew()  # servers before 8.0 end a session with 403
            answer = await self._http.send("POST", "/", json=question, writes=writes)
        return self._result(answer, writes=writes)

    @staticmethod
    def _result(answer: Response, *, writes: bool) -> Any:
        try:
            said = _READER.decode(answer.body)
            result = lift(said.result)
        except (msgspec.DecodeError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            raise _unreadable(str(error), answer, writes=writes) from error
        if said.error is not None:
            raise FAILURES.failure(answer.status, answer.headers, answer.body, writes=writes, retry_after_s=None)
        if result is msgspec.UNSET:
            raise _unreadable("neither a result nor an error", answer, writes=writes)
        return result

    async def aclose(self) -> None:
        """Close the kept connections."""
        await self._http.aclose()
        await self._session.aclose()


class Books:
    """The models of one company; every call carries it in the context, with the language in which refusals are read."""

    def __init__(self, client: TrytonClient, company: int, known: dict[tuple[str, str], Any]) -> None:
        self._client = client
        self._known = known
        self.company = company

    def _context(self, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {"company": self.company, "language": "en", **(more or {})}

    async def rows(
        self,
        model: str,
        domain: Domain,
        shape: type[Shape],
        *,
        limit: int = 1000,
        order: Sequence[Sequence[str]] = (("id", "ASC"),),
        context: Mapping[str, Any] | None = None,
    ) -> list[Shape]:
        """The records that a domain finds, as the shape has them. Raises `Broken` where they do not fit it."""
        params = [domain, 0, limit, order, list(asked(shape)), self._context(context)]
        found = await self._client.rpc(f"model.{model}.search_read", params, writes=False)
        try:
            return msgspec.convert(found, list[shape], strict=False)  # type: ignore[valid-type]
        except msgspec.ValidationError as error:
            raise Broken("unreadable_answer", f"{model}: {error}", raw=str(found)) from error

    async def lookup(self, model: str, domain: Domain, shape: type[Shape]) -> Shape | None:
        """One record of the set-up (a currency, a payment term); what was found once is remembered for the life of the client."""
        key = (model, f"{self.company} {domain}")
        if key not in self._known:
            found = await self.rows(model, domain, shape, limit=1)
            if not found:
                return None
            self._known[key] = found[0]
        known: Shape = self._known[key]
        return known

    async def create(self, model: str, values: Mapping[str, Any]) -> int:
        """Make one record and give its id."""
        made = await self._client.rpc(f"model.{model}.create", [[values], self._context()], writes=True)
        if not (isinstance(made, list) and made and isinstance(made[0], int)):
            raise OutcomeUnknown("unreadable_answer", f"creating {model} gave no id", raw=str(made))
        return made[0]

    async def write(self, model: str, ids: Sequence[int], values: Mapping[str, Any]) -> None:
        """Change records."""
        await self._client.rpc(f"model.{model}.write", [list(ids), values, self._context()], writes=True)

    async def press(self, model: str, button: str, ids: Sequence[int]) -> None:
        """Press a button on records (or ``delete`` them): all of them in one transaction."""
        await self._client.rpc(f"model.{model}.{button}", [list(ids), self._context()], writes=True)

    async def wizard(self, name: str, step: str, params: Sequence[Any], *, on: tuple[str, int], writes: bool) -> Any:
        """One call of a wizard that was opened on a record."""
        model, record_id = on
        context = self._context({"active_model": model, "active_id": record_id, "active_ids": [record_id]})
        return await self._client.rpc(f"wizard.{name}.{step}", [*params, context], writes=writes)
