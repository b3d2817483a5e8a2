"""`edgeclf demo`: draw pictures of seven decors, learn them, label some.

The ornaments are this library's own drawings in the manner of the decors, so that
the whole job can be shown on a machine that has neither pictures nor a network.
"""

from edgeclf.demo.command import main
from edgeclf.demo.pictures import draw_pictures

__all__ = ["draw_pictures", "main"]
