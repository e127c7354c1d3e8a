"""Files need no client: nobody is called."""

from system_apis.bank_files.settings import BankFilesSettings


class BankFilesClient:
    """What every card has; here it has nothing to do."""

    def __init__(self, settings: BankFilesSettings) -> None:
        self.settings = settings

    async def aclose(self) -> None:
        """Nothing is open."""
