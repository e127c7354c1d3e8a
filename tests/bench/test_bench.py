"""The arithmetic of the bench: what it prints is what was measured."""

import os

import msgspec
import pytest

from tests.bench import booking
from tests.bench.measure import TICKS, Figures, cpu_s, percentile, rss_mb, stat_cpu_s, tree


def figures(contestant: str, per_s: float, **more: float) -> Figures:
    known = dict.fromkeys(("seconds", "cpu_ms", "cpu_app_ms", "cpu_postgres_ms", "cpu_rabbitmq_ms", "commits", "syncs"), 0.0)
    given = {"backend_ms": 0.0, "workers": 1, "orders": 100, **known, **more}
    return msgspec.convert({"contestant": contestant, "orders_per_s": per_s, **given}, Figures)


@pytest.mark.parametrize(("part", "value"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)])
def test_a_percentile_is_the_value_below_which_the_part_lies(part: float, value: float) -> None:
    """Of one to a hundred the median is fifty and the ninety-ninth percentile ninety-nine."""
    assert percentile([float(n) for n in range(100, 0, -1)], part) == value
    assert percentile([], part) == 0.0


def test_cpu_is_read_whatever_the_program_is_called() -> None:
    """User and system time of the process and of its ended children, also of one whose name has blanks and brackets."""
    stat = "7 (odd) name (x) S 1 7 7 0 -1 4194304 1 2 3 4 100 20 3 4 20 0 1 0 1 1 1"
    assert stat_cpu_s(stat) == pytest.approx(127 / TICKS)


def test_a_process_is_seen_with_its_memory() -> None:
    """This very process has itself in its tree, has used CPU and holds memory."""
    assert os.getpid() in tree(os.getpid())
    assert cpu_s([os.getpid()]) > 0
    assert rss_mb([os.getpid()]) > 10


def test_a_ratio_is_to_the_best_form_of_a_rival() -> None:
    """Where a rival has run in several forms, its best one counts."""
    found = [figures("q2c", 300.0), figures("dbos", 20.0), figures("dbos2", 30.0)]
    assert booking.ratio(found, "q2c", "dbos", 0.0) == 10.0
    assert booking.ratio(found, "q2c", "bare", 0.0) is None


def test_a_target_that_is_missed_is_said() -> None:
    """A figure that does not reach its bound fails, in the list and in print."""
    found = booking.Booking(figures=[figures("q2c", 100.0, commits=2.0), figures("celery_task", 100.0)])
    found.targets = booking.targets(found)
    missed = {line["target"]: line["holds"] for line in found.targets}
    assert missed["orders/s against celery_task, back ends after 0 ms"] is False
    assert missed["commits an order under load, 1 worker, 0 ms"] is False
    assert booking.table(found).count("FAILS") == 2
