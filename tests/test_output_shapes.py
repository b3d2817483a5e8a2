from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgeclf import ModelError
from edgeclf.tflite import operators
from edgeclf.tflite.flatbuffer import Reader, Table
from edgeclf.tflite.output_shapes import Call, Operand, output_shapes

Op = schema.BuiltinOperator
IMAGE = Operand((1, 9, 7, 4), 0)


def options(kind: str, **values: Any) -> Table:
    """Write a table of options as a converter does, and read it."""
    table = getattr(schema, f"{kind}OptionsT")()
    for name, value in values.items():
        assert hasattr(table, name)
        setattr(table, name, value)
    builder = flatbuffers.Builder(64)
    builder.Finish(table.Pack(builder))
    reader = Reader(bytes(builder.Output()))
    return Table(reader, reader.indirect(0))


def real(*shape: int) -> Operand:
    return Operand(shape, 0)


def constant(*values: Any) -> Operand:
    array = np.array(values, np.int32)
    return Operand(array.shape, 2, array)


def scalar(value: int) -> Operand:
    return Operand((), 2, np.array(value, np.int32))


UNKNOWN = Operand((2,), 2)  # computed while the model runs
POOL = {"strideH": 2, "strideW": 3, "filterHeight": 3, "filterWidth": 2}
CONVOLUTION = {"strideH": 2, "strideW": 1, "padding": 1, "dilationHFactor": 2}
SLICED = options("StridedSlice", shrinkAxisMask=1, beginMask=4, endMask=4)
PARTS = options("Split", numSplits=2)
RESHAPED = options("Reshape", newShape=[3, -1])
UP = options("TransposeConv", strideH=2, strideW=2)


