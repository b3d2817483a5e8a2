"""Quantized tensors: what goes into them for a pixel, what their values mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError

HALF_A_LEVEL = 0.51  # and what float32 scales add to it


def quantization(details: dict[str, Any]) -> tuple[float, int]:
    """Return scale and zero point of a tensor; scale 0 when it has none.

    Args:
        details: What the interpreter says about the tensor.
    """
    scale, zero_point = details["quantization"]
    return float(scale), int(zero_point)


def quantized_levels(
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    scale: float,
    zero_point: int,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Return what an integer input gets for pixels 0-255.

    Normalising and quantising are one step, q = (x - mean) / std / scale + zero_point.
    Where that is the raw pixel to within half a level, the raw pixel it is: that is
    what readers feed who know nothing of normalisation.

    Args:
        mean: One value, or one for each of R, G, B.
        std: Likewise.
        scale: The tensor's.
        zero_point: The tensor's.
        dtype: uint8, int8 or int16.

    Returns:
        Shape `(1, 256)` or `(3, 256)`, of `dtype`; halves are rounded to even.
    """
    pixels = np.arange(256.0)
    levels = (pixels - mean[:, np.newaxis]) / std[:, np.newaxis] / scale + zero_point
    limits = np.iinfo(dtype)
    raw = pixels + limits.min
    if np.abs(levels - raw).max() <= HALF_A_LEVEL:
        levels = np.broadcast_to(raw, levels.shape)
    return np.clip(np.rint(levels), limits.min, limits.max).astype(dtype)


def dequantize(values: NDArray[Any], details: dict[str, Any]) -> NDArray[np.float32]:
    """Return a tensor's real values, in its shape, by its own scale and zero point.

    Args:
        values: What the tensor holds.
        details: What the interpreter says about the tensor.

    Raises:
        ModelError: They are not finite, or the tensor has no scale.
    """
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    elif values.dtype != np.float32:
        scale, zero_point = quantization(details)
        if not np.issubdtype(values.dtype, np.integer) or not scale:
            raise ModelError(
                "Expected an output of floats, or of integers with a scale. "
                f"Received: {values.dtype}, scale {scale}"
            )
        # Widened first: 8-bit integers would wrap around.
        values = ((values.astype(np.int64) - zero_point) * scale).astype(np.float32)
    if not np.isfinite(values).all():
        raise ModelError("The model's output has values that are not finite.")
    return values
