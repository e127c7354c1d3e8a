"""Stripe: opens and closes subscriptions, and tells when money has arrived. Read `connector.py` first."""
