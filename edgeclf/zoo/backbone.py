"""What a backbone is: a frozen float feature extractor."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Backbone:
    """A frozen float feature extractor, ready to be given a head.

    Attributes:
        name: Zoo name, or the file's stem.
        content: A float `.tflite` file with one subgraph, one input of shape
            `(1, height, width, 3)` and one output of shape `(1, depth)`, both
            float32; all tensor names differ.
        input_size: `(height, width)` in pixels.
        input_mean: The input is `(pixel - input_mean) / input_std` with pixels
            0-255, RGB; the same for all three channels.
        input_std: See `input_mean`.
        depth: Length of the bottleneck vector.
        source: Where the weights come from, for the model's record.
        widths: Depths of the parts that the bottleneck is put together from, the last
            layer's at the end; see `with_depths`. Empty: it is one part.
    """

    name: str
    content: bytes
    input_size: tuple[int, int]
    input_mean: float
    input_std: float
    depth: int
    source: str
    widths: tuple[int, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of `content`, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def final_depth(self) -> int:
        """Length of the last layer's part, at the end of the bottleneck."""
        return self.widths[-1] if self.widths else self.depth

    def normalise(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the input for a picture of the input's size.

        Args:
            pixels: uint8 `(height, width, 3)` RGB.

        Returns:
            float32 `(1, height, width, 3)`.
        """
        inputs = pixels.astype(np.float32)[np.newaxis]
        inputs -= np.float32(self.input_mean)
        inputs /= np.float32(self.input_std)
        return inputs
