"""How much memory an interpreter takes for a graph, at most.

Measured, tests compare it with what honest models really take: it is at least that, and
at most twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from edgeclf.tflite.memory import MEGABYTE, peak_bytes
from edgeclf.tflite.model_file import Operator, SubGraph
from edgeclf.tflite.operators import (
    CONV_2D,
    DEPTHWISE_CONV_2D,
    DEQUANTIZE,
    POOL,
    TRANSPOSE_CONV,
)
from edgeclf.tflite.output_shapes import Shape

BASE_BYTES = 2 * MEGABYTE  # of an interpreter with an empty model
ENTRY_BYTES = 1 << 10  # of each tensor and each operator in it

_POINTER_BYTES = 8
_FLOAT_BYTES = 4


def graph_bytes(
    graph: SubGraph,
    shape: Callable[[int], Shape],
    size_bytes: Callable[[int], int],
    constants: Collection[int],
) -> int:
    """Return what the tensors and operators of a graph take besides the file.

    Args:
        graph: The graph.
        shape: Tells the shape of a tensor, by index.
        size_bytes: Tells what a tensor takes; 0 for constants, which the file has.
        constants: Indices of those.
    """
    total = ENTRY_BYTES * (len(graph.tensors) + len(graph.operators))
    total += peak_bytes(graph.operators, graph.inputs, graph.outputs, size_bytes)
    copies = [0]
    for operator in graph.operators:
        if operator.code == DEQUANTIZE and operator.inputs[0] in constants:
            # Half floats perhaps: unpacked once, then packed for the processor.
            total += 2 * size_bytes(operator.outputs[0])
        pointers, copied = _window_bytes(operator, shape)
        total += pointers
        copies.append(copied)
    return total + max(copies)


def _window_bytes(operator: Operator, shape: Callable[[int], Shape]) -> tuple[int, int]:
    """Return what is laid out to move a window over an image.

    Returns:
        Bytes that stay, and bytes for the time of the operator.
    """
    code, options = operator.code, operator.options
    if code in POOL and options:
        return _laid_out(
            shape(operator.outputs[0]), (options.number(4), options.number(3)), 0
        )
    if code in (CONV_2D, DEPTHWISE_CONV_2D):
        filters = shape(operator.inputs[1])
        depth = filters[3] if code == CONV_2D else 0
        return _laid_out(shape(operator.outputs[0]), filters[1:3], depth)
    if code == TRANSPOSE_CONV:
        filters = shape(operator.inputs[1])
        return _laid_out(shape(operator.inputs[2]), filters[1:3], filters[0])
    return 0, 0


def _laid_out(
    images: Sequence[int], window: Sequence[int], depth: int
) -> tuple[int, int]:
    """Return bytes of pointers, and of copies of `depth` floats a place.

    XNNPACK keeps a pointer to each place of each window; other kernels copy the
    windows themselves.

    Args:
        images: `(batch, height, width, channels)`: a window for each pixel.
        window: Its height and width.
        depth: Channels that it reads.
    """
    places = math.prod(window)
    if places == 1:
        return 0, 0
    pointers = _POINTER_BYTES * math.prod(images[1:3]) * places
    return pointers, _FLOAT_BYTES * math.prod(images[:3]) * places * depth
