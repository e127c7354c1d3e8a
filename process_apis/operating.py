"""What operators may do with an instance, as the routes see it."""

from typing import Protocol, runtime_checkable


@runtime_checkable  # Litestar checks what it hands to routes
class Operators(Protocol):
    """Kept by the process engine."""

    async def resume(self, tenant: str, process: str, key: str, *, by: str) -> bool:
        """Try a parked instance again."""
        ...

    async def cancel(self, tenant: str, process: str, key: str, *, by: str, reason: str) -> bool:
        """Undo an instance."""
        ...
