"""A loaded model: pixels in, the values of its output tensors out."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf.decoder import ImageSource
from edgeclf.errors import ModelError
from edgeclf.image import RESIZE_METHODS, load
from edgeclf.interpreter import InterpreterLike, create_interpreter
from edgeclf.metadata import ModelInfo

logger = logging.getLogger("edgeclf")

CHANNELS = 3
DEFAULT_RESIZE = "antialias"
HALF_A_LEVEL = 0.51  # and what float32 scales add to it
DEFAULT_MEAN = DEFAULT_STD = 127.5  # of float models that do not say

ModelSource: TypeAlias = "str | os.PathLike[str] | bytes"
Normalization: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]


def read_model(model: ModelSource) -> tuple[str, bytes]:
    """Return what errors call the model, and its content.

    Raises:
        OSError: The path cannot be read; `FileNotFoundError` when it does not exist.
    """
    if isinstance(model, (bytes, bytearray, memoryview)):
        return "the model", bytes(model)
    # Not pathlib: importing it takes longer than an inference.
    with open(model, "rb") as file:  # noqa: PTH123
        return os.fsdecode(model), file.read()


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Put the model's name before what a `ModelError` says."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error


class Network:
    """A model in an interpreter, and how its input wants a picture.

    Attributes:
        input_size: `(height, width)` of the input in pixels.
        output_shapes: Shape of each output.
        resize: The filter that pictures are resized with.
    """

    def __init__(
        self,
        content: bytes,
        info: ModelInfo,
        *,
        num_threads: int | None,
        resize: str | None,
        input_mean: float | Sequence[float] | None,
        input_std: float | Sequence[float] | None,
    ) -> None:
        given = _given_normalization(input_mean, input_std)
        self.resize = _checked_resize(resize, info)
        self._interpreter: InterpreterLike | None = create_interpreter(
            content, num_threads
        )
        details = self._interpreter.get_input_details()
        self._input = _checked_input(details)
        _, height, width, _ = self._input["shape"]
        self.input_size = (int(height), int(width))
        self._outputs = self._interpreter.get_output_details()
        self.output_shapes: list[tuple[int, ...]] = [
            tuple(details["shape"].tolist()) for details in self._outputs
        ]
        self._normalization = self._find_normalization(given, info)
        self._levels = self._quantized_levels()
        self._buffer = np.empty(self._input["shape"], np.float32)  # virtual until used

    def close(self) -> None:
        """Give the interpreter back."""
        self._interpreter = None

    def run(
        self,
        source: ImageSource,
        *,
        region: Sequence[float] | None,
        rotation: int,
    ) -> NDArray[np.float32]:
        """Decode a picture, run the model, return its first output, dequantized.

        Raises:
            ValueError: The network is closed.
            ImageError, OSError, TypeError, ValueError: As `image.load`.
            ModelError: The model fails, or its output is not finite.
        """
        interpreter = self._interpreter
        if interpreter is None:
            raise ValueError("This model is closed. Make a new one to label more.")
        pixels = load(
            source,
            self.input_size,
            resize=self.resize,
            region=region,
            rotation=rotation,
        )
        interpreter.set_tensor(self._input["index"], self._prepared(pixels))
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"The interpreter cannot run it: {error}") from error
        details = self._outputs[0]
        return dequantize(interpreter.get_tensor(details["index"]), details)

    def _find_normalization(
        self, given: Normalization | None, info: ModelInfo
    ) -> Normalization | None:
        """Return what the model says or the caller gives; None: raw pixels."""
        known = None
        if info.input_mean is not None and info.input_std is not None:
            known = _per_channel(info.input_mean), _per_channel(info.input_std)
        is_float = self._input["dtype"] == np.float32
        if given is None:
            if known is None and is_float:
                logger.info(
                    "The model does not say how its float input is normalised: "
                    "(pixel - %s) / %s is used. Give input_mean and input_std to "
                    "change that.",
                    DEFAULT_MEAN,
                    DEFAULT_STD,
                )
                return _per_channel([DEFAULT_MEAN]), _per_channel([DEFAULT_STD])
            return known
        if known is None and is_float:
            return given
        if known is not None and all(map(np.allclose, given, known)):
            return known
        reason = f"its input is {np.dtype(self._input['dtype'])}, not float32"
        if known is not None:
            reason = f"its metadata say {info.input_mean} and {info.input_std}"
        raise ValueError(
            f"Expected no input_mean and input_std for this model: {reason}. Received: "
            f"input_mean={given[0].tolist()}, input_std={given[1].tolist()}"
        )

    def _quantized_levels(self) -> NDArray[Any] | None:
        """Return what to feed for pixels 0-255; None for the raw pixel."""
        dtype = np.dtype(self._input["dtype"])
        scale, zero_point = _quantization(self._input)
        if dtype == np.float32 or self._normalization is None or not scale:
            return None
        mean, std = self._normalization
        # Neither says more than that pixels go in as they are: an input that can hold
        # nothing else, and metadata of mean 0 and deviation 1.
        holds_pixels = (scale, zero_point) == (1.0, np.iinfo(dtype).min)
        if holds_pixels or not (mean.any() or (std != 1).any()):
            return None
        levels = quantized_levels(*self._normalization, scale, zero_point, dtype)
        raw = np.arange(256) + np.iinfo(dtype).min
        return None if (levels == raw).all() else levels

    def _prepared(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the input tensor's value, shape (1, height, width, 3)."""
        if self._input["dtype"] == np.float32 and self._normalization is not None:
            mean, std = self._normalization
            np.subtract(pixels, mean, out=self._buffer[0], dtype=np.float32)
            return np.divide(self._buffer, std, out=self._buffer)
        if self._levels is not None:
            channel = np.arange(CHANNELS) % len(self._levels)
            return self._levels[channel, pixels][np.newaxis]
        if self._input["dtype"] == np.int8:
            return (pixels ^ 0x80).view(np.int8)[np.newaxis]  # x - 128
        return pixels[np.newaxis]


