"""Tiny real `.tflite` files: which colour channel of a picture is the brightest?

The graph is the mean over height and width, a fully connected layer, and an
activation; float32 inside, with DEQUANTIZE and QUANTIZE at the ends where input or
output are integers. So a test can say in NumPy what must come out.
"""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

COLORS = ("red", "green", "blue")
PIXELS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
WEIGHTS = 4 * np.eye(3, dtype=np.float32)  # of means that lie in [-1, 1]
BOTTLENECK = "bottleneck"

Op = schema.BuiltinOperator
Options = schema.BuiltinOptions
TENSOR_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "uint8": schema.TensorType.UINT8,
    "int8": schema.TensorType.INT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
}
PLACEHOLDER = 0x7E57_0FF5_E7  # stands for the offset of data outside the flatbuffer


@dataclass
class Classifier:
    """What a model file looks like; `build` writes it.

    `input_quantization` and `output_quantization` are (scale, zero point).
    """

    input_type: str = "float32"
    output_type: str = "float32"
    input_quantization: tuple[float, int] = (1 / 127.5, 128)
    output_quantization: tuple[float, int] = (1 / 256, 0)
    input_shape: tuple[int, ...] = (1, 8, 6, 3)
    input_signature: tuple[int, ...] | None = None
    weights: np.ndarray = field(default_factory=lambda: WEIGHTS)
    activation: str | None = "softmax"
    output_shape: tuple[int, ...] | None = None
    outputs: tuple[str, ...] = ("scores",)  # also tensors by name: "bottleneck", ...
    head: bool = True  # False: a feature extractor
    convolution: bool = False  # the head is a 1 x 1 CONV_2D and a SQUEEZE
    outside: bool = False  # the weights lie outside the flatbuffer

    def build(self) -> bytes:
        return _Builder(self).build()


def build(**changes: Any) -> bytes:
    return Classifier(**changes).build()


