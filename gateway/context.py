"""Where a command line looks for its settings."""

from pathlib import Path

import msgspec

from gateway.settings import HttpSettings, Settings, load
from gateway.simulated import settings as simulated_settings


class Where(msgspec.Struct, frozen=True):
    """The options that most commands share."""

    settings: Path | None = None
    data: Path | None = None
    simulators: str = ""
    host: str | None = None
    port: int | None = None

    def load(self) -> Settings:
        """The settings: the file, the environment, then the options. Raises `Misconfigured`."""
        base = simulated_settings(self.simulators) if self.simulators else {}
        loaded = load(self.settings, base=base)
        http = HttpSettings(host=self.host or loaded.http.host, port=self.port or loaded.http.port)
        data = str(self.data) if self.data else loaded.data
        return msgspec.structs.replace(loaded, http=http, data=data)
