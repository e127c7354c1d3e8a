"""An accepted quote is booked in every system that has to know, or in none."""
