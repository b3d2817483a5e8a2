"""Find out how a model wants its pixels, and make all models want them alike."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.input_tensor import USUAL_MEAN, USUAL_STD
from edgeclf.metadata import read_model_info
from edgeclf.zoo.check import CHANNELS
from edgeclf.zoo.dequantize import quantization
from edgeclf.zoo.graph import add_operator, add_tensor, schema, tensor_shape

if TYPE_CHECKING:
    from edgeclf.zoo.graph import Model

DEFAULT_MEAN, DEFAULT_STD = USUAL_MEAN, USUAL_STD

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""`(input_mean, input_std)`: one value each, or one for each of R, G and B."""

_logger = logging.getLogger("edgeclf")


def check_normalization(input_mean: float | None, input_std: float | None) -> None:
    """Refuse values that `(pixel - input_mean) / input_std` cannot use.

    Raises:
        ValueError: `input_std` is not above 0, or one of them is not finite.
    """
    if input_mean is not None and not np.isfinite(input_mean):
        raise ValueError(f"Expected a finite input_mean. Received: {input_mean}")
    if input_std is not None and not 0 < input_std < np.inf:
        raise ValueError(f"Expected a finite input_std above 0. Received: {input_std}")


def report_contradiction(
    name: str,
    given: tuple[float | None, float | None],
    known: tuple[Sequence[float], Sequence[float]],
) -> None:
    """Warn when the caller's normalisation is not the one that a model says."""
    for option, value, own in zip(
        ("input_mean", "input_std"), given, known, strict=True
    ):
        if value is not None and not np.allclose(value, own):
            _logger.warning(
                "--%s %g is used in place of what %s says itself: %s. Pictures are "
                "then seen as it was not trained to.",
                option,
                value,
                name,
                ", ".join(f"{number:g}" for number in own),
            )


def find_normalization(content: bytes, model: Model) -> Normalization | None:
    """Return the normalisation that a file asks for; None if it says nothing.

    TFLite Metadata comes first. Of a quantized input the scale and zero point say
    what number a raw pixel stands for: `(pixel - zero_point) * scale`, where an int8
    input takes the pixel less 128. Metadata with mean 0 and deviation 1 say no more
    of a quantized input than that pixels go in as they are. A uint8 input of scale 1
    can hold nothing but pixels, whatever is said about it.

    Args:
        content: The `.tflite` file.
        model: The same, parsed and not yet dequantized.

    Raises:
        ModelError: The metadata are damaged, or hold neither one value nor three.
    """
    limits = quantization(model, model.subgraphs[0].inputs[0])
    if limits is not None and limits.is_raw:
        return (0.0,), (1.0,)
    info = read_model_info(content)
    if info.input_mean is not None and info.input_std is not None:
        found = info.input_mean, info.input_std
        if not {len(values) for values in found} <= {1, CHANNELS}:
            raise ModelError(
                "Expected one normalisation for all channels or one for each of the 3."
                f" Received: mean {found[0]} and deviation {found[1]} in the metadata."
            )
        if not all(0 < std < np.inf for std in info.input_std):
            raise ModelError(
                "Expected a deviation above 0 in the metadata's normalisation. "
                f"Received: {info.input_std}. Give --input_mean and --input_std."
            )
        if limits is None or not (set(found[0]) == {0.0} and set(found[1]) == {1.0}):
            return found
    if limits is None:
        return None
    offset = 128 if limits.tensor_type == schema.TensorType.INT8 else 0
    # The scale is a float32: seven digits, so that 1 / float32(1 / 255) is 255.
    std = float(f"{1.0 / limits.scale[0]:.7g}")
    return (float(limits.zero_point[0] + offset),), (std,)


def prepend_normalization(
    model: Model, input_mean: Sequence[float], input_std: Sequence[float]
) -> None:
    """Let a float graph take `(pixel - 127.5) / 127.5` and normalise by itself.

    With x = (pixel - 127.5) / 127.5 the graph's own input is, per channel,
    (pixel - mean) / std = x * (127.5 / std) + (127.5 - mean) / std: a 1x1 depthwise
    convolution.

    Args:
        model: Its first subgraph is changed in place: it gets a new input.
        input_mean: What the graph's input is normalised with: one value, or one for
            each channel.
        input_std: See `input_mean`.
    """
    graph = model.subgraphs[0]
    inner = graph.inputs[0]
    mean, std = per_channel(input_mean), per_channel(input_std)
    weights = add_tensor(
        model,
        "normalization_weights",
        (1, 1, 1, CHANNELS),
        data=(DEFAULT_STD / std).astype(np.float32),
    )
    bias = add_tensor(
        model,
        "normalization_bias",
        (CHANNELS,),
        data=((DEFAULT_MEAN - mean) / std).astype(np.float32),
    )
    image = add_tensor(model, "image", tensor_shape(model, inner))
    options = schema.DepthwiseConv2DOptionsT()
    options.strideW = options.strideH = options.depthMultiplier = 1
    add_operator(
        model,
        schema.BuiltinOperator.DEPTHWISE_CONV_2D,
        [image, weights, bias],
        [inner],
        options_type=schema.BuiltinOptions.DepthwiseConv2DOptions,
        options=options,
        position=0,
    )
    graph.inputs = [image]


def per_channel(values: Sequence[float]) -> NDArray[np.float64]:
    """Return one value for each of the three channels."""
    return np.broadcast_to(np.asarray(values, np.float64), (CHANNELS,))
