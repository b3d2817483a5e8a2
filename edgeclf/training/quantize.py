"""Turn the float classifier into the file that goes to the device."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgeclf.errors import ModelError
from edgeclf.training.rounding import LEVELS
from edgeclf.zoo import graph

QUANTIZE_MODES = ("int8", "float16", "none")
HEAD_MODES = ("int8", "float")

MOVING = (schema.BuiltinOperator.CONCATENATION, schema.BuiltinOperator.PAD)

NEGLIGIBLE = 10.0  # exp(-10) is a hundredth of the smallest score above 0, 1 / 256
# The logit of the score 511 / 512: from there on, 8 bits say 255 / 256 of a tag.
SURE = math.log(511)
LARGEST_BIAS = 2**30  # of a quantized head; as much of int32 is left for the sum

# The smallest and largest value that each activation took: name -> (low, high).
Ranges = Mapping[str, tuple[float, float]]


def activation_names(content: bytes) -> list[str]:
    """Return the names of a float model's input and activations, in graph order."""
    return _activation_names(graph.read_model(content))


def _activation_names(model: graph.Model) -> list[str]:
    tensors = model.subgraphs[0].tensors
    indices = [int(index) for index in model.subgraphs[0].inputs]
    for operator in model.subgraphs[0].operators:
        indices += [int(index) for index in operator.outputs]
    return [tensors[index].name.decode() for index in indices]


def floored_names(content: bytes) -> set[str]:
    """Return the names of activations that are never below 0: what ends in ReLU.

    0 belongs to every range, as it has to be a level of its own: the least value of
    these says nothing.
    """
    model = graph.read_model(content)
    functions = schema.ActivationFunctionType
    names = set()
    for operator in model.subgraphs[0].operators:
        function = getattr(operator.builtinOptions, "fusedActivationFunction", None)
        if function in (functions.RELU, functions.RELU6):
            names.add(model.subgraphs[0].tensors[int(operator.outputs[0])].name)
    return {name.decode() for name in names}


def quantize(
    content: bytes,
    ranges: Ranges,
    logits: NDArray[np.float32],
    *,
    head: str = "int8",
) -> bytes:
    """Quantize a float classifier after training, weights and activations to int8.

    Convolutions have a scale per channel, the head one for all: tflite-runtime 2.14
    has no kernel for a fully connected layer with more. Input and output are int8;
    see `with_uint8_ends`.

    Args:
        content: The float `.tflite` file that `assemble` returns.
        ranges: The range of the input and of every activation of the backbone on
            representative pictures.
        logits: What the head answers to those pictures, `(pictures, num_classes)`.
        head: "int8", or "float" to leave FULLY_CONNECTED and SOFTMAX, or LOGISTIC, in
            float32 (the output is then float32 too).

    Raises:
        ModelError: The graph holds an operator that cannot be quantized.
    """
    model = graph.read_model(content)
    logits_name, scores_name = _activation_names(model)[-2:]
    *_, layer, last = model.subgraphs[0].operators
    activation = graph.builtin_operator(model, last.opcodeIndex)
    is_logistic = activation == schema.BuiltinOperator.LOGISTIC
    range_of = tag_logits_range if is_logistic else logits_range
    statistics = _statistics(
        model,
        {
            **moved_ranges(model, ranges),
            logits_name: range_of(logits),
            scores_name: (0.0, 1.0),
        },
    )
    if head == "int8" and _raise_weight(model, layer, ranges):
        content = graph.pack_model(model)
    try:
        return _run_quantizer(
            content,
            _int8_recipe(head, logits_name, scores_name, is_logistic=is_logistic),
            statistics,
        )
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise ModelError(
            f"The backbone cannot be quantized to int8: {error} "
            "Use --quantize float16 or another --architecture."
        ) from error


def cast_to_float16(content: bytes) -> bytes:
    """Store the weights of a float classifier as float16; it computes in float32."""
    recipe = [
        _rule(
            "*",
            {
                "weight_tensor_config": {
                    "num_bits": 16,
                    "symmetric": True,
                    "granularity": "TENSORWISE",
                    "dtype": "FLOAT",
                },
                "compute_precision": "FLOAT",
                "explicit_dequantize": True,
                "skip_checks": False,
                "min_weight_elements": 0,
            },
            algorithm="float_casting",
        )
    ]
    return graph.pack_model(graph.read_model(_run_quantizer(content, recipe, None)))


