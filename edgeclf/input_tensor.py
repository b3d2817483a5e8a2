"""A model's picture input: its size, and how pixels become its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.model_info import ModelInfo
from edgeclf.quantization import quantization, quantized_levels

CHANNELS = 3
# Sides of an input of dynamic size, as the caller or the file gives it: memory grows
# with their square, and a file must not take all.
MAX_SIDE, MAX_DEFAULT_SIDE = 4096, 1024
USUAL_MEAN = USUAL_STD = 127.5  # of float models: pixels become -1 to 1

Normalization: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]

_DTYPES = (np.float32, np.float16, np.uint8, np.int8, np.int16)
_BYTES = (np.uint8, np.int8)  # one level for each level of a pixel: it goes in as is


class InputTensor:
    """The one input of an image model, and what to write into it.

    Args:
        details: What the interpreter says about the model's inputs.
        info: What the model says about itself.
        given: The caller's normalisation, for a model that does not say.
        input_size: The caller's `(height, width)`, for a model of dynamic size.

    Attributes:
        index: The tensor's.
        shape: The tensor's, as it was loaded.
        input_size: `(height, width)` in pixels; None: any size will do.

    Raises:
        ModelError: It takes no picture, or does not say how pixels are normalised.
        ValueError: The model has another normalisation or size than the caller's.
    """

    def __init__(
        self,
        details: Sequence[dict[str, Any]],
        info: ModelInfo,
        *,
        given: Normalization | None = None,
        input_size: tuple[int, int] | None = None,
    ) -> None:
        tensor = _only(details)
        self.index = int(tensor["index"])
        self.shape = [int(size) for size in tensor["shape"]]
        signature = [int(size) for size in tensor["shape_signature"]] or self.shape
        if (
            len(self.shape) not in (3, 4)
            or self.shape[-1] != CHANNELS
            or min(self.shape) < 1
            or signature[:-3] not in ([], [1], [-1])  # the batch
        ):
            raise ModelError(
                "Expected an input of shape (1, height, width, 3) or "
                f"(height, width, 3). Received: {self.shape}"
            )
        self.input_size = _size(self.shape[-3:-1], signature[-3:-1], input_size, info)
        self._dtype = np.dtype(tensor["dtype"])
        if self._dtype not in _DTYPES:
            names = ", ".join(np.dtype(dtype).name for dtype in _DTYPES)
            raise ModelError(
                f"Expected an input of one of {names}. Received: {self._dtype}"
            )
        self._normalization = _normalization(self._dtype, given, info)
        self._levels = self._quantized_levels(*quantization(tensor))

    def shape_for(self, input_size: tuple[int, int]) -> list[int]:
        """Return the tensor's shape for pictures of a size."""
        return [*[1] * (len(self.shape) - 3), *input_size, CHANNELS]

    def write(self, pixels: NDArray[np.uint8], tensor: NDArray[Any]) -> None:
        """Write a picture into the tensor.

        Args:
            pixels: uint8 array of shape `(height, width, 3)`, RGB.
            tensor: A view of the tensor.
        """
        height, width, _ = pixels.shape
        values = tensor.reshape(pixels.shape)
        if self._levels is not None:
            # Pixels are never out of bounds: "clip" spares NumPy a buffer.
            if len(self._levels) == 1:
                np.take(self._levels[0], pixels, out=values, mode="clip")
            else:
                for channel, levels in enumerate(self._levels):
                    source, target = pixels[..., channel], values[..., channel]
                    np.take(levels, source, out=target, mode="clip")
        elif self._dtype == np.uint8:
            values[...] = pixels
        elif self._dtype == np.int8:
            np.bitwise_xor(pixels, 0x80, out=values.view(np.uint8))  # x - 128
        elif self._normalization is not None:
            # In rows, since NumPy is slow along an axis of three.
            rows = values.reshape(height, -1)
            mean, std = (
                value if len(value) == 1 else np.tile(value, width)
                for value in self._normalization
            )
            if self._dtype == np.float32:
                flat = pixels.reshape(height, -1)
                np.subtract(flat, mean, out=rows, dtype=np.float32)
                np.divide(rows, std, out=rows)
            else:
                rows[...] = (pixels.reshape(height, -1) - mean) / std

    def _quantized_levels(self, scale: float, zero_point: int) -> NDArray[Any] | None:
        """Return what to feed for pixels 0-255; None for the raw pixel or for floats.

        Shape `(1, 256)` or `(3, 256)`.
        """
        if self._normalization is None or np.issubdtype(self._dtype, np.floating):
            return None
        if not scale:
            if self._dtype in _BYTES:
                return None
            raise ModelError(
                f"Expected an input with a scale. Received: {self._dtype} without one."
            )
        mean, std = self._normalization
        if self._dtype in _BYTES:
            # Neither says more than that pixels go in as they are: an input that can
            # hold nothing else, and metadata of mean 0 and deviation 1.
            holds_pixels = (scale, zero_point) == (1.0, np.iinfo(self._dtype).min)
            if holds_pixels or not (mean.any() or (std != 1).any()):
                return None
        levels = quantized_levels(mean, std, scale, zero_point, self._dtype)
        raw = np.arange(256) + np.iinfo(self._dtype).min
        return None if (levels == raw).all() else levels


