"""For those who look after the money: payments that wait for an allocation."""