def moved_ranges(model: graph.Model, ranges: Ranges) -> dict[str, tuple[float, float]]:
    """Return the ranges, those of values that are only moved made to hold them all.

    CONCATENATION and PAD need one scale for what goes in and what comes out. The range
    that was seen behind them on average is narrower than that of the pixels before
    them: these would be rounded once more, and the brightest cut off.
    """
    tensors = model.subgraphs[0].tensors
    result = dict(ranges)
    for operator in model.subgraphs[0].operators:
        if graph.builtin_operator(model, operator.opcodeIndex) not in MOVING:
            continue
        inputs = [int(index) for index in operator.inputs]
        names = [tensors[index].name.decode() for index in inputs]
        moved = [result[name] for name in names if name in result]
        for index in inputs:
            value = graph.constant(model, index)
            if value is not None and value.dtype == np.float32:
                moved.append((float(value.min()), float(value.max())))
        output = tensors[int(operator.outputs[0])].name.decode()
        if output in result and moved:
            lows, highs = zip(*moved, strict=True)
            result[output] = (min(lows), max(highs))
    return result


def logits_range(logits: NDArray[np.float32]) -> tuple[float, float]:
    """Return the range in which 8 bits tell most about the scores.

    A class whose logit is `NEGLIGIBLE` below the best has no score to speak of: how far
    below does not matter, nor how far above the second the best is.

    Args:
        logits: What the head answers, `(pictures, num_classes)`, two classes or more.
    """
    second, best = np.sort(logits, axis=1)[:, -2:].T
    low = float(best.min()) - NEGLIGIBLE
    high = max(float(second.max()), float(best.min())) + NEGLIGIBLE
    return max(low, float(logits.min())), min(high, float(logits.max()))


def tag_logits_range(logits: NDArray[np.float32]) -> tuple[float, float]:
    """Return the range in which 8 bits tell most about the scores of tags.

    Beyond `SURE` on either side, scores of 8 bits do not change any more.

    Args:
        logits: What the head answers, `(pictures, tags)`.
    """
    low, high = float(logits.min()), float(logits.max())
    return min(max(low, -SURE), 0.0), max(min(high, SURE), 0.0)


def _raise_weight(model: graph.Model, layer: graph.Operator, ranges: Ranges) -> bool:
    """Make the head's largest weight large enough for its bias; say if it was not.

    The bias has the scale of the input times that of the weights. Where there is
    nothing to learn these are next to nothing, and the bias would be beyond int32.
    What the raised weight adds to a logit is at most the bias * 127 * 255 / 2**30.
    """
    bottleneck, weights_index, bias_index = (int(index) for index in layer.inputs)
    tensors = model.subgraphs[0].tensors
    weights = graph.constant(model, weights_index)
    bias = graph.constant(model, bias_index)
    low, high = ranges.get(tensors[bottleneck].name.decode(), (0.0, 0.0))
    input_scale = (max(high, 0.0) - min(low, 0.0)) / 255
    if weights is None or bias is None or not input_scale:
        return False
    least = LEVELS * float(np.abs(bias).max()) / (LARGEST_BIAS * input_scale)
    place = np.unravel_index(np.abs(weights).argmax(), weights.shape)
    if abs(float(weights[place])) >= least:
        return False
    raised = weights.copy()
    raised[place] = np.copysign(least, weights[place])
    data = np.frombuffer(raised.tobytes(), np.uint8)
    model.buffers[tensors[weights_index].buffer].data = data
    return True


def _statistics(
    model: graph.Model, ranges: Ranges
) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Return ranges in the form the quantizer takes: arrays of each tensor's rank."""
    ranks = {
        tensor.name.decode(): len(tensor.shape) for tensor in model.subgraphs[0].tensors
    }
    return {
        name: {
            "min": np.full((1,) * ranks[name], low, np.float32),
            "max": np.full((1,) * ranks[name], high, np.float32),
        }
        for name, (low, high) in ranges.items()
    }


def _run_quantizer(content: bytes, recipe: list[Any], statistics: Any) -> bytes:
    # Imported here: it costs 0.2 s, and float models do without it.
    from ai_edge_quantizer import quantizer

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it reports on the root logger
    try:
        # Its progress bars cannot all be switched off.
        with contextlib.redirect_stderr(io.StringIO()):
            result = quantizer.Quantizer(content, recipe).quantize(
                statistics, enable_progress_bar=False, enable_progress_report=False
            )
    finally:
        root.setLevel(level)
    return bytes(result.quantized_model)


