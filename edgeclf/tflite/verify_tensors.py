"""Refuse tensors that would crash an interpreter: shapes, constants, quantization."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.tflite.flatbuffer import Table
from edgeclf.tflite.memory import tensor_bytes
from edgeclf.tflite.model_file import Quantization, Sparsity, Tensor

MAX_RANK = 8  # of the kernels; without it sizes multiply into huge numbers

_FLOAT32 = 0
_RANGES = {3: (0, 255), 9: (-128, 127)}  # of zero points
_LEAST_SCALE = 2.0**-126  # subnormal ones crash
_MOST = 2.0**127
_INDEX_TYPES = {1: "<i4", 2: "<u2", 3: "<u1"}  # SparseIndexVector
_DENSE = 0  # DimensionType


def check_tensor(tensor: Tensor, data_bytes: int) -> None:
    """Check what a tensor says of itself.

    Args:
        tensor: The tensor.
        data_bytes: Size of its constant in the file; 0 without.

    Raises:
        ModelError: It has no shape that exists, its constant another size, or its
            quantization numbers that no kernel can work with.
    """
    shape, quantization = tensor.shape, tensor.quantization
    if len(shape) > MAX_RANK or len(tensor.signature) > MAX_RANK:
        raise ModelError(
            f"Expected at most {MAX_RANK} dimensions. "
            f"Received: {max(len(shape), len(tensor.signature))}"
        )
    if min(shape, default=0) < 0:
        raise ModelError(f"Expected a shape. Received: {shape}")
    if data_bytes and tensor.sparsity is not None:
        _check_sparsity(tensor.sparsity, shape)
    elif data_bytes:
        expected = tensor_bytes(shape, tensor.type)
        if expected not in (None, data_bytes):
            raise ModelError(
                f"Expected a constant of {expected} bytes for the shape {shape}. "
                f"Received: {data_bytes}"
            )
    if quantization is not None and tensor.type != _FLOAT32:
        _check_quantization(tensor, quantization)


def _check_quantization(tensor: Tensor, quantization: Quantization) -> None:
    scale, zero_point = quantization.scale, quantization.zero_point
    if scale.size > 1:
        dimension = quantization.dimension
        channels = tensor.shape[dimension : dimension + 1]
        if dimension < 0 or channels != (scale.size,):
            raise ModelError(
                f"Expected a scale for each of dimension {dimension} of "
                f"{tensor.shape}. Received: {scale.size}"
            )
    low, high = _RANGES.get(tensor.type, (-(1 << 31), (1 << 31) - 1))
    for values, least, most in ((scale, _LEAST_SCALE, _MOST), (zero_point, low, high)):
        if not values.size:
            continue
        # One value costs less without NumPy; a comparison with NaN is false.
        ends = (values.item(),) if values.size == 1 else (values.min(), values.max())
        if not all(least <= end <= most for end in ends):
            raise ModelError(
                f"Expected scales and zero points of {least} to {most}. "
                f"Received: {ends}"
            )


def _check_sparsity(sparsity: Sparsity, shape: tuple[int, ...]) -> None:
    """Check that what a sparse constant stores lies inside its shape."""
    order, blocks = sparsity.traversal_order, sparsity.block_map
    rank = len(shape)
    fits = (
        len(blocks) <= rank
        and sorted(order) == list(range(rank + len(blocks)))
        and len(sparsity.dimensions) == len(order)
        and all(0 <= axis < rank for axis in blocks)
    )
    stored = 1  # positions so far, dimension by dimension
    for axis, dimension in zip(order, sparsity.dimensions, strict=False):
        if not fits:
            break
        limit = shape[axis] if axis < rank else dimension.dense_size
        if dimension.format == _DENSE:
            fits = 1 <= dimension.dense_size <= limit
            stored *= dimension.dense_size
            continue
        segments = _index_values(dimension.segments, dimension.segments_type)
        indices = _index_values(dimension.indices, dimension.indices_type)
        fits = (
            segments.size == stored + 1
            and segments[0] == 0
            and segments[-1] == indices.size
            and bool((np.diff(segments) >= 0).all())
            and indices.min(initial=0) >= 0
            and indices.max(initial=-1) < limit
        )
        stored = indices.size
    if not fits:
        raise ModelError("Expected indices of a sparse constant inside its shape.")


def _index_values(vector: Table | None, kind: int) -> NDArray[Any]:
    if vector is None or kind not in _INDEX_TYPES:
        return np.empty(0, np.int64)
    return vector.array(0, _INDEX_TYPES[kind]).astype(np.int64)
