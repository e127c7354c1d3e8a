"""Versions of tables beside each other: an instance stays on the one that it began with, and is run by a release that has it."""

from collections.abc import Iterable, Mapping

from canonical.failures import Unavailable
from runtime.process.declare import Process
from runtime.store.contract import Instance, VersionInUse


def leave_to_newer(row: Instance, newest: Mapping[str, int]) -> None:
    """Raises `Unavailable` for an instance on a newer version than this release has: beside us, or before we were put back in its place,
    runs a release that knows it, and the message is to come to that one. ``newest``: this release's newest version by process.
    """
    if row.process in newest and row.version > newest[row.process]:
        raise Unavailable("newer_release", f"{row.process}/{row.key} runs on version {row.version}, which only a newer release has")


def orphans(in_use: Iterable[VersionInUse], tables: Iterable[Process]) -> list[str]:
    """What runs on a version that these tables do not have, a line each; nothing where all is well."""
    known = {(table.name, table.version) for table in tables}
    return [
        f"{used.instances} of {used.process} run on version {used.version} of its table, which this release does not have: "
        "keep that version in the roster until none is left"
        for used in in_use
        if (used.process, used.version) not in known
    ]
