"""What every route promises stands in a golden file, and a route that promises nothing does not start."""

from pathlib import Path
from typing import Any

import pytest
from litestar import Controller, Litestar, WebSocket, get, post, websocket
from litestar.params import JSONBody

from gateway.inspecting import routes_text
from gateway.settings import Settings
from policies.declare import EDGE, OPERATOR, PUBLIC, WEBHOOK
from policies.enforce import declared, refuse_undeclared
from runtime.clock import SetClock
from runtime.store.engine import SqlStore
from tests.policies.shop import Purchase, Shop

GOLDEN = Path(__file__).parent / "golden" / "routes.txt"


def test_golden_routes(tmp_path: Path) -> None:
    """`q2c routes` prints what stands in the golden file: a route that is weakened, or new, shows in a diff."""
    told = routes_text(Settings(data=str(tmp_path)))
    assert told == GOLDEN.read_text(), "if this is what is wanted: .venv/bin/q2c routes > tests/policies/golden/routes.txt"


def test_open_routes() -> None:
    """Without a token there are only health, metrics and the documentation; webhooks are signed by vendors."""
    rows = [line.split() for line in GOLDEN.read_text().splitlines()[1:]]
    assert {path for _, path, *_, signed_by, _scope, _once, _version in rows if signed_by == "nobody"} == {
        "/docs",
        "/docs/openapi.json",
        "/health/live",
        "/health/ready",
        "/metrics",
    }
    assert {path for _, path, *_, signed_by, _scope, _once, _version in rows if signed_by == "vendor"} == {"/webhooks/{connection:str}"}


@get("/naked")
async def naked() -> None:
    """A route without a declaration."""


@get("/lax", opt=EDGE.opt)
async def lax() -> None:
    """A route for anybody who has a token."""


@get("/typo", opt={"policy": PUBLIC})
async def typo() -> None:
    """A route with a declaration that nobody reads."""


@get("/dictionary", opt={"policies": {"profile": "public"}})
async def dictionary() -> None:
    """A route with something else in the place of a declaration."""


@websocket("/socket", opt=PUBLIC.opt)
async def socket(socket: WebSocket[Any, Any, Any]) -> None:
    """A web socket."""


class Halfway(Controller):
    """One of two routes declares."""

    path = "/halfway"

    @get("/", opt=PUBLIC.opt)
    async def covered(self) -> None:
        """Declared."""

    @post("/", status_code=200)
    async def bare(self, data: JSONBody[Purchase]) -> None:
        """Not declared."""


class Covered(Controller):
    """What the controller declares holds for its routes, unless they declare something else."""

    path = "/covered"
    opt = OPERATOR.opt

    @get("/")
    async def inherited(self) -> None:
        """The controller's."""

    @get("/own", opt=WEBHOOK.opt)
    async def own(self) -> None:
        """Its own."""


PLANTED = [
    (naked, "GET /naked declares no policies"),
    (lax, "GET /lax takes any token"),
    (typo, "GET /typo declares no policies"),
    (dictionary, "GET /dictionary declares no policies"),
    (socket, "/socket is a web socket"),
    (Halfway, "POST /halfway declares no policies"),
]


@pytest.mark.parametrize(("handler", "fault"), PLANTED)
async def test_planted(store: SqlStore, clock: SetClock, tmp_path: Path, handler: Any, fault: str) -> None:
    """An application with a route that declares nothing, or nothing that would hold, refuses to start and says which one."""
    with pytest.raises(TypeError, match=fault):
        Shop(store, tmp_path, clock, handlers=[handler])


def test_all_faults_are_told_at_once() -> None:
    """Every route that is wrong is named, not only the first."""
    with pytest.raises(TypeError) as refusal:
        refuse_undeclared(Litestar([naked, lax, Halfway], openapi_config=None))
    assert str(refusal.value).count(";") == 2


def test_what_a_controller_declares() -> None:
    """A controller's declaration holds for its routes, and a route's own is stronger."""
    app = Litestar([Covered], openapi_config=None)
    refuse_undeclared(app)
    profiles = {path: policies.profile for path, _, _, policies in declared(app) if policies}
    assert profiles == {"/covered": "operator", "/covered/own": "webhook"}
