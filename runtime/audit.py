"""The examination of an audit trail: whether every row is as it was written, in its place, and there.

It trusts nothing but the hashes. A row whose content was edited no longer fits its own hash; a removed one leaves a gap; two that were
swapped fit neither; a trail that was cut off ends before the head that the store, or a signed head kept elsewhere, gives; one that was
rewritten from some row on, hashes and all, differs from the signed heads. Journal lines are held against the digests in the trail.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from runtime.store.auditing import GENESIS, link
from runtime.store.contract import AuditHead, AuditRow

PAGE = 1000
FINDINGS_MAX = 1000


class AuditTrail(Protocol):
    """What is needed of the store."""

    async def audit(self, tenant: str, *, after_seq: int = 0, limit: int = 1000) -> tuple[AuditRow, ...]: ...

    async def audit_heads(self) -> tuple[AuditHead, ...]: ...

    async def line_digests(self, tenant: str, names: Sequence[tuple[str, str, int]]) -> dict[str, str]: ...

    async def lines_since(self, tenant: str, since: int) -> int: ...


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it was written. ``what``: edited, removed, cut_off, rewritten, journal_edited, journal_removed,
    journal_unaudited; ``seq`` the row of the trail (0 where no single one is meant).
    """

    tenant: str
    seq: int
    what: str
    detail: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome for one tenant: how many rows and journal lines were held against the hashes, and what was found."""

    tenant: str
    rows: int
    lines: int
    head: str
    findings: tuple[Finding, ...]


Progress = Callable[[str, int], None]


async def rows_of(trail: AuditTrail, tenant: str, *, after_seq: int = 0) -> AsyncIterator[tuple[AuditRow, ...]]:
    """A tenant's rows in pages, oldest first."""
    while page := await trail.audit(tenant, after_seq=after_seq, limit=PAGE):
        yield page
        after_seq = page[-1].seq


async def verify(
    trail: AuditTrail, tenant: str, *, signed: Iterable[AuditHead] = (), progress: Progress = lambda _tenant, _rows: None
) -> Verdict:
    """Examine a tenant's trail. ``signed`` are heads that were signed earlier and kept outside the store."""
    examination = _Examination(tenant, {head.seq: head.hash for head in signed if head.tenant == tenant})
    # what the store says now; rows that come while we read are examined, too
    heads = [head for head in await trail.audit_heads() if head.tenant == tenant]
    async for page in rows_of(trail, tenant):
        for row in page:
            examination.row(row)
        await examination.lines(trail, page)
        progress(tenant, examination.rows)
    examination.end(heads[0] if heads else None)
    await examination.unaudited(trail)
    found = examination.findings
    return Verdict(tenant=tenant, rows=examination.rows, lines=examination.seen_lines, head=examination.before, findings=tuple(found))


class _Examination:
    """What is known after the rows so far."""

    def __init__(self, tenant: str, signed: Mapping[int, str]) -> None:
        self.tenant = tenant
        self.signed = signed
        self.rows = self.seen_lines = 0
        self.seq = 0
        self.before = GENESIS
        self.since = -1
        self.findings: list[Finding] = []

    def _found(self, seq: int, what: str, detail: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(tenant=self.tenant, seq=seq, what=what, detail=detail))

    def row(self, row: AuditRow) -> None:
        missing = range(self.seq + 1, row.seq)
        for seq in missing[:FINDINGS_MAX]:
            self._found(seq, "removed", f"row {seq} is not there")
        # after a gap the hash before is not known: what the row itself says is taken, and its successor shows whether it holds
        if not missing and link(self.before, row.cells) != row.hash:
            self._found(
                row.seq, "edited", f"row {row.seq} ({row.subject}) does not fit its hash: it, or the row before, was edited or moved"
            )
        if self.signed.get(row.seq, row.hash) != row.hash:
            self._found(row.seq, "rewritten", f"row {row.seq} is not the one whose hash was signed: the trail was rewritten up to here")
        if self.since < 0:
            self.since = row.at
        self.rows, self.seq, self.before = self.rows + 1, row.seq, row.hash

    async def lines(self, trail: AuditTrail, page: Sequence[AuditRow]) -> None:
        """Hold the journal lines that a page names against their digests."""
        named: dict[str, tuple[int, str]] = {}
        for row in page:
            try:
                named.update({key: (row.seq, digest) for table, key, _, digest in row.named if table == "journal"})
            except msgspec.DecodeError:  # named already: it does not fit its hash
                continue
        self.seen_lines += len(named)
        standing = await trail.line_digests(self.tenant, [_line_name(key) for key in named])
        for key, (seq, digest) in named.items():
            if key not in standing:
                self._found(seq, "journal_removed", f"the journal line {key} is not there")
            elif standing[key] != digest:
                self._found(seq, "journal_edited", f"the journal line {key} is not as it was written")

    def end(self, head: AuditHead | None) -> None:
        """Whether the trail ends where it should."""
        last = max([head.seq if head else 0, *self.signed])
        if last > self.seq:
            self._found(self.seq + 1, "cut_off", f"rows {self.seq + 1} to {last} are cut off")
        elif head is not None and head.seq == self.seq and head.hash != self.before:
            self._found(self.seq, "rewritten", f"row {self.seq} is not the one at which the trail's head points")
        elif head is None and self.rows:
            self._found(0, "cut_off", "the head of the trail is not there")

    async def unaudited(self, trail: AuditTrail) -> None:
        """Journal lines since the trail began that no row of it names; not judged where rows came while we were reading."""
        if self.since < 0 or any(finding.what in {"removed", "cut_off", "edited"} for finding in self.findings):
            return
        extra = await trail.lines_since(self.tenant, self.since) - self.seen_lines
        if extra > 0 and not await trail.audit(self.tenant, after_seq=self.seq, limit=1):
            self._found(0, "journal_unaudited", f"{extra} journal lines are named by no row of the trail")


def _line_name(key: str) -> tuple[str, str, int]:
    """``order_booking/ORD-1#3`` in its parts."""
    name, _, seq = key.rpartition("#")
    process, _, instance = name.partition("/")
    return process, instance, int(seq)
