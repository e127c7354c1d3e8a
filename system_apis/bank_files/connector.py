"""The card of bank statement files: read this first."""

from runtime.http.failure_table import FailureTable
from system_apis.bank_files.client import BankFilesClient
from system_apis.bank_files.payments import translate
from system_apis.bank_files.settings import BankFilesSettings
from system_apis.connector import Connector, Files

BANK_FILES = Connector(
    name="bank_files",
    title="Bank statement files (MT940, CAMT)",
    settings=BankFilesSettings,
    client=BankFilesClient,
    failures=FailureTable({}),
    does={},
    files=Files(translate=translate),
)
