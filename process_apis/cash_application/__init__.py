"""Money that has arrived is applied to the invoices that it pays, by certainty or by a person."""
