"""Make a backbone of any image model: float, cut before its head, checked.

A prepared file carries a small record, so that its normalisation is known wherever
it is read, and preparing it again changes nothing.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import numpy as np

from edgeclf.errors import ModelError
from edgeclf.zoo.backbone import Backbone
from edgeclf.zoo.check import check_float_graph, check_image_model, run_once
from edgeclf.zoo.cut import cut_head, flatten_output
from edgeclf.zoo.dequantize import dequantize, quantization
from edgeclf.zoo.graph import (
    add_tensor,
    builtin_operator,
    is_constant,
    pack_model,
    read_model,
    schema,
    tensor_shape,
)
from edgeclf.zoo.normalization import (
    DEFAULT_MEAN,
    DEFAULT_STD,
    Normalization,
    check_normalization,
    find_normalization,
    prepend_normalization,
    report_contradiction,
)
from edgeclf.zoo.prune import prune

if TYPE_CHECKING:
    from edgeclf.zoo.graph import Model

RECORD_NAME = "EDGECLF_BACKBONE"  # the record's entry in the model's metadata
SIGNATURE = "serving_default"

_logger = logging.getLogger("edgeclf")
_OPERATOR = schema.BuiltinOperator
_TYPE = schema.TensorType


def to_backbone(
    content: bytes,
    name: str,
    source: str,
    *,
    input_mean: float | None = None,
    input_std: float | None = None,
) -> Backbone:
    """Make a backbone of a `.tflite` feature extractor or classifier.

    A quantized model is dequantized to float first, a classifier is cut before its
    last layer, a map of features is averaged. Each is said in one logged line.

    Args:
        content: The `.tflite` file: one input of shape `(1, height, width, 3)`,
            RGB, float32, uint8 or int8.
        name: Zoo name, or the file's stem; used in messages, too.
        source: Where the weights come from, for the model's record.
        input_mean: The model's input is `(pixel - input_mean) / input_std` with
            pixels 0-255. Default: what the file's metadata or its quantized input
            says, otherwise 127.5, and a logged line says so. Where the three channels
            differ, the graph is given the operator that makes them so, and its new
            input is `(pixel - 127.5) / 127.5`.
        input_std: See `input_mean`.

    Raises:
        ModelError: The file is damaged, or no backbone can be made of it.
        ValueError: `input_std` is not above 0, or one of both is not finite.
    """
    check_normalization(input_mean, input_std)
    try:
        model = read_model(content)
        input_size = check_image_model(model)
        _state_raw_pixels(model)
        record = _read_record(model)
        mean, std = _choose_normalization(
            content, model, name, record, input_mean, input_std
        )
        depth = _make_features(model, name, is_prepared=record is not None)
        if len({*mean}) > 1 or len({*std}) > 1:
            prepend_normalization(model, mean, std)
            mean, std = (DEFAULT_MEAN,), (DEFAULT_STD,)
        check_float_graph(model)
        _name_everything(model, mean[0], std[0])
        prepared = pack_model(model)
        run_once(prepared, input_size, depth)
    except ModelError as error:
        raise ModelError(f"{name} cannot be used as a backbone. {error}") from error
    except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
        # An operator without the inputs or options that every valid file gives it.
        raise ModelError(
            f"{name} cannot be used as a backbone. The TFLite model is damaged: {error}"
        ) from error
    return Backbone(name, prepared, input_size, mean[0], std[0], depth, source)


def _state_raw_pixels(model: Model) -> None:
    """Give a uint8 input without scale the one it stands for: a pixel is its value."""
    graph = model.subgraphs[0]
    image = graph.tensors[graph.inputs[0]]
    if image.type == _TYPE.UINT8 and quantization(model, graph.inputs[0]) is None:
        image.quantization = schema.QuantizationParametersT()
        image.quantization.scale, image.quantization.zeroPoint = [1.0], [0]


def _read_record(model: Model) -> Normalization | None:
    """Return the normalisation of a file that is a prepared backbone already.

    The record names the output, so that it is void in a file that was given a head.
    """
    graph = model.subgraphs[0]
    names = [graph.tensors[index].name for index in graph.outputs]
    for entry in model.metadata or ():
        if entry.name != RECORD_NAME.encode() or entry.buffer >= len(model.buffers):
            continue
        data = model.buffers[entry.buffer].data
        try:
            record = json.loads(bytes(np.asarray(data, np.uint8)))
            mean, std = float(record["input_mean"]), float(record["input_std"])
            check_normalization(mean, std)
        except (TypeError, ValueError, KeyError):
            return None
        if names == [str(record.get("output")).encode()]:
            return (mean,), (std,)
    return None


def _choose_normalization(
    content: bytes,
    model: Model,
    name: str,
    record: Normalization | None,
    input_mean: float | None,
    input_std: float | None,
) -> Normalization:
    """Take the caller's values, then the file's, then (x - 127.5) / 127.5."""
    found = record or find_normalization(content, model)
    given = (input_mean, input_std)
    if found is not None:
        report_contradiction(name, given, (found[0], found[1]))
    if input_mean is not None and input_std is not None:
        return (input_mean,), (input_std,)
    if found is None:
        found = (DEFAULT_MEAN,), (DEFAULT_STD,)
        _logger.info(
            "%s does not say how its input is normalised: taken as (x - %g) / %g; "
            "--input_mean and --input_std change it.",
            name,
            DEFAULT_MEAN if input_mean is None else input_mean,
            DEFAULT_STD if input_std is None else input_std,
        )
    mean = found[0] if input_mean is None else (input_mean,)
    std = found[1] if input_std is None else (input_std,)
    return mean, std


def _make_features(model: Model, name: str, *, is_prepared: bool) -> int:
    """Turn the graph into a float one that ends in the bottleneck; return its depth."""
    _fix_shapes(model)
    kind = dequantize(model)
    if kind is not None:
        _logger.info("%s is quantized (%s): dequantized to float32 first.", name, kind)
    num_outputs = None if is_prepared else cut_head(model)
    depth = flatten_output(model)
    if num_outputs is not None:
        _logger.info(
            "%s is cut before its last layer (%d outputs); bottleneck of %d.",
            name,
            num_outputs,
            depth,
        )
    return depth


def _fix_shapes(model: Model) -> None:
    """Take out the unknown batch: shapes are what the file states for one image.

    A flattening layer of an unknown batch computes its shape at run time; with one
    image it is known.
    """
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        tensor.shapeSignature = None
    for operator in graph.operators:
        if builtin_operator(model, operator.opcodeIndex) != _OPERATOR.RESHAPE:
            continue
        shape = tensor_shape(model, operator.outputs[0])
        is_known = np.prod(shape) == np.prod(tensor_shape(model, operator.inputs[0]))
        if len(operator.inputs) < 2 or is_constant(model, operator.inputs[1]):
            continue
        if is_known:
            sizes = np.array(shape, np.int32)
            operator.inputs[1] = add_tensor(
                model, "shape", sizes.shape, data=sizes, tensor_type=_TYPE.INT32
            )


def _name_everything(model: Model, input_mean: float, input_std: float) -> None:
    """Give each tensor a name of its own, the graph a signature and the record."""
    prune(model)
    graph = model.subgraphs[0]
    taken: set[str] = set()
    for index, tensor in enumerate(graph.tensors):
        name = base = tensor.name.decode("utf-8", "replace") or f"tensor_{index}"
        number = 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        tensor.name = name.encode()
    graph.name, graph.debugMetadataIndex = b"main", -1
    for operator in graph.operators:
        operator.debugMetadataIndex = -1
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
    signature.inputs = [_tensor_map("image", graph.inputs[0])]
    signature.outputs = [_tensor_map("bottleneck", graph.outputs[0])]
    model.signatureDefs = [signature]
    record = {
        "input_mean": input_mean,
        "input_std": input_std,
        "output": graph.tensors[graph.outputs[0]].name.decode(),
    }
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(json.dumps(record, sort_keys=True).encode(), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = RECORD_NAME.encode(), len(model.buffers) - 1
    model.metadata = [entry]
    model.version = 3


def _tensor_map(name: str, tensor_index: int) -> object:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), tensor_index
    return entry
