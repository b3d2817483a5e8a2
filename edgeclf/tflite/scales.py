"""Refuse scales that a kernel cannot compute with: it would end the process.

Source: the kernels of tensorflow/lite/kernels that quantize a multiplier which has to
be less than one, and check that only where no error can be told any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeclf.errors import ModelError
from edgeclf.tflite.model_file import Tensor
from edgeclf.tflite.operators import (
    ADD,
    COMPARISONS,
    DIV,
    LOG,
    MUL,
    PRELU,
    RSQRT,
    SQRT,
    SQUARED_DIFFERENCE,
    SUB,
)

_SCALED = frozenset(
    {ADD, SUB, MUL, DIV, PRELU, SQUARED_DIFFERENCE, LOG, SQRT, RSQRT, *COMPARISONS}
)
_UINT8, _INT16, _INT8 = 3, 7, 9
_INTEGERS = (_UINT8, _INT16, _INT8)  # that stand for real numbers
# By how many bits inputs are shifted before they are added, by type.
_SHIFTS = {_UINT8: 20, _INT8: 20, _INT16: 15}
_SQUARED_SHIFT = 14


def check_scales(
    code: int, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> None:
    """Check the scales of what goes into an operator and what comes out.

    Args:
        code: The operator.
        inputs: Those that are not left out.
        outputs: Likewise.

    Raises:
        ModelError: A scale is missing, or of a size that ends the process.
    """
    if code not in _SCALED or inputs[0].type not in _INTEGERS:
        return
    scales = [_scale(tensor) for tensor in inputs]
    if code in COMPARISONS:
        if max(scales) >= 1:
            raise ModelError(f"Expected scales below 1. Received: {max(scales)}")
        return
    wanted = [_scale(tensor) for tensor in outputs]
    if code in (ADD, SUB):
        factor = 2.0 ** -_SHIFTS[inputs[0].type] * 2 * max(scales)
    elif code == SQUARED_DIFFERENCE:
        factor = 2.0**-_SQUARED_SHIFT * (2 * max(scales)) ** 2
    else:
        return
    if factor >= wanted[0]:
        raise ModelError(
            f"Expected an output of a scale above {factor}. Received: {wanted[0]}"
        )


def _scale(tensor: Tensor) -> float:
    quantization = tensor.quantization
    if quantization is None or not quantization.scale.size:
        raise ModelError("Expected tensors of integers that have a scale.")
    return float(quantization.scale.max())
