"""Where work on many items is done: on this machine, or on a Ray cluster."""
