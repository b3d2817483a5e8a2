"""VGG16, Inception V3 and Xception: what keras.applications knows them by.

TensorFlow is needed once, to convert them; the backbone is kept after that.
"""

from __future__ import annotations

from typing import NamedTuple

from edgeclf.input_tensor import USUAL_MEAN, USUAL_STD

PREFIX = "keras/"  # of their zoo names; Google's hosted Inception V3 has its own


class Application(NamedTuple):
    """A network of keras.applications.

    Attributes:
        maker: Its function there.
        input_size: `(height, width)` that its weights were trained with.
        input_mean: Of R, G and B, or of all: it wants `(pixel - mean) / std`.
        input_std: See `input_mean`.
        is_bgr: Whether its first layer wants blue before red.
        has_linear_top: Whether its classifier is one layer on the pooled features.
    """

    maker: str
    input_size: tuple[int, int]
    input_mean: float | tuple[float, ...]
    input_std: float
    is_bgr: bool
    has_linear_top: bool


# Source: keras/src/applications, imagenet_utils.py, `_preprocess_numpy_input` (mode
# "caffe": BGR less the mean of ImageNet; mode "tf": [-1, 1]), and the networks' files.
APPLICATIONS = {
    "vgg16": Application(
        "VGG16", (224, 224), (123.68, 116.779, 103.939), 1.0, True, False
    ),
    "inception_v3": Application(
        "InceptionV3", (299, 299), USUAL_MEAN, USUAL_STD, False, True
    ),
    "xception": Application("Xception", (299, 299), USUAL_MEAN, USUAL_STD, False, True),
}
KERAS_ARCHITECTURES = tuple(PREFIX + name for name in APPLICATIONS)
