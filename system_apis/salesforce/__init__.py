"""Salesforce, with CPQ quotes: the CRM. Read connector.py first."""
