"""A model as C source, for TensorFlow Lite Micro: a header and an array of bytes.

Both files are valid C11 and C++11.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeclf.export.micro_model import MicroModel
from edgeclf.quantization import quantized_levels
from edgeclf.tflite import operators
from edgeclf.tflite.graph import Tensor

BYTES_A_LINE = 16
ALIGNMENT = 16  # of tensors. Source: tflite-micro, micro_arena_constants.h

# Methods of MicroMutableOpResolver by BuiltinOperator: those that image classifiers are
# made of. Source: tflite-micro, tensorflow/lite/micro/micro_mutable_op_resolver.h, and
# tensorflow/lite/schema/schema.fbs.
RESOLVER_METHODS = {
    operators.ADD: "AddAdd",
    operators.AVERAGE_POOL_2D: "AddAveragePool2D",
    operators.CONCATENATION: "AddConcatenation",
    operators.CONV_2D: "AddConv2D",
    operators.DEPTHWISE_CONV_2D: "AddDepthwiseConv2D",
    operators.DEQUANTIZE: "AddDequantize",
    operators.FULLY_CONNECTED: "AddFullyConnected",
    operators.L2_NORMALIZATION: "AddL2Normalization",
    operators.LOGISTIC: "AddLogistic",
    operators.MAX_POOL_2D: "AddMaxPool2D",
    operators.MUL: "AddMul",
    operators.RELU: "AddRelu",
    operators.RELU6: "AddRelu6",
    operators.RESHAPE: "AddReshape",
    operators.RESIZE_BILINEAR: "AddResizeBilinear",
    operators.SOFTMAX: "AddSoftmax",
    operators.TANH: "AddTanh",
    operators.PAD: "AddPad",
    operators.TRANSPOSE: "AddTranspose",
    operators.MEAN: "AddMean",
    operators.SUB: "AddSub",
    operators.SQUEEZE: "AddSqueeze",
    operators.STRIDED_SLICE: "AddStridedSlice",
    operators.CAST: "AddCast",
    operators.PRELU: "AddPrelu",
    operators.MAXIMUM: "AddMaximum",
    operators.MINIMUM: "AddMinimum",
    operators.PADV2: "AddPadV2",
    operators.EXPAND_DIMS: "AddExpandDims",
    operators.SHAPE: "AddShape",
    operators.PACK: "AddPack",
    operators.RESIZE_NEAREST_NEIGHBOR: "AddResizeNearestNeighbor",
    operators.LEAKY_RELU: "AddLeakyRelu",
    operators.QUANTIZE: "AddQuantize",
    operators.HARD_SWISH: "AddHardSwish",
}

_HEADER = """\
#ifndef {upper}_H_
#define {upper}_H_

#ifdef __cplusplus
extern "C" {{
#endif

extern const unsigned char {name}[];
extern const unsigned int {name}_len;

/* Input: {dtype}, rows from the top, {channels}.
   {pixels} */
{constants}
{labels}{thresholds}
/* tflite::MicroMutableOpResolver<{num_operators}> resolver;
{operators}

   The tensor arena takes more than {arena_bytes} bytes: that much is held at one
   time. Measure the rest with interpreter.arena_used_bytes(). */

#ifdef __cplusplus
}}
#endif

#endif
"""

_SOURCE = """\
#include "{header}"

#ifndef __cplusplus
#include <stdalign.h>
#endif

alignas({alignment}) const unsigned char {name}[] = {{
{content}
}};
const unsigned int {name}_len = {size};
{labels}{thresholds}"""


# By dtype of the output.
_C_TYPES = {"uint8": "unsigned char", "int8": "signed char", "float32": "float"}

_THRESHOLDS = """\
/* A picture may have several of these tags, or none: each whose output is as large as
   its threshold, or larger. */
