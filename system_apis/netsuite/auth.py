"""Token-based authentication: how a NetSuite account knows who is calling. REST signs OAuth 1.0 style, SOAP its own short text.

Pure functions, and one small class that adds the moment and a nonce. The simulator checks signatures with the same functions; they are
proven against published vectors in the tests.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from system_apis.netsuite.settings import NetSuiteSettings


def _enc(text: str) -> str:
    return quote(text, safe="-._~")


def _hmac_sha256(consumer_secret: str, token_secret: str, text: str) -> str:
    key = f"{_enc(consumer_secret)}&{_enc(token_secret)}".encode()
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def rest_signature(settings: NetSuiteSettings, method: str, url: str, oauth: Mapping[str, str]) -> str:
    """The signature of a REST call over method, URL, query and OAuth fields (RFC 5849, 3.4.1); realm and JSON body stay outside."""
    parts = urlsplit(url)
    fields = [*parse_qsl(parts.query, keep_blank_values=True), *oauth.items()]
    normalised = "&".join(f"{k}={v}" for k, v in sorted((_enc(k), _enc(v)) for k, v in fields))
    base = f"{method.upper()}&{_enc(f'{parts.scheme}://{parts.netloc.lower()}{parts.path}')}&{_enc(normalised)}"
    return _hmac_sha256(settings.consumer_secret, settings.token_secret, base)


def soap_signature(settings: NetSuiteSettings, nonce: str, timestamp: int) -> str:
    """The signature in a SOAP token passport."""
    base = "&".join((settings.account, settings.consumer_key, settings.token_id, nonce, str(timestamp)))
    return _hmac_sha256(settings.consumer_secret, settings.token_secret, base)


def _moment() -> int:
    return int(time.time())


def _nonce() -> str:
    return secrets.token_hex(16)


class TokenAuth:
    """Signs each REST request anew. A token has no expiry, so there is nothing to renew."""

    def __init__(self, settings: NetSuiteSettings, *, nonce: Callable[[], str] = _nonce, moment: Callable[[], int] = _moment) -> None:
        self._settings = settings
        self._nonce = nonce
        self._moment = moment

    async def headers(self, method: str, url: str) -> Mapping[str, str]:
        oauth = {
            "oauth_consumer_key": self._settings.consumer_key,
            "oauth_token": self._settings.token_id,
            "oauth_nonce": self._nonce(),
            "oauth_timestamp": str(self._moment()),
            "oauth_version": "1.0",
            "oauth_signature_method": "HMAC-SHA256",
        }
        signed = {"realm": self._settings.account, **oauth, "oauth_signature": rest_signature(self._settings, method, url, oauth)}
        return {"Authorization": "OAuth " + ", ".join(f'{name}="{_enc(value)}"' for name, value in signed.items())}

    async def renew(self) -> bool:
        return False

    def token_passport(self) -> dict[str, Any]:
        """The SOAP header ``tokenPassport`` for one call."""
        nonce, timestamp = self._nonce(), self._moment()
        return {
            "account": self._settings.account,
            "consumerKey": self._settings.consumer_key,
            "token": self._settings.token_id,
            "nonce": nonce,
            "timestamp": timestamp,
            "signature": {"_value_1": soap_signature(self._settings, nonce, timestamp), "algorithm": "HMAC-SHA256"},
        }
