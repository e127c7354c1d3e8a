"""Names of queues: which message goes where. The embedded bus matches the same names as RabbitMQ."""

EXCHANGE_EVENTS = "q2c.events"


def process_queue(process: str) -> str:
    """Commands and events that start or continue a process, and the calls that bring an instance back."""
    return f"process.{process}"


def inquiry_queue(name: str) -> str:
    """Synchronous questions to the process layer, such as the validation of a quote."""
    return f"ask.process.{name}"


def connection_queue(connection: str) -> str:
    """Asks for a connection that is served by another worker."""
    return f"ask.connection.{connection}"


RECEPTION = "ask.process.reception"
READ_MODELS = "read_models"
INBOX = "system.inbox"
