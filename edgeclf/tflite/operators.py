"""The operators that are known: their numbers, and how many tensors they take.

Source: BuiltinOperator and BuiltinOptions of tensorflow/lite/schema/schema.fbs, and
the kernels of tensorflow/lite/kernels for what they take. `output_shapes` knows more.
"""

from __future__ import annotations

ADD, AVERAGE_POOL_2D, CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D = range(5)
FULLY_CONNECTED, L2_POOL_2D, MAX_POOL_2D = 9, 12, 17
DEPTH_TO_SPACE, SPACE_TO_DEPTH = 5, 26
RESHAPE, RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR, SOFTMAX = 22, 23, 97, 25
PAD, PADV2, GATHER, TRANSPOSE, SUB, SQUEEZE, SPLIT = 34, 60, 36, 39, 41, 43, 49
SLICE, TRANSPOSE_CONV, EXPAND_DIMS, PACK, SQUARED_DIFFERENCE = 65, 67, 70, 83, 99
STRIDED_SLICE, READ_VARIABLE, ASSIGN_VARIABLE = 45, 143, 144
MANY = 1 << 16

UNARY = (
    *(6, 8, 11, 14, 19, 20, 21, 28, 47, 50, 53, 59, 66, 73, 75, 76, 87, 92, 93, 98),
    *(101, 104, 108, 111, 114, 116, 117, 150, 152, 158),
)
BINARY = (
    *(ADD, 18, SUB, 42, 54, 55, 57, 58, 61, 62, 63, 71, 72, 78, 84, 86, 90, 95),
    *(SQUARED_DIFFERENCE, 156, 160, 161),
)
# DEQUANTIZE, CAST, QUANTIZE, and what compares
OTHER_TYPE = (6, 53, 114, 58, 61, 62, 63, 71, 72)
REDUCE = (40, 74, 81, 82, 89, 91, 140)

VARIABLES = (READ_VARIABLE, ASSIGN_VARIABLE)  # their first input is a handle

# Least and most inputs, number of outputs; None: any.
ARITY: dict[int, tuple[int, int, int | None]] = {
    **dict.fromkeys(UNARY, (1, 1, 1)),
    **dict.fromkeys(BINARY, (2, 2, 1)),
    **dict.fromkeys(REDUCE, (2, 2, 1)),
    **dict.fromkeys((AVERAGE_POOL_2D, L2_POOL_2D, MAX_POOL_2D, 13), (1, 1, 1)),
    **dict.fromkeys((SOFTMAX, SQUEEZE, DEPTH_TO_SPACE, SPACE_TO_DEPTH), (1, 1, 1)),
    **dict.fromkeys((77, 110), (1, 1, 1)),  # SHAPE, RANK
    CONV_2D: (3, 3, 1),
    DEPTHWISE_CONV_2D: (3, 3, 1),
    FULLY_CONNECTED: (2, 3, 1),
    TRANSPOSE_CONV: (3, 4, 1),
    CONCATENATION: (1, MANY, 1),
    PACK: (1, MANY, 1),
    RESHAPE: (1, 2, 1),
    **dict.fromkeys((RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR), (2, 2, 1)),
    **dict.fromkeys((PAD, GATHER, TRANSPOSE, EXPAND_DIMS), (2, 2, 1)),
    # EMBEDDING_LOOKUP, ARG_MAX, TILE, ARG_MIN, FILL, MIRROR_PAD, REVERSE_V2,
    # GATHER_ND, BATCH_MATMUL, CUMSUM, BROADCAST_TO
    **dict.fromkeys((7, 56, 69, 79, 94, 100, 105, 107, 126, 128, 130), (2, 2, 1)),
    # BATCH_TO_SPACE_ND, SPACE_TO_BATCH_ND, SELECT, SLICE, RANGE, SELECT_V2
    **dict.fromkeys((PADV2, 37, 38, 64, SLICE, 96, 123), (3, 3, 1)),
    SPLIT: (2, 2, None),
    102: (3, 3, None),  # SPLIT_V
    88: (1, 1, None),  # UNPACK
    48: (2, 2, 2),  # TOPK_V2
    85: (4, 4, 1),  # ONE_HOT
    STRIDED_SLICE: (4, 4, 1),
    READ_VARIABLE: (1, 1, 1),
    **dict.fromkeys((129, 142), (0, 0, None)),  # CALL_ONCE, VAR_HANDLE
    ASSIGN_VARIABLE: (2, 2, 0),
}

# The type of the options that the rules below read.
OPTIONS: dict[int, int] = {
    **dict.fromkeys((AVERAGE_POOL_2D, L2_POOL_2D, MAX_POOL_2D), 5),
    **dict.fromkeys(REDUCE, 27),
    CONV_2D: 1,
    DEPTHWISE_CONV_2D: 2,
    FULLY_CONNECTED: 8,
    SOFTMAX: 9,
    CONCATENATION: 10,
    RESHAPE: 17,
    SPACE_TO_DEPTH: 19,
    SQUEEZE: 30,
    SPLIT: 35,
    TRANSPOSE_CONV: 49,
    PACK: 59,
    DEPTH_TO_SPACE: 94,
    STRIDED_SLICE: 32,
}

# Operators whose outputs have the type of this input.
SAME_TYPE: dict[int, int] = {
    **{
        code: 0
        for code in (
            *OPTIONS,
            *UNARY,
            *BINARY,
            PAD,
            PADV2,
            SLICE,
            TRANSPOSE,
            EXPAND_DIMS,
        )
        if code not in OTHER_TYPE
    },
    **dict.fromkeys((RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR), 0),
    SPLIT: 1,
    TRANSPOSE_CONV: 2,
}
