"""Cut a classifier before its head, so that its bottleneck becomes the output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgeclf.errors import ModelError
from edgeclf.zoo.graph import (
    add_operator,
    add_tensor,
    builtin_operator,
    is_constant,
    operator_name,
    schema,
    tensor_shape,
)
from edgeclf.zoo.prune import prune

if TYPE_CHECKING:
    from edgeclf.zoo.graph import Model, Operator, SubGraph

_OPERATOR = schema.BuiltinOperator

# What turns logits into scores: below it there is a classifier's last layer.
_SCORES = {
    _OPERATOR.ARG_MAX,
    _OPERATOR.LOG_SOFTMAX,
    _OPERATOR.LOGISTIC,
    _OPERATOR.SOFTMAX,
}

# What may stand between a classifier's last layer and its output besides.
_AFTER_LAYER = {
    _OPERATOR.ADD,
    _OPERATOR.CAST,
    _OPERATOR.DEQUANTIZE,
    _OPERATOR.DIV,
    _OPERATOR.EXPAND_DIMS,
    _OPERATOR.GATHER,
    _OPERATOR.MUL,
    _OPERATOR.QUANTIZE,
    _OPERATOR.RESHAPE,
    _OPERATOR.SLICE,
    _OPERATOR.SQUEEZE,
    _OPERATOR.STRIDED_SLICE,
    _OPERATOR.SUB,
}

_POOLING = {_OPERATOR.AVERAGE_POOL_2D, _OPERATOR.MEAN}


def cut_head(model: Model) -> int | None:
    """Make the input of a classifier's last layer the first subgraph's only output.

    The last layer is a FULLY_CONNECTED or BATCH_MATMUL with constant weights or a
    1x1 CONV_2D on a 1x1 map, with scores, biases, reshapes and the like behind it. A
    layer with a fused activation function and no scores behind it belongs to a
    feature extractor and stays. Under scores, a 1x1 CONV_2D whose class maps are
    pooled afterwards (SqueezeNet) counts, too. Of several outputs, the one that the
    most operators lead to is taken: an auxiliary classifier sits further up.

    Args:
        model: A float graph, changed in place.

    Returns:
        The number of outputs that the layer had, or None where there is no such
        layer; scores are stripped even then.

    Raises:
        ModelError: Nothing is left when the head is gone.
    """
    graph = model.subgraphs[0]
    output = _deepest_output(graph)
    producers = _producers(graph)
    bottleneck, scores, pooled = output, False, False
    tensor, num_outputs = output, None
    while tensor in producers:
        operator = producers[tensor]
        builtin = builtin_operator(model, operator.opcodeIndex)
        inputs = [index for index in operator.inputs if not is_constant(model, index)]
        num_outputs = _layer_outputs(model, operator, scores, pooled)
        if num_outputs is not None:
            bottleneck = operator.inputs[0]
            break
        if builtin in _SCORES:
            scores, bottleneck = True, inputs[0] if inputs else output
        elif builtin in _POOLING and scores:
            pooled = True
        elif builtin not in _AFTER_LAYER:
            break
        if not inputs or (len(inputs) > 1 and builtin != _OPERATOR.RESHAPE):
            break
        tensor = inputs[0]
    if bottleneck in graph.inputs:
        raise ModelError(
            "Expected a model with layers before its classifier, to take features from."
            " Received: one whose last layer reads its input."
        )
    graph.outputs = [bottleneck]
    prune(model)
    return num_outputs


def flatten_output(model: Model) -> int:
    """Bring the only output to the shape `(1, depth)`: pooled over space, flattened.

    Returns:
        The depth.

    Raises:
        ModelError: The output is not a vector or a map of vectors.
    """
    output = model.subgraphs[0].outputs[0]
    shape = tensor_shape(model, output)
    depth = shape[-1] if shape else 0
    if len(shape) == 4 and shape[0] == 1 and shape[1] * shape[2] > 1:
        options_type = schema.BuiltinOptions.ReducerOptions
        options = schema.ReducerOptionsT()  # keepDims is off
        _append(model, _OPERATOR.MEAN, [1, 2], depth, options_type, options)
    elif shape != (1, depth):
        if not depth or np.prod(shape) != depth:
            raise ModelError(
                "Expected a model that ends in a vector (1, depth) or in a map "
                f"(1, height, width, depth) of features. Received: shape {shape} from "
                f"{_last_operator(model, output)}."
            )
        options_type = schema.BuiltinOptions.ReshapeOptions
        options = schema.ReshapeOptionsT()
        options.newShape = [1, depth]
        _append(model, _OPERATOR.RESHAPE, [1, depth], depth, options_type, options)
    return depth


def _append(
    model: Model,
    builtin: int,
    parameter: list[int],
    depth: int,
    options_type: int,
    options: Any,
) -> None:
    """Append an operator that makes `(1, depth)` of the output; its shape or axes."""
    graph = model.subgraphs[0]
    values = np.array(parameter, np.int32)
    constant = add_tensor(
        model,
        "bottleneck_parameter",
        values.shape,
        data=values,
        tensor_type=schema.TensorType.INT32,
    )
    vector = add_tensor(model, "bottleneck", (1, depth))
    add_operator(
        model,
        builtin,
        [graph.outputs[0], constant],
        [vector],
        options_type=options_type,
        options=options,
    )
    graph.outputs = [vector]


def _layer_outputs(
    model: Model, operator: Operator, scores: bool, pooled: bool
) -> int | None:
    """Return how many classes an operator computes as a last layer, or None."""
    builtin = builtin_operator(model, operator.opcodeIndex)
    if len(operator.inputs) < 2 or not is_constant(model, operator.inputs[1]):
        return None
    options = operator.builtinOptions
    if getattr(options, "fusedActivationFunction", 0) and not scores:
        return None
    weights = tensor_shape(model, operator.inputs[1])
    if builtin == _OPERATOR.FULLY_CONNECTED and len(weights) == 2:
        return weights[0]
    if builtin == _OPERATOR.BATCH_MATMUL and options and len(weights) > 1:
        return weights[-2 if options.adjY else -1]
    if builtin == _OPERATOR.CONV_2D and weights[1:3] == (1, 1):
        image = tensor_shape(model, operator.inputs[0])
        return weights[0] if pooled or image[1:3] == (1, 1) else None
    return None


def _producers(graph: SubGraph) -> dict[int, Operator]:
    return {
        index: operator for operator in graph.operators for index in operator.outputs
    }


def _deepest_output(graph: SubGraph) -> int:
    """Return the output with the most operators behind it; of equals, the first."""
    if not graph.outputs:
        raise ModelError("Expected a model with an output. Received: one without.")
    behind: dict[int, set[int]] = {}
    for number, operator in enumerate(graph.operators):
        found = {number}.union(*(behind.get(index, ()) for index in operator.inputs))
        behind.update(dict.fromkeys(operator.outputs, found))
    depths = [len(behind.get(index, ())) for index in graph.outputs]
    return int(graph.outputs[depths.index(max(depths))])


def _last_operator(model: Model, tensor_index: int) -> str:
    operator = _producers(model.subgraphs[0]).get(tensor_index)
    return operator_name(model, operator) if operator else "no operator"
