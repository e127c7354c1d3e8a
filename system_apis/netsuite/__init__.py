"""Oracle NetSuite: the ERP that books the orders, posts the invoices and takes the payments. Read connector.py first."""
