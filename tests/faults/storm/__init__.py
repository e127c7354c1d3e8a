"""The proof: a whole installation under fire, and an oracle that believes only the driver's log and the vendors' own books."""
