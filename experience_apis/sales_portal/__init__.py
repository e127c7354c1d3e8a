"""For those who sell: submit a quote, decide on it, follow it."""
