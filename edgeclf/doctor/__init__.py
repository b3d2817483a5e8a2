"""`edgeclf doctor`: what this machine lacks for labelling, and what mends it."""
