"""What a route or a message promises; one policy a file, one order for all (enforce.py)."""
