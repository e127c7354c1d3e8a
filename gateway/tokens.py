"""Whose tokens this installation accepts."""

from gateway.settings import Settings
from policies.development_issuer import AUDIENCE, ISSUER, DevelopmentIssuer
from policies.jwt import Verifier
from runtime.http.client import HttpClient
from runtime.http.failure_table import FailureTable


def verifier_of(settings: Settings) -> Verifier:
    """The verifier of the configured issuer; of the development issuer where none is configured."""
    if not settings.tokens.jwks_url:
        return Verifier(ISSUER, AUDIENCE, DevelopmentIssuer(settings.folder).keys)

    async def fetch() -> bytes:  # seldom, so that no connection is worth keeping
        client = HttpClient("", failures=FailureTable({}), deadline_s=5.0, response_bytes_max=256 * 1024)
        try:
            return (await client.send("GET", settings.tokens.jwks_url)).body
        finally:
            await client.aclose()

    return Verifier(settings.tokens.issuer, settings.tokens.audience, fetch)
