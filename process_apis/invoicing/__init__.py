"""An invoice that the ERP or the billing system has posted reaches the CRM and the read models."""
