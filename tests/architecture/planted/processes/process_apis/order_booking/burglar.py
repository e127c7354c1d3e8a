"""One process calls another without the bus."""

from process_apis.invoicing import steps
