"""What a NetSuite account needs: its token, which subsidiary keeps the books of which legal entity, and its own ids for a few things."""

import msgspec


class NetSuiteSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One NetSuite account, spoken to with token-based authentication (integration record and access token, HMAC-SHA256).

    ``subsidiaries`` is keyed by our legal entity. ``currencies`` (ISO code to internal id) may stay empty: it is then read from the
    account. ``terms`` is keyed by days as text; empty means that NetSuite's own default terms hold. ``tax_total_field`` is the custom body
    field that carries the tax of the tax engine; empty where the account has none. The token's role must work in UTC: the time stamps of
    SuiteQL are in the role's time zone. ``overlap_s`` is how far a poll looks back behind what it has already seen.
    """

    account: str
    consumer_key: str
    consumer_secret: str
    token_id: str
    token_secret: str
    subsidiaries: dict[str, str]
    base_url: str = ""
    soap_url: str = ""
    soap_version: str = "2025_2"
    currencies: dict[str, str] = {}
    terms: dict[str, str] = {}
    deposit_account: str = ""
    tax_total_field: str = "custbody_q2c_tax_total"
    overlap_s: int = 120
    deadline_s: float = 30.0

    @property
    def rest_root(self) -> str:
        """Where REST lives: the account's own host unless `base_url` says otherwise."""
        return (self.base_url or self._host).rstrip("/")

    @property
    def soap_endpoint(self) -> str:
        """Where SOAP lives; `soap_url` is complete, with the version of the endpoint."""
        return self.soap_url or f"{self.rest_root}/services/NetSuitePort_{self.soap_version}"

    @property
    def _host(self) -> str:
        return f"https://{self.account.lower().replace('_', '-')}.suitetalk.api.netsuite.com"
