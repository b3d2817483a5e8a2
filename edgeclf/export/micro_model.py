"""What a microcontroller needs to know of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeclf.classifier import DEFAULT_TAG_THRESHOLD
from edgeclf.errors import ModelError
from edgeclf.metadata import read_model_info
from edgeclf.model_info import ModelInfo
from edgeclf.tflite.attached_files import AttachedFiles
from edgeclf.tflite.graph import Graph, Tensor
from edgeclf.tflite.memory import MAX_MODEL_BYTES, peak_bytes
from edgeclf.tflite.operators import DEQUANTIZE, QUANTIZE, VIEWS
from edgeclf.tflite.verify import check_model

_ENDS = frozenset({DEQUANTIZE, QUANTIZE})


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
        thresholds: The score from which on each tag of a multi-label model is given;
            None of a model whose pictures have one class.
        problems: Why TensorFlow Lite Micro runs it slowly or not at all; empty for a
            model of int8 throughout.
    """

    content: bytes
    info: ModelInfo
    input: Tensor
    output: Tensor
    operators: tuple[int, ...]
    arena_bytes: int
    thresholds: tuple[float, ...] | None
    problems: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes, the size of the output."""
        return math.prod(self.output.shape)


def micro_model(content: bytes, max_bytes: int = MAX_MODEL_BYTES) -> MicroModel:
    """Read a `.tflite` file.

    Args:
        content: The whole file.
        max_bytes: Most memory that it may take.

    Raises:
        ModelError: It is damaged, or no classifier of one picture: of one input
            `(1, height, width, channels)`, RGB or grey, and one output.
    """
    info = read_model_info(content)
    content = content[: AttachedFiles(content).flatbuffer_size()]
    check_model(content, max_bytes)
    graph = Graph(content)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            "Expected a classifier with one input and one output. "
            f"Received: {len(graph.inputs)} and {len(graph.outputs)}"
        )
    source, result = graph.tensor(graph.inputs[0]), graph.tensor(graph.outputs[0])
    if len(source.shape) != 4 or source.shape[0] != 1 or source.shape[3] not in (1, 3):
        raise ModelError(
            "Expected an input of shape (1, height, width, channels) with 1 or 3 "
            f"channels. Received: {source.shape}"
        )
    if sum(side != 1 for side in result.shape) > 1:
        raise ModelError(
            "Expected an image classifier: one output of shape (1, num_classes). "
            f"Received: an output of shape {result.shape}"
        )
    arena_bytes = peak_bytes(
        graph.operators(),
        graph.inputs,
        graph.outputs,
        lambda index: _size_bytes(graph.tensor(index)),
        VIEWS,
    )
    return MicroModel(
        content,
        info,
        source,
        result,
        tuple(sorted({operator.code for operator in graph.operators()})),
        arena_bytes,
        _thresholds(info, math.prod(result.shape)),
        tuple(_problems(graph, source)),
    )


def _thresholds(info: ModelInfo, num_tags: int) -> tuple[float, ...] | None:
    if not info.record.get("multi_label"):
        return None
    thresholds = info.record.get("thresholds") or [DEFAULT_TAG_THRESHOLD] * num_tags
    if len(thresholds) != num_tags:
        raise ModelError(
            f"Expected {num_tags} thresholds in the record. Received: {len(thresholds)}"
        )
    return tuple(thresholds)


def _size_bytes(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * (tensor.dtype.itemsize if tensor.dtype else 0)


def _problems(graph: Graph, source: Tensor) -> list[str]:
    """Say where the model is not int8 throughout, and of fixed size."""
    dtypes = {
        str(graph.tensor(index).dtype)
        for operator in graph.operators()
        if operator.code not in _ENDS
        for index in operator.outputs
    }
    problems = []
    if -1 in source.signature[1:]:
        problems.append(
            f"Its input has no fixed size: {source.signature}. TensorFlow Lite Micro "
            f"takes it as {source.shape}: convert it again with the size of pictures."
        )
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
