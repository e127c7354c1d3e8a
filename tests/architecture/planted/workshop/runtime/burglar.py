"""What is installed needs what is not."""

from deploy.services import rabbitmq
