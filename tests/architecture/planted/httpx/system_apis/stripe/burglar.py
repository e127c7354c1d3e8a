"""A connector opens its own connection."""

import httpx
