"""Which shapes an operator gives, by its inputs and options.

Interpreters trust the shapes that a file declares and the numbers in an operator's
options: a stride of 0 divides by zero, and a declared shape that the operator does not
produce is read beyond its end. Of an operator that is not known here nothing is said.

Source: the kernels of tensorflow/lite/kernels; slots of options:
tensorflow/lite/schema/schema.fbs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.tflite.flatbuffer import Table
from edgeclf.tflite.operators import (
    ADD_N,
    BINARY,
    CONCATENATION,
    CONV_2D,
    DEPTH_TO_SPACE,
    DEPTHWISE_CONV_2D,
    EXPAND_DIMS,
    FULLY_CONNECTED,
    PACK,
    PAD,
    PADV2,
    POOL,
    REDUCE,
    RESHAPE,
    RESIZE,
    SLICE,
    SOFTMAX,
    SPACE_TO_DEPTH,
    SPLIT,
    SQUEEZE,
    STRIDED_SLICE,
    TRANSPOSE,
    TRANSPOSE_CONV,
    UNARY,
)

SAME = 0  # Padding
MAX_STEP = 1 << 15  # stride, dilation, window: a picture has no more pixels a side
MAX_VALUES = 64  # of a parameter of an operator, far more than dimensions
MAX_READS = 1 << 28  # values that the windows of one pooling layer read

Shape: TypeAlias = "tuple[int, ...]"


class MisfitError(ModelError):
    """The shapes of an operator's inputs do not fit together."""


class Operand:
    """A tensor that goes into an operator; `values` of a small constant of integers."""

    def __init__(
        self, shape: Shape, tensor_type: int, values: NDArray[Any] | None = None
    ) -> None:
        self.shape = shape
        self.type = tensor_type
        self.values = values


class Call:
    """An operator with its inputs; an optional one that is left out is None."""

    def __init__(
        self,
        code: int,
        options: Table | None,
        inputs: Sequence[Operand | None],
        num_outputs: int,
    ) -> None:
        self.code = code
        self.options = options
        self.inputs = inputs
        self.num_outputs = num_outputs

    def operand(self, index: int) -> Operand:
        """Return an input that must be there."""
        operand = self.inputs[index]
        if operand is None:
            raise ModelError(f"Expected input {index} not to be left out.")
        return operand

    def option(self, slot: int, code: str = "i", default: float = 0) -> Any:
        """Return a number of the options."""
        return self.options.number(slot, code, default) if self.options else default


def output_shapes(call: Call) -> list[Shape] | None:
    """Return the shapes of what an operator gives; None: not known here.

    Raises:
        ModelError: The operator cannot work with these inputs and options.
    """
    rule = _RULES.get(call.code)
    return rule(call) if rule else None


def _unary(call: Call) -> list[Shape]:
    return [call.operand(0).shape]


def _binary(call: Call) -> list[Shape]:
    left, right = call.operand(0), call.operand(1)
    try:
        shape = np.broadcast_shapes(left.shape, right.shape)
    except ValueError as error:
        raise MisfitError(
            f"Expected shapes that fit. Received: {left.shape}, {right.shape}"
        ) from error
    return [tuple(map(int, shape))]


def _convolution(call: Call) -> list[Shape]:
    image, filters = _rank(call, 0, 4), _rank(call, 1, 4)
    count, height, width, depth = filters
    groups = image[3] // depth if depth else 0
    if not groups or image[3] % depth or not count or count % groups:
        raise MisfitError(
            f"Expected filters that fit {image}. Received: filters of {filters}"
        )
    _check_bias(call, count)
    steps = _steps(call, 2, 1, 5, 4)
    return [(image[0], *_windows(call, image, (height, width), *steps), count)]


def _depthwise(call: Call) -> list[Shape]:
    image, filters = _rank(call, 0, 4), _rank(call, 1, 4)
    one, height, width, depth = filters
    if one != 1 or depth != image[3] * call.option(3):
        raise MisfitError(
            f"Expected filters that fit {image}. Received: filters of {filters}, "
            f"multiplier {call.option(3)}"
        )
    _check_bias(call, depth)
    steps = _steps(call, 2, 1, 6, 5)
    return [(image[0], *_windows(call, image, (height, width), *steps), depth)]


