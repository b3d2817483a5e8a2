"""Read, change and write the graph of a float `.tflite` file.

Thin functions over the object API of the TFLite flatbuffer schema that
`ai-edge-litert` carries. Everything here works on `ModelT` objects in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    Model = Any  # ModelT, SubGraphT, TensorT and OperatorT: ai_edge_litert is untyped
    SubGraph = Any
    Operator = Any

try:
    import flatbuffers
    from ai_edge_litert import schema_py_generated
except ImportError as error:  # pragma: no cover - depends on the environment
    raise MissingExtraError(
        "Changing a model needs the package ai-edge-litert. Install it with: "
        'pip install "edgeclf[train]"'
    ) from error

schema: Any = schema_py_generated
FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16

NUMPY_TYPES: dict[int, type[np.generic]] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.BOOL: np.bool_,
}


def read_model(content: bytes) -> Model:
    """Parse a `.tflite` file into a `ModelT`.

    Buffers that lie outside the flatbuffer (`Buffer.offset` and `Buffer.size`,
    as ai-edge-quantizer writes them) are read in, so that the model can be
    packed again.

    Raises:
        ModelError: The content is not a TFLite flatbuffer with one subgraph or more,
            or its graph names a tensor, buffer or operator that is not there.
    """
    if content[4:8] != FILE_IDENTIFIER:
        raise ModelError(
            "Expected a TFLite model (file identifier TFL3). "
            f"Received: {content[:8]!r}, {len(content)} bytes."
        )
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
    except Exception as error:  # the generated reader fails in many ways
        raise ModelError(f"The TFLite model is damaged: {error}") from error
    if not model.subgraphs or not model.buffers:
        raise ModelError(
            "Expected a TFLite model with a graph. Received: an empty one."
        )
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0: inside; 1: a placeholder while writing
            if buffer.offset + buffer.size > len(content):
                raise ModelError("The TFLite model is cut short: a buffer is missing.")
            start, stop = buffer.offset, buffer.offset + buffer.size
            buffer.data = np.frombuffer(content[start:stop], np.uint8)
        buffer.offset = buffer.size = 0
    try:
        for index, code in enumerate(model.operatorCodes or ()):
            code.builtinCode = builtin_operator(model, index)  # 0 in old files
        for subgraph in model.subgraphs:
            _check_subgraph(model, subgraph)
    except (TypeError, AttributeError, IndexError) as error:
        raise ModelError(f"The TFLite model is damaged: {error}") from error
    return model


def pack_model(model: Model) -> bytes:
    """Serialise a `ModelT` into the bytes of a `.tflite` file."""
    builder = _AlignedBuilder(1 << 20)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Starts byte vectors, that is the constants, at multiples of 16 bytes.

    The schema demands it (`Buffer.data`, `force_align: 16`), the generated Python
    code leaves it out.
    """

    def StartVector(self, elem_size: int, count: int, alignment: int) -> Any:  # noqa: N802
        if elem_size == 1:
            alignment = BUFFER_ALIGNMENT
        return super().StartVector(elem_size, count, alignment)