def _int8_recipe(
    head: str, logits_name: str, scores_name: str, *, is_logistic: bool
) -> list[Any]:
    activations = {
        "num_bits": 8,
        "symmetric": False,
        "granularity": "TENSORWISE",
        "dtype": "INT",
    }
    weights = {**activations, "symmetric": True}
    settings = {
        "activation_tensor_config": activations,
        "weight_tensor_config": {**weights, "granularity": "CHANNELWISE"},
        "compute_precision": "INTEGER",
        "explicit_dequantize": False,
        "skip_checks": False,
        "min_weight_elements": 0,
    }
    per_tensor = {**settings, "weight_tensor_config": weights}
    recipe = [_rule("*", settings), _rule("FULLY_CONNECTED", per_tensor)]
    if head == "float":
        # The quantizer knows an operator by the name of its output.
        recipe += [
            _rule(operation, {}, algorithm="no_quantize", regex=f"^{re.escape(name)}")
            for operation, name in (
                ("FULLY_CONNECTED", logits_name),
                ("LOGISTIC" if is_logistic else "SOFTMAX", scores_name),
                ("OUTPUT", ""),
            )
        ]
    return recipe


def _rule(
    operation: str,
    settings: Mapping[str, Any],
    *,
    algorithm: str = "min_max_uniform_quantize",
    regex: str = ".*",
) -> dict[str, Any]:
    return {
        "regex": regex,
        "operation": operation,
        "algorithm_key": algorithm,
        "op_config": settings,
    }


def with_uint8_ends(content: bytes) -> bytes:
    """Put a QUANTIZE operator before the int8 input and after the int8 output.

    uint8 is the type that MediaPipe Tasks and the EdgeTPU compiler expect.
    """
    model = graph.read_model(content)
    subgraph = model.subgraphs[0]
    (old_input,), (old_output,) = list(subgraph.inputs), list(subgraph.outputs)
    for index in {int(old_input), int(old_output)}:
        tensor = subgraph.tensors[index]
        if tensor.type != schema.TensorType.INT8:
            continue
        name = tensor.name.decode()
        tensor.name = f"{name}_int8".encode()
        outside = graph.add_tensor(
            model,
            name,
            tuple(int(size) for size in tensor.shape),
            tensor_type=schema.TensorType.UINT8,
        )
        parameters = schema.QuantizationParametersT()
        parameters.scale = list(tensor.quantization.scale)
        parameters.zeroPoint = [int(tensor.quantization.zeroPoint[0]) + 128]
        subgraph.tensors[outside].quantization = parameters
        at_input = index == old_input
        graph.add_operator(
            model,
            schema.BuiltinOperator.QUANTIZE,
            [outside] if at_input else [index],
            [index] if at_input else [outside],
            options_type=schema.BuiltinOptions.QuantizeOptions,
            options=schema.QuantizeOptionsT(),
            position=0 if at_input else None,
        )
        if at_input:
            subgraph.inputs = [outside]
        else:
            subgraph.outputs = [outside]
    for signature in model.signatureDefs or []:
        for entry in [*signature.inputs, *signature.outputs]:
            if entry.tensorIndex == old_input:
                entry.tensorIndex = subgraph.inputs[0]
            elif entry.tensorIndex == old_output:
                entry.tensorIndex = subgraph.outputs[0]
    return graph.pack_model(model)


def merge_ranges(
    names: Sequence[str],
    lows: NDArray[np.float32],
    highs: NDArray[np.float32],
    merging: str = "mean",
) -> dict[str, tuple[float, float]]:
    """Combine the ranges of several pictures into one per activation.

    The mean of the pictures' minima and maxima, not the extremes: one odd picture
    then does not coarsen the grid for all others. (The moving average that
    ai-edge-quantizer's own calibration takes depends on the order of the pictures.)

    Args:
        names: The activations.
        lows: Minima, shape `(pictures, activations)`.
        highs: Maxima, same shape.
        merging: "mean" as above, or "widest": the extremes, where pictures differ so
            much that the mean cuts off what tells them apart.
    """
    if merging == "widest":
        low, high = lows.min(axis=0), highs.max(axis=0)
    else:
        low, high = (
            lows.mean(axis=0, dtype=np.float64),
            highs.mean(axis=0, dtype=np.float64),
        )
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}
