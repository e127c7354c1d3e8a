"""What every test can ask for."""

from tests.services.fixtures import postgres, rabbitmq, tryton

__all__ = ["postgres", "rabbitmq", "tryton"]