def operator_code(model: Model, builtin: int, version: int = 1) -> int:
    """Return the index of an operator code, added when the model has none yet."""
    for index, code in enumerate(model.operatorCodes):
        if builtin_operator(model, index) == builtin and code.version == version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = builtin
    code.deprecatedBuiltinCode = min(builtin, 127)
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def builtin_operator(model: Model, opcode_index: int) -> int:
    """Return the builtin operator number; old files keep it in an 8-bit field."""
    code = model.operatorCodes[opcode_index]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def add_tensor(
    model: Model,
    name: str,
    shape: tuple[int, ...],
    *,
    data: NDArray[Any] | None = None,
    tensor_type: int = schema.TensorType.FLOAT32,
) -> int:
    """Append a tensor to the first subgraph and return its index.

    Args:
        model: Changed in place.
        name: Name of the tensor, unique in the graph.
        shape: Its shape.
        data: Constant value, in the dtype that `tensor_type` names; None for an
            activation.
        tensor_type: A `schema.TensorType`.
    """
    buffer = schema.BufferT()
    if data is not None:
        data = np.ascontiguousarray(data, NUMPY_TYPES[tensor_type])
        buffer.data = np.frombuffer(data.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor = schema.TensorT()
    tensor.name = name.encode()
    tensor.shape = list(shape)
    tensor.type = tensor_type
    tensor.buffer = len(model.buffers) - 1
    tensor.hasRank = True
    tensors = model.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1


def add_operator(
    model: Model,
    builtin: int,
    inputs: list[int],
    outputs: list[int],
    *,
    options_type: int = schema.BuiltinOptions.NONE,
    options: Any = None,
    version: int = 1,
    position: int | None = None,
) -> None:
    """Insert an operator into the first subgraph, at the end unless told otherwise."""
    operator = schema.OperatorT()
    operator.opcodeIndex = operator_code(model, builtin, version)
    operator.inputs, operator.outputs = inputs, outputs
    operator.builtinOptionsType, operator.builtinOptions = options_type, options
    operators = model.subgraphs[0].operators
    operators.insert(len(operators) if position is None else position, operator)


def constant(model: Model, tensor_index: int) -> NDArray[Any] | None:
    """Return a constant tensor's value, or None for an activation."""
    if not is_constant(model, tensor_index):
        return None
    tensor = model.subgraphs[0].tensors[tensor_index]
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8).tobytes()
    try:
        values = np.frombuffer(data, NUMPY_TYPES[tensor.type])
        return values.reshape(tensor_shape(model, tensor_index))
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"Expected the constant {tensor.name!r} of type {type_name(tensor.type)} "
            f"to hold {list(tensor.shape)} values. Received: {len(data)} bytes."
        ) from error


def is_constant(model: Model, tensor_index: int) -> bool:
    """Return whether a tensor of the first subgraph has a value in the file."""
    if tensor_index < 0:  # an optional input that is not given
        return False
    tensor = model.subgraphs[0].tensors[tensor_index]
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def tensor_shape(model: Model, tensor_index: int) -> tuple[int, ...]:
    """Return a tensor's shape as the file states it, 1 for an unknown batch."""
    return tuple(int(size) for size in model.subgraphs[0].tensors[tensor_index].shape)


def type_name(tensor_type: int) -> str:
    """Return the schema's name of a tensor type, such as `FLOAT32`."""
    return _name_in(schema.TensorType, tensor_type)


def operator_name(model: Model, operator: Operator) -> str:
    """Return the schema's name of an operator, or a custom operator's own name."""
    builtin = builtin_operator(model, operator.opcodeIndex)
    if builtin == schema.BuiltinOperator.CUSTOM:
        custom = model.operatorCodes[operator.opcodeIndex].customCode or b""
        return str(custom.decode("utf-8", "replace"))
    return _name_in(schema.BuiltinOperator, builtin)


def _check_subgraph(model: Model, graph: SubGraph) -> None:
    """Check every index; turn absent lists into empty ones and indices into int.

    Raises:
        ModelError: An index is out of range, or an operator reads a tensor that
            only a later operator writes.
    """
    graph.tensors = graph.tensors or []
    graph.operators = graph.operators or []
    for tensor in graph.tensors:
        tensor.name = tensor.name or b""
        tensor.shape = _integers(tensor.shape)
        _check_indices("buffer", [tensor.buffer], len(model.buffers))
    count = len(graph.tensors)
    graph.inputs, graph.outputs = _integers(graph.inputs), _integers(graph.outputs)
    _check_indices("tensor", graph.inputs + graph.outputs, count)
    pending: set[int] = set()
    for operator in reversed(graph.operators):
        codes = len(model.operatorCodes or ())
        _check_indices("operator code", [operator.opcodeIndex], codes)
        operator.inputs = _integers(operator.inputs)
        operator.outputs = _integers(operator.outputs)
        indices = {*operator.inputs, *operator.outputs} - {-1}  # -1: not given
        _check_indices("tensor", indices, count)
        pending.update(operator.outputs)
        if pending.intersection(operator.inputs) - {-1}:
            raise ModelError(
                "The TFLite model is damaged: its operators are unordered."
            )


def _integers(values: Any) -> list[int]:
    return [] if values is None else [int(value) for value in values]


def _check_indices(kind: str, indices: Iterable[int], count: int) -> None:
    for index in indices:
        if not 0 <= index < count:
            raise ModelError(
                f"The TFLite model is damaged: it names {kind} {index} of {count}."
            )


def _name_in(enumeration: Any, number: int) -> str:
    names = {value: name for name, value in vars(enumeration).items()}
    return str(names.get(number, number))
