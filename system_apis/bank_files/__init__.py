"""Bank statement files: MT940, MT942 and the CAMT family, read into the canonical bank statement."""
