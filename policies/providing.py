"""Things that exist once, handed to routes by their name."""

from collections.abc import Callable
from typing import Any

from litestar.di import Provide


def provided(**values: Any) -> dict[str, Provide]:
    """Litestar dependencies that always give the same value."""
    return {name: Provide(_giving(value), sync_to_thread=False) for name, value in values.items()}


def _giving(value: Any) -> Callable[[], Any]:
    def give() -> Any:
        return value

    return give
