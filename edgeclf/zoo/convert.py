"""Turn Keras files, SavedModels and TensorFlow Hub modules into backbones.

    edgeclf convert mobilenet_5_0_224_tf_no_top.h5 --output backbone.tflite

`keras_files` or `saved_models` opens the source, TensorFlow converts it to TFLite.
What a network expects of its pixels becomes part of its graph: every written file
wants `(pixel - 127.5) / 127.5` and needs no record beside it. The rest of the zoo
does without TensorFlow (the extra `tensorflow`).
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeclf.console import Parser, run
from edgeclf.errors import ModelError
from edgeclf.files import check_writable, write_bytes
from edgeclf.zoo.applications import APPLICATIONS, PREFIX
from edgeclf.zoo.backbone import Backbone
from edgeclf.zoo.graph import pack_model, read_model
from edgeclf.zoo.keras_files import (
    DEFAULT_INPUT_SIZE,
    Architecture,
    open_application,
    open_keras_file,
)
from edgeclf.zoo.normalization import (
    DEFAULT_MEAN,
    DEFAULT_STD,
    check_normalization,
    prepend_normalization,
)
from edgeclf.zoo.prepare import to_backbone
from edgeclf.zoo.saved_models import hub_address, open_hub_module, open_saved_model
from edgeclf.zoo.tensorflow_extra import (
    Network,
    absl_kept_quiet,
    import_quietly,
    refusing,
)

_logger = logging.getLogger("edgeclf")


@absl_kept_quiet()
def convert(
    source: str | os.PathLike[str],
    *,
    architecture: str | None = None,
    input_size: tuple[int, int] | None = None,
    input_mean: float | None = None,
    input_std: float | None = None,
) -> Backbone:
    """Convert a network made with TensorFlow into a float backbone.

    Args:
        source: A Keras model (`.keras`, `.h5`), a file with the weights of a
            network of keras.applications (MobileNet, Inception V3 and Xception with
            or without the classifier, VGG16 without), a SavedModel folder (TensorFlow
            1 or 2), or the address of a TensorFlow Hub module.
        architecture: Which network the weights are for, such as
            `mobilenet_v1_0.50_224` or `vgg16`; None if the file's name says it. Of
            other sources only the size is used.
        input_size: `(height, width)`, for a network that takes several sizes.
            Default: the architecture's, else 224 x 224.
        input_mean: The network was trained with `(pixel - input_mean) / input_std`,
            pixels 0-255. Default: 0 and 255 for a Hub module, 0 and 1 for a Keras
            model that scales its input itself, the means of ImageNet for the weights
            of VGG16 (whose first layer is made to take RGB), otherwise 127.5 and
            127.5.
        input_std: See `input_mean`.

    Returns:
        A backbone whose input is `(pixel - 127.5) / 127.5`.

    Raises:
        FileNotFoundError: There is no such file or folder.
        ModelError: The source is not a model of these kinds, its weights do not fit
            the architecture, or TensorFlow cannot convert it.
        DownloadError: The Hub module could not be fetched.
        MissingExtraError: TensorFlow or tensorflow-hub is not installed.
        ValueError: The architecture is not the name of such a network, or a size or
            `input_std` is not positive.
    """
    wanted = _check_options(architecture, input_size, input_mean, input_std)
    text = os.fspath(source)
    handle, path = hub_address(text), Path(text)
    if handle is None and not path.exists():
        raise FileNotFoundError(
            "Expected a Keras file, a SavedModel folder or the http(s) address of a "
            f"TensorFlow Hub module. Received: {text}, which does not exist."
        )
    tf = import_quietly("tensorflow")
    size = input_size or (wanted.input_size if wanted else None)
    if handle is not None:
        network = open_hub_module(tf, handle)
    elif path.is_dir():
        network = open_saved_model(tf, path)
    else:
        network = open_keras_file(path, wanted, size)
    mean = network.input_mean if input_mean is None else input_mean
    std = network.input_std if input_std is None else input_std
    means = mean if isinstance(mean, tuple) else (mean,)
    _logger.info(
        "%s: taken to be trained on (pixel - %s) / %g; --input_mean and --input_std "
        "say otherwise.",
        text,
        ", ".join(f"{number:g}" for number in means),
        std,
    )
    content = _to_tflite(tf, network, _choose_size(network, size, text), text)
    origin = f"converted with TensorFlow {tf.__version__} from {handle or path.name}"
    return _finished(content, _name_of(text), origin, means, std)


@absl_kept_quiet()
def convert_application(name: str) -> Backbone:
    """Convert a network of keras.applications with the weights that Keras downloads.

    Args:
        name: One of `APPLICATIONS`.

    Returns:
        A backbone whose input is `(pixel - 127.5) / 127.5`.

    Raises:
        DownloadError: Keras cannot have the weights.
        ModelError: TensorFlow cannot convert the network.
        MissingExtraError: TensorFlow is not installed.
    """
    tf = import_quietly("tensorflow")
    network = open_application(name)
    mean, size = network.input_mean, APPLICATIONS[name].input_size
    means = mean if isinstance(mean, tuple) else (mean,)
    content = _to_tflite(tf, network, size, name)
    origin = f"converted with TensorFlow {tf.__version__} from keras.applications"
    return _finished(content, PREFIX + name, origin, means, network.input_std)


def _finished(
    content: bytes, name: str, origin: str, mean: tuple[float, ...], std: float
) -> Backbone:
    """Return the backbone of a converted network that wants `(pixel - mean) / std`."""
    if (mean, std) != ((DEFAULT_MEAN,), DEFAULT_STD):
        model = read_model(content)
        # Before the first layer's padding, whose zeros stand for the mean.
        prepend_normalization(model, mean, (std,))
        content = pack_model(model)
    return to_backbone(
        content, name, origin, input_mean=DEFAULT_MEAN, input_std=DEFAULT_STD
    )


def _check_options(
    architecture: str | None,
    input_size: tuple[int, int] | None,
    input_mean: float | None,
    input_std: float | None,
) -> Architecture | None:
    """Refuse wrong options before TensorFlow is loaded; return the architecture."""
    if input_size is not None and min(input_size) < 1:
        raise ValueError(f"Expected input_size above 0. Received: {input_size}")
    check_normalization(input_mean, input_std)
    return Architecture.parse(architecture) if architecture else None


def _choose_size(
    network: Network, wanted: tuple[int, int] | None, source: str
) -> tuple[int, int]:
    fixed = network.input_size
    if wanted is None and None in fixed:
        _logger.info(
            "%s takes images of several sizes: %d x %d is used; --input_size "
            "changes that.",
            source,
            *DEFAULT_INPUT_SIZE,
        )
    height, width = wanted or (
        fixed[0] or DEFAULT_INPUT_SIZE[0],
        fixed[1] or DEFAULT_INPUT_SIZE[1],
    )
    if fixed[0] not in (None, height) or fixed[1] not in (None, width):
        raise ModelError(
            f"Expected input_size (height, width) {fixed}, as fixed in {source}. "
            f"Received: {(height, width)}. Leave the size out."
        )
    return height, width


def _to_tflite(
    tf: ModuleType,
    network: Network,
    input_size: tuple[int, int],
    source: str,
) -> bytes:
    specification = tf.TensorSpec((1, *input_size, 3), tf.float32, name="image")

    @tf.function(input_signature=[specification])  # type: ignore[untyped-decorator]
    def serve(image: Any) -> Any:
        features = network.call(image)
        if isinstance(features, Mapping | list | tuple):
            if len(features) != 1:
                raise ModelError(
                    f"Expected one output. Received: {len(features)} in {source}"
                )
            (features,) = tf.nest.flatten(features)
        return {"features": features}

    module = tf.Module()
    module.variables_holder, module.serve = network.variables, serve
    with refusing(source, "cannot be converted to TFLite"):
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [serve.get_concrete_function()], module
        )
        return bytes(converter.convert())


def _name_of(source: str) -> str:
    """Return a file's stem, or a hub address's path with `_` for `/`."""
    path = re.sub(r"^https?://[^/]*|[?#].*$", "", hub_address(source) or "")
    name = path.strip("/").replace("/", "_") or Path(source).resolve().name
    return re.sub(r"(\.weights)?\.(h5|hdf5|keras)$|\.(tar\.gz|tgz|tar)$", "", name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edgeclf convert`.

    Returns:
        Exit status: 0 written, 1 failed.
    """
    parser = Parser(
        prog="edgeclf convert",
        description="Turn a Keras file, a SavedModel folder or a TensorFlow Hub module "
        'into a backbone for retraining. Needs: pip install "edgeclf[tensorflow]"',
    )
    add = parser.add_argument
    add("source", help="Keras model or weights, SavedModel folder, or http(s) address")
    add("--output", required=True, metavar="FILE", help="the .tflite file to write")
    add("--architecture", metavar="NAME", help="such as mobilenet_v1_0.50_224, vgg16")
    add("--input_size", type=_size, metavar="H,W", help="default: the network's own")
    add("--input_mean", type=float, metavar="X", help="what the network was trained")
    add("--input_std", type=float, metavar="X", help="with: (pixel - mean) / std")
    options = vars(parser.parse_args(argv))
    source, output = options.pop("source"), options.pop("output")
    try:
        _check_options(**options)
    except ValueError as error:
        parser.error(str(error))

    def command() -> int:
        if Path(output).resolve() == Path(source).resolve():
            raise ModelError(f"Expected another file for --output than {source}.")
        check_writable(output)
        return _write(convert(source, **options), output)

    return run(
        command,
        "Nothing half-written is left. The same command begins anew; what was "
        "downloaded is kept.",
    )


def _write(backbone: Backbone, output: str) -> int:
    write_bytes(output, backbone.content)
    height, width = backbone.input_size
    sys.stdout.write(
        f"{output}: input {height} x {width}, bottleneck {backbone.depth}, "
        f"{len(backbone.content) / 1e6:.1f} MB\n"
    )
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:[,x](\d+))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"expected a height and a width such as 224,224, received {text!r}"
        )
    return int(match[1]), int(match[2] or match[1])
