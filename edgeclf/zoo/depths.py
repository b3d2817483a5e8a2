"""Let a backbone's bottleneck see more than its last layer.

Ornament, texture and colour stand in the middle of a network; its last layers turn
them into the objects of ImageNet. The means of a few maps on the way are appended to
the bottleneck, and cost next to nothing: they are computed anyhow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgeclf.zoo import graph
from edgeclf.zoo.backbone import Backbone
from edgeclf.zoo.graph import schema

if TYPE_CHECKING:
    from edgeclf.zoo.graph import Model, Operator

MAX_MAPS = 4  # on the way; more give the head more numbers but little news
# Of the longer bottleneck: fitting takes the third power of its depth.
MAX_DEPTH = 2048
LEAST_SHRINK = 8  # input side to map side: finer maps hold edges and grain
MOST_WIDENING = 2  # a map that blows up a narrower one says no more than that one

_OPERATOR = schema.BuiltinOperator
_JOINING = (_OPERATOR.ADD, _OPERATOR.CONCATENATION)
_POOLING = (_OPERATOR.AVERAGE_POOL_2D, _OPERATOR.MEAN)
_FLATTENING = (_OPERATOR.RESHAPE, _OPERATOR.SQUEEZE)
_PREFIX = "edgeclf_depths"


def with_depths(backbone: Backbone) -> Backbone:
    """Return the backbone with the means of earlier maps before its bottleneck.

    A map on the way is the output of a CONV_2D or ADD that covers the picture with
    more than one place and no more than an eighth of the input's rows and columns.
    Up to `MAX_MAPS` are taken, evenly spaced, as far as `MAX_DEPTH` allows.

    Args:
        backbone: Stays as it is. One whose bottleneck is a concatenation already is
            given its widths, one that has no such map is returned itself.
    """
    model = graph.read_model(backbone.content)
    subgraph = model.subgraphs[0]
    bottleneck = int(subgraph.outputs[0])
    producers = {
        int(index): operator
        for operator in subgraph.operators
        for index in operator.outputs
    }
    source = producers.get(bottleneck)
    if source is None:
        return backbone
    if _builtin(model, source) == _OPERATOR.CONCATENATION:  # edgeclf's own file
        shapes = [graph.tensor_shape(model, int(index)) for index in source.inputs]
        return dataclasses.replace(backbone, widths=tuple(s[-1] for s in shapes))
    maps = _maps_on_the_way(model, backbone.input_size)
    pooled = _pooled_map(model, producers, bottleneck)
    maps = [index for index in maps if index != pooled]
    maps = _evenly_spaced(model, maps, MAX_DEPTH - backbone.depth)
    if not maps:
        return backbone
    widths = [graph.tensor_shape(model, index)[3] for index in maps]
    means = [_add_mean(model, index, producers[index]) for index in maps]
    depth = sum(widths) + backbone.depth
    output = graph.add_tensor(model, f"{_PREFIX}/bottleneck", (1, depth))
    options = schema.ConcatenationOptionsT()
    options.axis = 1
    graph.add_operator(
        model,
        _OPERATOR.CONCATENATION,
        [*means, bottleneck],
        [output],
        options_type=schema.BuiltinOptions.ConcatenationOptions,
        options=options,
    )
    subgraph.outputs = [output]
    for signature in model.signatureDefs or []:
        for entry in signature.outputs:
            entry.tensorIndex = output
    return dataclasses.replace(
        backbone,
        content=graph.pack_model(model),
        depth=depth,
        widths=(*widths, backbone.depth),
    )


def _maps_on_the_way(model: Model, input_size: tuple[int, int]) -> list[int]:
    """Return the maps that could be taken, in graph order."""
    subgraph = model.subgraphs[0]
    joined = {
        int(index)
        for operator in subgraph.operators
        if _builtin(model, operator) in _JOINING
        for index in operator.inputs
    }
    maps = []
    for operator in subgraph.operators:
        index = int(operator.outputs[0])
        shape = graph.tensor_shape(model, index)
        if len(shape) != 4 or shape[0] != 1 or shape[1] * shape[2] <= 1:
            continue
        small = all(
            side * LEAST_SHRINK <= whole
            for side, whole in zip(shape[1:3], input_size, strict=True)
        )
        # What an ADD takes in is half of a map; the ADD is the whole.
        is_added = index in joined and _builtin(model, operator) != _OPERATOR.ADD
        if small and not is_added and _is_layer(model, operator):
            maps.append(index)
    return maps


def _is_layer(model: Model, operator: Operator) -> bool:
    builtin = _builtin(model, operator)
    if builtin == _OPERATOR.ADD:
        return not any(graph.is_constant(model, index) for index in operator.inputs)
    if builtin != _OPERATOR.CONV_2D:
        return False
    before = graph.tensor_shape(model, int(operator.inputs[0]))[3]
    after = graph.tensor_shape(model, int(operator.outputs[0]))[3]
    return after <= MOST_WIDENING * before


def _pooled_map(
    model: Model, producers: dict[int, Operator], bottleneck: int
) -> int | None:
    """Return the map that the bottleneck is the mean of, if that is what it is."""
    operator = producers.get(bottleneck)
    while operator is not None and _builtin(model, operator) in _FLATTENING:
        operator = producers.get(int(operator.inputs[0]))
    if operator is None or _builtin(model, operator) not in _POOLING:
        return None
    return int(operator.inputs[0])


def _evenly_spaced(model: Model, maps: Sequence[int], room: int) -> list[int]:
    """Return some of the maps, as many as their widths leave room for."""
    for count in range(min(MAX_MAPS, len(maps)), 0, -1):
        chosen = [
            maps[(number + 1) * len(maps) // (count + 1)] for number in range(count)
        ]
        if sum(graph.tensor_shape(model, index)[3] for index in chosen) <= room:
            return chosen
    return []


def _add_mean(model: Model, index: int, producer: Operator) -> int:
    """Take the mean of a map right where it is computed; return its tensor."""
    operators = model.subgraphs[0].operators
    width = graph.tensor_shape(model, index)[3]
    name = f"{_PREFIX}/mean_{index}"
    axes = graph.add_tensor(
        model,
        f"{name}/axes",
        (2,),
        data=np.array([1, 2], np.int32),
        tensor_type=schema.TensorType.INT32,
    )
    mean = graph.add_tensor(model, name, (1, width))
    (place,) = (
        number for number, operator in enumerate(operators) if operator is producer
    )
    graph.add_operator(
        model,
        _OPERATOR.MEAN,
        [index, axes],
        [mean],
        options_type=schema.BuiltinOptions.ReducerOptions,
        options=schema.ReducerOptionsT(),  # keepDims is off
        position=place + 1,
    )
    return mean


def _builtin(model: Model, operator: Operator) -> int:
    return graph.builtin_operator(model, operator.opcodeIndex)
