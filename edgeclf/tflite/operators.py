"""The operators that are known: their numbers, and how many tensors they take.

Source: BuiltinOperator and BuiltinOptions of tensorflow/lite/schema/schema.fbs, and
the kernels of tensorflow/lite/kernels for what they take. `output_shapes` knows more.
"""

from __future__ import annotations

ADD = 0
AVERAGE_POOL_2D = 1
CONCATENATION = 2
CONV_2D = 3
DEPTHWISE_CONV_2D = 4
DEPTH_TO_SPACE = 5
DEQUANTIZE = 6
EMBEDDING_LOOKUP = 7
FLOOR = 8
FULLY_CONNECTED = 9
L2_NORMALIZATION = 11
L2_POOL_2D = 12
LOCAL_RESPONSE_NORMALIZATION = 13
LOGISTIC = 14
MAX_POOL_2D = 17
MUL = 18
RELU = 19
RELU_N1_TO_1 = 20
RELU6 = 21
RESHAPE = 22
RESIZE_BILINEAR = 23
SOFTMAX = 25
SPACE_TO_DEPTH = 26
TANH = 28
CALL = 31
CUSTOM = 32
PAD = 34
GATHER = 36
BATCH_TO_SPACE_ND = 37
SPACE_TO_BATCH_ND = 38
TRANSPOSE = 39
MEAN = 40
SUB = 41
DIV = 42
SQUEEZE = 43
STRIDED_SLICE = 45
EXP = 47
TOPK_V2 = 48
SPLIT = 49
LOG_SOFTMAX = 50
CAST = 53
PRELU = 54
MAXIMUM = 55
ARG_MAX = 56
MINIMUM = 57
LESS = 58
NEG = 59
PADV2 = 60
GREATER = 61
GREATER_EQUAL = 62
LESS_EQUAL = 63
SELECT = 64
SLICE = 65
SIN = 66
TRANSPOSE_CONV = 67
TILE = 69
EXPAND_DIMS = 70
EQUAL = 71
NOT_EQUAL = 72
LOG = 73
SUM = 74
SQRT = 75
RSQRT = 76
SHAPE = 77
POW = 78
ARG_MIN = 79
REDUCE_PROD = 81
REDUCE_MAX = 82
PACK = 83
LOGICAL_OR = 84
ONE_HOT = 85
LOGICAL_AND = 86
LOGICAL_NOT = 87
UNPACK = 88
REDUCE_MIN = 89
FLOOR_DIV = 90
REDUCE_ANY = 91
SQUARE = 92
ZEROS_LIKE = 93
FILL = 94
FLOOR_MOD = 95
RANGE = 96
RESIZE_NEAREST_NEIGHBOR = 97
LEAKY_RELU = 98
SQUARED_DIFFERENCE = 99
MIRROR_PAD = 100
ABS = 101
SPLIT_V = 102
CEIL = 104
REVERSE_V2 = 105
ADD_N = 106
GATHER_ND = 107
COS = 108
RANK = 110
ELU = 111
QUANTIZE = 114
ROUND = 116
HARD_SWISH = 117
IF = 118
WHILE = 119
SELECT_V2 = 123
DENSIFY = 124
BATCH_MATMUL = 126
CUMSUM = 128
CALL_ONCE = 129
BROADCAST_TO = 130
REDUCE_ALL = 140
VAR_HANDLE = 142
READ_VARIABLE = 143
ASSIGN_VARIABLE = 144
BROADCAST_ARGS = 145
GELU = 150
RELU_0_TO_1 = 152
ATAN2 = 156
SIGN = 158
BITWISE_XOR = 160
RIGHT_SHIFT = 161
COMPOSITE = 206

MANY = 1 << 16

UNARY = (
    DENSIFY,
    DEQUANTIZE,
    FLOOR,
    L2_NORMALIZATION,
    LOGISTIC,
    RELU,
    RELU_N1_TO_1,
    RELU6,
    TANH,
    EXP,
    LOG_SOFTMAX,
    CAST,
    NEG,
    SIN,
    LOG,
    SQRT,
    RSQRT,
    LOGICAL_NOT,
    SQUARE,
    ZEROS_LIKE,
    LEAKY_RELU,
    ABS,
    CEIL,
    COS,
    ELU,
    QUANTIZE,
    ROUND,
    HARD_SWISH,
    GELU,
    RELU_0_TO_1,
    SIGN,
)
COMPARISONS = (LESS, GREATER, GREATER_EQUAL, LESS_EQUAL, EQUAL, NOT_EQUAL)
BINARY = (
    *COMPARISONS,
    ADD,
    MUL,
    SUB,
    DIV,
    PRELU,
    MAXIMUM,
    MINIMUM,
    POW,
    LOGICAL_OR,
    LOGICAL_AND,
    FLOOR_DIV,
    FLOOR_MOD,
    SQUARED_DIFFERENCE,
    ATAN2,
    BITWISE_XOR,
    RIGHT_SHIFT,
)
OTHER_TYPE = (DEQUANTIZE, CAST, QUANTIZE, *COMPARISONS)  # than that of the input
REDUCE = (MEAN, SUM, REDUCE_PROD, REDUCE_MAX, REDUCE_MIN, REDUCE_ANY, REDUCE_ALL)
POOL = (AVERAGE_POOL_2D, L2_POOL_2D, MAX_POOL_2D)
RESIZE = (RESIZE_BILINEAR, RESIZE_NEAREST_NEIGHBOR)

