"""Refuse models that would crash an interpreter, or take all memory.

Interpreters are made for files that a converter wrote. A damaged or hostile one can
end the process, where no error can be caught any more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.tflite.flatbuffer import damage_reported
from edgeclf.tflite.model_file import (
    Fields,
    Model,
    Operator,
    Quantization,
    Sparsity,
    SubGraph,
    Tensor,
    parse,
)
from edgeclf.tflite.operators import ARITY, MANY, OPTIONS, SAME_TYPE, VARIABLES
from edgeclf.tflite.output_shapes import Call, MisfitError, Operand, output_shapes

MAX_ACTIVATION_BYTES = 512 << 20  # of tensors that are needed at the same time
MAX_VALUES = 64  # of a constant that an operator takes as its parameter

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
_FLOAT32 = 0
_RANGES = {3: (0, 255), 9: (-128, 127)}  # of zero points
_LEAST_SCALE = 2.0**-126  # subnormal ones crash
_MOST = 2.0**127
_INTEGERS = {2: "<i4", 4: "<i8"}
_INDEX_TYPES = {1: "<i4", 2: "<u2", 3: "<u1"}  # SparseIndexVector
_DENSE = 0  # DimensionType
_HANDLES = (13, 14)  # RESOURCE, VARIANT
_OMITTED = -1  # input

# Operators that run other subgraphs: which fields of their options name them.
_CALLS = {31: (0,), 118: (0, 1), 119: (0, 1), 129: (0,)}


def check_model(content: bytes) -> None:
    """Check a `.tflite` file before an interpreter reads it.

    Every offset in it leads to where it should; tensors, buffers and operators that
    are named exist, constants have the size of their tensor, operators read what has
    been computed before; operators that are known have the right number of inputs,
    sane options, and outputs of the shape that they compute; and not more than 512 MiB
    are needed for activations. Operators that are not known pass.

    Args:
        content: The whole file.

    Raises:
        ModelError: The model is damaged, or too large.
    """
    with damage_reported():
        model = parse(content)
        _check_references(content, model)
        for index, graph in enumerate(model.subgraphs):
            try:
                _Graph(content, model, graph).check()
            except ModelError as error:
                raise ModelError(f"Subgraph {index} is damaged: {error}") from error


def _check_references(content: bytes, model: Model) -> None:
    """Check that what one part of the model says of another is there."""
    for buffer in model.buffers:
        if buffer.offset > 1 and buffer.offset + buffer.size > len(content):
            raise ModelError("The TFLite model is cut short: a buffer is missing.")
    buffers = len(model.buffers)
    _check_indices("buffers", model.metadata_buffers, buffers)
    _check_indices("buffers", (entry.buffer for entry in model.metadata), buffers)
    graphs = len(model.subgraphs)
    if not graphs:
        raise ModelError("Expected a model with a graph. Received: none.")
    for signature in model.signatures:
        _check_indices("subgraphs", [signature.subgraph], graphs)
        tensors = len(model.subgraphs[signature.subgraph].tensors)
        for names in (signature.inputs, signature.outputs):
            _check_indices("tensors", (name.tensor for name in names), tensors)
    calls = {
        index: called
        for index, graph in enumerate(model.subgraphs)
        if (called := list(_called_subgraphs(graph)))
    }
    if calls:
        from graphlib import CycleError, TopologicalSorter  # only control flow needs it

        _check_indices("subgraphs", chain(*calls.values()), graphs)
        try:
            TopologicalSorter(calls).prepare()
        except CycleError as error:
            raise ModelError("Expected no subgraph that runs itself.") from error


def _called_subgraphs(graph: SubGraph) -> Iterator[int]:
    for operator in graph.operators:
        for slot in _CALLS.get(operator.code, ()):
            yield operator.options.number(slot) if operator.options else 0


def _check_indices(kind: str, indices: Iterable[int], count: int) -> None:
    for index in indices:
        if not 0 <= index < count:
            raise ModelError(f"Expected one of {count} {kind}. Received: {index}")


class _Graph:
    """One subgraph, checked in the order in which it is computed."""

    def __init__(self, content: bytes, model: Model, graph: SubGraph) -> None:
        self._content = content
        self._buffers = model.buffers
        self._graph = graph
        self._tensors = graph.tensors
        self._is_main = graph is model.subgraphs[0]
        self._constants: dict[int, slice] = {}  # where their values lie in the file
        self._operands: dict[int, Operand] = {}

    def check(self) -> None:
        count = len(self._tensors)
        _check_indices("tensors", self._graph.inputs, count)
        _check_indices("tensors", self._graph.outputs, count)
        for index, tensor in enumerate(self._tensors):
            try:
                self._check_tensor(index, tensor)
            except ModelError as error:
                raise ModelError(f"tensor {index} {tensor.name!r}: {error}") from error
        self._check_operators()
        self._check_memory()

    def _check_tensor(self, index: int, tensor: Tensor) -> None:
        if min(tensor.shape, default=0) < 0:
            raise ModelError(f"Expected a shape. Received: {tensor.shape}")
        _check_indices("buffers", [tensor.buffer], len(self._buffers))
        buffer = self._buffers[tensor.buffer]
        data = buffer.data
        if buffer.offset > 1:
            data = slice(buffer.offset, buffer.offset + buffer.size)
        size = data.stop - data.start
        if size:
            self._constants[index] = data
            expected = _size_bytes(tensor.shape, tensor.type)
            if tensor.sparsity is not None:
                _check_sparsity(tensor.sparsity, tensor.shape)
            elif expected is not None and size != expected:
                raise ModelError(
                    f"Expected a constant of {expected} bytes for the shape "
                    f"{tensor.shape}. Received: {size}"
                )
        quantization = tensor.quantization
        if quantization is not None and tensor.type != _FLOAT32:
            _check_quantization(tensor, quantization)

    def _check_operators(self) -> None:
        known = {*self._constants, *self._graph.inputs}
        if len(known) < len(self._constants) + len(set(self._graph.inputs)):
            raise ModelError("Expected inputs that are no constants.")
        for index, tensor in enumerate(self._tensors):
            if tensor.is_variable or 0 in tensor.shape:
                known.add(index)
        for position, operator in enumerate(self._graph.operators):
            try:
                self._check_operator(operator, known)
            except ModelError as error:
                raise ModelError(
                    f"operator {position} (number {operator.code}): {error}"
                ) from error
        for index in self._graph.outputs:
            if self._tensors[index].type in _HANDLES and self._is_main:
                raise ModelError(f"output {index} has no values.")
        unknown = set(self._graph.outputs) - known
        if unknown:
            raise ModelError(f"no operator computes the outputs {sorted(unknown)}.")

    def _check_operator(self, operator: Operator, known: set[int]) -> None:
        """Check one operator; `known` are the tensors that have values before it."""
        count = len(self._tensors)
        least, most, num_outputs = ARITY.get(operator.code, (0, MANY, None))
        inputs, outputs = operator.inputs, operator.outputs
        if not least <= len(inputs) <= most or num_outputs not in (None, len(outputs)):
            raise ModelError(
                f"Expected {least} to {most} inputs and {num_outputs} outputs. "
                f"Received: {len(inputs)} and {len(outputs)}"
            )
        for place, index in enumerate(inputs):
            omitted = index == _OMITTED and (
                operator.code not in ARITY or place >= least
            )
            if index not in known and not omitted:
                raise ModelError(f"Expected input {index} to be computed before it.")
            if operator.code in ARITY and not omitted:
                is_handle = self._tensors[index].type in _HANDLES
                if is_handle != (place == 0 and operator.code in VARIABLES):
                    raise ModelError(f"Expected input {index} of another type.")
        _check_indices("tensors", operator.intermediates, count)
        results = [index for index in outputs if index != _OMITTED]
        _check_indices("tensors", results, count)
        for index in results:
            tensor = self._tensors[index]
            if index in known and not tensor.is_variable and 0 not in tensor.shape:
                raise ModelError(f"Expected output {index} to be computed only here.")
        if operator.custom_offset > 1:
            end = operator.custom_offset + operator.custom_size
            if end > len(self._content):
                raise ModelError("its options are missing.")
        if operator.code in ARITY:
            self._check_shapes(operator)
        known.update(results)

    def _check_shapes(self, operator: Operator) -> None:
        wanted = OPTIONS.get(operator.code)
        options = operator.options
        if wanted and operator.options_type not in (wanted, 0):
            raise ModelError(
                f"Expected options of type {wanted}. Received: {operator.options_type}"
            )
        inputs = [
            None if index == _OMITTED else self._operand(index)
            for index in operator.inputs
        ]
        call = Call(operator.code, options, inputs, len(operator.outputs))
        try:
            shapes = output_shapes(call)
        except MisfitError:
            # Declared sizes that may vary are 1, and need not fit together.
            if not any(
                -1 in self._tensors[index].signature[1:]
                for index in operator.inputs
                if index != _OMITTED
            ):
                raise
            return
        source = SAME_TYPE.get(operator.code)
        if source is not None:
            kind = call.operand(source).type
            if any(self._tensors[index].type != kind for index in operator.outputs):
                raise ModelError("Expected an output of the input's type.")
        if shapes is None:
            return
        for index, shape in zip(operator.outputs, shapes, strict=True):
            tensor = self._tensors[index]
            if tensor.shape != shape and not _may_vary(tensor, shape):
                raise ModelError(
                    f"Expected an output of shape {shape}. Received: {tensor.shape}"
                )

    def _operand(self, index: int) -> Operand:
        operand = self._operands.get(index)
        if operand is None:
            tensor, values = self._tensors[index], None
            data, dtype = self._constants.get(index), _INTEGERS.get(tensor.type)
            if data and dtype and math.prod(tensor.shape) <= MAX_VALUES:
                values = np.frombuffer(self._content[data], dtype).reshape(tensor.shape)
            quantization = tensor.quantization
            scale = 0.0
            if quantization is not None and quantization.scale.size:
                scale = float(quantization.scale[0])
            operand = Operand(tensor.shape, tensor.type, scale, values)
            self._operands[index] = operand
        return operand

    def _check_memory(self) -> None:
        """Bound what must be held at the same time, as the interpreter reuses it."""
        last_use = dict.fromkeys(self._graph.inputs, 0)
        operators = self._graph.operators
        for position, operator in enumerate(operators):
            last_use.update(
                dict.fromkeys((*operator.inputs, *operator.outputs), position)
            )
        last_use.update(dict.fromkeys(self._graph.outputs, len(operators)))
        ends: dict[int, int] = {}  # bytes that are free after an operator
        sizes = {index: self._activation_bytes(index) for index in last_use}
        held = sum(sizes[index] for index in self._graph.inputs)
        for index in self._graph.inputs:
            ends[last_use[index]] = ends.get(last_use[index], 0) + sizes[index]
        most = held
        for position, operator in enumerate(operators):
            for index in operator.outputs:
                held += sizes[index]
                ends[last_use[index]] = ends.get(last_use[index], 0) + sizes[index]
            most = max(most, held)
            held -= ends.get(position, 0)
        if most > MAX_ACTIVATION_BYTES:
            raise ModelError(
                f"Expected at most {MAX_ACTIVATION_BYTES} bytes of activations. "
                f"Received: {most}"
            )

    def _activation_bytes(self, index: int) -> int:
        if index == _OMITTED or index in self._constants:
            return 0
        tensor = self._tensors[index]
        return _size_bytes(tensor.shape, tensor.type) or 0


def _may_vary(tensor: Tensor, shape: Sequence[int]) -> bool:
    """Tell whether the tensor is only declared 1 where its shape is another."""
    return len(tensor.signature) == len(tensor.shape) == len(shape) and all(
        declared == size or (declared == 1 and signed == -1)
        for declared, size, signed in zip(
            tensor.shape, shape, tensor.signature, strict=True
        )
    )


def _size_bytes(shape: Sequence[int], tensor_type: int) -> int | None:
    bits = _BITS.get(tensor_type)
    return None if bits is None else (math.prod(shape) * bits + 7) // 8


def _check_quantization(tensor: Tensor, quantization: Quantization) -> None:
    scale, zero_point, dimension = quantization
    if scale.size > 1:
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


def _check_sparsity(sparsity: Sparsity, shape: Sequence[int]) -> None:
    """Check that what a sparse constant stores lies inside its shape."""
    order, blocks, dimensions = sparsity
    rank = len(shape)
    fits = (
        sorted(order) == list(range(rank + len(blocks)))
        and len(dimensions) == len(order)
        and all(0 <= axis < rank for axis in blocks)
    )
    stored = 1  # positions so far, dimension by dimension
    for axis, dimension in zip(order, dimensions, strict=False):
        limit = shape[axis] if fits and axis < rank else dimension.dense_size
        if dimension.format == _DENSE:
            fits = fits and 1 <= dimension.dense_size <= limit
            stored *= dimension.dense_size
            continue
        segments = _index_values(dimension.segments, dimension.segments_type)
        indices = _index_values(dimension.indices, dimension.indices_type)
        fits = (
            fits
            and segments.size == stored + 1
            and segments[0] == 0
            and segments[-1] == indices.size
            and bool((np.diff(segments) >= 0).all())
            and indices.min(initial=0) >= 0
            and indices.max(initial=-1) < limit
        )
        stored = indices.size
    if not fits:
        raise ModelError("Expected indices of a sparse constant inside its shape.")


def _index_values(vector: Fields | None, kind: int) -> NDArray[Any]:
    if vector is None or kind not in _INDEX_TYPES:
        return np.empty(0, np.int64)
    return vector.array(0, _INDEX_TYPES[kind]).astype(np.int64)
