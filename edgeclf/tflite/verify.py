"""Refuse models that would crash an interpreter, or take all memory.

Interpreters are made for files that a converter wrote. A damaged or hostile one can
end the process, where no error can be caught any more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.tflite.calls import check_depth, check_passed
from edgeclf.tflite.flatbuffer import damage_reported
from edgeclf.tflite.footprint import BASE_BYTES, graph_bytes
from edgeclf.tflite.memory import MAX_MODEL_BYTES, MEGABYTE, tensor_bytes
from edgeclf.tflite.model_file import Model, Operator, SubGraph, Tensor, parse
from edgeclf.tflite.operators import (
    ARITY,
    CUSTOM,
    KNOWN,
    MANY,
    OPTIONS,
    SAME_TYPE,
    TRUSTED_CUSTOM,
    VARIABLES,
)
from edgeclf.tflite.output_shapes import (
    MAX_VALUES,
    Call,
    MisfitError,
    Operand,
    Shape,
    output_shapes,
)
from edgeclf.tflite.scales import check_scales
from edgeclf.tflite.sizes import known_values, most_values
from edgeclf.tflite.verify_tensors import MAX_RANK, check_tensor

MAX_NAME = 80  # letters of a tensor's name that are repeated

_INTEGERS = {2: "<i4", 4: "<i8"}
_HANDLES = (13, 14)  # RESOURCE, VARIANT
_OMITTED = -1  # input


def check_model(content: bytes, max_bytes: int = MAX_MODEL_BYTES) -> int:
    """Check a `.tflite` file before an interpreter reads it.

    Every offset in it leads to where it should; tensors, buffers and operators that
    are named exist, constants have the size of their tensor, operators read what has
    been computed before; operators that are known have the right number of inputs,
    sane options, and outputs of as many values as they compute, whose shape counts
    from there on, as interpreters count it; subgraphs are run with the shapes they are
    made for, and not by themselves; operators that are not known are refused, but for
    custom ones, which only their makers' interpreters have. And the model fits into
    the memory it may have: the file twice (interpreters pack the weights anew), what
    is held at the same time at the worst moment, and what operators need besides.

    Args:
        content: The whole file.
        max_bytes: Most memory that it may take.

    Returns:
        The memory it takes at most, in bytes.

    Raises:
        ModelError: The model is damaged, or too large.
    """
    with damage_reported():
        model = parse(content)
        _check_references(content, model)
        return _check_graphs(content, model, max_bytes, None)


def check_resized(content: bytes, input_shape: Shape, max_bytes: int) -> int:
    """Check that a model whose input takes another shape than it declares still fits.

    Args:
        content: A file that `check_model` has passed.
        input_shape: Of its only input.
        max_bytes: Most memory that it may take.

    Returns:
        The memory it takes at most, in bytes; of operators that are not known, what
        goes in is taken for what comes out.

    Raises:
        ModelError: It is too large.
    """
    with damage_reported():
        return _check_graphs(content, parse(content), max_bytes, input_shape)


def _check_graphs(
    content: bytes, model: Model, max_bytes: int, input_shape: Shape | None
) -> int:
    total = BASE_BYTES + 2 * len(content)
    checked = []
    for index, graph in enumerate(model.subgraphs):
        checked.append(_Graph(content, model, graph, None if index else input_shape))
        try:
            checked[-1].check()
        except ModelError as error:
            raise ModelError(f"Subgraph {index} is damaged: {error}") from error
        total += checked[-1].memory_bytes()
    check_passed(model, lambda graph, tensor: checked[graph].shape(tensor))
    if total > max_bytes:
        raise ModelError(
            f"Expected a model that takes at most {max_bytes // MEGABYTE} MB of "
            "memory, which --max_model_mb (max_model_mb=) changes. Received: one that "
            f"would take {total / MEGABYTE:,.0f} MB."
        )
    return total


def _check_references(content: bytes, model: Model) -> None:
    """Check that what one part of the model says of another is there."""
    for buffer in model.buffers:
        buffer.place(len(content))
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
    for code in model.operator_codes:
        name = content[code.custom_name]
        if CUSTOM in (code.old_code, code.code) and name.startswith(TRUSTED_CUSTOM):
            raise ModelError(
                "Expected a model that labels pictures. Received: one with the "
                f"operator {name[:MAX_NAME].decode()}, which edgeclf does not use."
            )
    check_depth(model)


def _check_indices(kind: str, indices: Iterable[int], count: int) -> None:
    for index in indices:
        if not 0 <= index < count:
            raise ModelError(f"Expected one of {count} {kind}. Received: {index}")


class _Graph:
    """One subgraph, checked in the order in which it is computed."""

    def __init__(
        self,
        content: bytes,
        model: Model,
        graph: SubGraph,
        input_shape: Shape | None = None,
    ) -> None:
        self._content = content
        self._buffers = model.buffers
        self._graph = graph
        self._tensors = graph.tensors
        self._is_main = graph is model.subgraphs[0]
        self._constants: dict[int, slice] = {}  # where their values lie in the file
        self._operands: dict[int, Operand] = {}
        self._computed: dict[int, Shape] = {}  # by operators that are known
        self._values: dict[int, NDArray[Any]] = {}  # of sizes that are computed
        self._at_most: dict[int, int] = {}  # values of outputs of unknown shape
        self._is_resized = input_shape is not None
        if input_shape is not None:
            self._computed[graph.inputs[0]] = input_shape

    def check(self) -> None:
        count = len(self._tensors)
        _check_indices("tensors", self._graph.inputs, count)
        _check_indices("tensors", self._graph.outputs, count)
        for index, tensor in enumerate(self._tensors):
            try:
                self._check_tensor(index, tensor)
            except ModelError as error:
                name = tensor.name[:MAX_NAME]
                raise ModelError(f"tensor {index} {name!r}: {error}") from error
        self._check_operators()

    def _check_tensor(self, index: int, tensor: Tensor) -> None:
        _check_indices("buffers", [tensor.buffer], len(self._buffers))
        data = self._buffers[tensor.buffer].place(len(self._content))
        size = data.stop - data.start
        if size:
            self._constants[index] = data
        check_tensor(tensor, size)

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
            if index not in known:
                raise ModelError(f"no operator computes the output {index}.")

    def _check_operator(self, operator: Operator, known: set[int]) -> None:
        """Check one operator; `known` are the tensors that have values before it."""
        if operator.code not in KNOWN:
            raise ModelError(
                "Expected operators that edgeclf knows and can check. "
                "Received: another."
            )
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
        most = most_values(call)
        shapes = None
        try:
            shapes = output_shapes(call)
        except MisfitError:
            # Declared sizes that may vary are 1, and need not fit together.
            if not self._is_resized and not any(
                -1 in self._tensors[index].signature[1:]
                for index in operator.inputs
                if index != _OMITTED
            ):
                raise
        else:
            self._check_type(call, operator)
        tensors = self._tensors
        check_scales(
            operator.code,
            [tensors[index] for index in operator.inputs if index != _OMITTED],
            [tensors[index] for index in operator.outputs if index != _OMITTED],
        )
        if shapes is None:
            self._bound(operator, inputs, most)
        else:
            self._note(operator, shapes)
        if operator.outputs[:1] not in ((), (_OMITTED,)):
            values = known_values(call, shapes)
            if values is not None:
                self._values[operator.outputs[0]] = values

    def _check_type(self, call: Call, operator: Operator) -> None:
        source = SAME_TYPE.get(operator.code)
        if source is not None:
            kind = call.operand(source).type
            if any(self._tensors[index].type != kind for index in operator.outputs):
                raise ModelError("Expected an output of the input's type.")

    def _bound(
        self, operator: Operator, inputs: list[Operand | None], most: int | None
    ) -> None:
        """Note how many values outputs may have whose shape is not known here."""
        if most is None and self._is_resized:
            most = max((math.prod(each.shape) for each in inputs if each), default=0)
        if most is not None:
            self._at_most.update(dict.fromkeys(operator.outputs, most))

    def _note(self, operator: Operator, shapes: list[Shape]) -> None:
        """Note the shapes of outputs; refuse what is declared otherwise."""
        for index, shape in zip(operator.outputs, shapes, strict=True):
            tensor = self._tensors[index]
            if len(shape) > MAX_RANK or not (
                self._is_resized or _may_have(tensor, shape)
            ):
                raise ModelError(
                    f"Expected an output of shape {shape[: MAX_RANK + 1]}. "
                    f"Received: {tensor.shape}"
                )
            self._computed[index] = shape

    def shape(self, index: int) -> Shape:
        """Return what a tensor's shape is, as far as it is known."""
        return self._computed.get(index, self._tensors[index].shape)

    def _operand(self, index: int) -> Operand:
        operand = self._operands.get(index)
        if operand is None:
            tensor, values = self._tensors[index], self._values.get(index)
            shape = self.shape(index)
            data, dtype = self._constants.get(index), _INTEGERS.get(tensor.type)
            if data and dtype and math.prod(shape) <= MAX_VALUES:
                values = np.frombuffer(self._content[data], dtype).reshape(shape)
            operand = self._operands[index] = Operand(shape, tensor.type, values)
        return operand

    def memory_bytes(self) -> int:
        """Return what the tensors and operators take besides the file."""
        return graph_bytes(
            self._graph, self.shape, self._activation_bytes, self._constants
        )

    def _activation_bytes(self, index: int) -> int:
        if index == _OMITTED or index in self._constants:
            return 0
        kind = self._tensors[index].type
        values = (max(self._at_most.get(index, 0), math.prod(self.shape(index))),)
        return tensor_bytes(values, kind) or 0


def _may_have(tensor: Tensor, shape: Shape) -> bool:
    """Tell whether a tensor may be declared as it is when its shape is another.

    Interpreters compute the shape anew. What is refused is another number of values,
    for which there may be no room; but sizes that vary are declared as 1, and a tensor
    whose number of dimensions is not known has none.
    """
    declared, signature = tensor.shape, tensor.signature
    if not declared and not tensor.has_rank:
        return True
    if math.prod(declared) == math.prod(shape):
        return True
    return len(signature) == len(declared) == len(shape) and all(
        size == wanted or (size == 1 and signed == -1)
        for size, wanted, signed in zip(declared, shape, signature, strict=True)
    )
