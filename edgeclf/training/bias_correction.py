"""Take the mean error out of a quantized network's convolutions.

Rounding weights shifts the mean of each output channel, and the shifts add up over
the layers until a head that was fitted to float bottlenecks sees other pictures than
it knows. Convolution by convolution, in graph order, the shift is measured on a few
training pictures, with all earlier layers corrected already, and added to the bias.

Source: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction" (ICCV 2019), 4.2 and appendix D (empirical bias correction).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.interpreter import create_interpreter
from edgeclf.quantization import quantized_levels
from edgeclf.zoo import graph
from edgeclf.zoo.backbone import Backbone

LEAST_RESPONSIVE = 0.25  # a channel that is nearly always clamped: move it by little

CONVOLUTIONS = (
    graph.schema.BuiltinOperator.CONV_2D,
    graph.schema.BuiltinOperator.DEPTHWISE_CONV_2D,
)


def corrected_biases(
    backbone: Backbone,
    quantized: bytes,
    pictures: Sequence[NDArray[np.uint8]],
) -> NDArray[np.int32]:
    """Return the biases that give every convolution the mean it has in float.

    Args:
        backbone: The float network.
        quantized: The same, and a head perhaps, after int8 quantization; tensors keep
            their names.
        pictures: uint8 `(height, width, 3)` RGB of the input's size.

    Returns:
        Biases of all convolutions that have a constant one, in graph order, in one
        flat array.
    """
    # One thread adds in one order: the same biases in every run.
    with threadpool_limits(1, user_api="blas"):
        return _corrected_biases(backbone, graph.read_model(quantized), pictures)


def _corrected_biases(
    backbone: Backbone, model: graph.Model, pictures: Sequence[NDArray[np.uint8]]
) -> NDArray[np.int32]:
    subgraph = model.subgraphs[0]
    names = [_output_name(model, operator) for operator, _ in _biased(model)]
    expected = _float_means(backbone, names, pictures)
    source = int(subgraph.inputs[0])
    values = {source: _inputs(backbone, subgraph.tensors[source], pictures)}
    uses = Counter(
        int(index) for operator in subgraph.operators for index in operator.inputs
    )
    biases = [np.empty(0, np.int32)]
    for operator in subgraph.operators:
        outputs = _run(model, operator, values)
        if _bias_of(model, operator) is not None:
            output = subgraph.tensors[int(operator.outputs[0])]
            wanted = expected[_output_name(model, operator)]
            shift = (wanted - _mean(outputs[0], output)) / _responsive(outputs[0])
            biases.append(_add_to_bias(model, operator, shift))
            outputs = _run(model, operator, values)
        for index in {int(index) for index in operator.inputs} & set(values):
            uses[index] -= 1
            if not uses[index]:
                del values[index]  # nobody reads it any more
        values |= zip(map(int, operator.outputs), outputs, strict=True)
    return np.concatenate(biases)


def with_biases(quantized: bytes, biases: NDArray[np.int32]) -> bytes:
    """Return the quantized network with these biases in its convolutions.

    Raises:
        ValueError: There are more or fewer than the convolutions take.
    """
    model = graph.read_model(quantized)
    sizes = [int(np.prod(tensor.shape)) for _, tensor in _biased(model)]
    if sum(sizes) != len(biases):
        raise ValueError(f"Expected {sum(sizes)} biases. Received: {len(biases)}.")
    parts = np.split(biases, np.cumsum(sizes)[:-1])
    for (_, tensor), part in zip(_biased(model), parts, strict=False):
        model.buffers[tensor.buffer].data = _as_bytes(part)
    return graph.pack_model(model)


def _biased(model: graph.Model) -> Iterator[tuple[graph.Operator, Any]]:
    """Yield every convolution with a constant bias, and that tensor."""
    for operator in model.subgraphs[0].operators:
        tensor = _bias_of(model, operator)
        if tensor is not None:
            yield operator, tensor


def _output_name(model: graph.Model, operator: graph.Operator) -> str:
    name = model.subgraphs[0].tensors[int(operator.outputs[0])].name
    return str(name.decode())


def _bias_of(model: graph.Model, operator: graph.Operator) -> Any:
    """Return the tensor of a convolution's constant int32 bias; None without one."""
    if graph.builtin_operator(model, operator.opcodeIndex) not in CONVOLUTIONS:
        return None
    inputs = [int(index) for index in operator.inputs]
    if len(inputs) < 3 or inputs[2] < 0:
        return None
    tensor = model.subgraphs[0].tensors[inputs[2]]
    is_quantized = tensor.type == graph.schema.TensorType.INT32
    has_value = graph.constant(model, inputs[2]) is not None
    return tensor if is_quantized and has_value else None


