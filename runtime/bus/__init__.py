"""The bus: one contract, kept by RabbitMQ and by the embedded queue."""
