"""The vendors, all alike: each folder has a card (connector.py, read it first) and one file per noun."""
