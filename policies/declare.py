"""The Policies value and its profiles. A route declares one, or the application refuses to start."""

from typing import Any, Literal

import msgspec

Idempotency = Literal["none", "optional", "required"]

OPT_KEY = "policies"
BODY_BYTES_MAX = 1024 * 1024


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """What one route promises.

    ``scope``: the OAuth scope that a token must carry; ``signed_by``: jwt, the vendor's signature (checked by the card), or nobody;
    ``content_types``: what a body may be; ``idempotency``: whether an Idempotency-Key is needed.
    """

    profile: str
    signed_by: Literal["jwt", "vendor", "nobody"] = "jwt"
    scope: str = ""
    idempotency: Idempotency = "none"
    version: str = "v1"
    content_types: tuple[str, ...] = ("application/json",)
    body_bytes_max: int = BODY_BYTES_MAX

    def but(self, **changes: Any) -> "Policies":
        """The same with some promises changed."""
        return msgspec.structs.replace(self, **changes)

    @property
    def opt(self) -> dict[str, Any]:
        """For a handler's ``opt=``."""
        return {OPT_KEY: self}


EDGE = Policies(profile="edge")
INTERNAL = Policies(profile="internal")
OPERATOR = Policies(profile="operator", scope="operator")
WEBHOOK = Policies(profile="webhook", signed_by="vendor", content_types=(), body_bytes_max=256 * 1024)
PUBLIC = Policies(profile="public", signed_by="nobody", content_types=())


def policies_of(handler: Any) -> Policies | None:
    """What a route handler has declared, on itself or on its controller."""
    found = handler.opt.get(OPT_KEY)
    return found if isinstance(found, Policies) else None
