"""What a microcontroller needs to know of a model."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np

from edgeclf.errors import ModelError
from edgeclf.metadata import read_model_info
from edgeclf.model_info import ModelInfo
from edgeclf.tflite.graph import DEQUANTIZE, QUANTIZE, RESHAPE, SQUEEZE, Graph, Tensor
from edgeclf.tflite.verify import check_model

_ENDS = frozenset({DEQUANTIZE, QUANTIZE})
_VIEWS = frozenset({RESHAPE, SQUEEZE})  # may share the memory of what they read


@dataclass(frozen=True)
class MicroModel:
    """What a microcontroller needs to know of a model.

    Attributes:
        content: The `.tflite` file without the files that are attached to it.
        info: What the file says about itself.
        input: The input tensor, shape `(1, height, width, channels)`.
        output: The output tensor, one value for each class.
        operators: Each `BuiltinOperator` in it, once, by rising number.
        arena_bytes: Size of the tensors that are needed at one time, at the worst
            moment; the interpreter needs more.
        problems: Why TensorFlow Lite Micro runs it slowly or not at all; empty for a
            model of int8 throughout.
    """

    content: bytes
    info: ModelInfo
    input: Tensor
    output: Tensor
    operators: tuple[int, ...]
    arena_bytes: int
    problems: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes, the size of the output."""
        return int(np.prod(self.output.shape))


def micro_model(content: bytes) -> MicroModel:
    """Read a `.tflite` file.

    Raises:
        ModelError: It is damaged, or has not one picture as input and one output.
        MissingExtraError: The package flatbuffers is not installed.
    """
    info = read_model_info(content)
    check_model(content)
    graph = Graph(content)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            "Expected a classifier with one input and one output. "
            f"Received: {len(graph.inputs)} and {len(graph.outputs)}"
        )
    (source,), (result,) = graph.inputs, graph.outputs
    shape = graph.tensor(source).shape
    if len(shape) != 4 or shape[0] != 1:
        raise ModelError(
            "Expected an input of shape (1, height, width, channels). "
            f"Received: {shape}"
        )
    return MicroModel(
        _without_attached_files(content),
        info,
        graph.tensor(source),
        graph.tensor(result),
        tuple(sorted({operator.code for operator in graph.operators()})),
        _arena_bytes(graph),
        tuple(_problems(graph)),
    )


def _without_attached_files(content: bytes) -> bytes:
    """Return the file up to the zip behind it, which no interpreter reads."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as attached:
            starts = [file.header_offset for file in attached.infolist()]
    except zipfile.BadZipFile:  # nothing is attached
        return content
    return content[: min(starts, default=len(content))]


def _arena_bytes(graph: Graph) -> int:
    """Return how many bytes are held at one time, at the worst moment.

    A tensor is held from the operator that computes it to the last that reads it.
    """
    operators = graph.operators()
    memory = {index: index for index in graph.inputs}  # tensor -> whose memory it has
    first = dict.fromkeys(graph.inputs, 0)
    last: dict[int, int] = {}
    for step, operator in enumerate(operators):
        for index in operator.inputs:
            if index in memory:
                last[memory[index]] = step
        for index in operator.outputs:
            source = operator.inputs[0] if operator.code in _VIEWS else index
            memory[index] = memory.get(source, index)
            first.setdefault(memory[index], step)
            last[memory[index]] = step
    for index in graph.outputs:
        last[memory.get(index, index)] = len(operators)
    held = np.zeros(len(operators) + 1, np.int64)
    for index, begin in first.items():
        tensor = graph.tensor(index)
        if tensor.dtype is not None:
            size = int(np.prod(tensor.shape)) * tensor.dtype.itemsize
            held[begin : last.get(index, begin) + 1] += size
    return int(held.max())


def _problems(graph: Graph) -> list[str]:
    """Name the types of what is computed, where TensorFlow Lite Micro wants int8."""
    dtypes = {
        str(graph.tensor(index).dtype)
        for operator in graph.operators()
        if operator.code not in _ENDS
        for index in operator.outputs
    }
    problems = []
    if dtypes & {"float32", "float16"}:
        problems.append(
            "It has operators of float32, which take four times the memory and are "
            "slow on most microcontrollers: retrain with --quantize int8."
        )
    if "uint8" in dtypes:
        problems.append(
            "It has operators of uint8, an older quantization that TensorFlow Lite "
            "Micro has no kernels for: retrain with --quantize int8."
        )
    return problems