@pytest.mark.parametrize(
    ("code", "given", "inputs", "shapes"),
    [
        (Op.RELU, None, [IMAGE], [(1, 9, 7, 4)]),
        (Op.ADD, None, [IMAGE, real(7, 1)], [(1, 9, 7, 4)]),
        (Op.MUL, None, [real(), real(3, 1)], [(3, 1)]),
        # (9 - (3 - 1) 2 - 1) // 2 + 1 = 3 positions, and 7 - 2 + 1 = 6.
        (
            Op.CONV_2D,
            options("Conv2D", **CONVOLUTION),
            [IMAGE, real(5, 3, 2, 4), real(5)],
            [(1, 3, 6, 5)],
        ),
        (
            Op.CONV_2D,  # of two groups
            options("Conv2D", strideH=2, strideW=3),
            [IMAGE, real(6, 3, 3, 2), real(6)],
            [(1, 5, 3, 6)],
        ),
        (
            Op.DEPTHWISE_CONV_2D,
            options("DepthwiseConv2D", strideH=1, strideW=2, depthMultiplier=2),
            [IMAGE, real(1, 3, 3, 8), real(8)],
            [(1, 9, 4, 8)],
        ),
        (
            Op.TRANSPOSE_CONV,
            UP,
            [constant(1, 18, 13, 5), real(5, 3, 3, 4), IMAGE],
            [(1, 18, 13, 5)],
        ),
        (Op.TRANSPOSE_CONV, UP, [UNKNOWN, real(5, 3, 3, 4), IMAGE], None),
        (Op.AVERAGE_POOL_2D, options("Pool2D", **POOL), [IMAGE], [(1, 5, 3, 4)]),
        (
            Op.FULLY_CONNECTED,
            options("FullyConnected"),
            [real(2, 3, 4), real(5, 12), None],
            [(2, 5)],
        ),
        (
            Op.FULLY_CONNECTED,
            options("FullyConnected", keepNumDims=True),
            [real(2, 3, 4), real(5, 4), real(5)],
            [(2, 3, 5)],
        ),
        (Op.SOFTMAX, options("Softmax", beta=1.0), [real(1, 3)], [(1, 3)]),
        (
            Op.CONCATENATION,
            options("Concatenation", axis=-1),
            [IMAGE, real(1, 9, 7, 2)],
            [(1, 9, 7, 6)],
        ),
        (
            Op.PACK,
            options("Pack", axis=1, valuesCount=2),
            [real(3, 4), real(3, 4)],
            [(3, 2, 4)],
        ),
        (Op.SPLIT, PARTS, [scalar(3), IMAGE], [(1, 9, 7, 2)] * 2),
        (Op.RESHAPE, None, [IMAGE, constant(7, -1)], [(7, 36)]),
        (Op.RESHAPE, RESHAPED, [IMAGE], [(3, 84)]),
        (Op.RESHAPE, options("Reshape", newShape=[0]), [real(1)], [()]),
        (Op.RESHAPE, None, [IMAGE, UNKNOWN], None),
        (Op.RESHAPE, None, [IMAGE], None),
        (Op.SQUEEZE, None, [real(1, 3, 1)], [(3,)]),
        (Op.SQUEEZE, options("Squeeze", squeezeDims=[-1]), [real(1, 3, 1)], [(1, 3)]),
        (Op.MEAN, options("Reducer"), [IMAGE, constant(1, -2)], [(1, 4)]),
        (Op.SUM, options("Reducer", keepDims=True), [IMAGE, scalar(1)], [(1, 1, 7, 4)]),
        (Op.MEAN, options("Reducer"), [IMAGE, UNKNOWN], None),
        (Op.PAD, None, [real(3, 4), constant([1, 2], [0, 5])], [(6, 9)]),
        (Op.PAD, None, [real(3, 4), UNKNOWN], None),
        (Op.TRANSPOSE, None, [IMAGE, constant(0, 3, 1, 2)], [(1, 4, 9, 7)]),
        (Op.TRANSPOSE, None, [IMAGE, UNKNOWN], None),
        (Op.RESIZE_BILINEAR, None, [IMAGE, constant(20, 30)], [(1, 20, 30, 4)]),
        (Op.RESIZE_BILINEAR, None, [IMAGE, UNKNOWN], None),
        (Op.SLICE, None, [real(5, 6), constant(1, 2), constant(2, -1)], [(2, 4)]),
        (Op.SLICE, None, [real(5, 6), UNKNOWN, constant(2, -1)], None),
        (
            Op.STRIDED_SLICE,
            SLICED,
            [
                real(5, 6, 7, 8),
                *[constant(*n) for n in ((-1, 5, 0), (0, 0, 0), (1, -2, 3))],
            ],
            [(3, 3, 8)],
        ),
        (
            Op.STRIDED_SLICE,  # each end counts from where the slice begins
            options("StridedSlice", offset=True),
            [real(9, 9), *[constant(*n) for n in ((2, -4), (3, 2), (1, 1))]],
            [(3, 2)],
        ),
        (Op.STRIDED_SLICE, SLICED, [real(5), UNKNOWN, UNKNOWN, UNKNOWN], None),
        (Op.EXPAND_DIMS, None, [real(3, 4), scalar(-1)], [(3, 4, 1)]),
        (Op.EXPAND_DIMS, None, [real(3, 4), UNKNOWN], None),
        (
            Op.DEPTH_TO_SPACE,
            options("DepthToSpace", blockSize=2),
            [IMAGE],
            [(1, 18, 14, 1)],
        ),
        (
            Op.SPACE_TO_DEPTH,
            options("SpaceToDepth", blockSize=3),
            [real(1, 9, 6, 2)],
            [(1, 3, 2, 18)],
        ),
        (Op.CUSTOM, None, [IMAGE], None),
    ],
)
def test_shapes_are_those_of_the_kernels(
    code: int, given: Table | None, inputs: list[Operand | None], shapes: Any
) -> None:
    assert output_shapes(Call(code, given, inputs, 2)) == shapes


