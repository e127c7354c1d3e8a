"""The one way in which a bank file fails: it is refused, with a reason that a person understands."""

from canonical.failures import Rejected


class StatementRefused(Rejected):
    """This file is not taken in; ``reason`` says why, and nothing of it was."""

    def __init__(self, reason: str) -> None:
        super().__init__("statement_refused", reason)

    @property
    def reason(self) -> str:
        return self.detail