extern {declaration};
"""


def c_header(model: MicroModel, labels: Sequence[str] | None, name: str) -> str:
    """Return the header, ASCII.

    Args:
        model: What is exported.
        labels: Names of its classes; None: there are none to declare.
        name: A C identifier: of the array, and what other names begin with.
    """
    upper = name.upper()
    constants = _constants(model)
    return _HEADER.format(
        upper=upper,
        name=name,
        dtype=model.input.dtype,
        channels="R, G, B" if model.input.shape[3] == 3 else "grey",
        pixels=_pixels(model),
        constants="\n".join(
            f"#define {upper}_{key} {constants[key]}" for key in constants
        ),
        labels=f"extern {_labels_declaration(name)};\n" if labels else "",
        thresholds=_THRESHOLDS.format(declaration=_thresholds_declaration(model, name))
        if model.thresholds is not None
        else "",
        num_operators=len(model.operators),
        operators="\n".join(map(_resolver_line, model.operators)),
        arena_bytes=model.arena_bytes,
    )


def c_source(
    model: MicroModel, labels: Sequence[str] | None, name: str, header: str
) -> str:
    """Return the source, ASCII.

    Args:
        model: What is exported.
        labels: As for `c_header`.
        name: As for `c_header`.
        header: Name of the header's file.
    """
    numbers = [f"0x{byte:02x}" for byte in range(256)]
    lines = [
        ",".join(
            [numbers[byte] for byte in model.content[start : start + BYTES_A_LINE]]
        )
        for start in range(0, len(model.content), BYTES_A_LINE)
    ]
    least = "".join(f"    {value},\n" for value in _thresholds(model))
    strings = "".join(f"    {c_string(label)},\n" for label in labels or ())
    return _SOURCE.format(
        header=header,
        alignment=ALIGNMENT,
        name=name,
        content=",\n".join(lines),
        size=len(model.content),
        labels=f"{_labels_declaration(name)} = {{\n{strings}}};\n" if labels else "",
        thresholds=f"{_thresholds_declaration(model, name)} = {{\n{least}}};\n"
        if model.thresholds is not None
        else "",
    )


def c_string(text: str) -> str:
    r"""Return a C string literal of the text in UTF-8, itself ASCII.

    Other bytes are octal escapes: these end after three digits, where `\x` would go on.
    So is `?`, two of which may begin a trigraph.
    """
    letters = [
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode(errors="surrogateescape")
    ]
    return f'"{"".join(letters)}"'


def _labels_declaration(name: str) -> str:
    return f"const char *const {name}_labels[{name.upper()}_NUM_CLASSES]"


def _thresholds_declaration(model: MicroModel, name: str) -> str:
    dtype = _C_TYPES[str(model.output.dtype)]
    return f"const {dtype} {name}_thresholds[{name.upper()}_NUM_CLASSES]"


def _thresholds(model: MicroModel) -> list[str]:
    """Return from which value of the output on each tag is given, as C has it."""
    thresholds = np.array(model.thresholds or (), np.float32)
    if not len(model.output.scales):
        return [f"{threshold:.8e}f" for threshold in thresholds.tolist()]
    limits = np.iinfo(model.output.dtype or np.uint8)
    values = np.arange(limits.min, limits.max + 1)
    # What the values stand for, compared as `Classifier` does. A threshold that none
    # of them reaches becomes the largest.
    zero_point = int(model.output.zero_points[0])
    scores = (values - zero_point).astype(np.float32) * model.output.scales[0]
    places = np.searchsorted(scores[:-1], thresholds)
    return [str(value) for value in values[places].tolist()]


def _resolver_line(code: int) -> str:
    if code in RESOLVER_METHODS:
        return f"   resolver.{RESOLVER_METHODS[code]}();"
    return f"   and the method for BuiltinOperator {code} of schema.fbs"


def _constants(model: MicroModel) -> dict[str, str]:
    _, height, width, channels = model.input.shape
    return {
        "INPUT_HEIGHT": str(height),
        "INPUT_WIDTH": str(width),
        "INPUT_CHANNELS": str(channels),
        **_quantization("INPUT", model.input),
        "NUM_CLASSES": str(model.num_classes),
        **_quantization("OUTPUT", model.output),
    }


def _quantization(end: str, tensor: Tensor) -> dict[str, str]:
    """Return the constants of a tensor whose values are integers."""
    if not len(tensor.scales):
        return {}
    # Exact: nine digits tell float32 values apart. A C float has a point or exponent.
    return {
        f"{end}_SCALE": f"{tensor.scales[0]:.8e}f /* real = (value - zero) * scale */",
        f"{end}_ZERO_POINT": str(int(tensor.zero_points[0])),
    }


def _pixels(model: MicroModel) -> str:
    """Say what has to be written into the input for a pixel."""
    mean, std, tensor = model.info.input_mean, model.info.input_std, model.input
    if mean is None or std is None:
        return "The model does not say how pixels, 0-255, are normalised."
    real = f"(pixel - {_listed(mean)}) / {_listed(std)}"
    if tensor.dtype not in (np.uint8, np.int8) or not len(tensor.scales):
        return f"Write {real} for pixels 0-255."
    lowest = int(np.iinfo(tensor.dtype).min)
    levels = quantized_levels(
        np.asarray(mean, np.float32),
        np.asarray(std, np.float32),
        float(tensor.scales[0]),
        int(tensor.zero_points[0]),
        tensor.dtype,
    )
    if (levels == np.arange(256) + lowest).all():
        raw = "pixel - 128" if lowest else "the pixel, 0-255, as it is"
        return f"Write {raw}: the model takes it as {real}."
    return f"Write {real} / scale + zero point, rounded and within {tensor.dtype}."


def _listed(values: Sequence[float]) -> str:
    numbers = ", ".join(f"{value:g}" for value in values)
    return numbers if len(values) == 1 else f"({numbers})"