@pytest.mark.parametrize(
    ("code", "given", "inputs", "sentence"),
    [
        (Op.RELU, None, [None], "Expected input 0 not to be left out"),
        (Op.ADD, None, [IMAGE, real(3)], r"shapes that fit. Received: \(1, 9, 7, 4\)"),
        (
            Op.CONV_2D,
            options("Conv2D", strideH=1, strideW=1),
            [IMAGE, real(5, 3, 3, 3), real(5)],
            "Expected filters that fit",
        ),
        (
            Op.CONV_2D,
            options("Conv2D", strideH=1, strideW=1),
            [IMAGE, real(5, 3, 3, 4), real(4)],
            "Expected a bias of 5 values",
        ),
        (
            Op.CONV_2D,
            options("Conv2D", **CONVOLUTION),
            [IMAGE, real(5, 9, 9, 4), real(5)],
            "Expected a window that fits",
        ),
        (
            Op.DEPTHWISE_CONV_2D,
            options("DepthwiseConv2D", strideH=1, strideW=1, depthMultiplier=3),
            [IMAGE, real(1, 3, 3, 8), real(8)],
            "multiplier 3",
        ),
        (
            Op.TRANSPOSE_CONV,
            UP,
            [constant(1, 18, 13, 5), real(5, 3, 3, 3), IMAGE],
            "Expected filters that fit",
        ),
        (
            Op.TRANSPOSE_CONV,
            UP,
            [constant(1, 18, 13, 6), real(5, 3, 3, 4), IMAGE],
            "Expected an output that fits",
        ),
        (
            Op.TRANSPOSE_CONV,
            UP,
            [constant(1, 99, 13, 5), real(5, 3, 3, 4), IMAGE],
            "Expected an output that fits",
        ),
        (
            Op.MAX_POOL_2D,
            options("Pool2D", **{**POOL, "filterHeight": 32768, "filterWidth": 32768}),
            [IMAGE],
            "Expected a window that fits",
        ),
        (
            Op.FULLY_CONNECTED,
            options("FullyConnected"),
            [real(2, 3), real(5, 4)],
            r"Expected weights that fit \(2, 3\)",
        ),
        (Op.SOFTMAX, options("Softmax", beta=np.nan), [real(3)], "beta above 0 .* nan"),
        (
            Op.CONCATENATION,
            options("Concatenation"),
            [real(2, 3), real(2, 4)],
            "Expected shapes that fit",
        ),
        (
            Op.CONCATENATION,
            options("Concatenation", axis=2),
            [real(2, 3)],
            "an axis of",
        ),
        (Op.PACK, options("Pack", valuesCount=3), [real(2)], "tensors of one shape"),
        (Op.SPLIT, PARTS, [scalar(1), IMAGE], "Expected 2 equal parts"),
        (Op.SPLIT, PARTS, [UNKNOWN, IMAGE], "Expected an axis that is a constant"),
        (Op.RESHAPE, None, [IMAGE, constant(5, -1)], "Expected a shape of 252 values"),
        (Op.RESHAPE, None, [IMAGE, constant(-2, -126)], "Expected a shape of 252"),
        (
            Op.RESHAPE,
            options("Reshape", newShape=[1] * 65),
            [IMAGE],
            "at most 64 sizes or axes. Received: 65",
        ),
        (
            Op.SQUEEZE,
            options("Squeeze", squeezeDims=[0] * 65),
            [IMAGE],
            "at most 64 sizes or axes. Received: 65",
        ),
        (
            Op.SQUEEZE,
            options("Squeeze", squeezeDims=[1]),
            [IMAGE],
            "Expected sizes of 1",
        ),
        (
            Op.MEAN,
            options("Reducer"),
            [IMAGE, constant(4)],
            "an axis of 4. Received: 4",
        ),
        (Op.PAD, None, [real(3), constant([-1, 2])], "Expected paddings that fit"),
        (Op.TRANSPOSE, None, [IMAGE, constant(0, 0, 1, 2)], "Expected an order of 4"),
        (Op.RESIZE_BILINEAR, None, [IMAGE, constant(0, 9)], "a height and a width"),
        (Op.SLICE, None, [real(5), constant(4), constant(2)], "Expected a slice of"),
        (Op.SLICE, None, [real(5), constant(0, 0), constant(2)], "Expected a slice of"),
        (
            Op.STRIDED_SLICE,
            options("StridedSlice", ellipsisMask=3),
            [real(5), constant(0), constant(2), constant(1)],
            "Expected one ellipsis at most",
        ),
        (
            Op.STRIDED_SLICE,
            SLICED,
            [real(5), constant(5), constant(6), constant(1)],
            "Expected an index of 5. Received: 5",
        ),
        (
            Op.STRIDED_SLICE,
            options("StridedSlice"),
            [real(5), constant(0), constant(2), constant(0)],
            "Expected strides other than 0",
        ),
        (
            Op.STRIDED_SLICE,
            options("StridedSlice"),
            [real(5), constant(0, 1), constant(2), constant(1)],
            "Expected a slice of",
        ),
        (Op.EXPAND_DIMS, None, [real(3), scalar(3)], "Expected an axis of 2"),
        (Op.DEPTH_TO_SPACE, options("DepthToSpace"), [IMAGE], "a block that fits"),
        (
            Op.SPACE_TO_DEPTH,
            options("SpaceToDepth", blockSize=2),
            [IMAGE],
            "a block that fits",
        ),
    ],
)
def test_what_cannot_be_computed_is_refused(
    code: int, given: Table | None, inputs: list[Operand | None], sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        output_shapes(Call(code, given, inputs, 2))


def test_operators_have_the_numbers_of_the_schema() -> None:
    names = [name for name in vars(operators) if name.isupper() and hasattr(Op, name)]
    assert len(names) > 100
    for name in names:
        assert getattr(operators, name) == getattr(Op, name)
