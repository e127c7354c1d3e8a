"""A process calls a system without the bus."""

from system_apis import connector