class _Builder:
    def __init__(self, wanted: Classifier) -> None:
        self.wanted = wanted
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def build(self) -> bytes:
        wanted = self.wanted
        shape = wanted.input_shape
        source = self.tensor(
            "image", shape, wanted.input_type, quantization=wanted.input_quantization
        )
        self.graph.tensors[source].shapeSignature = wanted.input_signature
        self.graph.inputs = [source]
        if wanted.input_type != "float32":
            source = self.operator(Op.DEQUANTIZE, [source], "real_image", shape)
        if len(shape) == 3:
            shape = (1, *shape)
            source = self.reshape(source, "batch", shape)
        axes = self.tensor("axes", (2,), "int32", np.array([1, 2], np.int32))
        keep = schema.ReducerOptionsT()
        keep.keepDims = wanted.convolution
        depth = shape[-1]
        last = self.operator(
            Op.MEAN,
            [source, axes],
            BOTTLENECK,
            (1, 1, 1, depth) if wanted.convolution else (1, depth),
            Options.ReducerOptions,
            keep,
        )
        if wanted.head:
            last = self.head(last)
        size = len(wanted.weights) if wanted.head else depth
        if wanted.activation == "softmax":
            softmax = schema.SoftmaxOptionsT()
            softmax.beta = 1.0
            last = self.operator(
                Op.SOFTMAX, [last], "p", (1, size), Options.SoftmaxOptions, softmax
            )
        elif wanted.activation == "logistic":
            last = self.operator(Op.LOGISTIC, [last], "p", (1, size))
        final = wanted.output_shape or (1, size)
        if final != (1, size):
            last = self.reshape(last, "r", final)
        if wanted.output_type != "float32":
            quantized = self.tensor(
                "scores",
                final,
                wanted.output_type,
                quantization=wanted.output_quantization,
            )
            last = self.operator(Op.QUANTIZE, [last], quantized, final)
        names = [tensor.name.decode() for tensor in self.graph.tensors]
        self.graph.outputs = [
            last if name == "scores" else names.index(name) for name in wanted.outputs
        ]
        return self.packed()

    def reshape(self, source: int, name: str, shape: Sequence[int]) -> int:
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        new = self.tensor(f"{name}_shape", (len(shape),), "int32", np.int32(shape))
        return self.operator(
            Op.RESHAPE, [source, new], name, shape, Options.ReshapeOptions, options
        )

    def head(self, features: int) -> int:
        classes, depth = self.wanted.weights.shape
        zeros = np.zeros(classes, np.float32)
        bias = self.tensor("bias", (classes,), "float32", zeros)
        if not self.wanted.convolution:
            weights = self.tensor(
                "weights", (classes, depth), "float32", self.wanted.weights
            )
            return self.operator(
                Op.FULLY_CONNECTED,
                [features, weights, bias],
                "logits",
                (1, classes),
                Options.FullyConnectedOptions,
                schema.FullyConnectedOptionsT(),
            )
        weights = self.tensor(
            "weights", (classes, 1, 1, depth), "float32", self.wanted.weights
        )
        convolution = schema.Conv2DOptionsT()
        convolution.strideH = convolution.strideW = 1
        wide = self.operator(
            Op.CONV_2D,
            [features, weights, bias],
            "wide",
            (1, 1, 1, classes),
            Options.Conv2DOptions,
            convolution,
        )
        squeeze = schema.SqueezeOptionsT()
        squeeze.squeezeDims = [1, 2]
        return self.operator(
            Op.SQUEEZE,
            [wide],
            "logits",
            (1, classes),
            Options.SqueezeOptions,
            squeeze,
        )

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        data: np.ndarray | None = None,
        quantization: tuple[float, int] | None = None,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name.encode(), list(shape)
        tensor.type = TENSOR_TYPES[dtype]
        buffer = schema.BufferT()
        if data is not None:
            if name == "weights" and self.wanted.outside:
                buffer.offset, buffer.size = PLACEHOLDER, data.nbytes
            else:
                buffer.data = np.frombuffer(data.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.buffer = len(self.model.buffers) - 1
        if quantization is not None and not dtype.startswith("float"):
            tensor.quantization = schema.QuantizationParametersT()
            if quantization[0]:
                tensor.quantization.scale = [quantization[0]]
                tensor.quantization.zeroPoint = [quantization[1]]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(
        self,
        code: int,
        inputs: list[int],
        output: str | int,
        shape: Sequence[int],
        options_type: int = Options.NONE,
        options: Any = None,
    ) -> int:
        if isinstance(output, str):
            output = self.tensor(output, shape, "float32")
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.version = code, 1
        entry.deprecatedBuiltinCode = min(code, 127)
        self.model.operatorCodes.append(entry)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        self.graph.operators.append(operator)
        return output

    def packed(self) -> bytes:
        content = pack(self.model)
        if not self.wanted.outside:
            return content
        content += bytes(-len(content) % 16)
        weights = self.wanted.weights.tobytes()
        offset = struct.pack("<Q", len(content))
        return content.replace(struct.pack("<Q", PLACEHOLDER), offset) + weights


def with_operator(content: bytes, name: str) -> bytes:
    """Make the last operator of a model a custom one."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    code = model.operatorCodes[-1]
    code.builtinCode = code.deprecatedBuiltinCode = Op.CUSTOM
    code.customCode = name.encode()
    for operator in model.subgraphs[0].operators[-1:]:
        operator.builtinOptionsType, operator.builtinOptions = Options.NONE, None
    return pack(model)


def with_concatenation(content: bytes) -> bytes:
    """Let the output go through a CONCATENATION, of nothing else."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    joined = _copied_tensor(model, graph.outputs[0], "joined")
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = Op.CONCATENATION
    code.version = 1
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = graph.outputs, [joined]
    operator.builtinOptionsType = Options.ConcatenationOptions
    operator.builtinOptions = schema.ConcatenationOptionsT()
    operator.builtinOptions.axis = 1
    graph.operators.append(operator)
    graph.outputs = [joined]
    return pack(model)


def with_second_head(content: bytes, weights: np.ndarray) -> bytes:
    """Add an output: the softmax of another layer on the same bottleneck."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    names = [tensor.name.decode() for tensor in graph.tensors]
    classes = len(weights)
    new = {}
    for name, shape, data in (
        ("weights", weights.shape, weights),
        ("bias", (classes,), np.zeros(classes)),
        ("logits", (1, classes), None),
        ("p", (1, classes), None),
    ):
        index = new[name] = _copied_tensor(model, names.index(name), f"second {name}")
        graph.tensors[index].shape = list(shape)
        if data is not None:
            stored = np.frombuffer(data.astype(np.float32).tobytes(), np.uint8)
            model.buffers[graph.tensors[index].buffer].data = stored
    for operator in list(graph.operators):
        if names[operator.outputs[0]] in ("logits", "p"):
            second = copy.copy(operator)
            second.inputs, second.outputs = (
                [new.get(names[tensor], tensor) for tensor in tensors]
                for tensors in (operator.inputs, operator.outputs)
            )
            graph.operators.append(second)
    graph.outputs = [*graph.outputs, new["p"]]
    return pack(model)


def _copied_tensor(model: Any, index: int, name: str) -> int:
    tensors = model.subgraphs[0].tensors
    tensor = copy.copy(tensors[index])
    tensor.name = name.encode()
    model.buffers.append(schema.BufferT())
    tensor.buffer = len(model.buffers) - 1
    tensors.append(tensor)
    return len(tensors) - 1


def pack(model: Any) -> bytes:
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def record(**changes: Any) -> dict[str, Any]:
    """`edgeclf.json` of a model that wants (pixel - 127.5) / 127.5."""
    return {
        "format_version": 1,
        "preprocessing": {
            "version": 1,
            "resize": "antialias",
            "input_mean": 127.5,
            "input_std": 127.5,
        },
        "multi_label": False,
        "thresholds": None,
        "reject": None,
        "bottleneck": BOTTLENECK,
        "provenance": {},
        **changes,
    }


def with_files(
    content: bytes,
    files: Mapping[str, str | bytes],
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """Append a zip, as writers of TFLite Metadata do."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", compression) as target:
        for name, text in files.items():
            target.writestr(name, text)
    return content + archive.getvalue()


