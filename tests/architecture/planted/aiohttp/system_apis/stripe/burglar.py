"""A connector opens its own connection, with another library."""

import aiohttp
