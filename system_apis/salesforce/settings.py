"""How a Salesforce org is reached, and how its words map to ours.

The org must be multi-currency and carry a few custom fields, all of them unique and *case-sensitive* where they are external ids:

* ``Account``: Q2C_Id__c (external id), Q2C_Invoice_Email__c, Q2C_Tax_Number__c
* ``Opportunity``: Q2C_Id__c (external id), Q2C_Order_Number__c, Q2C_ERP_Reference__c, Q2C_Order_Total__c, Q2C_Correlation_Id__c
* ``SBQQ__Quote__c``: Q2C_Entity__c, Q2C_Version__c
* the custom objects ``Q2C_Invoice__c`` (external id Q2C_Invoice_Id__c) and ``Q2C_Payment__c`` (external id Q2C_Payment_Key__c)
"""

from typing import Literal

import msgspec

from canonical.item import ChargeType

PRICE_BOOKS = {"standard": "Standard Price Book"}  # our id, and the name of the Pricebook2
CHARGE_TYPES: dict[str, ChargeType] = {"Recurring": "recurring", "One-Time": "one_time", "Usage": "usage"}
COUNTRIES = {  # what people write where the org has no country picklist; ISO codes need no entry
    "Austria": "AT",
    "Belgium": "BE",
    "Canada": "CA",
    "Denmark": "DK",
    "Deutschland": "DE",
    "France": "FR",
    "Germany": "DE",
    "Ireland": "IE",
    "Italy": "IT",
    "Netherlands": "NL",
    "Österreich": "AT",
    "Poland": "PL",
    "Spain": "ES",
    "Sweden": "SE",
    "Switzerland": "CH",
    "United Kingdom": "GB",
    "United States": "US",
    "USA": "US",
}


class SalesforceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Salesforce org.

    ``base_url`` is the My Domain host: all data requests go there, whatever ``instance_url`` a token answer names, so that a token never
    travels to a host that nobody has configured. ``login_url`` is where tokens are had: the login host for the JWT bearer flow
    (``https://test.salesforce.com`` for a sandbox), the My Domain host for client credentials. ``private_key`` is PEM text or the path of
    a PEM file; ``audience`` defaults to the login host.
    """

    base_url: str
    login_url: str = "https://login.salesforce.com"
    flow: Literal["jwt_bearer", "client_credentials"] = "jwt_bearer"
    client_id: str
    client_secret: str = ""
    username: str = ""
    private_key: str = ""
    audience: str = ""
    api_version: str = "v62.0"
    deadline_s: float = 15.0
    query_batch: int = 2000
    stage_won: str = "Closed Won"
    orders_per_opportunity: Literal["one", "many"] = "one"
    price_books: dict[str, str] = msgspec.field(default_factory=lambda: dict(PRICE_BOOKS))
    charge_types: dict[str, ChargeType] = msgspec.field(default_factory=lambda: dict(CHARGE_TYPES))
    service_families: tuple[str, ...] = ("Services", "Professional Services")
    countries: dict[str, str] = msgspec.field(default_factory=lambda: dict(COUNTRIES))

    def __post_init__(self) -> None:
        if self.flow == "jwt_bearer" and not (self.username and self.private_key):
            raise ValueError("the JWT bearer flow needs username and private_key")
        if self.flow == "client_credentials" and not self.client_secret:
            raise ValueError("the client credentials flow needs client_secret")
        if not 200 <= self.query_batch <= 2000:
            raise ValueError("query_batch lies between 200 and 2000")
