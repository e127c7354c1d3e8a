"""What operators may do with an instance, as the routes see it."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable  # Litestar checks what it hands to routes
class Operators(Protocol):
    """Kept by the process engine."""

    async def resume(self, tenant: str, process: str, key: str, *, by: str) -> bool:
        """Try a parked instance again."""
        ...

    async def edit(self, tenant: str, process: str, key: str, *, patch: Any, by: str, reason: str) -> bool:
        """Correct what a parked instance remembers, and try it again."""
        ...

    async def cancel(self, tenant: str, process: str, key: str, *, by: str, reason: str) -> bool:
        """Undo an instance."""
        ...
