"""Bank lines that are money received, as payments: the same line in two files is the same payment."""

from canonical.bank_statement import BankLine, BankStatement
from canonical.payment import Payment, PaymentSettled
from canonical.provenance import ExternalId
from system_apis.bank_files.failures import StatementRefused
from system_apis.bank_files.reader import read_statement
from system_apis.bank_files.settings import BankFilesSettings
from system_apis.connector import FileReport, Translated


def translate(settings: BankFilesSettings, data: bytes) -> tuple[tuple[Translated, ...], FileReport]:
    """Every booked credit line of a file as a settled payment. Raises `StatementRefused`: nothing of the file is then taken in."""
    statements = read_statement(data)
    found: list[Translated] = []
    remarks: list[str] = []
    for statement in statements:
        entity = _owner(settings, statement)
        remarks += [f"{statement.account}: {warning}" for warning in statement.warnings]
        for line in statement.lines:
            payment = _payment(line, statement, entity)
            if payment is not None:
                found.append(Translated(id=payment.id, event=PaymentSettled(payment=payment)))
            elif line.status == "booked" and line.reversal:
                remarks.append(f"{statement.account}: line {line.id} takes back {line.amount}; look at it by hand")
    lines = sum(len(statement.lines) for statement in statements)
    return tuple(found), FileReport(lines=lines, taken=len(found), remarks=tuple(remarks))


def _owner(settings: BankFilesSettings, statement: BankStatement) -> str:
    account = statement.account.replace(" ", "")
    owner = settings.accounts.get(account) or settings.currencies.get(statement.currency or "")
    if not owner:
        raise StatementRefused(f"no legal entity is set for account {statement.account} ({statement.currency or 'no currency'})")
    return owner


def _payment(line: BankLine, statement: BankStatement, entity: str) -> Payment | None:
    """The payment in a line; None for what is no money received: debits, reversals, lines that are not booked yet, nothing."""
    received_on = line.booking_date or line.value_date
    if line.status != "booked" or line.direction != "credit" or line.reversal or received_on is None or not line.amount:
        return None
    return Payment(
        id=line.id,
        entity=entity,
        source="bank_statement",
        received_on=received_on,
        amount=line.amount,
        payer=line.counterparty.ultimate_name or line.counterparty.name,
        payer_account=line.counterparty.account,
        references=line.references.every(),
        remittance=line.remittance_text,
        external_id=ExternalId(connection="bank", kind="bank_line", id=line.id, number=statement.number or statement.reference),
    )