def quantized_levels(
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    scale: float,
    zero_point: int,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Return what an 8-bit input gets for pixels 0-255.

    Normalising and quantising are one step, q = (x - mean) / std / scale + zero_point.
    Where that is the raw pixel to within half a level, the raw pixel it is: that is
    what readers feed who know nothing of normalisation.

    Args:
        mean: One value, or one for each of R, G, B.
        std: Likewise.
        scale: The tensor's.
        zero_point: The tensor's.
        dtype: uint8 or int8.

    Returns:
        Shape `(1, 256)` or `(3, 256)`, of `dtype`.
    """
    pixels = np.arange(256.0)
    levels = (pixels - mean[:, np.newaxis]) / std[:, np.newaxis] / scale + zero_point
    limits = np.iinfo(dtype)
    raw = pixels + limits.min
    if np.abs(levels - raw).max() <= HALF_A_LEVEL:
        levels = np.broadcast_to(raw, levels.shape)
    return np.clip(np.rint(levels), limits.min, limits.max).astype(dtype)


def dequantize(values: NDArray[Any], details: dict[str, Any]) -> NDArray[np.float32]:
    """Return a tensor's real values, flat, by its own scale and zero point.

    Raises:
        ModelError: They are not finite, or the tensor has no scale.
    """
    values = values.reshape(-1)
    if values.dtype != np.float32:
        scale, zero_point = _quantization(details)
        if not np.issubdtype(values.dtype, np.integer) or not scale:
            raise ModelError(
                "Expected an output of float32, or of integers with a scale. "
                f"Received: {values.dtype}, scale {scale}"
            )
        # Widened first: 8-bit integers would wrap around.
        values = ((values.astype(np.int64) - zero_point) * scale).astype(np.float32)
    if not np.isfinite(values).all():
        raise ModelError("The model's output has values that are not finite.")
    return values


def _quantization(details: dict[str, Any]) -> tuple[float, int]:
    """Return scale and zero point of a tensor; scale 0 when it has none."""
    scale, zero_point = details["quantization"]
    return float(scale), int(zero_point)


def _checked_resize(resize: str | None, info: ModelInfo) -> str:
    if resize is None:
        recorded = info.record.get("preprocessing", {}).get("resize", DEFAULT_RESIZE)
        if recorded not in RESIZE_METHODS:
            raise ModelError(
                f"Expected the resize filter in the model's record to be one of "
                f"{', '.join(RESIZE_METHODS)}. Received: {recorded}"
            )
        return str(recorded)
    if resize not in RESIZE_METHODS:
        raise ValueError(
            f"Expected resize to be one of {', '.join(RESIZE_METHODS)}. "
            f"Received: resize={resize!r}"
        )
    return resize


def _checked_input(details: list[dict[str, Any]]) -> dict[str, Any]:
    if len(details) != 1:
        raise ModelError(
            f"Expected a model with one input, a picture. Received: {len(details)}"
        )
    shape = [int(size) for size in details[0]["shape"]]
    signature = [int(size) for size in details[0]["shape_signature"]]
    if len(shape) != 4 or shape[0] != 1 or shape[3] != CHANNELS:
        raise ModelError(
            f"Expected an input of shape (1, height, width, 3). Received: {shape}"
        )
    if -1 in signature[1:3]:
        raise ModelError(
            "Expected an input of fixed height and width. "
            f"Received: {signature}; convert the model with a fixed input shape."
        )
    if details[0]["dtype"] not in (np.float32, np.uint8, np.int8):
        raise ModelError(
            "Expected an input of float32, uint8 or int8. "
            f"Received: {np.dtype(details[0]['dtype'])}"
        )
    return details[0]


def _per_channel(values: Sequence[float]) -> NDArray[np.float32]:
    if len(values) not in (1, CHANNELS):
        raise ModelError(
            "Expected a normalisation of one value, or of one for each of R, G, B. "
            f"Received: {list(values)}"
        )
    return np.asarray(values, np.float32)


def _given_normalization(
    input_mean: float | Sequence[float] | None,
    input_std: float | Sequence[float] | None,
) -> Normalization | None:
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