def _transposed_convolution(call: Call) -> list[Shape] | None:
    image, filters = _rank(call, 2, 4), _rank(call, 1, 4)
    wanted = call.operand(0).values
    if filters[3] != image[3]:
        raise MisfitError(
            f"Expected filters that fit {image}. Received: filters of {filters}"
        )
    strides, dilations = _steps(call, 2, 1)
    if wanted is None:
        return None
    shape: Shape = tuple(wanted.tolist())
    if len(shape) != 4 or shape[3] != filters[0] or shape[0] != image[0]:
        raise MisfitError(f"Expected an output that fits {filters}. Received: {shape}")
    if _windows(call, shape, filters[1:3], strides, dilations) != image[1:3]:
        raise MisfitError(f"Expected an output that fits {image}. Received: {shape}")
    return [shape]


def _pool(call: Call) -> list[Shape]:
    image = _rank(call, 0, 4)
    window = call.option(4), call.option(3)
    size = _windows(call, image, window, *_steps(call, 2, 1))
    if math.prod(size) * math.prod(window) > MAX_READS:
        raise MisfitError(f"Expected a window that fits {image}. Received: {window}")
    return [(image[0], *size, image[3])]


def _fully_connected(call: Call) -> list[Shape]:
    values, (units, depth) = call.operand(0).shape, _rank(call, 1, 2)
    keep = call.option(2, "?", False)
    if not depth or math.prod(values) % depth or (keep and values[-1:] != (depth,)):
        raise MisfitError(
            f"Expected weights that fit {values}. Received: {(units, depth)}"
        )
    _check_bias(call, units)
    return [(*values[:-1], units) if keep else (math.prod(values) // depth, units)]


def _softmax(call: Call) -> list[Shape]:
    beta = float(call.option(0, "f"))
    if not 0 < beta < math.inf:
        raise ModelError(f"Expected a beta above 0 of softmax. Received: {beta}")
    return [call.operand(0).shape]


def _concatenation(call: Call) -> list[Shape]:
    shapes = [call.operand(index).shape for index in range(len(call.inputs))]
    axis = _axis(call.option(0), len(shapes[0]))
    around = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(around) != 1 or len(set(map(len, shapes))) != 1:
        raise MisfitError(f"Expected shapes that fit. Received: {shapes[:4]}")
    size = sum(shape[axis] for shape in shapes)
    return [(*shapes[0][:axis], size, *shapes[0][axis + 1 :])]


def _pack(call: Call) -> list[Shape]:
    shapes = {call.operand(index).shape for index in range(len(call.inputs))}
    shape = shapes.pop()
    if shapes or call.option(0) != len(call.inputs):
        raise MisfitError("Expected tensors of one shape to pack. Received: others")
    axis = _axis(call.option(1), len(shape) + 1)
    return [(*shape[:axis], len(call.inputs), *shape[axis:])]


def _split(call: Call) -> list[Shape]:
    axes, shape = call.operand(0).values, call.operand(1).shape
    if axes is None or axes.size != 1:  # the kernel trusts it
        raise ModelError("Expected an axis that is a constant. Received: none")
    axis = _axis(int(axes.item()), len(shape))
    if call.option(0) != call.num_outputs or shape[axis] % call.num_outputs:
        raise MisfitError(f"Expected {call.num_outputs} equal parts of {shape}.")
    part = shape[axis] // call.num_outputs
    return [(*shape[:axis], part, *shape[axis + 1 :])] * call.num_outputs


def _reshape(call: Call) -> list[Shape] | None:
    values = call.operand(0).shape
    new: list[int] | None = None
    if len(call.inputs) == 2:
        given = call.operand(1).values
        new = given.tolist() if given is not None and given.ndim == 1 else None
    elif call.options:
        new = _listed(call.options)
    if new is None:
        return None
    if new == [0] and len(call.inputs) == 1:
        new = []  # a scalar in old files
    size = math.prod(values)
    if new.count(-1) == 1:
        rest = -math.prod(new)
        new = [(size // rest if rest else 0) if n == -1 else n for n in new]
    if math.prod(new) != size or min(new, default=0) < 0:
        raise MisfitError(f"Expected a shape of {size} values. Received: {new}")
    return [tuple(new)]


def _squeeze(call: Call) -> list[Shape]:
    shape = call.operand(0).shape
    given = _listed(call.options) if call.options else []
    axes = {_axis(axis, len(shape)) for axis in given}
    if not axes:
        axes = {axis for axis, size in enumerate(shape) if size == 1}
    if any(shape[axis] != 1 for axis in axes):
        raise MisfitError(
            f"Expected sizes of 1 to squeeze in {shape}. Received: {given}"
        )
    return [tuple(size for axis, size in enumerate(shape) if axis not in axes)]


def _reduce(call: Call) -> list[Shape] | None:
    shape, given = call.operand(0).shape, call.operand(1).values
    if given is None:
        return None
    axes = {_axis(axis, len(shape)) for axis in given.ravel().tolist()}
    if call.option(0, "?", False):
        return [tuple(1 if axis in axes else n for axis, n in enumerate(shape))]
    return [tuple(n for axis, n in enumerate(shape) if axis not in axes)]


def _pad(call: Call) -> list[Shape] | None:
    shape, amounts = call.operand(0).shape, call.operand(1).values
    if amounts is None:
        return None
    if amounts.shape != (len(shape), 2) or amounts.min(initial=0) < 0:
        raise MisfitError(
            f"Expected paddings that fit {shape}. Received: {amounts.tolist()}"
        )
    return [tuple(n + sum(two) for n, two in zip(shape, amounts.tolist(), strict=True))]


def _transpose(call: Call) -> list[Shape] | None:
    shape, order = call.operand(0).shape, call.operand(1).values
    if order is None:
        return None
    if sorted(order.ravel().tolist()) != list(range(len(shape))):
        raise ModelError(
            f"Expected an order of {len(shape)} axes. Received: {order.tolist()}"
        )
    return [tuple(shape[axis] for axis in order.ravel().tolist())]


def _resize(call: Call) -> list[Shape] | None:
    image, size = _rank(call, 0, 4), call.operand(1).values
    if size is None:
        return None
    if size.shape != (2,) or size.min() < 1:
        raise ModelError(f"Expected a height and a width. Received: {size.tolist()}")
    return [(image[0], *map(int, size), image[3])]


def _slice(call: Call) -> list[Shape] | None:
    shape = call.operand(0).shape
    begin, size = call.operand(1).values, call.operand(2).values
    if begin is None or size is None:
        return None
    if begin.shape != (len(shape),) or size.shape != begin.shape:
        raise MisfitError(f"Expected a slice of {shape}. Received: {begin}, {size}")
    sizes = [
        n - first if count == -1 else count
        for n, first, count in zip(shape, begin.tolist(), size.tolist(), strict=True)
    ]
    ends = np.add(begin, sizes)
    if min(begin.min(initial=0), *sizes, 0) < 0 or (ends > shape).any():
        raise MisfitError(f"Expected a slice of {shape}. Received: {begin}, {size}")
    return [tuple(sizes)]


def _strided_slice(call: Call) -> list[Shape] | None:
    shape = call.operand(0).shape
    begins, ends, strides = (call.operand(index).values for index in (1, 2, 3))
    no_begin, no_end, ellipsis, new_axis, shrink = map(call.option, range(5))
    ends_are_offsets = call.option(5, "?", False)
    if ellipsis & (ellipsis - 1):
        raise ModelError(f"Expected one ellipsis at most. Received: {ellipsis:#b}")
    if begins is None or ends is None or strides is None or ellipsis or new_axis:
        return None
    if not begins.shape == ends.shape == strides.shape or len(begins) > len(shape):
        raise MisfitError(f"Expected a slice of {shape}. Received: {begins}, {ends}")
    if not strides.all():
        raise ModelError(f"Expected strides other than 0. Received: {strides}")
    sizes = []
    for axis, (begin, end, stride) in enumerate(
        zip(begins.tolist(), ends.tolist(), strides.tolist(), strict=True)
    ):
        bit, size = 1 << axis, shape[axis]
        if shrink & bit:
            if stride != 1 or not -size <= begin < size:
                raise MisfitError(f"Expected an index of {size}. Received: {begin}")
            continue
        first = None if no_begin & bit else begin
        if ends_are_offsets:
            end += slice(first, None, stride).indices(size)[0]
        last = None if no_end & bit else end
        sizes.append(len(range(size)[first:last:stride]))
    return [(*sizes, *shape[len(begins) :])]


def _expand_dims(call: Call) -> list[Shape] | None:
    shape, axes = call.operand(0).shape, call.operand(1).values
    if axes is None or axes.size != 1:
        return None
    axis = _axis(int(axes.item()), len(shape) + 1)
    return [(*shape[:axis], 1, *shape[axis:])]


def _depth_to_space(call: Call) -> list[Shape]:
    image, block = _rank(call, 0, 4), int(call.option(0))
    if block < 1 or image[3] % block**2:
        raise MisfitError(f"Expected a block that fits {image}. Received: {block}")
    return [(image[0], image[1] * block, image[2] * block, image[3] // block**2)]


def _space_to_depth(call: Call) -> list[Shape]:
    image, block = _rank(call, 0, 4), int(call.option(0))
    if block < 1 or image[1] % block or image[2] % block:
        raise MisfitError(f"Expected a block that fits {image}. Received: {block}")
    return [(image[0], image[1] // block, image[2] // block, image[3] * block**2)]


def _rank(call: Call, index: int, rank: int) -> Shape:
    shape = call.operand(index).shape
    if len(shape) != rank:
        raise ModelError(
            f"Expected input {index} of {rank} dimensions. Received: {shape}"
        )
    return shape


def _check_bias(call: Call, count: int) -> None:
    bias = call.inputs[-1] if len(call.inputs) > 2 else None
    if bias is not None and math.prod(bias.shape) != count:
        raise MisfitError(f"Expected a bias of {count} values. Received: {bias.shape}")


def _steps(call: Call, *slots: int) -> tuple[Shape, Shape]:
    """Return strides and dilations (height, width) from the slots of options."""
    strides = tuple(int(call.option(slot)) for slot in slots[:2])
    dilations = tuple(int(call.option(slot, default=1)) for slot in slots[2:])
    return strides, dilations or (1, 1)


def _windows(
    call: Call, image: Shape, window: Shape, strides: Shape, dilations: Shape
) -> Shape:
    """Return how many positions a window has: (height, width)."""
    padding = call.option(0, "b")
    steps = (*window, *strides, *dilations)
    if min(steps) < 1 or max(steps) > MAX_STEP or padding not in (SAME, 1):
        raise ModelError(
            f"Expected a window, strides and dilations of 1 to {MAX_STEP}. Received: "
            f"{window}, {strides}, {dilations}, padding {padding}"
        )
    sizes = []
    for axis in range(2):
        reach = 1 if padding == SAME else (window[axis] - 1) * dilations[axis] + 1
        sizes.append((image[1 + axis] - reach) // strides[axis] + 1)
    if min(sizes) < 1:
        raise MisfitError(f"Expected a window that fits {image}. Received: {window}")
    return tuple(sizes)


def _listed(options: Table) -> list[int]:
    """Return the vector of options, which is as long as a shape at most."""
    values = options.array(0)
    if len(values) > MAX_VALUES:
        raise ModelError(
            f"Expected at most {MAX_VALUES} sizes or axes. Received: {len(values)}"
        )
    return list(map(int, values))


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ModelError(f"Expected an axis of {rank}. Received: {axis}")
    return axis % rank


_RULES: dict[int, Callable[[Call], list[Shape] | None]] = {
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(BINARY, _binary),
    **dict.fromkeys(REDUCE, _reduce),
    **dict.fromkeys(POOL, _pool),
    **dict.fromkeys(RESIZE, _resize),
    **dict.fromkeys((PAD, PADV2), _pad),
    ADD_N: _unary,
    CONCATENATION: _concatenation,
    CONV_2D: _convolution,
    DEPTHWISE_CONV_2D: _depthwise,
    DEPTH_TO_SPACE: _depth_to_space,
    SPACE_TO_DEPTH: _space_to_depth,
    EXPAND_DIMS: _expand_dims,
    FULLY_CONNECTED: _fully_connected,
    PACK: _pack,
    RESHAPE: _reshape,
    SLICE: _slice,
    STRIDED_SLICE: _strided_slice,
    SOFTMAX: _softmax,
    SPLIT: _split,
    SQUEEZE: _squeeze,
    TRANSPOSE: _transpose,
    TRANSPOSE_CONV: _transposed_convolution,
}
