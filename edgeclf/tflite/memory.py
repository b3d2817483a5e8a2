"""How many bytes the tensors of a graph take."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeclf.tflite.model_file import Operator

MEGABYTE = 1 << 20
MAX_MODEL_MB = 900  # of one model, its file included; the rest of 1 GiB is Python's
MAX_MODEL_BYTES = MAX_MODEL_MB * MEGABYTE

# Bits of a value by TensorType; STRING, RESOURCE and VARIANT have no fixed size.
_BITS = {
    **dict.fromkeys((0, 2, 15), 32),
    **dict.fromkeys((1, 7, 16, 18), 16),
    **dict.fromkeys((3, 6, 9, 21, 22), 8),
    **dict.fromkeys((4, 8, 10, 12), 64),
    **dict.fromkeys((17, 20), 4),
    11: 128,
    19: 2,
}


def tensor_bytes(shape: Sequence[int], tensor_type: int) -> int | None:
    """Return the size of a tensor's values; None when its type has no fixed size."""
    bits = _BITS.get(tensor_type)
    return None if bits is None else (math.prod(shape) * bits + 7) // 8


def peak_bytes(
    operators: Sequence[Operator],
    inputs: Sequence[int],
    outputs: Sequence[int],
    size_bytes: Callable[[int], int],
    views: Collection[int] = (),
) -> int:
    """Return how many bytes are held at one time, at the worst moment.

    A tensor is held from the operator that computes it to the last that reads it.

    Args:
        operators: The steps of a graph, in their order.
        inputs: Indices of the tensors that the graph is given.
        outputs: Indices of those that are read in the end.
        size_bytes: Tells what a tensor takes, by index.
        views: Numbers of operators whose output shares the memory of their input.
    """
    memory = {index: index for index in inputs}  # tensor -> whose memory it has
    begins = dict.fromkeys(inputs, 0)
    ends = begins.copy()
    for step, operator in enumerate(operators):
        for index in operator.inputs:
            if index in memory:
                ends[memory[index]] = step
        for index in operator.outputs:
            source = operator.inputs[0] if operator.code in views else index
            owner = memory[index] = memory.get(source, index)
            begins.setdefault(owner, step)
            ends[owner] = step
    for index in outputs:
        if index in memory:
            ends[memory[index]] = len(operators)
    changes = [0] * (len(operators) + 2)
    for index, begin in begins.items():
        size = size_bytes(index)
        changes[begin] += size
        changes[ends[index] + 1] -= size
    return max(accumulate(changes))
