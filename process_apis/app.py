"""The process layer as an application: what it serves over HTTP, and what its routes are given."""

from litestar.di import Provide

from policies.providing import provided
from process_apis.operating import Operators
from process_apis.reception import Reception
from process_apis.routes import ROUTES
from runtime.house import House

HANDLERS = ROUTES


def dependencies(house: House, reception: Reception, operators: Operators) -> dict[str, Provide]:
    """What Litestar hands to the routes by name."""
    return provided(house=house, reception=reception, operators=operators)
