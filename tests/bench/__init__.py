"""`make bench`: the gateway beside the engines that one could use instead, in one run on one machine. Figures, never tests of time."""
