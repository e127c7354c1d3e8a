"""The doors at which the integration tests knock: the gateway's HTTP routes, and the books of the simulated vendors."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from process_apis.transactions import TransactionView
from system_apis.simulation import Effect

WITHIN_S = 60.0
LOOK_EVERY_S = 0.1


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    body: Any
    headers: httpx.Headers


class Door:
    """A program outside that talks to one address of the gateway."""

    def __init__(self, url: str, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=30.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.aclose()

    async def get(self, path: str, **query: str) -> Answer:
        return _answer(await self._client.get(path, params=query))

    async def post(
        self, path: str, body: Any, *, key: str = "", correlation_id: str = "", content_type: str = "application/json"
    ) -> Answer:
        """Bytes are sent as they are, everything else as JSON."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = {"Content-Type": content_type, "Idempotency-Key": key, "X-Correlation-Id": correlation_id}
        return _answer(await self._client.post(path, content=content, headers={name: value for name, value in headers.items() if value}))

    async def persist(self, path: str, body: Any, *, key: str, correlation_id: str = "") -> Answer:
        """Post under one key until there is an answer that is not "later": the gateway may be away just now."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    answer = await self.post(path, body, key=key, correlation_id=correlation_id)
                    if answer.status < 500 and answer.status not in {409, 429}:
                        return answer
                except httpx.TransportError:
                    pass
                await asyncio.sleep(LOOK_EVERY_S)

    async def transaction(self, correlation_id: str) -> TransactionView | None:
        """The whole chain as it is now; None where the gateway is away, or knows nothing."""
        try:
            answer = await self.get(f"/process/v1/transactions/{correlation_id}")
        except httpx.TransportError:
            return None
        return msgspec.convert(answer.body, TransactionView) if answer.status == 200 else None

    async def takes_work(self) -> bool:
        """Whether the gateway says that it is ready."""
        return (await self.get("/health/ready")).status == 200

    async def until(self, correlation_id: str, stages: Iterable[str]) -> TransactionView:
        """The transaction as soon as it has come to one of these stages; else the failure tells its story."""
        wanted, seen = set(stages), TransactionView(correlation_id=correlation_id, stage="unknown")
        try:
            async with asyncio.timeout(WITHIN_S):
                while seen.stage not in wanted:
                    await asyncio.sleep(LOOK_EVERY_S)
                    seen = await self.transaction(correlation_id) or seen
        except TimeoutError:
            raise AssertionError(f"{correlation_id} is {seen.stage}, not {' or '.join(sorted(wanted))}\n{seen.story}") from None
        return seen


def _answer(response: httpx.Response) -> Answer:
    is_json = "json" in response.headers.get("content-type", "")
    return Answer(response.status_code, msgspec.json.decode(response.content) if is_json else response.content, response.headers)


async def until(holds: Callable[[], Awaitable[bool]], what: str, *, every_s: float = LOOK_EVERY_S) -> None:
    """Returns when it holds: nobody tells us when."""
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                if await holds():
                    return
                await asyncio.sleep(every_s)
    except TimeoutError:
        raise AssertionError(f"it did not come to this: {what}") from None


def kept(ledger: Iterable[Effect]) -> Counter[tuple[str, str]]:
    """How often a vendor's books have an effect, by kind and business key."""
    return Counter((effect.kind, effect.business_key) for effect in ledger)
