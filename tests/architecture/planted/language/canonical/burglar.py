"""The language speaks HTTP."""

import httpx
