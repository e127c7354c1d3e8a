"""One Litestar application from the layers that are to be served together: their routes, the policies around them, health and docs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Response, get
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.docs_page import DocsRouter, PlainPage
from gateway.watching import watched
from policies import problems
from policies.bodies import StrictRequest
from policies.declare import PUBLIC
from policies.enforce import Enforcer, refuse_undeclared
from policies.incoming import sign
from policies.jwt import Verifier
from runtime.house import House


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask how the process is: ``ready`` says of each part whether it takes work, ``concerns`` what somebody should look after."""

    ready: Callable[[], Awaitable[Mapping[str, bool]]]
    concerns: Callable[[], Awaitable[Sequence[str]]]


def application(
    handlers: Sequence[Any], dependencies: Mapping[str, Provide], *, house: House, verifier: Verifier, health: Health, version: str
) -> Litestar:
    """The application. Raises `TypeError` when a route declares no policies."""
    app = Litestar(
        route_handlers=[*handlers, *_operations(health)],
        dependencies=dict(dependencies),
        middleware=[Enforcer(house, verifier)],
        request_class=StrictRequest,
        before_send=[sign],
        exception_handlers={Exception: problems.handle},
        openapi_config=OpenAPIConfig(
            title="q2c-gateway",
            version=version,
            description="From quote to cash as one traceable, provable transaction.",
            render_plugins=[PlainPage(), JsonRenderPlugin()],
            openapi_router=DocsRouter(path="/docs", route_handlers=[], opt=PUBLIC.opt, include_in_schema=False),
        ),
        logging_config=None,
        request_max_body_size=None,  # the limit is a policy of the route
    )
    refuse_undeclared(app)
    app.asgi_handler = watched(app.asgi_handler, house.clock)
    return app


def _operations(health: Health) -> list[Any]:
    @get("/health/live", opt=PUBLIC.opt, tags=["health"])
    async def live() -> dict[str, str]:
        """The process is up."""
        return {"status": "live"}

    @get("/health/ready", opt=PUBLIC.opt, tags=["health"])
    async def is_ready() -> Response[dict[str, Any]]:
        """Store and bus take work."""
        parts, concerns = await health.ready(), await health.concerns()
        well = all(parts.values())
        body = {"status": "ready" if well else "not ready", "parts": dict(parts), **({"concerns": list(concerns)} if concerns else {})}
        return Response(body, status_code=200 if well else 503)

    @get("/metrics", opt=PUBLIC.opt, media_type=MediaType.TEXT, include_in_schema=False)
    async def metrics() -> Response[bytes]:
        """Prometheus metrics."""
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [live, is_ready, metrics]
