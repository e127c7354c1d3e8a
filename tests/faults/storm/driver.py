"""The driver: writes down each request before it sends it, asks again until there is a final answer, and writes that down, too.

It knows the gateway by its HTTP interface alone. What it has written is one half of what the oracle believes.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.faults.storm.vendor import REFUSED_PLAN

CUSTOMERS = 150
TIMEOUT_S = 15.0
TWICE, AGAIN_LATER, REFUSED, WITHOUT_PLAN, WITHOUT_SERVICE = 0.10, 0.03, 0.05, 0.3, 0.5
CURRENCIES = {"US01": ("USD", 2), "DE01": ("EUR", 2), "JP01": ("JPY", 0)}
BACKLOG_MAX = 120
# A twin of the request is at work at this moment: the answer is to ask again.
NOT_FINAL = (b"problem:idempotency-key-in-flight", b"problem:conflict")


def money(minor: int, currency: str, digits: int) -> dict[str, str]:
    """An amount of so many minor units."""
    text = str(minor) if not digits else f"{minor // 10**digits}.{minor % 10**digits:0{digits}d}"
    return {"amount": text, "currency": currency}


class Orders:
    """Makes orders out of a seed; each knows what it has to leave in whose books."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._random = random.Random(seed)
        self._count = 0

    def next(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The body of a request, and what is expected of it: the line of the driver's log."""
        chance, self._count = self._random, self._count + 1
        entity = chance.choice(sorted(CURRENCIES))
        currency, digits = CURRENCIES[entity]
        refused = chance.random() < REFUSED
        plan = refused or chance.random() >= WITHOUT_PLAN
        service = chance.random() >= WITHOUT_SERVICE
        kinds = [("recurring", REFUSED_PLAN if refused else "SUB-TEAM")] * plan + [("service", "SVC-ONB")] * service
        kinds.append(("one_time", "HW-GW"))
        lines, sums = [], {"recurring": 0, "service": 0, "one_time": 0}
        for number, (kind, code) in enumerate(kinds, start=1):
            quantity, price = chance.randint(1, 9), chance.randint(1, 500_000)
            sums[kind] += quantity * price
            amounts = money(price, currency, digits), money(quantity * price, currency, digits)
            lines.append(self._line(number, kind, code, quantity, *amounts))
        order_id, customer = f"ORD-{self.seed}-{self._count:06d}", f"C-{chance.randrange(CUSTOMERS):03d}"
        total = money(sum(sums.values()), currency, digits)
        body: dict[str, Any] = {
            "id": order_id,
            "quote_id": f"Q-{self.seed}-{self._count:06d}",
            "quote_version": 1,
            "entity": entity,
            "customer": {"id": customer, "legal_name": f"Customer {customer}", "email": "ap@customer.example", "currency": currency},
            "opportunity_id": f"OPP-{self._count}",
            "currency": currency,
            "ordered_on": "2026-11-30",
            "lines": lines,
            "total": total,
        }
        body["customer"]["bill_to"] = {"street": "1 Main Street", "city": "Town", "postal_code": "10000", "country": entity[:2]}
        effects = {"customer": None, "sales_order": total, "tax_document": money(0, currency, digits)}
        if plan:
            effects["subscription"] = money(sums["recurring"], currency, digits)
        if service:
            effects["project"] = money(sums["service"], currency, digits)
        effects["opportunity_won"] = total
        return {"order": body}, {"order": order_id, "customer": customer, "refused": refused, "effects": effects}

    @staticmethod
    def _line(number: int, kind: str, code: str, quantity: int, price: dict[str, str], total: dict[str, str]) -> dict[str, Any]:
        term = {"start": "2026-12-01", "end": "2027-11-30"} if kind == "recurring" else None
        return {
            "number": number,
            "item_code": code,
            "description": code,
            "charge_type": kind,
            "quantity": {"amount": str(quantity)},
            "unit_price": price,
            "discount": {"percent": "0"},
            "net_total": total,
            "term": term,
        }


class Driver:
    """Sends orders while ``more()`` holds, a bounded number of them on their way at a time; ``ended()`` counts those at their end."""

    def __init__(self, url: str, token: str, log: Path, orders: Orders, ended: Callable[[], int], backlog: int = BACKLOG_MAX) -> None:
        self._url = f"{url}/process/v1/orders"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._log = log.open("ab", buffering=0)
        self._orders = orders
        self._random = random.Random(orders.seed + 1)
        self._ended = ended
        self._backlog = backlog
        self.sent = self.accepted = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def _write(self, line: dict[str, Any]) -> None:
        self._log.write(json.dumps({"at": time.time(), **line}).encode() + b"\n")
        os.fsync(self._log.fileno())

    async def run(self, more: Callable[[], bool], give_up: asyncio.Event) -> None:
        """Returns when every request has its final answer, or when it is told to give up."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as http:
            while more():
                if self.accepted - self._ended() >= self._backlog or len(self._tasks) >= self._backlog:
                    await asyncio.sleep(0.02)
                    continue
                body, expected = self._orders.next()
                self.sent += 1
                self._write({"send": expected})
                task = asyncio.create_task(self._order(http, json.dumps(body).encode(), expected["order"], give_up))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                await asyncio.sleep(0)
            while self._tasks:
                await asyncio.wait(self._tasks)
        self._log.close()

    async def _order(self, http: aiohttp.ClientSession, body: bytes, order: str, give_up: asyncio.Event) -> None:
        key, chance = f"key-{order}", self._random.random()
        requests = [self._persist(http, body, order, key, give_up)]
        if chance < TWICE:  # a client that does not wait for its answer
            requests.append(self._persist(http, body, order, key, give_up))
        answers = await asyncio.gather(*requests)
        if 202 in answers:
            self.accepted += 1
        if TWICE <= chance < TWICE + AGAIN_LATER:  # the same order under a new key, after the first one's answer
            await self._persist(http, body, order, f"again-{order}", give_up)

    async def _persist(self, http: aiohttp.ClientSession, body: bytes, order: str, key: str, give_up: asyncio.Event) -> int:
        wait_s = 0.05
        while not give_up.is_set():
            try:
                async with http.post(self._url, data=body, headers={**self._headers, "Idempotency-Key": key}) as answer:
                    said = await answer.read()
                    if answer.status < 500 and answer.status not in {408, 429} and not any(word in said for word in NOT_FINAL):
                        correlation_id = json.loads(said).get("correlation_id", "") if answer.status == 202 else said[:300].decode()
                        self._write({"answer": order, "key": key, "status": answer.status, "said": correlation_id})
                        return answer.status
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(wait_s * (0.5 + self._random.random()))
            wait_s = min(wait_s * 2, 1.0)
        return 0
