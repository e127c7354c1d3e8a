"""The page about problem types says what the code says."""

from policies.problems import FAILURES, REJECTIONS, TITLES
from tests.policies.problem_types import CODE, MEANINGS, PAGE, failure_codes, http_codes, page

REWRITE = ".venv/bin/python -m tests.policies.problem_types > docs/problems.md"


def test_the_page() -> None:
    """docs/problems.md lists every type with its status, as the code has them: a type that changes or is new shows in a diff."""
    assert PAGE.read_text() == page(), f"if this is what is wanted: {REWRITE}"


def test_every_code_is_explained() -> None:
    """Each code of the HTTP layer has a sentence for its reader, and no sentence is left over."""
    assert {code for code, _, _ in http_codes()} == set(MEANINGS)


def test_codes_are_words() -> None:
    """Codes are small letters, digits and underscores, so that types are stable names, and each status has a title."""
    found = http_codes() | failure_codes()
    assert len(found) > 100, "the search itself must find the codes"
    assert [code for code, _, _ in found if not CODE.fullmatch(code)] == []
    assert {status for _, status, _ in found} <= set(TITLES)
    assert {status for status, _ in FAILURES.values()} | set(REJECTIONS.values()) <= set(TITLES)


def test_the_search_finds_what_is_known() -> None:
    """The search sees policies, routes, processes, classes of their own, the store and the tables of vendors."""
    found = http_codes() | failure_codes()
    assert {
        ("scope_missing", 403, "policies"),
        ("not_parked", 409, "process_apis"),
        ("connection_unknown", 404, "system_apis"),
        ("quote_not_valid", 422, "process_apis"),
        ("order_exists", 409, "process_apis"),
        ("nul_in_text", 422, "runtime/store"),
        ("card_refused", 422, "system_apis/stripe"),
        ("api_key_expired", 502, "system_apis/stripe"),
    } <= found
