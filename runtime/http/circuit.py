"""A circuit per connection: a vendor that is away is left in peace, and comes back to a trickle and not to a flood.

After `OPENS_AFTER` technical failures in a row nothing is sent for a while; then one call probes. When it gets through, work comes back
at a rate that doubles every second, so that what has gathered over an outage of hours does not end as the next one. The state is this
process's own: each worker learns it within a few calls, and no call pays for asking a store. What is refused here was certainly not sent.
"""

import random
from collections.abc import Callable

import structlog

from canonical.failures import Failure, OutcomeUnknown, Unavailable
from runtime.clock import Clock

log = structlog.get_logger("q2c.http")

OPENS_AFTER = 5
REST_S, REST_S_MAX = 2.0, 60.0
RAMP_FROM, RAMP_DOUBLES_S = 2, 1.0
OPEN = "circuit_open"


class Circuit:
    """Closed, open, or half open. ``in_flight_max`` is what the connection takes when all is well."""

    def __init__(self, name: str, in_flight_max: int, clock: Clock, *, jitter: Callable[[], float] = random.random) -> None:
        self._name = name
        self._in_flight_max = in_flight_max
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._rest_s = REST_S
        self._open_until_s: float | None = None
        self._closed_at_s: float | None = None  # while work comes back
        self._in_flight = 0

    @property
    def state(self) -> str:
        """For people: closed, open, half open, or recovering."""
        if self._open_until_s is not None:
            return "open" if self._clock.monotonic_s() < self._open_until_s else "half open"
        return "recovering" if self._closed_at_s is not None else "closed"

    def check(self) -> None:
        """Raises `Unavailable` where a call must not be made now; that costs a step no attempt."""
        if self._open_until_s is not None:
            rest_s = self._open_until_s - self._clock.monotonic_s()
            if rest_s > 0 or self._in_flight:
                raise self._refused(max(rest_s, 1.0))
        elif self._closed_at_s is not None and self._in_flight >= self._ramp():
            raise self._refused(1.0)

    def __enter__(self) -> None:
        """Begin a call. Raises `Unavailable` as `check` does."""
        self.check()
        self._in_flight += 1

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._in_flight -= 1
        if isinstance(error, Unavailable) or (isinstance(error, OutcomeUnknown) and error.code == "no_answer"):
            self._failed()
        elif error is None or isinstance(error, Failure):
            self._answered()

    def _ramp(self) -> int:
        since_s = self._clock.monotonic_s() - (self._closed_at_s or 0.0)
        allowed = RAMP_FROM * 2 ** min(int(since_s / RAMP_DOUBLES_S), 20)
        if allowed >= self._in_flight_max:
            self._closed_at_s = None
        return int(allowed)

    def _refused(self, rest_s: float) -> Unavailable:
        # scattered, so that those who wait do not come back in one moment
        return Unavailable(OPEN, f"{self._name} does not answer; it is asked again later", retry_after_s=rest_s * (1 + self._jitter()))

    def _failed(self) -> None:
        self._failures += 1
        half_open = self._open_until_s is not None
        if self.state == "open":
            return  # begun before it opened: many calls that end together are one outage, and no reason to rest longer
        if half_open or self._failures >= OPENS_AFTER:
            if not half_open:
                log.warning("circuit_opened", connection=self._name, failures=self._failures)
            self._open_until_s = self._clock.monotonic_s() + self._rest_s
            self._rest_s = min(self._rest_s * 2, REST_S_MAX)

    def _answered(self) -> None:
        """The vendor answers, whatever it says."""
        self._failures = 0
        if self._open_until_s is not None:
            log.info("circuit_closed", connection=self._name)
            self._open_until_s, self._rest_s = None, REST_S
            self._closed_at_s = self._clock.monotonic_s()
