"""Processes as tables, and the one loop that runs them."""
