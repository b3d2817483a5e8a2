from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import model_files as models
import numpy as np
import pytest
import tiny
from ai_edge_litert import schema_py_generated as schema
from mutations import mutated

from edgeclf import ModelError
from edgeclf.tflite.memory import MAX_MODEL_MB
from edgeclf.tflite.verify import check_model

ROOT = Path(__file__).resolve().parents[1]
Change = Callable[[Any], None]


def changed(content: bytes, change: Change) -> bytes:
    """Return a model that has been changed as an object; `change` gets the `ModelT`."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    change(model)
    return models.pack(model)


def tensor(model: Any, name: str) -> Any:
    named = [t for t in model.subgraphs[0].tensors if t.name == name.encode()]
    return named[0]


@pytest.mark.parametrize(
    "content",
    [
        models.build(),
        models.build(input_type="uint8", output_type="int8"),
        models.build(convolution=True, activation="logistic"),
        models.build(output_shape=(1, 1, 3)),
        models.build(input_signature=(-1, -1, -1, 3)),
        models.build(outside=True),
        models.build(head=False, activation=None),
        models.own(),
        models.with_metadata(models.build(), mean=[0.0], std=[1.0]),
        tiny.backbone_file(),
    ],
)
def test_models_of_the_tests_pass(content: bytes) -> None:
    check_model(content)


def test_bundled_backbone_passes() -> None:
    for path in (ROOT / "models").glob("*.tflite"):
        check_model(path.read_bytes())


def test_import_is_light(tmp_path: Path) -> None:
    program = (
        "import time, edgeclf.metadata\n"
        "started = time.process_time()\n"
        "import edgeclf.tflite.verify\n"
        "print(time.process_time() - started)"
    )
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)  # compiled by the first run
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    seconds = [
        float(subprocess.check_output(command, env=environment)) for _ in range(5)
    ]
    assert min(seconds) < 0.006  # 1.3 ms, with room for a busy machine


def test_real_models_pass_and_fast(shared: Path) -> None:
    for path in (shared / "models").glob("*.tflite"):
        content = path.read_bytes()
        seconds = []
        for _ in range(5):
            started = time.process_time()
            check_model(content)
            seconds.append(time.process_time() - started)
        assert min(seconds) < 0.02, path  # 2 ms, with room for a busy machine


def _operator(index: int, **fields: Any) -> Change:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.subgraphs[0].operators[index], name, value)

    return change


def _option(index: int, name: str, value: Any) -> Change:
    def change(model: Any) -> None:
        setattr(model.subgraphs[0].operators[index].builtinOptions, name, value)

    return change


def _tensor(name: str, **fields: Any) -> Change:
    def change(model: Any) -> None:
        for field, value in fields.items():
            setattr(tensor(model, name), field, value)

    return change


def _constant(name: str, *values: int) -> Change:
    def change(model: Any) -> None:
        data = np.array(values, np.int32).tobytes()
        buffer = model.buffers[tensor(model, name).buffer]
        buffer.data = np.frombuffer(data, np.uint8)

    return change


def _metadata_buffer(model: Any) -> None:
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"x", 99
    model.metadata = [entry]


def _signature(model: Any) -> None:
    entry = schema.SignatureDefT()
    entry.subgraphIndex = 7
    model.signatureDefs = [entry]


# Of the backbone: 0 image, 1 weights, 2 bias, 3 maps, 4 axes, 5 features;
# operator 0 is CONV_2D, 1 is MEAN.
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            _operator(0, inputs=[0, 1]),
            "operator 0 .*Expected 3 to 3 inputs .*: 2 and 1",
        ),
        (_operator(0, inputs=[0, -1, 2]), "Expected input -1 to be computed before"),
        (_operator(0, inputs=[0, 1, 99]), "Expected input 99 to be computed before"),
        (_operator(0, inputs=[5, 1, 2]), "Expected input 5 to be computed before"),
        (_operator(0, outputs=[99]), "Expected one of 6 tensors. Received: 99"),
        (_operator(0, outputs=[1]), "Expected output 1 to be computed only here"),
        (_operator(0, opcodeIndex=9), "TFLite model is damaged: list index"),
        (_operator(0, builtinOptionsType=0, builtinOptions=None), "a window, strides"),
        (_option(0, "strideH", 0), r"a window, strides .*Received: \(3, 3\), \(0, 2\)"),
        (_option(0, "strideW", 1 << 30), "a window, strides and dilations of 1 to"),
        (_option(0, "dilationHFactor", 0), "a window, strides and dilations of 1 to"),
        (_option(0, "padding", 9), "padding 9"),
        (_option(0, "strideH", 1), r"output of shape \(1, 32, 16, 8\)"),
        (_option(1, "keepDims", True), None),  # of as many values
        (_tensor("features", shape=[8]), None),
        (_tensor("features", shape=[], hasRank=False), None),  # of unknown rank
        (_tensor("features", shape=[], hasRank=True), r"shape \(1, 8\). Received: \("),
        (_tensor("features", shape=[9]), r"Expected an output of shape \(1, 8\)"),
        (_tensor("image", shape=[1] * 9), "at most 8 dimensions. Received: 9"),
        (_tensor("maps", shapeSignature=[1] * 9), "at most 8 dimensions. Received: 9"),
        (_constant("axes", 1, 9), "Expected an axis of 4. Received: 9"),
        (_constant("axes", 1, 2, 3), "Expected a constant of 8 bytes .* Received: 12"),
        (_tensor("image", shape=[1, -32, 32, 3]), "tensor 0 'image': Expected a shape"),
        (_tensor("image", shape=[1, 32, 32]), "Expected input 0 of 4 dimensions"),
        (_tensor("image", shape=[1, 32, 32, 4]), "Expected filters that fit"),
        (_tensor("maps", shape=[1, 16, 2**20, 8]), "Received: .1, 16, 1048576, 8"),
        (_tensor("image", buffer=99), "Expected one of 7 buffers. Received: 99"),
        (_tensor("image", buffer=2), "Expected a constant of 12288 bytes"),
        (_tensor("weights", type=9), "Expected a constant of 216 bytes"),
        (_tensor("maps", type=1), "Expected an output of the input's type"),
        (_tensor("bias", shape=[2, 4]), None),
        (_metadata_buffer, "Expected one of 7 buffers. Received: 99"),
        (_signature, "Expected one of 1 subgraphs. Received: 7"),
    ],
)
def test_graphs_that_would_crash_are_refused(
    change: Change, sentence: str | None
) -> None:
    content = changed(tiny.backbone_file(), change)
    if sentence is None:
        check_model(content)
        return
    with pytest.raises(ModelError, match=sentence):
        check_model(content)


@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [([0.0], [0]), ([1e-45], [0]), ([np.nan], [0]), ([1.0], [256]), ([1.0] * 5, [0])],
)
def test_quantization_out_of_range_is_refused(
    scale: list[float], zero_point: list[int]
) -> None:
    def change(model: Any) -> None:
        quantization = tensor(model, "image").quantization
        quantization.scale, quantization.zeroPoint = scale, zero_point

    with pytest.raises(ModelError, match="tensor 0 'image': Expected"):
        check_model(changed(models.build(input_type="uint8"), change))


def test_outputs_that_nothing_computes_are_refused() -> None:
    def change(model: Any) -> None:
        model.subgraphs[0].operators.pop()

    with pytest.raises(ModelError, match=r"no operator computes the output 5\."):
        check_model(changed(tiny.backbone_file(), change))


def test_computed_shape_counts_and_not_the_declared_one() -> None:
    """The layer behind a tensor of unknown rank is checked like any other."""
    content = models.build(convolution=True)  # of MEAN, CONV_2D, SQUEEZE, SOFTMAX
    for wrong in (False, True):

        def change(model: Any, wrong: bool = wrong) -> None:
            for name in (models.BOTTLENECK, "wide"):
                tensor(model, name).shape = []
                tensor(model, name).hasRank = False
            if wrong:
                tensor(model, "weights").shape = [1, 3, 1, 3]  # 3 x 1 filters

        if not wrong:
            check_model(changed(content, change))
            continue
        with pytest.raises(ModelError, match="Expected a bias of 1 values"):
            check_model(changed(content, change))


def test_memory_of_computed_shapes_is_counted() -> None:
    side = 5400  # 4 * 3 * side**2 bytes in, and 4 * 8 * (side / 2)**2 out, and windows

    def change(model: Any) -> None:
        tensor(model, "image").shape = [1, side, side, 3]
        tensor(model, "maps").shape, tensor(model, "maps").hasRank = [], False

    with pytest.raises(ModelError, match=r"at most 900 MB .* would take [\d,]+ MB"):
        check_model(changed(tiny.backbone_file(), change))


def _many_sizes(model: Any) -> None:
    tensor(model, "image").shape = np.full(100_000, 2**31 - 1, np.int32)


def _many_blocks(model: Any) -> None:
    _sparse([0, 2], [0, *[2] * 72])(model)
    sparsity = tensor(model, "weights").sparsity
    sparsity.blockMap = [0] * 20_000
    sparsity.traversalOrder = list(range(20_004))
    block = schema.DimensionMetadataT()
    block.denseSize = 2**31 - 1
    sparsity.dimMetadata += [block] * 20_000


def _long_name(model: Any) -> None:
    tensor(model, "image").buffer = 99
    tensor(model, "image").name = b"x" * 100_000


@pytest.mark.parametrize("change", [_many_sizes, _many_blocks, _long_name])
def test_long_lists_take_no_time_and_give_short_sentences(change: Change) -> None:
    content = changed(tiny.backbone_file(), change)
    started = time.process_time()
    with pytest.raises(ModelError) as caught:
        check_model(content)
    assert time.process_time() - started < 1
    assert len(str(caught.value)) < 500


def test_name_that_many_tensors_share_is_read_a_few_times_only() -> None:
    builder = flatbuffers.Builder(0)
    name = builder.CreateString("x" * 200_000)
    tensors = []
    for _ in range(5000):
        builder.StartObject(4)
        builder.PrependUOffsetTRelativeSlot(3, name, 0)
        tensors.append(builder.EndObject())
    graph = _table(builder, {0: _vector(builder, tensors)})
    model = _table(builder, {2: _vector(builder, [graph])})
    builder.Finish(model, b"TFL3")
    with pytest.raises(ModelError, match="damaged: 200000 elements are named"):
        check_model(bytes(builder.Output()))


def _table(builder: Any, fields: dict[int, int]) -> int:
    builder.StartObject(max(fields) + 1)
    for slot, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    return int(builder.EndObject())


def _vector(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def test_more_memory_than_allowed_is_refused() -> None:
    side = 1 << 14
    with pytest.raises(
        ModelError, match=f"at most {MAX_MODEL_MB} MB of memory.*would take"
    ):
        check_model(models.build(input_shape=(1, side, side, 3)))


def test_subgraphs_that_run_themselves_are_refused() -> None:
    def change(model: Any) -> None:
        loop = schema.WhileOptionsT()
        loop.condSubgraphIndex = loop.bodySubgraphIndex = 0
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = schema.BuiltinOperator.WHILE, 1
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.inputs, operator.outputs = [0], []
        operator.builtinOptionsType = schema.BuiltinOptions.WhileOptions
        operator.builtinOptions = loop
        model.subgraphs[0].operators.append(operator)

    with pytest.raises(ModelError, match="no subgraph that runs itself"):
        check_model(changed(models.build(), change))


def test_operators_that_are_not_known_pass() -> None:
    def change(model: Any) -> None:
        model.operatorCodes[-1].builtinCode = schema.BuiltinOperator.CUSTOM
        model.operatorCodes[-1].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        model.operatorCodes[-1].customCode = b"Other"

    check_model(changed(models.build(), change))


def test_cut_files_are_refused_wherever_they_end() -> None:
    content = tiny.backbone_file()
    for size in range(0, len(content), 7):
        with pytest.raises(ModelError, match=r"damaged|cut short|identifier TFL3"):
            check_model(content[:size])


def test_wrong_offsets_end_in_no_other_error() -> None:
    content = bytearray(tiny.backbone_file())
    for position in range(0, len(content) - 3, 4):
        for number in (0xFFFF_FFFF, 0x7FFF_FFFC, len(content)):
            damaged = content.copy()
            struct.pack_into("<I", damaged, position, number)
            try:
                check_model(bytes(damaged))
            except ModelError:
                continue


def test_mutations_are_the_same_each_time_and_differ_by_seed() -> None:
    content = bytes(range(256)) * 8
    made = [mutated(content, seed) for seed in range(40)]
    assert made == [mutated(content, seed) for seed in range(40)]
    assert len(set(made)) == 40
    assert zlib.crc32(content) not in map(zlib.crc32, made)
    tail = mutated(content, 3, [range(2000, 2048)])
    assert tail[:1990] == content[:1990]


def _sparse(indices: list[int], segments: list[int]) -> Change:
    """Store the backbone's weights (8, 3, 3, 3) as 8 x 3 x 3 rows of few values."""

    def vector(values: list[int]) -> Any:
        numbers = schema.Uint8VectorT()
        numbers.values = values
        return numbers

    def change(model: Any) -> None:
        weights = tensor(model, "weights")
        weights.sparsity = schema.SparsityParametersT()
        weights.sparsity.traversalOrder = [0, 1, 2, 3]
        dimensions = [schema.DimensionMetadataT() for _ in range(4)]
        for dimension, size in zip(dimensions, (8, 3, 3), strict=False):
            dimension.denseSize = size
        last = dimensions[3]
        last.format = schema.DimensionType.SPARSE_CSR
        last.arraySegmentsType = schema.SparseIndexVector.Uint8Vector
        last.arrayIndicesType = schema.SparseIndexVector.Uint8Vector
        last.arraySegments, last.arrayIndices = vector(segments), vector(indices)
        weights.sparsity.dimMetadata = dimensions
        values = np.zeros(len(indices), np.float32)
        data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers[weights.buffer].data = data

    return change


def test_sparse_constants_store_what_lies_in_their_shape() -> None:
    segments = [0, *[2] * 72]
    check_model(changed(tiny.backbone_file(), _sparse([0, 2], segments)))
    for indices, wrong in (([0, 3], segments), ([0], segments), ([0, 2], segments[1:])):
        with pytest.raises(ModelError, match="indices of a sparse constant inside"):
            check_model(changed(tiny.backbone_file(), _sparse(indices, wrong)))


def test_handles_are_no_values() -> None:
    for change in (
        _tensor("image", type=schema.TensorType.RESOURCE),
        _tensor("features", type=schema.TensorType.RESOURCE),
    ):
        with pytest.raises(ModelError, match=r"of another type|the input.s type"):
            check_model(changed(tiny.backbone_file(), change))
