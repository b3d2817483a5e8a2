"""`edgeclf benchmark`: where the time goes on this machine."""
