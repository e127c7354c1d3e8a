"""Outgoing HTTP and SOAP: one deadline, one failure table, no retry."""
