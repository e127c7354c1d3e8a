"""The experience layer as an application: what it serves over HTTP, and what its routes are given."""

from litestar.di import Provide

from experience_apis.finance.routes import Finance
from experience_apis.sales_portal.routes import SalesPortal
from policies.providing import provided
from runtime.house import House

HANDLERS = (SalesPortal, Finance)


def dependencies(house: House) -> dict[str, Provide]:
    """What Litestar hands to the routes by name."""
    return provided(house=house)
