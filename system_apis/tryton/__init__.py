"""Tryton 8.2 as the ERP of an entity: customers, sales, invoices and payments over its own JSON-RPC. Read `connector.py` first."""
