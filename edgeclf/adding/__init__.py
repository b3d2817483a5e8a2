"""Teach a model file a class on the device itself, without its training pictures."""
