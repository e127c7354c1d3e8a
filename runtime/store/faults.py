"""What an error of the database means, in the six words. The two tables are keyed by the databases' own codes."""

from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from canonical.failures import Broken, Failure, Misconfigured, Rejected, Unavailable

Meaning = tuple[type[Failure], str]

DOWN: Meaning = (Unavailable, "store_down")
BUSY: Meaning = (Unavailable, "store_busy")
REFUSES_US: Meaning = (Misconfigured, "store_refuses_us")
OUTDATED: Meaning = (Misconfigured, "schema_outdated")

# https://www.postgresql.org/docs/current/errcodes-appendix.html
SQLSTATES: dict[str, Meaning] = {
    "22021": (Rejected, "nul_in_text"),
    "25006": DOWN,  # a standby that does not take writes
    "25P03": DOWN,  # idle in a transaction for too long: this process had stopped
    "28000": REFUSES_US,
    "28P01": REFUSES_US,
    "3D000": REFUSES_US,  # no such database
    "40001": BUSY,  # serialisation failure
    "40P01": BUSY,  # deadlock
    "42501": REFUSES_US,
    "42703": OUTDATED,  # no such column
    "42P01": OUTDATED,  # no such table
    "53100": DOWN,  # disk full
    "53200": DOWN,  # out of memory
    "53300": BUSY,  # too many connections
    "55P03": BUSY,  # lock_timeout
    "57014": BUSY,  # statement_timeout
    "57P01": DOWN,
    "57P02": DOWN,
    "57P03": DOWN,  # starting up or shutting down
    "58030": DOWN,  # I/O error
}

# https://www.sqlite.org/rescode.html, primary codes
SQLITE_ERRORS: dict[str, Meaning] = {
    "SQLITE_BUSY": BUSY,
    "SQLITE_LOCKED": BUSY,
    "SQLITE_CANTOPEN": DOWN,
    "SQLITE_FULL": DOWN,
    "SQLITE_IOERR": DOWN,
    "SQLITE_NOMEM": DOWN,
    "SQLITE_READONLY": REFUSES_US,
    "SQLITE_PERM": REFUSES_US,
    "SQLITE_AUTH": REFUSES_US,
    "SQLITE_CORRUPT": (Broken, "store_corrupt"),
    "SQLITE_NOTADB": (Broken, "store_corrupt"),
}

# What the driver or the database can throw at us.
ERRORS: tuple[type[Exception], ...] = (StatementError, NoConnectionFree, OSError)
# What one unit's values can cause beside that.
VALUES: tuple[type[Exception], ...] = (OverflowError, TypeError, ValueError)


def failure_of(error: Exception) -> Failure:
    """The word for an error. `Broken` where it lies in what we asked of the database."""
    detail = _detail(error)
    if isinstance(error, NoConnectionFree):
        return Unavailable("store_busy", "all connections to the store are in use")
    if isinstance(error, OSError):
        return Unavailable("store_down", detail)
    if isinstance(error, DBAPIError):
        meaning = _meaning(error)
        if meaning is None and error.connection_invalidated:
            meaning = DOWN
        if meaning is not None:
            word, code = meaning
            return word(code, "run q2c migrate" if meaning is OUTDATED else detail)
    return Broken("store_refused", detail)


def is_trouble(error: Exception) -> bool:
    """Whether the database is to blame, and not one unit's values: then the whole commit has failed."""
    return not isinstance(failure_of(error), Rejected | Broken) or failure_of(error).code == "store_corrupt"


def _meaning(error: DBAPIError) -> Meaning | None:
    state = getattr(error.orig, "sqlstate", None) or ""
    if state.startswith("08"):
        return DOWN
    name: str = getattr(error.orig, "sqlite_errorname", None) or ""
    primary = "_".join(name.split("_")[:2])  # SQLITE_IOERR_FSYNC is a kind of SQLITE_IOERR
    missing = "no such table" in str(error.orig) or "no such column" in str(error.orig)
    if primary == "SQLITE_ERROR" and missing:
        return OUTDATED
    return SQLSTATES.get(state) or SQLITE_ERRORS.get(primary)


def _detail(error: Exception) -> str:
    # Not str(error): SQLAlchemy's text holds the statement.
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    return f"{type(cause).__name__}: {cause}"[:500]
