"""What a Kantata account needs: a token, and how it wants to be told budgets, efforts and cancellations."""

from typing import Literal

import msgspec


class KantataSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Kantata account.

    ``access_token`` is an OAuth 2 bearer token, which Kantata does not let expire. ``service_name`` names us in external references: never
    change it, or what was made before is not found again. ``price_in`` says how the account reads a budget (Kantata's description names no
    unit; the answer is read back in cents, so a wrong setting shows on the first project). ``minutes_per`` turns quantities into effort;
    other units send none. ``cancelled_status_key`` is the account's own number for "Cancelled"; None: a project is only archived.
    ``workspace_groups`` puts the projects of a legal entity into a group.
    """

    access_token: str
    base_url: str = "https://api.mavenlink.com/api/v1"
    deadline_s: float = 60.0
    service_name: str = "q2c-gateway"
    creator_role: Literal["maven", "buyer"] = "maven"
    price_in: Literal["cents", "units"] = "cents"
    minutes_per: dict[str, int] = msgspec.field(default_factory=lambda: {"hour": 60, "day": 480})
    cancelled_status_key: int | None = None
    workspace_groups: dict[str, int] = {}
