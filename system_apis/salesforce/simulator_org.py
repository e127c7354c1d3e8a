"""The simulated org: its records, what follows from writing them, the rules that people set, and who is logged in."""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import jwt

from canonical.money import plain
from system_apis.salesforce.session import JWT_BEARER
from system_apis.salesforce.simulator_objects import OBJECTS, SalesforceError, sobject
from system_apis.simulation import Simulation

Record = dict[str, Any]
SESSION_LIVES = dt.timedelta(hours=2)
LOGIN_HOSTS = ("https://login.salesforce.com", "https://test.salesforce.com")
CLIENT_ID = "q2c-simulated-connected-app"
CLIENT_SECRET = "simulated-secret-of-no-value"  # noqa: S105 - made up, for the simulator alone
DATED = {"Q2C_Invoice__c": "Q2C_Issued_On__c", "Q2C_Payment__c": "Q2C_Paid_On__c"}


class TokenRefused(Exception):
    """What the token endpoint answers instead, as OAuth has it."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.answer = {"error": error, "error_description": description}


class Org:
    """The records behind the API. Everything is kept in the simulation; the index of external ids is derived from it."""

    def __init__(self, simulation: Simulation) -> None:
        self.sim = simulation
        self._ids: dict[tuple[str, str, str], list[str]] = {}
        for name in OBJECTS:
            for record in simulation.all(name):
                self._index(name, record)

    # records ---------------------------------------------------------------------------------------------------------

    def fetch(self, name: str, record_id: str) -> Record | None:
        """A record by its 15- or 18-character id (the ids made here have no capitals, so that their check characters are AAA)."""
        return self.sim.get(name, record_id if len(record_id) == 18 else f"{record_id}AAA")

    def by_external_id(self, name: str, field: str, value: str) -> list[Record]:
        """The records that carry the external id, case and all."""
        known = sobject(name).fields.get(field)
        if known is None or not known.external_id:
            raise SalesforceError(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + field)
        found = (self.sim.get(name, record_id) for record_id in self._ids.get((name, field, value), []))
        return [record for record in found if record is not None and record.get(field) == value]

    def create(self, name: str, values: Mapping[str, Any]) -> Record:
        """A new record, with an id and a day of birth."""
        record_id = f"{OBJECTS[name].prefix}{self.sim.number(name):012d}AAA"
        born = {"Id": record_id, "CreatedDate": self.sim.clock.now().strftime("%Y-%m-%dT%H:%M:%S.000+0000"), "CurrencyIsoCode": "USD"}
        return self._keep(name, None, {**born, **values})

    def change(self, name: str, record: Record, values: Mapping[str, Any]) -> Record:
        """The record with new values."""
        return self._keep(name, record, {**record, **values})

    def _keep(self, name: str, before: Record | None, record: Record) -> Record:
        for field_name, field in OBJECTS[name].fields.items():
            target = record.get(field_name)
            if field.to and target and self.fetch(field.to, target) is None:
                raise SalesforceError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", field_name)
        if name == "Opportunity":
            stage = record.get("StageName") or ""
            record = {**record, "IsClosed": stage.startswith("Closed"), "IsWon": stage == "Closed Won"}
        kept = self.sim.put(name, record["Id"], record)
        self._index(name, kept)
        if follows := _FOLLOWS.get(name):
            follows(self, before, kept)
        return kept

    def _index(self, name: str, record: Record) -> None:
        for field_name, field in OBJECTS[name].fields.items():
            if field.external_id and record.get(field_name):
                ids = self._ids.setdefault((name, field_name, record[field_name]), [])
                if record["Id"] not in ids:
                    ids.append(record["Id"])

    # rules -----------------------------------------------------------------------------------------------------------

    def rule(self, name: str, **values: Any) -> Record:
        """Set a rule of the org, e.g. ``closed_until``."""
        return self.sim.put("org", name, values)

    def used_up(self, name: str) -> bool:
        """Whether a rule that holds for some requests still holds; this one counts."""
        times = (self.sim.get("org", name) or {}).get("times", 0)
        if times > 0:
            self.rule(name, times=times - 1)
        return bool(times > 0)

    def closed(self, name: str, values: Mapping[str, Any], request: str) -> None:
        """Refuse a date in a closed period, as a validation rule of the org does."""
        booked_on = values.get(DATED.get(name, "")) or ""
        until = (self.sim.get("org", "closed_until") or {}).get("until", "")
        if self.sim.take("closed_period", request) or (booked_on and booked_on <= until):
            message = f"The accounting period of {booked_on or 'this date'} is closed."
            raise SalesforceError(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", message, DATED.get(name, ""))

    # sessions --------------------------------------------------------------------------------------------------------

    def log_in(self, form: Mapping[str, str], host: str) -> str:
        """An access token. Raises `TokenRefused`."""
        grants: dict[str, Callable[[], str]] = {
            "client_credentials": lambda: self._by_secret(form),
            JWT_BEARER: lambda: self._by_assertion(form.get("assertion", ""), host),
        }
        grant = grants.get(form.get("grant_type", ""))
        if grant is None:
            raise TokenRefused("unsupported_grant_type", "grant type not supported")
        client_id = grant()
        serial = self.sim.number("session")
        token = f"00D000000000001!{hashlib.sha256(f'{client_id}/{serial}'.encode()).hexdigest()}"
        self.sim.put("sessions", token, {"Id": token, "until": (self.sim.clock.now() + SESSION_LIVES).isoformat()})
        return token

    def _by_secret(self, form: Mapping[str, str]) -> str:
        if form.get("client_id") != CLIENT_ID:
            raise TokenRefused("invalid_client_id", "client identifier invalid")
        if form.get("client_secret") != CLIENT_SECRET:
            raise TokenRefused("invalid_client", "invalid client credentials")
        return CLIENT_ID

    def _by_assertion(self, assertion: str, host: str) -> str:
        try:
            issuer = str(jwt.decode(assertion, options={"verify_signature": False}).get("iss", ""))
            app = self.sim.get("connected_apps", issuer)
            if app is None:
                raise TokenRefused("invalid_client_id", "client identifier invalid")
            checks = {"require": ["iss", "sub", "aud", "exp"], "verify_exp": False}  # the simulation's clock judges below
            claims = jwt.decode(assertion, app["public_key"], ["RS256"], audience=[*LOGIN_HOSTS, host], options=checks)  # type: ignore[arg-type]  # its TypedDict is private
        except jwt.PyJWTError as error:
            raise TokenRefused("invalid_grant", f"invalid assertion: {error}") from error
        left = dt.datetime.fromtimestamp(int(claims["exp"]), dt.UTC) - self.sim.clock.now()
        if not dt.timedelta(0) < left <= dt.timedelta(minutes=5):
            raise TokenRefused("invalid_grant", "expired authorization code")
        if claims["sub"] != app["username"]:
            raise TokenRefused("invalid_grant", "user hasn't approved this consumer")
        return issuer

    def logged_in(self, authorization: str) -> None:
        """Refuse a request without a living session."""
        session = self.sim.get("sessions", authorization.removeprefix("Bearer ")) if authorization.startswith("Bearer ") else None
        if session is None or session["until"] <= self.sim.clock.now().isoformat():
            raise SalesforceError(401, "INVALID_SESSION_ID", "Session expired or invalid")


def _opportunity(org: Org, before: Record | None, record: Record) -> None:
    order = record.get("Q2C_Order_Number__c") or ""
    was_won = before is not None and before.get("IsWon") and before.get("Q2C_Order_Number__c") == order
    if order and record.get("IsWon") and not was_won:
        amount, _, currency = (record.get("Q2C_Order_Total__c") or "").partition(" ")
        key = record.get("Q2C_Id__c") or record["Id"]
        org.sim.commit("opportunity_won", order, record["Id"], idempotency_key=key, amount=amount, currency=currency)


def _invoice(org: Org, before: Record | None, record: Record) -> None:
    if before is None:
        key = record.get("Q2C_Invoice_Id__c") or ""
        amount, currency = record.get("Q2C_Total__c") or "", record.get("CurrencyIsoCode") or ""
        org.sim.commit("crm_invoice", key, record["Id"], idempotency_key=key, amount=amount, currency=currency)


def _payment(org: Org, before: Record | None, record: Record) -> None:
    if before is None:
        key = record.get("Q2C_Payment_Key__c") or ""
        amount, currency = record.get("Q2C_Amount__c") or "", record.get("CurrencyIsoCode") or ""
        org.sim.commit("crm_payment", key, record["Id"], idempotency_key=key, amount=amount, currency=currency)
    invoice = org.fetch("Q2C_Invoice__c", record.get("Q2C_Invoice__c") or "")
    if invoice is not None:  # the org's roll-up summary
        paid = (Decimal(p.get("Q2C_Amount__c") or 0) for p in org.sim.all("Q2C_Payment__c") if p.get("Q2C_Invoice__c") == invoice["Id"])
        org.change("Q2C_Invoice__c", invoice, {"Q2C_Paid_Amount__c": plain(sum(paid, Decimal(0)))})


_FOLLOWS: dict[str, Callable[[Org, Record | None, Record], None]] = {
    "Opportunity": _opportunity,
    "Q2C_Invoice__c": _invoice,
    "Q2C_Payment__c": _payment,
}
