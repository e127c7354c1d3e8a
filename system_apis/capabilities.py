"""The capability matrix, read off the cards: the print of ``q2c capabilities`` and the answer of the system API."""

import msgspec

from system_apis.connector import Once
from system_apis.desk import Connection


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection does for one command."""

    connection: str
    system: str
    command: str
    once: str
    find: bool
    settles_in_s: float
    loses: tuple[str, ...] = ()
    sunset: str = ""


def capabilities(connection: Connection) -> list[Capability]:
    """One line per command on the card, by command name."""
    card = connection.card
    sunsets = {command: str(sunset.on) for sunset in card.sunsets for command in sunset.commands}
    lines = [
        Capability(
            connection=connection.name,
            system=card.title,
            command=command.wire_name(),
            once=str(operation.once.value),
            find=operation.find is not None,
            settles_in_s=operation.settles_in.total_seconds(),
            loses=card.loses.get(command, ()),
            sunset=sunsets.get(command, ""),
        )
        for command, operation in card.does.items()
    ]
    return sorted(lines, key=lambda line: line.command)


def as_text(lines: list[Capability]) -> str:
    """The matrix as columns."""
    rows = [f"{'connection':<14}{'command':<32}{'once':<22}{'find':<6}{'settles':<9}loses"]
    for line in lines:
        once = "-" if line.once == Once.READ else line.once
        found = "yes" if line.find else "-"
        settles = f"{line.settles_in_s:g} s" if line.settles_in_s else "-"
        note = f"  [ends {line.sunset}]" if line.sunset else ""
        rows.append(f"{line.connection:<14}{line.command:<32}{once:<22}{found:<6}{settles:<9}{', '.join(line.loses) or '-'}{note}".rstrip())
    return "\n".join(rows) + "\n"
