"""A quote is checked against all systems while the seller waits."""