def _float_means(
    backbone: Backbone, names: Sequence[str], pictures: Sequence[NDArray[np.uint8]]
) -> dict[str, NDArray[np.float64]]:
    """Return the mean of every channel of the named float activations."""
    interpreter = create_interpreter(backbone.content, preserve_all_tensors=True)
    by_name = {
        entry["name"]: entry["index"] for entry in interpreter.get_tensor_details()
    }
    source = interpreter.get_input_details()[0]["index"]
    sums: dict[str, Any] = dict.fromkeys(names, 0.0)
    for pixels in pictures:
        interpreter.set_tensor(source, backbone.normalise(pixels))
        interpreter.invoke()
        for name in names:
            # A view, dropped at once: the next `invoke` may move what it shows.
            sums[name] += _channel_means(interpreter.tensor(by_name[name])())
    return {name: total / len(pictures) for name, total in sums.items()}


def _run(
    model: graph.Model,
    operator: graph.Operator,
    values: dict[int, list[NDArray[Any]]],
) -> list[list[NDArray[Any]]]:
    """Run one operator alone on every picture; return values by output and picture."""
    fed = [int(index) for index in operator.inputs if int(index) in values]
    content = _single(model, operator, fed)
    interpreter = create_interpreter(content)
    sources = [entry["index"] for entry in interpreter.get_input_details()]
    targets = [entry["index"] for entry in interpreter.get_output_details()]
    results: list[list[NDArray[Any]]] = [[] for _ in targets]
    for picture in zip(*(values[index] for index in fed), strict=True):
        for source, value in zip(sources, picture, strict=True):
            interpreter.set_tensor(source, value)
        interpreter.invoke()
        for target, result in zip(targets, results, strict=True):
            result.append(interpreter.get_tensor(target))
    return results


def _single(model: graph.Model, operator: graph.Operator, fed: Sequence[int]) -> bytes:
    """Return a model of one operator; `fed` are the inputs that are no constants."""
    subgraph = model.subgraphs[0]
    outputs = [int(index) for index in operator.outputs]
    kept = sorted({int(i) for i in operator.inputs if int(i) >= 0} | set(outputs))
    places = {index: place for place, index in enumerate(kept)} | {-1: -1}

    single = copy.copy(model)
    single.metadata, single.signatureDefs = [], []
    single.buffers = [model.buffers[0]]
    part = copy.copy(subgraph)
    part.tensors = []
    for index in kept:
        tensor = copy.copy(subgraph.tensors[index])
        single.buffers.append(model.buffers[tensor.buffer])
        tensor.buffer = len(single.buffers) - 1
        part.tensors.append(tensor)
    alone = copy.copy(operator)
    alone.inputs = [places[int(index)] for index in operator.inputs]
    alone.outputs = [places[index] for index in outputs]
    part.operators = [alone]
    part.inputs = [places[index] for index in fed]
    part.outputs = alone.outputs
    single.subgraphs = [part]
    return graph.pack_model(single)


def _inputs(
    backbone: Backbone, tensor: Any, pictures: Sequence[NDArray[np.uint8]]
) -> list[NDArray[Any]]:
    """Return what the int8 input gets for the pictures: what devices feed it."""
    (levels,) = quantized_levels(
        np.array([backbone.input_mean], np.float32),
        np.array([backbone.input_std], np.float32),
        float(tensor.quantization.scale[0]),
        int(tensor.quantization.zeroPoint[0]),
        np.dtype(np.int8),
    )
    return [levels[pixels][np.newaxis] for pixels in pictures]


def _mean(values: Sequence[NDArray[Any]], tensor: Any) -> NDArray[np.float64]:
    """Return the mean of every channel over all pictures, dequantized."""
    total = sum(_channel_means(value) for value in values)
    scale, zero_point = tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]
    return np.asarray((total / len(values) - zero_point) * scale)


def _responsive(values: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Return the share of each channel's values that a bias moves.

    The others are held at an end of the range, where the activation function clamps:
    the mean moves by this share of a shift of the bias only.
    """
    lowest = min(int(value.min()) for value in values)
    highest = max(int(value.max()) for value in values)
    inside = [(value > lowest) & (value < highest) for value in values]
    share = sum(_channel_means(part) for part in inside)
    return np.asarray(np.maximum(share / len(values), LEAST_RESPONSIVE))


def _channel_means(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean over all but the last axis.

    A product with a vector of ones: five times as fast as `mean` for 8-bit integers,
    whose sums float32 holds exactly.
    """
    rows = values.reshape(-1, values.shape[-1])
    total = np.ones(len(rows), np.float32) @ rows.astype(np.float32, copy=False)
    return np.asarray(total, np.float64) / len(rows)


def _add_to_bias(
    model: graph.Model, operator: graph.Operator, shift: NDArray[np.float64]
) -> NDArray[np.int32]:
    """Add a real shift to a convolution's bias; return the new bias."""
    tensor = _bias_of(model, operator)
    old = np.asarray(graph.constant(model, int(operator.inputs[2])), np.int64)
    scale = np.asarray(tensor.quantization.scale, np.float64)  # one, or per channel
    limits = np.iinfo(np.int32)
    moved = np.clip(np.rint(old + shift / scale), limits.min, limits.max)
    bias = moved.astype(np.int32)
    model.buffers[tensor.buffer].data = _as_bytes(bias)
    return bias


def _as_bytes(values: NDArray[np.int32]) -> NDArray[np.uint8]:
    return np.frombuffer(values.tobytes(), np.uint8)
