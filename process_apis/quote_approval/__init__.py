"""A quote is approved by rule or by a person, signed by the customer, and becomes an order."""
