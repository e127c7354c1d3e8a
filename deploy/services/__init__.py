"""Real servers on this machine, private to whoever starts them: RabbitMQ, PostgreSQL and Tryton.

Each listens on 127.0.0.1 on a port of its own, lives in a folder of its own, and dies with the process that started it, however that
process dies. The tests run on them, and so does `make demo ARGS=--scaled`. They are for tests and trials: production has its own.

>>> from deploy.services import rabbitmq
>>> server = rabbitmq.start()      # amqp://q2c:…@127.0.0.1:…/
>>> server.kill(); server.restart(); server.stop()
"""
