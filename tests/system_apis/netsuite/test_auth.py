"""Token-based authentication, against published vectors and against the simulator."""

import msgspec
import pytest

from canonical.failures import Misconfigured
from canonical.invoice import FindOpenInvoices
from canonical.tax import FindTaxRates
from system_apis.netsuite.auth import TokenAuth, rest_signature, soap_signature
from system_apis.netsuite.settings import NetSuiteSettings
from tests.system_apis.netsuite.conftest import Account, order

VECTOR = NetSuiteSettings(
    account="1234567_SB1", consumer_key="ck", consumer_secret="cs", token_id="tk", token_secret="ts", subsidiaries={"US01": "1"}
)


async def test_a_rest_call_is_signed_as_the_vendor_signs_it() -> None:
    """The golden vector: method, URL with its query, and OAuth fields give this signature, percent-encoded in the header."""
    auth = TokenAuth(VECTOR, nonce=lambda: "fixednonce1234567890", moment=lambda: 1700000000)
    headers = await auth.headers("POST", "http://127.0.0.1:8425/services/rest/record/v1/invoice?replace=item")
    assert headers["Authorization"] == (
        'OAuth realm="1234567_SB1", oauth_consumer_key="ck", oauth_token="tk", oauth_nonce="fixednonce1234567890", '
        'oauth_timestamp="1700000000", oauth_version="1.0", oauth_signature_method="HMAC-SHA256", '
        'oauth_signature="QhcPEqUI2L9v2kcRsVBDAfijD3rpCGWBj36kVkNa4yg%3D"'
    )


def test_a_soap_call_is_signed_as_the_vendor_signs_it() -> None:
    """The golden vector of the token passport."""
    assert soap_signature(VECTOR, "77993689326943365424", 1795178752) == "76nZJTxr92F71NnVyRY67qiI3zuutolZLzoX/yh5F24="
    passport = TokenAuth(VECTOR, nonce=lambda: "77993689326943365424", moment=lambda: 1795178752).token_passport()
    assert passport["signature"] == {"_value_1": "76nZJTxr92F71NnVyRY67qiI3zuutolZLzoX/yh5F24=", "algorithm": "HMAC-SHA256"}


def test_every_part_of_a_call_is_signed() -> None:
    """Another method, path, query or nonce is another signature; the order of the query is not."""
    fields = {"oauth_nonce": "n", "oauth_timestamp": "1"}
    calls = [
        ("GET", "http://h/a?x=1&y=2", fields),
        ("PUT", "http://h/a?x=1&y=2", fields),
        ("GET", "http://h/b?x=1&y=2", fields),
        ("GET", "http://h/a?x=1&y=3", fields),
        ("GET", "http://h/a?x=1&y=2", {**fields, "oauth_nonce": "m"}),
    ]
    assert len({rest_signature(VECTOR, *call) for call in calls}) == len(calls)
    assert rest_signature(VECTOR, *calls[0]) == rest_signature(VECTOR, "GET", "http://h/a?y=2&x=1", fields)


@pytest.mark.parametrize("field", ["account", "consumer_key", "consumer_secret", "token_id", "token_secret"])
async def test_a_wrong_credential_is_refused_and_ours_to_configure(account: Account, field: str) -> None:
    """REST and SOAP alike: the simulator really checks the signature, and the refusal calls for whoever runs the connection."""
    wrong = Account(account.simulation, account.base_url, **{field: "wrong"})
    for command in (FindOpenInvoices(), FindTaxRates(), order()):
        with pytest.raises(Misconfigured) as refused:
            await wrong.ask(command)
        assert refused.value.code == "credentials_refused"
    await wrong.aclose()
    assert account.simulation.ledger == []


def test_hosts_follow_from_the_account() -> None:
    """Lower case with a dash in the host, upper case with an underscore in signatures; both addresses can be set."""
    assert VECTOR.rest_root == "https://1234567-sb1.suitetalk.api.netsuite.com"
    assert VECTOR.soap_endpoint == "https://1234567-sb1.suitetalk.api.netsuite.com/services/NetSuitePort_2025_2"
    moved = msgspec.structs.replace(VECTOR, base_url="http://h/", soap_url="http://s/port")
    assert (moved.rest_root, moved.soap_endpoint) == ("http://h", "http://s/port")
