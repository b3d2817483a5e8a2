"""Teach a model file a class on the device itself, without its training pictures."""

from edgeclf.adding.add_class import AddClassResult, add_class

__all__ = ["AddClassResult", "add_class"]
