"""Avalara AvaTax: the tax on a quote, on record for an order, voided when the order is undone. Read connector.py first."""
