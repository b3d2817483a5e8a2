"""Take out of a graph what nothing reads any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeclf.zoo.graph import is_constant, schema

if TYPE_CHECKING:
    from edgeclf.zoo.graph import Model, SubGraph


def replace_tensors(graph: SubGraph, replacements: dict[int, int]) -> None:
    """Let every reader of a tensor read another one, the graph's outputs included.

    Args:
        graph: Changed in place.
        replacements: Old tensor index to new one; chains are followed.
    """

    def resolved(index: int) -> int:
        while index in replacements:
            index = replacements[index]
        return index

    for operator in graph.operators:
        operator.inputs = [resolved(index) for index in operator.inputs]
    graph.outputs = [resolved(index) for index in graph.outputs]


def prune(model: Model) -> None:
    """Remove what the first subgraph's outputs do not need.

    Operators, tensors, buffers and operator codes without use go. Metadata and
    signatures name buffers and tensors by number and go too: write new ones.
    """
    graph = model.subgraphs[0]
    needed = set(graph.outputs)
    operators = []
    for operator in reversed(graph.operators):
        if needed.intersection(operator.outputs) - {-1}:
            operators.append(operator)
            needed.update(operator.inputs)
    graph.operators = operators[::-1]
    needed.update(graph.inputs)
    for operator in graph.operators:  # a split's unread outputs stay
        needed.update(operator.outputs)
        operator.intermediates = None  # scratch numbers of quantized LSTMs
    kept = sorted(needed - {-1})
    _keep_buffers(model, kept)
    graph.tensors = [graph.tensors[index] for index in kept]
    numbers = {old: new for new, old in enumerate(kept)} | {-1: -1}
    graph.inputs = [numbers[index] for index in graph.inputs]
    graph.outputs = [numbers[index] for index in graph.outputs]
    for operator in graph.operators:
        operator.inputs = [numbers[index] for index in operator.inputs]
        operator.outputs = [numbers[index] for index in operator.outputs]
    _keep_operator_codes(model)
    model.metadata = model.metadataBuffer = model.signatureDefs = None


def _keep_buffers(model: Model, tensor_indices: list[int]) -> None:
    """Keep the buffers of these tensors; number 0 is the empty one by convention."""
    buffers = [schema.BufferT()]
    numbers: dict[int, int] = {}
    for index in tensor_indices:
        tensor = model.subgraphs[0].tensors[index]
        if not is_constant(model, index):
            tensor.buffer = 0
            continue
        if tensor.buffer not in numbers:
            numbers[tensor.buffer] = len(buffers)
            buffers.append(model.buffers[tensor.buffer])
        tensor.buffer = numbers[tensor.buffer]
    model.buffers = buffers


def _keep_operator_codes(model: Model) -> None:
    operators = model.subgraphs[0].operators
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
