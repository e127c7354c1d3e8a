"""A vendor, as a process of its own that shares no code with the gateway: the standard library alone.

It commits an effect by a line in its ledger, before it answers; killed and started again, it knows what its ledger says. What makes a write
single differs as it does among real vendors (``--handle``):

``upsert``  the same external id is the same record      ``unique``  a second record with the reference is refused
``key``     the same Idempotency-Key gets the same answer ``none``    whatever is asked for is made, as often as it is asked for

Look-ups do not see a record before it is ``--lag`` seconds old. Faults are drawn from ``--seed``, ``--rate`` of them in a request;
``POST /calm`` ends them.
"""

import argparse
import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

REFUSED_PLAN = "SUB-NOT-SOLD"
FAULTS = (
    ("throttled", 4),  # 429, half of them with Retry-After
    ("error_before", 3),  # 500, nothing done
    ("error_after", 3),  # 500, done
    ("dropped_before", 2),  # the connection ends, nothing done
    ("dropped_after", 4),  # the connection ends, done
    ("truncated", 2),  # done, half an answer
    ("web_page", 1),  # done, a page with status 200
    ("drip", 1),  # done, and the answer comes byte by byte
)
DRIP_EVERY_S = 0.25

Record = dict[str, Any]
Answer = tuple[int, Record]


class Books:
    """The records of one vendor, and the ledger by which they are kept."""

    def __init__(self, ledger: Path, handle: str, lag_s: float) -> None:
        self.handle = handle
        self.lag_s = lag_s
        self.records: dict[str, Record] = {}
        self.by_ref: dict[tuple[str, str], list[Record]] = {}
        self.by_key: dict[str, str] = {}
        self.seq = 0
        if ledger.exists():
            for line in ledger.read_bytes().splitlines():
                try:
                    self._remember(json.loads(line))
                except ValueError:  # killed while it wrote: the effect was never answered for, and is not one
                    continue
        self.file = ledger.open("ab", buffering=0)
        if ledger.stat().st_size and not ledger.read_bytes().endswith(b"\n"):
            self.file.write(b"\n")

    def _remember(self, line: Record) -> None:
        self.seq = line["seq"]
        if line["act"] == "undo":
            self.records[line["id"]]["undone"] = True
            return
        record = {**line, "undone": False}
        self.records[line["id"]] = record
        self.by_ref.setdefault((line["kind"], line["ref"]), []).append(record)
        if line["key"]:
            self.by_key.setdefault(line["key"], line["id"])

    def commit(self, line: Record) -> Record:
        """The effect is there when its line is."""
        whole = {"seq": self.seq + 1, "at": time.time(), **line}
        self.file.write(json.dumps(whole).encode() + b"\n")
        self._remember(whole)
        return self.records[line["id"]]

    def make(self, kind: str, wish: Record, key: str) -> Answer:
        ref = wish["ref"]
        known = self.by_ref.get((kind, ref), [])
        if self.handle == "key" and key in self.by_key:
            return 200, self.records[self.by_key[key]]
        if self.handle == "upsert" and known:
            return 200, known[0]
        if self.handle == "unique" and known:
            return 409, {"error": "taken", "detail": f"{ref} is there already"}
        if wish.get("plan") == REFUSED_PLAN:
            return 422, {"error": "refused", "detail": f"{REFUSED_PLAN} is not sold"}
        made = {"kind": kind, "ref": ref, "id": f"{kind}-{self.seq + 1}", "act": "make", "key": key}
        return 201, self.commit({**made, "amount": wish.get("amount", ""), "currency": wish.get("currency", "")})

    def undo(self, kind: str, ref: str, key: str) -> Answer:
        open_ones = [record for record in self.by_ref.get((kind, ref), []) if not record["undone"]]
        for record in open_ones[:1]:
            self.commit({"kind": kind, "ref": ref, "id": record["id"], "act": "undo", "key": key, "amount": "", "currency": ""})
        return 200, {"ref": ref}

    def find(self, kind: str, ref: str) -> Answer:
        before = time.time() - self.lag_s
        return 200, {"records": [record for record in self.by_ref.get((kind, ref), []) if record["at"] <= before]}


class Vendor:
    """Takes requests, commits, and misbehaves."""

    def __init__(self, books: Books, seed: int, rate: float) -> None:
        self.books = books
        self.random = random.Random(seed)
        self.rate = rate

    def fault(self) -> str:
        if self.random.random() >= self.rate:
            return ""
        names, weights = zip(*FAULTS, strict=True)
        drawn: str = self.random.choices(names, weights)[0]
        return drawn

    def carry_out(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """``POST /kind`` makes, ``POST /kind/undo`` takes back, ``GET /kind?ref=`` looks up."""
        parts = urlsplit(target)
        words = parts.path.strip("/").split("/")
        key = headers.get("idempotency-key", "")
        if words == ["calm"]:
            self.rate = 0.0
            return 200, {}
        if method == "GET":
            return self.books.find(words[0], parse_qs(parts.query).get("ref", [""])[0])
        wish = json.loads(body)
        if words[1:] == ["undo"]:
            return self.books.undo(words[0], wish["ref"], key)
        return self.books.make(words[0], wish, key)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False where the connection is to end."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        fault = self.fault()
        if fault == "throttled":
            more = "Retry-After: 1\r\n" if self.random.random() < 0.5 else ""
            return await self.answer(writer, 429, {"error": "throttled"}, more)
        if fault == "error_before":
            return await self.answer(writer, 500, {"error": "internal"})
        if fault == "dropped_before":
            return False
        status, found = self.carry_out(method, target, headers, body)
        if fault == "error_after":
            return await self.answer(writer, 500, {"error": "internal"})
        if fault == "dropped_after":
            return False
        text = json.dumps(found).encode()
        if fault == "web_page":
            text = b"<html><body>It works!</body></html>"
        start = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode()
        if fault == "truncated":
            writer.write(start + text[: len(text) // 2])
            await writer.drain()
            return False
        if fault == "drip":
            writer.write(start)
            for place in range(len(text)):
                writer.write(text[place : place + 1])
                await writer.drain()
                await asyncio.sleep(DRIP_EVERY_S)
            return True
        writer.write(start + text)
        await writer.drain()
        return True

    async def answer(self, writer: asyncio.StreamWriter, status: int, body: Record, more: str = "") -> bool:
        text = json.dumps(body).encode()
        writer.write(
            f"HTTP/1.1 {status} Sorry\r\nContent-Type: application/json\r\n{more}Content-Length: {len(text)}\r\n\r\n".encode() + text
        )
        await writer.drain()
        return True


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--handle", choices=("upsert", "unique", "key", "none"), required=True)
    parser.add_argument("--lag", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.0)
    given = parser.parse_args()
    vendor = Vendor(Books(given.ledger, given.handle, given.lag), given.seed, given.rate)
    server = await asyncio.start_server(vendor.serve, "127.0.0.1", given.port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
