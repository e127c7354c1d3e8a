"""A process brings a transport of its own."""

from httpx_aiohttp import AiohttpTransport
