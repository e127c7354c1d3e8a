"""The way out to vendors that answer slowly, half, wrongly or without end: each is one of the six words, within bounds."""

import asyncio
import datetime as dt
import gzip
import ipaddress
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from canonical.failures import Broken, Failure, OutcomeUnknown, Throttled, Unavailable
from runtime.http.client import HttpClient, retry_after_s
from runtime.http.failure_table import RETRY_AFTER_S_MAX, FailureTable

NOW = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)
Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
UNPACKED_MAX = 150_000_000  # bytes: what arrives at once, 64 KB, unpacks to 66 MB at most
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def vendor(play: Play, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that reads one request on each connection, plays its part and hangs up."""
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        try:
            await reader.readuntil(b"\r\n\r\n")
            await play(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in connections:
            writer.close()


def says(*parts: bytes) -> Play:
    """Write these bytes."""

    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
        await writer.drain()

    return play


async def asked(url: str, method: str = "POST", *, deadline_s: float = 5.0, bytes_max: int = 1_000_000) -> object:
    """The decoded answer to one request."""
    client = HttpClient(url, failures=FailureTable({}), deadline_s=deadline_s, response_bytes_max=bytes_max)
    try:
        return (await client.send(method, "/x", json={} if method == "POST" else None)).decode(dict)
    finally:
        await client.aclose()


async def failure(url: str, method: str = "POST", **how: float) -> Failure:
    """What the request fails with."""
    with pytest.raises(Failure) as told:
        await asked(url, method, **how)  # type: ignore[arg-type]
    return told.value


async def test_a_connection_that_ends_without_an_answer_leaves_a_write_unknown() -> None:
    """A vendor that takes the request and hangs up may have done it; a read may simply be asked again (V6, V10)."""
    async with vendor(says()) as url:
        assert isinstance(await failure(url), OutcomeUnknown)
        assert isinstance(await failure(url, "GET"), Unavailable)


async def test_nobody_there_has_done_nothing() -> None:
    """Where no connection comes about nothing can have happened, not even by a write."""
    async with vendor(says()) as url:
        pass
    refused = await failure(url)
    assert (type(refused), refused.code) == (Unavailable, "unreachable")


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 100\r\n\r\n{",
        OK + b"Content-Length: 20\r\n\r\n<html>It works</html>",
        OK + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":',
        b"nothing like HTTP\r\n\r\n",
        OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ],
    ids=["truncated", "web page", "half a chunk", "no HTTP", "no gzip"],
)
async def test_half_an_answer_is_no_success(answer: bytes) -> None:
    """A truncated answer, a web page and whatever else is no answer leave a write unknown, and a read to be asked again (V10)."""
    async with vendor(says(answer)) as url:
        assert isinstance(await failure(url), OutcomeUnknown)
        assert isinstance(await failure(url, "GET"), Unavailable)


@pytest.mark.parametrize(
    "said", [b"", OK + b"Content-Length: 100\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: "], ids=["silent", "stalled", "headers"]
)
async def test_the_whole_call_has_one_deadline(said: bytes) -> None:
    """A vendor that stalls before its answer, within its headers or after them costs no more than the deadline (V9)."""

    async def stall(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        await asyncio.Event().wait()

    async with vendor(stall) as url:
        late = await failure(url, deadline_s=0.3)
    assert (type(late), late.code) == (OutcomeUnknown, "no_answer")


async def test_a_drip_does_not_keep_a_call_alive() -> None:
    """A byte now and then is no progress: the deadline is that of the whole answer (V9)."""

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with vendor(drip) as url:
        assert isinstance(await failure(url, "GET", deadline_s=0.4), Unavailable)


async def test_an_answer_is_capped() -> None:
    """An answer beyond the cap is not read to its end, however it is packed (V13)."""
    bomb = gzip.compress(b"0" * 250_000_000)
    for body, more in ((b"x" * 2_000_000, b""), (bomb, b"Content-Encoding: gzip\r\n")):
        answer = OK + more + b"Content-Length: %d\r\n\r\n" % len(body)
        async with vendor(says(answer, body)) as url:
            tracemalloc.start()
            large, written = await failure(url, "GET"), await failure(url)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert (type(large), large.code) == (Broken, "answer_too_large")
        assert (type(written), written.code) == (OutcomeUnknown, "answer_too_large")
        assert peak < UNPACKED_MAX


async def test_an_answer_that_is_packed_twice_is_not_unpacked() -> None:
    """Each layer would be unpacked as a whole before its size could be seen (V13)."""
    body = gzip.compress(gzip.compress(b"0" * 100_000_000))
    answer = OK + b"Content-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with vendor(says(answer, body)) as url:
        read, written = await failure(url, "GET"), await failure(url)
    assert (type(read), read.code) == (Broken, "answer_packed_twice")
    assert isinstance(written, OutcomeUnknown)


async def test_a_deep_answer_is_read_or_refused() -> None:
    """An answer that is nested a hundred thousand deep is refused like any other that is none (V13)."""
    body = b"[" * 100_000 + b"]" * 100_000
    async with vendor(says(OK + b"Content-Length: %d\r\n\r\n" % len(body), body)) as url:
        assert isinstance(await failure(url, "GET"), Unavailable | Broken)


async def test_a_redirect_is_not_followed() -> None:
    """A redirect is a failure: nobody but the settings says where calls go (V16)."""
    reached = asyncio.Event()

    async def elsewhere(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        writer.write(OK + b"Content-Length: 2\r\n\r\n{}")

    redirect = "HTTP/1.1 302 Found\r\nLocation: {}/x\r\nContent-Length: 0\r\n\r\n"
    async with vendor(elsewhere) as other, vendor(says(redirect.format(other).encode())) as url:
        assert (await failure(url, "GET")).code == "unexpected_redirect"
    assert not reached.is_set()


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A certificate for a host name, signed by nobody whom we know."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def test_a_certificate_of_nobody_is_refused(tmp_path: Path) -> None:
    """A certificate that no authority of ours has signed is not talked to, and nothing was sent (V15)."""
    async with vendor(says(OK + b"Content-Length: 2\r\n\r\n{}"), tls=certificate(tmp_path, "vendor.example")) as url:
        refused = await failure(url)
    assert (type(refused), refused.code) == (Unavailable, "unreachable")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("Mon, 30 Nov 2026 12:01:00 GMT", 60.0),
        ("Mon, 30 Nov 2026 11:00:00 GMT", 0.0),
        ("99999999", RETRY_AFTER_S_MAX),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("٧", None),
    ],
)
def test_retry_after_in_all_its_forms(value: str, seconds: float | None) -> None:
    """Seconds, a date, a past date, a huge number and rubbish: honoured, capped, or as if it were not there (V1)."""
    assert retry_after_s({"retry-after": value}, NOW) == seconds


async def test_a_vendor_that_asks_for_patience_is_heard() -> None:
    """429 with Retry-After is `Throttled` with that wait; without it the engine's own backoff counts (V1, V2)."""
    answer = b"HTTP/1.1 429 Too Many Requests\r\n%sContent-Length: 2\r\n\r\n{}"
    for header, seconds in ((b"Retry-After: 3\r\n", 3.0), (b"", None)):
        async with vendor(says(answer % header)) as url:
            throttled = await failure(url)
        assert (type(throttled), throttled.retry_after_s) == (Throttled, seconds)
