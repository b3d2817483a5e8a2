"""The memory of a model is bounded before an interpreter sees it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files as models
import numpy as np
import pytest
import tiny
from ai_edge_litert import schema_py_generated as schema

from edgeclf import Classifier, ModelError
from edgeclf.__main__ import main
from edgeclf.tflite.memory import MAX_MODEL_MB
from edgeclf.tflite.verify import check_model
from edgeclf.zoo import graph

Op, Options = schema.BuiltinOperator, schema.BuiltinOptions
BUNDLED = "mobilenet_v2_1.00_224_torchvision.tflite"
TOO_LARGE = rf"at most {MAX_MODEL_MB} MB of memory.*Received: one that would take"


class Growing:
    """The tiny classifier, with operators beside it that nobody reads."""

    def __init__(self, **changes: Any) -> None:
        content = models.build(**changes)
        self.model = schema.ModelT.InitFromPackedBuf(content, 0)

    def constant(self, values: Any, kind: str = "int32") -> int:
        array = np.asarray(values, np.dtype(kind))
        return graph.add_tensor(
            self.model,
            f"constant {self._count()}",
            array.shape,
            data=array,
            tensor_type=models.TENSOR_TYPES[kind],
        )

    def operator(
        self,
        code: int,
        inputs: list[int],
        shape: tuple[int, ...],
        kind: str = "float32",
    ) -> int:
        output = graph.add_tensor(
            self.model,
            f"output {self._count()}",
            shape,
            tensor_type=models.TENSOR_TYPES[kind],
        )
        graph.add_operator(self.model, code, inputs, [output])
        if code == Op.SHAPE:
            operator = self.model.subgraphs[0].operators[-1]
            operator.builtinOptionsType = Options.ShapeOptions
            operator.builtinOptions = schema.ShapeOptionsT()
            operator.builtinOptions.outType = schema.TensorType.INT32
        return output

    def content(self) -> bytes:
        return models.pack(self.model)

    def _count(self) -> int:
        return len(self.model.subgraphs[0].tensors)


def _fill(model: Growing) -> None:
    model.operator(
        Op.FILL,
        [model.constant([1 << 15, 1 << 15]), model.constant(0, "float32")],
        (1, 1),
    )


def _tile(model: Growing) -> None:
    row = model.constant(np.zeros((1, 64)), "float32")
    model.operator(Op.TILE, [row, model.constant([1 << 16, 1 << 8])], (1, 64))


def _broadcast(model: Growing) -> None:
    row = model.constant(np.zeros((1, 1)), "float32")
    sizes = model.constant([1 << 15, 1 << 15])
    model.operator(Op.BROADCAST_TO, [row, sizes], (1, 1))


def _range(model: Growing) -> None:
    ends = [model.constant(value) for value in (0, 2**31 - 1, 1)]
    model.operator(Op.RANGE, ends, (1,), "int32")


def _product(model: Growing) -> None:
    column = model.constant(np.zeros((1 << 15, 1)), "float32")
    row = model.constant(np.zeros((1, 1 << 15)), "float32")
    model.operator(Op.BATCH_MATMUL, [column, row], (1, 1))


def _gather(model: Growing) -> None:
    rows = model.constant(np.zeros((2, 1 << 15)), "float32")
    model.operator(Op.GATHER, [rows, model.constant(np.zeros(1 << 15))], (1, 1))


def _computed_sizes(model: Growing) -> None:
    """SHAPE, MUL with a constant, FILL: what comes out is no constant of the file."""
    image = model.model.subgraphs[0].inputs[0]
    sizes = model.operator(Op.SHAPE, [image], (4,), "int32")
    many = model.constant([1, 1 << 10, 1 << 10, 100])
    wanted = model.operator(Op.MUL, [sizes, many], (4,), "int32")
    model.operator(Op.FILL, [wanted, model.constant(0, "float32")], (1, 1, 1, 1))


def _huge(model: Growing) -> None:
    tensors = model.model.subgraphs[0].tensors
    model.model.subgraphs[0].tensors = [
        *tensors,
        *(copy.copy(tensors[0]) for _ in range(4)),
    ]
    image = model.model.subgraphs[0].inputs[0]
    tensors[image].shape = [1, 1 << 14, 1 << 14, 3]


def _window(model: Growing) -> None:
    """A window as large as the picture, at each of its places."""
    image = model.constant(np.zeros((1, 200, 200, 1)), "float32")
    filters = model.constant(np.zeros((1, 200, 200, 1)), "float32")
    bias = model.constant(np.zeros(1), "float32")
    output = model.operator(Op.CONV_2D, [image, filters, bias], (1, 200, 200, 1))
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = 1
    options.padding = schema.Padding.SAME
    operator = model.model.subgraphs[0].operators[-1]
    operator.builtinOptionsType = Options.Conv2DOptions
    operator.builtinOptions = options
    assert operator.outputs == [output]


LARGE: dict[str, Callable[[Growing], None]] = {
    "FILL": _fill,
    "TILE": _tile,
    "BROADCAST_TO": _broadcast,
    "RANGE": _range,
    "BATCH_MATMUL": _product,
    "GATHER": _gather,
    "computed": _computed_sizes,
    "huge": _huge,
    "window": _window,
}


@pytest.mark.parametrize("kind", LARGE)
def test_operator_of_a_huge_output_is_refused(kind: str) -> None:
    model = Growing()
    LARGE[kind](model)
    with pytest.raises(ModelError, match=TOO_LARGE):
        check_model(model.content())


def test_operator_of_a_small_output_is_not() -> None:
    model = Growing()
    zero = model.constant(0, "float32")
    model.operator(Op.FILL, [model.constant([1, 1]), zero], (1, 1))
    image = model.model.subgraphs[0].inputs[0]
    sizes = model.operator(Op.SHAPE, [image], (4,), "int32")
    model.operator(Op.FILL, [sizes, zero], (1, 8, 6, 3))
    content = model.content()
    assert check_model(content) < 4 << 20
    with Classifier(content, input_mean=127.5, input_std=127.5) as classifier:
        red = np.full((8, 6, 3), models.PIXELS["red"], np.uint8)
        assert classifier.categories(classifier.scores(red))[0].index == 0


def test_product_of_many_small_matrices_is_counted_as_what_it_is() -> None:
    """Attention in windows: 192 products, not each matrix with each other one."""
    model = Growing()
    rows = model.constant(np.zeros((64, 3, 49, 32)), "int8")
    columns = model.constant(np.zeros((64, 3, 32, 49)), "int8")
    model.operator(Op.BATCH_MATMUL, [rows, columns], (64, 3, 49, 49), "int8")
    content = model.content()
    assert check_model(content) < 4 << 20


def test_size_that_only_the_picture_decides_is_refused() -> None:
    model = Growing()
    image = model.model.subgraphs[0].inputs[0]
    sizes = model.operator(Op.CAST, [image], (1, 8, 6, 3), "int32")
    model.operator(Op.FILL, [sizes, model.constant(0, "float32")], (1, 1))
    with pytest.raises(ModelError, match="sizes that are known before the model runs"):
        check_model(model.content())


def test_operators_that_nobody_checks_are_refused() -> None:
    model = Growing()
    image = model.model.subgraphs[0].inputs[0]
    model.operator(Op.MATRIX_DIAG, [image], (1,))
    with pytest.raises(ModelError, match="operators that edgeclf knows and can check"):
        check_model(model.content())


def calls(depth: int, **body: Any) -> bytes:
    """A classifier beside which each subgraph calls the next; the last adds nothing."""
    model = schema.ModelT.InitFromPackedBuf(models.build(), 0)
    main = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode = Op.WHILE, Op.WHILE
    model.operatorCodes.append(code)
    for level in range(depth):
        subgraph = schema.SubGraphT()
        tensors = []
        for name, shape in (("in", (1, 3)), ("out", body.get("shape", (1, 3)))):
            tensor = copy.copy(main.tensors[main.outputs[0]])
            tensor.name, tensor.shape = f"{level} {name}".encode(), list(shape)
            tensors.append(tensor)
        subgraph.tensors, subgraph.operators = tensors, []
        subgraph.inputs, subgraph.outputs = [0], [1 if "shape" in body else 0]
        if "shape" in body:
            tensors[1].isVariable = True  # has a value without an operator
        if level + 1 < depth:
            operator = schema.OperatorT()
            operator.opcodeIndex = len(model.operatorCodes) - 1
            operator.inputs, operator.outputs = [0], [1]
            operator.builtinOptionsType = Options.WhileOptions
            operator.builtinOptions = schema.WhileOptionsT()
            operator.builtinOptions.condSubgraphIndex = level + 2
            operator.builtinOptions.bodySubgraphIndex = level + 2
            subgraph.operators.append(operator)
        model.subgraphs.append(subgraph)
    return models.pack(model)


def test_tower_of_calls_is_refused() -> None:
    check_model(calls(10))
    with pytest.raises(ModelError, match="at most 16 subgraphs in one another"):
        check_model(calls(3000))


def test_loop_that_grows_is_refused() -> None:
    with pytest.raises(ModelError, match="a loop runs it with the shapes"):
        check_model(calls(2, shape=(1, 6)))


def test_picture_of_another_size_is_counted_too() -> None:
    """A model of any size has only small shapes in its file."""
    content = models.build(input_shape=(1, 1, 1, 3), input_signature=(1, -1, -1, 3))
    assert check_model(content) < 4 << 20
    arguments = {"input_mean": 127.5, "input_std": 127.5}
    with pytest.raises(ModelError, match="at most 100 MB of memory"):
        Classifier(content, input_size=(4000, 4000), max_model_mb=100, **arguments)
    with Classifier(content, input_size=(1200, 1200), **arguments) as classifier:
        assert classifier.input_size == (1200, 1200)


def test_limit_is_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(models.own(input_shape=(1, 1000, 1000, 3)))
    command = ["label_image", "--model", str(path), "--image", str(path)]
    assert main([*command, "--max_model_mb", "10"]) == 1
    assert "at most 10 MB of memory" in capsys.readouterr().err
    with Classifier(path) as classifier:
        assert classifier.input_size == (1000, 1000)
    with pytest.raises(ModelError, match="at most 10 MB of memory"):
        Classifier(path, max_model_mb=10)


def real_and_estimated(path: str) -> None:
    """Print what a model takes, and what it is thought to take; in kB."""
    arguments = {"input_mean": 127.5, "input_std": 127.5}
    from edgeclf import Embedder

    with Embedder(models.own()) as first:  # all that the first model brings with it
        first.embed(np.zeros((8, 6, 3), np.uint8))
    before = _resident_kb()
    picture = np.zeros((300, 300, 3), np.uint8)
    embedder = Embedder(path, **({} if "label" in path else arguments))
    embedder.embed(picture)
    real = _resident_kb() - before
    sys.stdout.write(json.dumps([real, check_model(Path(path).read_bytes()) >> 10]))


def _resident_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0])


def _measured(path: Path) -> tuple[int, int]:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    done = subprocess.run(
        [sys.executable, __file__, path],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    real, estimated = json.loads(done.stdout)
    return real, estimated


def test_estimate_is_at_least_what_the_bundled_backbone_takes() -> None:
    path = Path(__file__).parents[1] / "models" / BUNDLED
    if not path.is_file():
        pytest.skip("no checkout around these tests")
    real, estimated = _measured(path)
    assert real <= estimated <= 2 * real


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v1_0.25_224_1_metadata_1.tflite",
        "mobilenet_v1_0.50_224_features_f32.tflite",
        "mobilenet_v1_0.5_160_quant.tflite",
    ],
)
def test_estimate_is_at_least_what_honest_models_take(name: str, shared: Path) -> None:
    real, estimated = _measured(shared / "models" / name)
    assert real <= estimated <= 2 * real


def test_estimate_of_a_tiny_model_is_little(tmp_path: Path) -> None:
    assert check_model(tiny.backbone_file()) < 4 << 20


if __name__ == "__main__":
    real_and_estimated(*sys.argv[1:])
