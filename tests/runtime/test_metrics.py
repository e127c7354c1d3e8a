"""What is counted."""

import datetime as dt

import pytest
from prometheus_client import REGISTRY

from runtime import metrics

NOW = dt.datetime(2026, 1, 15, 9, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(("sent", "named"), [("GET", "GET"), ("DELETE", "DELETE"), ("get", "other"), ("X" * 500, "other"), ("", "other")])
def test_a_method_that_nobody_knows_is_no_label(sent: str, named: str) -> None:
    """Whatever a caller invents is counted as one method."""
    assert metrics.method(sent) == named


@pytest.mark.parametrize(
    ("sent_at", "age_s"),
    [
        ([], 0.0),
        (["2026-01-15T08:59:30+00:00", "2026-01-15T08:58:00+00:00", ""], 120.0),
        (["yesterday"], 0.0),
        (["2026-01-15T08:59:30"], 0.0),
    ],
)
def test_the_age_of_what_is_left_behind_is_that_of_the_oldest(sent_at: list[str], age_s: float) -> None:
    """The oldest unsent message counts; a letter that does not say when it was written is no reason to stop a relay."""
    metrics.left_behind(sent_at, NOW)
    assert REGISTRY.get_sample_value("q2c_outbox_oldest_unsent_seconds") == age_s