SAME_VALUES = frozenset({DEQUANTIZE, QUANTIZE, RESHAPE, SQUEEZE})
VIEWS = frozenset({RESHAPE, SQUEEZE})  # may share the memory of what they read
ACTIVATIONS = frozenset({SOFTMAX, LOGISTIC})  # whose values are probabilities

VARIABLES = (READ_VARIABLE, ASSIGN_VARIABLE)  # their first input is a handle

# How custom operators begin that interpreters have, none of them of classifiers. All
# others they refuse themselves.
TRUSTED_CUSTOM = (
    *(b"TFLite_Detection_PostProcess", b"Mfcc", b"AudioSpectrogram", b"NumericVerify"),
    *(b"RandomUniform", b"RandomStandardNormal", b"odml."),
)

# Operators that run other subgraphs: which fields of their options name them.
CALLS: dict[int, tuple[int, ...]] = {
    CALL: (0,),
    IF: (0, 1),
    WHILE: (0, 1),
    CALL_ONCE: (0,),
    COMPOSITE: (1,),  # of its second kind of options
}

# Least and most inputs, number of outputs; None: any.
ARITY: dict[int, tuple[int, int, int | None]] = {
    **dict.fromkeys(UNARY, (1, 1, 1)),
    **dict.fromkeys(BINARY, (2, 2, 1)),
    **dict.fromkeys(REDUCE, (2, 2, 1)),
    **dict.fromkeys(POOL, (1, 1, 1)),
    **dict.fromkeys(RESIZE, (2, 2, 1)),
    ADD_N: (1, MANY, 1),
    CONCATENATION: (1, MANY, 1),
    CONV_2D: (3, 3, 1),
    DEPTHWISE_CONV_2D: (3, 3, 1),
    DEPTH_TO_SPACE: (1, 1, 1),
    EMBEDDING_LOOKUP: (2, 2, 1),
    FULLY_CONNECTED: (2, 3, 1),
    LOCAL_RESPONSE_NORMALIZATION: (1, 1, 1),
    RESHAPE: (1, 2, 1),
    SOFTMAX: (1, 1, 1),
    SPACE_TO_DEPTH: (1, 1, 1),
    PAD: (2, 2, 1),
    GATHER: (2, 2, 1),
    BATCH_TO_SPACE_ND: (3, 3, 1),
    SPACE_TO_BATCH_ND: (3, 3, 1),
    TRANSPOSE: (2, 2, 1),
    SQUEEZE: (1, 1, 1),
    STRIDED_SLICE: (4, 4, 1),
    TOPK_V2: (2, 2, 2),
    SPLIT: (2, 2, None),
    ARG_MAX: (2, 2, 1),
    PADV2: (3, 3, 1),
    SELECT: (3, 3, 1),
    SLICE: (3, 3, 1),
    TRANSPOSE_CONV: (3, 4, 1),
    TILE: (2, 2, 1),
    EXPAND_DIMS: (2, 2, 1),
    SHAPE: (1, 1, 1),
    ARG_MIN: (2, 2, 1),
    PACK: (1, MANY, 1),
    ONE_HOT: (4, 4, 1),
    UNPACK: (1, 1, None),
    FILL: (2, 2, 1),
    RANGE: (3, 3, 1),
    MIRROR_PAD: (2, 2, 1),
    SPLIT_V: (3, 3, None),
    REVERSE_V2: (2, 2, 1),
    GATHER_ND: (2, 2, 1),
    RANK: (1, 1, 1),
    SELECT_V2: (3, 3, 1),
    BATCH_MATMUL: (2, 2, 1),
    CUMSUM: (2, 2, 1),
    CALL_ONCE: (0, 0, None),
    BROADCAST_ARGS: (2, 2, 1),
    BROADCAST_TO: (2, 2, 1),
    VAR_HANDLE: (0, 0, None),
    READ_VARIABLE: (1, 1, 1),
    ASSIGN_VARIABLE: (2, 2, 0),
}

# Interpreters read what others are given without looking whether it is of the right
# type and size: what is not known here cannot be checked.
KNOWN = frozenset({*ARITY, *CALLS, CUSTOM})

# The type of the options that the rules in `output_shapes` read.
OPTIONS: dict[int, int] = {
    **dict.fromkeys(POOL, 5),
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
    **dict.fromkeys((*OPTIONS, *UNARY, *BINARY), 0),
    **dict.fromkeys((PAD, PADV2, SLICE, TRANSPOSE, EXPAND_DIMS, *RESIZE), 0),
    SPLIT: 1,
    TRANSPOSE_CONV: 2,
}
for _code in OTHER_TYPE:
    del SAME_TYPE[_code]
