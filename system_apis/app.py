"""The system layer as an application: what it serves over HTTP, and what its routes are given."""

from collections.abc import Mapping
from typing import Any

from litestar.di import Provide

from runtime.house import House
from system_apis.desk import Desk
from system_apis.routes import HANDLERS as HANDLERS


def dependencies(house: House, desk: Desk) -> Mapping[str, Any]:
    """What Litestar hands to the routes by name."""
    given = {"house": house, "desk": desk}
    return {name: Provide(_giving(value), sync_to_thread=False) for name, value in given.items()}


def _giving(value: Any) -> Any:
    def give() -> Any:
        return value

    return give
