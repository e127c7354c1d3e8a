"""The business, one folder a process: process.py (the table, read this first) and steps.py. No vendor name appears here."""
