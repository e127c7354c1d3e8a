"""How the simulated NetSuite says no: the vendor's own error body."""

import msgspec
from litestar import Response

_STATUS_PAGE = "https://www.rfc-editor.org/rfc/rfc9110.html#section-15.5"
_TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}


class NsError(Exception):
    """A refusal with NetSuite's code, its sentence, and the path into the request."""

    def __init__(self, code: str, detail: str, *, path: str = "", status: int = 400) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.path = path
        self.status = status

    def answer(self) -> Response[bytes]:
        """The whole answer."""
        entry = {"detail": self.detail, **({"o:errorPath": self.path} if self.path else {}), "o:errorCode": self.code}
        title = _TITLES.get(self.status, "Error")
        body = {"type": _STATUS_PAGE, "title": title, "status": self.status, "o:errorDetails": [entry]}
        kind = "application/vnd.oracle.resource+json; type=error; charset=UTF-8"
        return Response(msgspec.json.encode(body), status_code=self.status, media_type=kind)


def user_error(detail: str, path: str = "") -> NsError:
    """The code that NetSuite gives to most of what its business rules refuse."""
    return NsError("USER_ERROR", f"Error while accessing a resource. {detail}", path=path)


def not_there() -> NsError:
    """A record that does not exist."""
    return NsError("NONEXISTENT_ID", "The record instance does not exist. Provide a valid record instance ID.", status=404)


def bad_query(problem: str) -> NsError:
    """A SuiteQL query that cannot be run."""
    detail = f"Invalid search query. Detailed unprocessed description follows. Search error occurred: {problem}."
    return NsError("INVALID_PARAMETER", detail)
