"""Refuse what no backbone can be made of, in a sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgeclf.errors import ModelError
from edgeclf.interpreter import create_interpreter
from edgeclf.zoo.graph import (
    builtin_operator,
    constant,
    operator_name,
    schema,
    type_name,
)

if TYPE_CHECKING:
    from edgeclf.zoo.graph import Model

CHANNELS = 3

# A damaged file may ask for any amount of memory.
MAX_SIDE = 4096  # pixels
MAX_TENSOR_SIZE = 1 << 27  # numbers: the input of largest side and room for more

_OPERATOR = schema.BuiltinOperator
_TYPE = schema.TensorType

_IMAGE_TYPES = {_TYPE.FLOAT32, _TYPE.UINT8, _TYPE.INT8}
_FLOAT_GRAPH_TYPES = {_TYPE.FLOAT32, _TYPE.INT32, _TYPE.INT64, _TYPE.BOOL}
_CONTROL_FLOW = {_OPERATOR.CALL, _OPERATOR.CALL_ONCE, _OPERATOR.IF, _OPERATOR.WHILE}


def check_image_model(model: Model) -> tuple[int, int]:
    """Return the `(height, width)` of the only input.

    Raises:
        ModelError: Not one image of fixed size goes in, or the model is more than
            one graph with its weights in the file.
    """
    graph = model.subgraphs[0]
    if len(model.subgraphs) > 1 or _uses(model, _CONTROL_FLOW):
        raise ModelError(
            "Expected one graph without control flow. Received: "
            f"{len(model.subgraphs)} subgraphs. Export the inference signature alone."
        )
    if model.externalBuffers:
        raise ModelError(
            "Expected the weights inside the file. Received: "
            f"{len(model.externalBuffers)} external buffers. Export as one file."
        )
    if len(graph.inputs) != 1:
        raise ModelError(
            f"Expected one input, an image. Received: {len(graph.inputs)} inputs."
        )
    tensor = graph.tensors[graph.inputs[0]]
    signature = tensor.shapeSignature
    shape = tensor.shape if signature is None or not len(signature) else signature
    shape = tuple(int(size) for size in shape)
    if len(shape) != 4 or shape[3] != CHANNELS or shape[0] not in (1, -1):
        raise ModelError(
            "Expected an input of shape (1, height, width, 3), RGB. "
            f"Received: {shape}. Export the model for one image, channels last."
        )
    if not 1 <= min(shape[1:3]) <= max(shape[1:3]) <= MAX_SIDE:
        raise ModelError(
            f"Expected an input of fixed height and width, at most {MAX_SIDE}. "
            f"Received: {shape}. Export the model for one size."
        )
    if tensor.type not in _IMAGE_TYPES:
        raise ModelError(
            "Expected a float32, uint8 or int8 input. "
            f"Received: {type_name(tensor.type).lower()}."
        )
    for tensor in graph.tensors:
        if not all(size >= 0 for size in tensor.shape) or (
            math.prod(tensor.shape) > MAX_TENSOR_SIZE
        ):
            raise ModelError(
                f"Expected tensors of at most {MAX_TENSOR_SIZE} numbers. Received: "
                f"shape {tensor.shape} of {tensor.name!r}."
            )
    return shape[1], shape[2]


def check_float_graph(model: Model) -> None:
    """Refuse what no interpreter computes in float, by name.

    Raises:
        ModelError: A custom operator or a type besides float32 is left.
    """
    graph = model.subgraphs[0]
    for operator in graph.operators:
        if builtin_operator(model, operator.opcodeIndex) == _OPERATOR.CUSTOM:
            raise ModelError(
                "Expected the builtin operators of TensorFlow Lite only. Received: "
                f"{operator_name(model, operator)!r}. Use the file from before it was "
                "compiled for an accelerator, or export it without custom operators."
            )
    for index, tensor in enumerate(graph.tensors):
        constant(model, index)  # refuses a value that does not fit its shape
        if tensor.type not in _FLOAT_GRAPH_TYPES:
            raise ModelError(
                "Expected float32, float16, uint8 or int8 numbers. Received: "
                f"{type_name(tensor.type).lower()} in the tensor "
                f"{tensor.name.decode('utf-8', 'replace')!r}. Export the float model."
            )


def run_once(content: bytes, input_size: tuple[int, int], depth: int) -> None:
    """Let a prepared backbone take a gray image.

    Raises:
        ModelError: It does not run, or no finite `(1, depth)` comes out.
    """
    interpreter = create_interpreter(content, 1)
    try:
        image = np.zeros((1, *input_size, CHANNELS), np.float32)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        output = interpreter.get_output_details()[0]["index"]
        bottleneck = interpreter.get_tensor(output)
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"The prepared graph does not run: {error}") from error
    if bottleneck.shape != (1, depth) or bottleneck.dtype != np.float32:
        raise ModelError(
            f"Expected float32 features of shape (1, {depth}). Received: "
            f"{bottleneck.dtype} of shape {bottleneck.shape}."
        )
    if not np.isfinite(bottleneck).all():
        raise ModelError("Expected finite features. Received: infinite or no numbers.")


def _uses(model: Model, builtins: set[int]) -> bool:
    operators = model.subgraphs[0].operators
    return any(builtin_operator(model, o.opcodeIndex) in builtins for o in operators)
