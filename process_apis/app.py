"""The process layer as an application: what it serves over HTTP, and what its routes are given."""

from collections.abc import Mapping
from typing import Any

from litestar.di import Provide

from process_apis.operating import Operators
from process_apis.reception import Reception
from process_apis.routes import ROUTES
from runtime.house import House

HANDLERS = ROUTES


def dependencies(house: House, reception: Reception, operators: Operators) -> Mapping[str, Any]:
    """What Litestar hands to the routes by name."""
    given = {"house": house, "reception": reception, "operators": operators}
    return {name: Provide(_giving(value), sync_to_thread=False) for name, value in given.items()}


def _giving(value: Any) -> Any:
    def give() -> Any:
        return value

    return give