def with_labels(content: bytes, labels: Sequence[str] = COLORS) -> bytes:
    """Attach `labels.txt`."""
    return with_files(content, {"labels.txt": "".join(f"{name}\n" for name in labels)})


def own(
    labels: Sequence[str] = COLORS,
    entry: Mapping[str, Any] | None = None,
    **changes: Any,
) -> bytes:
    """A file as edgeclf itself writes it."""
    files = {
        "labels.txt": "".join(f"{label}\n" for label in labels),
        "edgeclf.json": json.dumps(record() if entry is None else entry),
    }
    return with_files(build(**changes), files)


@dataclass
class OutputMetadata:
    """What TFLite Metadata say about an output tensor.

    `files` are (name, type, locale); `calibration` (transformation, default score).
    """

    files: Sequence[tuple[str, int, str | None]] = ()
    calibration: tuple[int, float] | None = None
    threshold: float | None = None


def with_metadata(
    content: bytes,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    files: Sequence[tuple[str, int, str | None]] = (),
    outputs: Sequence[OutputMetadata] | None = None,
    input_files: Sequence[tuple[str, int, str | None]] = (),
    default_size: tuple[int, int] | None = None,
    identifier: bytes = b"M001",
) -> bytes:
    """Add a TFLite Metadata flatbuffer, written field by field.

    `files` are the only output tensor's associated files: (name, type, locale).
    `default_size` is (height, width).
    """
    writer = _MetadataWriter()
    units = []
    if mean is not None and std is not None:
        normalization = {0: writer.floats(mean), 1: writer.floats(std)}
        units.append(writer.unit(1, writer.table(normalization)))
    image = {}
    if default_size is not None:
        size = writer.table(uints={0: default_size[1], 1: default_size[0]})
        properties = writer.table({1: size}, {0: 1})  # RGB
        image[3] = writer.table({1: properties}, {0: 2})
    sources = [writer.tensor("image", units, input_files, image)]
    heads = [
        writer.output(f"head {index}", output)
        for index, output in enumerate(outputs or [OutputMetadata(files)])
    ]
    graph = writer.table({2: writer.vector(sources), 3: writer.vector(heads)})
    packed = writer.finish(writer.table({3: writer.vector([graph])}), identifier)

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(packed, np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [entry]
    return pack(model)


class _MetadataWriter:
    """Writes tables of metadata_schema.fbs; slots are the fields' positions."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(256)

    def table(
        self,
        offsets: Mapping[int, int] | None = None,
        bytes_: Mapping[int, int] | None = None,
        floats: Mapping[int, float] | None = None,
        uints: Mapping[int, int] | None = None,
    ) -> int:
        builder = self._builder
        builder.StartObject(8)
        for slot, offset in (offsets or {}).items():
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for slot, number in (floats or {}).items():
            builder.PrependFloat32Slot(slot, number, 0.0)
        for slot, value in (uints or {}).items():
            builder.PrependUint32Slot(slot, value, 0)
        for slot, value in (bytes_ or {}).items():
            builder.PrependInt8Slot(slot, value, 0)
        return builder.EndObject()

    def vector(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return self._builder.EndVector()

    def floats(self, values: Sequence[float]) -> int:
        return self._builder.CreateNumpyVector(np.asarray(values, np.float32))

    def unit(self, kind: int, options: int) -> int:
        return self.table({1: options}, {0: kind})

    def output(self, name: str, output: OutputMetadata) -> int:
        units = []
        if output.calibration is not None:
            transformation, default = output.calibration
            units.append(
                self.unit(2, self.table({}, {0: transformation}, {1: default}))
            )
        if output.threshold is not None:
            units.append(self.unit(3, self.table(floats={0: output.threshold})))
        return self.tensor(name, units, output.files)

    def tensor(
        self,
        name: str,
        units: Sequence[int],
        files: Sequence[tuple[str, int, str | None]],
        fields: Mapping[int, int] | None = None,
    ) -> int:
        associated = []
        for file, kind, locale in files:
            entries = {0: self._builder.CreateString(file)}
            if locale is not None:
                entries[3] = self._builder.CreateString(locale)
            associated.append(self.table(entries, {2: kind}))
        fields = {0: self._builder.CreateString(name), **(fields or {})}
        if units:
            fields[4] = self.vector(units)
        if associated:
            fields[6] = self.vector(associated)
        return self.table(fields)

    def finish(self, root: int, identifier: bytes) -> bytes:
        self._builder.Finish(root, identifier)
        return bytes(self._builder.Output())
