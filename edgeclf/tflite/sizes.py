"""How many values an operator gives, where only values tell: FILL, TILE, GATHER.

A few bytes of such a file can ask for any amount of memory while the model runs. So
the whole numbers that a graph makes of shapes are computed here, too, and a size that
stays unknown is refused.

Source: the kernels of tensorflow/lite/kernels; slots of options:
tensorflow/lite/schema/schema.fbs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.tflite.operators import (
    ADD,
    BATCH_MATMUL,
    BROADCAST_TO,
    CAST,
    CONCATENATION,
    EMBEDDING_LOOKUP,
    EXPAND_DIMS,
    FILL,
    GATHER,
    GATHER_ND,
    MAXIMUM,
    MINIMUM,
    MIRROR_PAD,
    MUL,
    ONE_HOT,
    PACK,
    PAD,
    PADV2,
    RANGE,
    REDUCE_PROD,
    RESHAPE,
    RESIZE,
    SELECT,
    SELECT_V2,
    SHAPE,
    SPACE_TO_BATCH_ND,
    SQUEEZE,
    STRIDED_SLICE,
    SUB,
    TILE,
    TRANSPOSE_CONV,
)
from edgeclf.tflite.output_shapes import MAX_VALUES, Call, Shape

Values: TypeAlias = "NDArray[Any]"

_INT32 = np.iinfo(np.int32)


def most_values(call: Call) -> int | None:
    """Return how many values an operator gives at most; None: its shapes tell.

    Raises:
        ModelError: It depends on what is known only when the model runs.
    """
    rule = _BOUNDS.get(call.code)
    return None if rule is None else max(0, rule(call))


def known_values(call: Call, shapes: list[Shape] | None) -> Values | None:
    """Return the whole numbers that an operator computes, if they can be known.

    Args:
        call: The operator.
        shapes: Of its outputs, as `output_shapes` returned them.
    """
    rule = _VALUES.get(call.code)
    if rule is None:
        return None
    values = rule(call)
    if values is None or values.size > MAX_VALUES:
        return None
    if values.size and not _INT32.min <= values.min() <= values.max() <= _INT32.max:
        return None
    return values if shapes is None else values.reshape(shapes[0])


def _given(call: Call, index: int) -> Values:
    values = call.operand(index).values
    if values is None:
        raise ModelError(
            f"Expected sizes that are known before the model runs. Received: input "
            f"{index}, which is computed."
        )
    return values.astype(np.int64)


def _product(values: Values) -> int:
    return math.prod(map(int, values.ravel()))  # of Python's integers: no overflow


def _size(call: Call, index: int) -> int:
    return math.prod(call.operand(index).shape)


def _broadcast_size(shapes: Iterable[Shape]) -> int:
    return math.prod(map(int, np.broadcast_shapes(*shapes)))


def _filled(index: int) -> Callable[[Call], int]:
    return lambda call: _product(_given(call, index))


def _times(index: int) -> Callable[[Call], int]:
    return lambda call: _size(call, 0) * _product(_given(call, index))


def _padded(index: int) -> Callable[[Call], int]:
    def bound(call: Call) -> int:
        added = _given(call, index).reshape(-1, 2).sum(axis=1).tolist()
        shape = call.operand(0).shape
        first = len(shape) > len(added)  # the batch has no padding
        added = [0] * first + added + [0] * (len(shape) - first - len(added))
        return math.prod(n + more for n, more in zip(shape, added, strict=True))

    return bound


def _ranged(call: Call) -> int:
    start, limit, step = (int(_given(call, index).reshape(-1)[0]) for index in range(3))
    return len(range(start, limit, step))


def _gathered(call: Call) -> int:
    shape, axis = call.operand(0).shape, int(call.option(0))
    if not -len(shape) <= axis < len(shape):
        raise ModelError(f"Expected an axis of {len(shape)}. Received: {axis}")
    kept = math.prod(n for i, n in enumerate(shape) if i != axis % len(shape))
    return kept * _size(call, 1)


def _gathered_by_place(call: Call) -> int:
    shape, places = call.operand(0).shape, call.operand(1).shape
    if not places or places[-1] > len(shape):
        raise ModelError(f"Expected places in {shape}. Received: {places}")
    return math.prod(places[:-1]) * math.prod(shape[places[-1] :])


def _looked_up(call: Call) -> int:
    return _size(call, 0) * math.prod(call.operand(1).shape[1:])


def _multiplied(call: Call) -> int:
    left, right = call.operand(0).shape, call.operand(1).shape
    if min(len(left), len(right)) < 2:
        raise ModelError(f"Expected matrices. Received: {left}, {right}")
    rows = left[-1] if call.option(0, "?", False) else left[-2]
    columns = right[-2] if call.option(1, "?", False) else right[-1]
    stacks = left[:-2], right[:-2]
    try:
        return rows * columns * _broadcast_size(stacks)
    except ValueError:  # sizes that are not known yet: not more than each with each
        return rows * columns * math.prod(map(math.prod, stacks))


def _selected(call: Call) -> int:
    shapes = [call.operand(index).shape for index in range(3)]
    try:
        return _broadcast_size(shapes)
    except ValueError as error:
        raise ModelError(f"Expected shapes that fit. Received: {shapes}") from error


def _wanted(index: int) -> Callable[[Call], int]:
    """Only ask for the value: `output_shapes` computes with it."""

    def bound(call: Call) -> int:
        _given(call, index)
        return 0

    return bound


_BOUNDS: dict[int, Callable[[Call], int]] = {
    FILL: _filled(0),
    BROADCAST_TO: _filled(1),
    TILE: _times(1),
    ONE_HOT: _times(1),
    MIRROR_PAD: _padded(1),
    SPACE_TO_BATCH_ND: _padded(2),
    RANGE: _ranged,
    GATHER: _gathered,
    GATHER_ND: _gathered_by_place,
    EMBEDDING_LOOKUP: _looked_up,
    BATCH_MATMUL: _multiplied,
    SELECT: _selected,
    SELECT_V2: _selected,
    TRANSPOSE_CONV: _wanted(0),
    **dict.fromkeys((PAD, PADV2, *RESIZE), _wanted(1)),
}


def _same(call: Call) -> Values | None:
    return call.operand(0).values


def _shape(call: Call) -> Values:
    return np.array(call.operand(0).shape, np.int64)


def _all(call: Call) -> list[Values] | None:
    found = [operand.values for operand in call.inputs if operand is not None]
    values = [each.astype(np.int64) for each in found if each is not None]
    return values if len(values) == len(call.inputs) else None


def _joined(call: Call) -> Values | None:
    values = _all(call)  # those that are joined are scalars or lists
    return None if values is None else np.concatenate([each.ravel() for each in values])


def _sliced(call: Call) -> Values | None:
    values = _all(call)
    no_begin, no_end, ellipsis, new_axis, shrink = map(call.option, range(5))
    if values is None or ellipsis or new_axis or call.option(5, "?", False):
        return None
    source, *ends = values
    if source.ndim != 1 or any(end.size != 1 for end in ends):
        return None
    begin, end, stride = (int(end.item()) for end in ends)
    if shrink:
        return source[begin : begin + 1 or None]
    return source[None if no_begin else begin : None if no_end else end : stride or 1]


def _taken(call: Call) -> Values | None:
    values = _all(call)
    if values is None or values[0].ndim != 1 or call.option(0) or call.option(1):
        return None
    source, places = values
    inside = ((places >= 0) & (places < len(source))).all()
    return source[places] if inside else None


def _computed(compute: Callable[[Any, Any], Any]) -> Callable[[Call], Values | None]:
    def values(call: Call) -> Values | None:
        both = _all(call)
        return None if both is None else np.asarray(compute(*both))

    return values


_VALUES: dict[int, Callable[[Call], Values | None]] = {
    **dict.fromkeys((CAST, RESHAPE, SQUEEZE, EXPAND_DIMS), _same),
    **dict.fromkeys((PACK, CONCATENATION), _joined),
    SHAPE: _shape,
    STRIDED_SLICE: _sliced,
    GATHER: _taken,
    ADD: _computed(np.add),
    SUB: _computed(np.subtract),
    MUL: _computed(np.multiply),
    MAXIMUM: _computed(np.maximum),
    MINIMUM: _computed(np.minimum),
    REDUCE_PROD: lambda call: (
        None
        if (values := call.operand(0).values) is None or values.ndim != 1
        else np.array([_product(values)])
    ),
}
