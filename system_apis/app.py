"""The system layer as an application: what it serves over HTTP, and what its routes are given."""

from litestar.di import Provide

from policies.providing import provided
from runtime.house import House
from system_apis.desk import Desk
from system_apis.intake import Intake
from system_apis.routes import ROUTES

HANDLERS = ROUTES


def dependencies(house: House, desk: Desk, intake: Intake) -> dict[str, Provide]:
    """What Litestar hands to the routes by name."""
    return provided(house=house, desk=desk, intake=intake)