def given_normalization(
    input_mean: float | Sequence[float] | None,
    input_std: float | Sequence[float] | None,
) -> Normalization | None:
    """Check a caller's normalisation; None when there is none.

    Raises:
        ValueError: One of the two is missing, not finite, or of another number of
            values than 1 or 3; or `input_std` is 0.
    """
    if input_mean is None and input_std is None:
        return None
    received = f"input_mean={input_mean}, input_std={input_std}"
    if input_mean is None or input_std is None:
        raise ValueError(
            f"Expected input_mean and input_std together. Received: {received}"
        )
    mean = np.atleast_1d(np.asarray(input_mean, np.float32))
    std = np.atleast_1d(np.asarray(input_std, np.float32))
    for values in (mean, std):
        if values.shape not in ((1,), (CHANNELS,)) or not np.isfinite(values).all():
            raise ValueError(
                "Expected input_mean and input_std to be one finite number, or three "
                f"for R, G, B. Received: {received}"
            )
    if not std.all():
        raise ValueError(f"Expected input_std other than 0. Received: {received}")
    return mean, std


def _only(details: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if len(details) != 1:
        raise ModelError(
            f"Expected a model with one input, a picture. Received: {len(details)}"
        )
    return details[0]


def _size(
    shape: Sequence[int],
    signature: Sequence[int],
    given: tuple[int, int] | None,
    info: ModelInfo,
) -> tuple[int, int] | None:
    """Return `(height, width)`: the tensor's own, the caller's or the metadata's.

    None: a tensor of dynamic size that has no real one, as written by converters, and
    nobody says which.
    """
    if given is not None:
        if np.shape(given) != (2,) or not all(
            isinstance(side, (int, np.integer))
            and 1 <= side <= MAX_SIDE
            and own in (-1, side)
            for side, own in zip(given, signature, strict=True)
        ):
            sides = (f"1-{MAX_SIDE}" if own == -1 else str(own) for own in signature)
            raise ValueError(
                "Expected input_size=(height, width) as the model has it: "
                f"({', '.join(sides)}). Received: input_size={given}"
            )
        return int(given[0]), int(given[1])
    if -1 not in signature:
        return shape[0], shape[1]
    wanted = info.input_size
    if wanted is not None and all(
        side <= MAX_DEFAULT_SIDE and own in (-1, side)
        for side, own in zip(wanted, signature, strict=True)
    ):
        return wanted
    longest = max(shape)  # a converter writes 1 for a side that it does not know
    if longest == 1:
        return None
    height, width = (longest if side == 1 else side for side in shape)
    return height, width


def _normalization(
    dtype: np.dtype[Any], given: Normalization | None, info: ModelInfo
) -> Normalization | None:
    """Return what the model says or the caller gives; None: raw pixels."""
    known = None
    if info.input_mean is not None and info.input_std is not None:
        known = _per_channel(info.input_mean), _per_channel(info.input_std)
    if known is None and dtype not in _BYTES:
        if given is not None:
            return given
        raise ModelError(
            f"Expected a model that says how its {dtype} input is normalised. This one "
            "has no such metadata: give input_mean and input_std (--input_mean, "
            f"--input_std), usually {USUAL_MEAN} and {USUAL_STD} for an input of -1 to "
            "1, or 0 and 255 for one of 0 to 1."
        )
    if given is None or (known is not None and all(map(np.allclose, given, known))):
        return known
    reason = f"its input is {dtype}, which takes pixels as they are"
    if known is not None:
        reason = f"its metadata say {info.input_mean} and {info.input_std}"
    raise ValueError(
        f"Expected no input_mean and input_std for this model: {reason}. Received: "
        f"input_mean={given[0].tolist()}, input_std={given[1].tolist()}"
    )


def _per_channel(values: Sequence[float]) -> NDArray[np.float32]:
    if len(values) not in (1, CHANNELS):
        raise ModelError(
            "Expected a normalisation of one value, or of one for each of R, G, B. "
            f"Received: {list(values)}"
        )
    return np.asarray(values, np.float32)
