"""Open Keras files: whole models, or the weights of a network that Keras can build.

A file tells what it is by its content, never by its ending:

    zip archive with config.json          a model of Keras 3 (`.keras`)
    HDF5 with attribute `model_config`    a model of Keras 2 or 3 (`.h5`)
    any other HDF5                        weights alone (`.weights.h5`, `.h5`)

Weights need the network that they were trained for. keras.applications builds it by
its `Architecture`, which the caller names or the file's name says.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgeclf.errors import DownloadError, ModelError
from edgeclf.zoo.applications import APPLICATIONS, PREFIX, Application
from edgeclf.zoo.tensorflow_extra import (
    MINUS_ONE_TO_ONE,
    Network,
    first_line,
    import_quietly,
    refusing,
)

DEFAULT_INPUT_SIZE = (224, 224)  # of keras.applications
RAW_PIXELS = (0.0, 1.0)  # (input_mean, input_std) of a network that scales by itself

# Keras operations that scale pixels inside the network, by class name.
_SCALING = ("Rescaling", "Normalization", "TrueDivide", "Divide", "Multiply")

_ARCHITECTURE = re.compile(
    r"mobilenet_(?:(?P<version>v1|v2)_)?(?P<alpha>[01]\.\d+)(?:_(?P<size>\d+))?"
)
_APPLICATION = re.compile(
    rf"(?:{PREFIX})?(?P<name>{'|'.join(APPLICATIONS)})(?:_(?P<size>\d+))?"
)
_APPLICATION_FILE = re.compile(rf"(?P<name>{'|'.join(APPLICATIONS)})_weights")
# Source: keras/src/applications, mobilenet.py and mobilenet_v2.py, `model_name`.
_KERAS_V1_FILE = re.compile(r"mobilenet_(?P<alpha>\d_\d)_(?P<size>\d+)_tf")
_KERAS_V2_FILE = re.compile(
    r"mobilenet_v2_\w*?_kernels_(?P<alpha>\d\.\d+)_(?P<size>\d+)"
)
_MOBILENETS = {"v1": "MobileNet", "v2": "MobileNetV2"}  # in keras.applications
_KERAS_V1_ALPHAS = {"1_0": 1.0, "7_5": 0.75, "5_0": 0.5, "2_5": 0.25}


@dataclass(frozen=True)
class Architecture:
    """A network of keras.applications.

    Attributes:
        version: `v1` for MobileNet, `v2` for MobileNetV2, or a name in `APPLICATIONS`.
        alpha: Width multiplier; None for a network that has none.
        input_size: `(height, width)` in pixels; None if the name does not say.
    """

    version: str
    alpha: float | None
    input_size: tuple[int, int] | None

    @classmethod
    def parse(cls, name: str) -> Architecture:
        """Return what `mobilenet_v1_0.50_224`, `mobilenet_0.5` or `vgg16` stands for.

        Raises:
            ValueError: It is not the name of a network that Keras builds here.
        """
        if match := _APPLICATION.fullmatch(name.strip()):
            size = _square(match["size"]) if match["size"] else None
            return cls._application(match["name"], size)
        match = _ARCHITECTURE.fullmatch(name.strip())
        if match is None or not float(match["alpha"]):
            raise ValueError(
                "Expected an architecture such as mobilenet_v1_0.50_224 or "
                f"mobilenet_v2_1.00_224, or one of {', '.join(APPLICATIONS)}. "
                f"Received: {name!r}"
            )
        size = _square(match["size"]) if match["size"] else None
        return cls(match["version"] or "v1", float(match["alpha"]), size)

    @classmethod
    def of_file(cls, path: Path) -> Architecture | None:
        """Return what a weights file's name says, in Keras' or our own spelling."""
        if match := _KERAS_V1_FILE.search(path.name):
            if alpha := _KERAS_V1_ALPHAS.get(match["alpha"]):
                return cls("v1", alpha, _square(match["size"]))
        elif match := _KERAS_V2_FILE.search(path.name):
            return cls("v2", float(match["alpha"]), _square(match["size"]))
        elif match := _APPLICATION_FILE.search(path.name):
            return cls._application(match["name"], None)
        elif match := _ARCHITECTURE.search(path.name):
            return cls.parse(match[0])
        return None

    @classmethod
    def _application(cls, name: str, size: tuple[int, int] | None) -> Architecture:
        return cls(name, None, size or APPLICATIONS[name].input_size)

    @property
    def application(self) -> Application | None:
        """What is known of it besides its name; None for a MobileNet."""
        return APPLICATIONS.get(self.version)

    def __str__(self) -> str:
        size = f"_{self.input_size[0]}" if self.input_size else ""
        if self.alpha is None:
            return f"{self.version}{size}"
        return f"mobilenet_{self.version}_{self.alpha:.2f}{size}"


def _square(side: str) -> tuple[int, int]:
    return int(side), int(side)


def open_keras_file(
    path: Path, architecture: Architecture | None, input_size: tuple[int, int] | None
) -> Network:
    """Load a Keras model, or build the network that a file has the weights of.

    Args:
        path: The file.
        architecture: What the weights are for; None if the file's name says it.
        input_size: `(height, width)` to build a network for. Default: the
            architecture's, else 224 x 224.

    Raises:
        ModelError: It is no Keras file, does not fit the architecture, or does not
            take one image.
        MissingExtraError: Keras or h5py is not installed.
    """
    h5py = import_quietly("h5py")
    keras = import_quietly("keras")
    application = None
    if _is_keras_archive(path):
        model = _load_model(keras, path, "model.keras")
    elif not h5py.is_hdf5(path):
        raise ModelError(
            "Expected a Keras model or its weights (.keras or .h5). "
            f"Received: {path}, which is neither a Keras archive nor HDF5. (A .tflite "
            "file needs no conversion: retrain takes it as it is.)"
        )
    else:
        with refusing(path, "cannot be read"), h5py.File(path, "r") as file:
            complete = "model_config" in file.attrs
        if complete:
            model = _load_model(keras, path, "model.h5")
        else:
            architecture = _architecture_of(path, architecture)
            application = architecture.application
            model = _load_weights(keras, path, architecture, input_size)
    shapes: list[Any] = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != 3:
        raise ModelError(
            "Expected a Keras model with one input of shape (None, height, width, 3). "
            f"Received: {shapes} in {path}"
        )
    if application is not None:
        return _application_network(model, application)
    normalisation = RAW_PIXELS if _scales_its_input(model) else MINUS_ONE_TO_ONE
    return Network(
        lambda images: model(images, training=False),
        [variable.value for variable in model.variables],
        shapes[0][1:3],
        *normalisation,
    )


def open_application(name: str) -> Network:
    """Build a network of `APPLICATIONS` with the weights that Keras downloads.

    Raises:
        DownloadError: Keras cannot have them.
        MissingExtraError: Keras is not installed.
    """
    keras = import_quietly("keras")
    application = APPLICATIONS[name]
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras says what it downloads
            model = getattr(keras.applications, application.maker)(
                input_shape=(*application.input_size, 3),
                include_top=False,
                pooling="avg",
                weights="imagenet",
            )
    except Exception as error:  # its downloader fails in many ways
        raise DownloadError(
            f"Keras cannot download the weights of {name}: {first_line(error)}. What "
            "else can be done: fetch that file on another machine, and give what "
            "`edgeclf convert FILE --output backbone.tflite` makes of it as "
            "--architecture."
        ) from error
    return _application_network(model, application)


def _application_network(model: Any, application: Application) -> Network:
    """Return a network that takes RGB; its means are subtracted by `convert`."""
    if application.is_bgr:
        first = next(layer for layer in model.layers if layer.weights)
        first.kernel.assign(first.kernel.value.numpy()[:, :, ::-1])
    return Network(
        lambda images: model(images, training=False),
        [variable.value for variable in model.variables],
        tuple(model.inputs[0].shape)[1:3],
        application.input_mean,
        application.input_std,
    )


def _is_keras_archive(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with refusing(path, "is damaged"), zipfile.ZipFile(path) as archive:
        return "config.json" in archive.namelist()


def _load_model(keras: Any, path: Path, name: str) -> Any:
    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
        """Keras 2 wrote an argument `groups` that Keras 3 does not know."""

        def __init__(self, *args: Any, groups: int = 1, **options: Any) -> None:
            super().__init__(*args, **options)

    problem = (
        f"cannot be loaded with Keras {keras.__version__} (where the model was made, "
        "save a SavedModel instead and name its folder)"
    )
    with refusing(path, problem), _copy_called(name, path) as copy:
        return keras.saving.load_model(
            copy,
            custom_objects={"DepthwiseConv2D": DepthwiseConv2D},
            compile=False,
            safe_mode=True,
        )


def _architecture_of(path: Path, named: Architecture | None) -> Architecture:
    architecture = named or Architecture.of_file(path)
    if architecture is None:
        raise ModelError(
            f"{path} has weights but no model, and its name does not say which. "
            "Add --architecture, for instance mobilenet_v1_0.50_224."
        )
    return architecture


def _load_weights(
    keras: Any,
    path: Path,
    architecture: Architecture,
    input_size: tuple[int, int] | None,
) -> Any:
    """Build the network of keras.applications that the weights belong to.

    A classifier's head adds `depth + 1` values a class to the features' weights, so
    the number of values tells whether there is one, and for how many classes.
    """
    size = input_size or architecture.input_size or DEFAULT_INPUT_SIZE
    application = architecture.application
    maker = application.maker if application else _MOBILENETS[architecture.version]
    width = {} if architecture.alpha is None else {"alpha": architecture.alpha}
    build = partial(
        getattr(keras.applications, maker),
        input_shape=(*size, 3),
        weights=None,
        **width,
    )
    has_linear_top = application is None or application.has_linear_top
    with refusing(path, f"does not fit {architecture}"):
        model = build(include_top=False, pooling="avg")
        stored, name = _stored_weights(path)
        num_weights, depth = model.count_params(), model.output_shape[-1]
        num_classes, rest = divmod(stored - num_weights, depth + 1)
        if num_classes < 0 or rest or (num_classes and not has_linear_top):
            top = (
                f"with a classifier {depth + 1} more a class"
                if has_linear_top
                else "without its classifier, the file that ends in notop.h5"
            )
            raise ModelError(
                f"Expected the {num_weights} weights of {architecture} ({top}). "
                f"Received: {stored} in {path}. "
                "Name the network that they were trained for with --architecture."
            )
        if num_classes:
            model = build(include_top=True, classes=num_classes)
        with _copy_called(name, path) as copy:
            model.load_weights(copy)
    return model


def _stored_weights(path: Path) -> tuple[int, str]:
    """Return the number of floats in an HDF5 file, and the name Keras wants for it."""
    h5py = import_quietly("h5py")
    sizes: list[int] = []

    def note(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            sizes.append(int(item.size))

    with h5py.File(path, "r") as file:
        file.visititems(note)
        # Keras 2 lists its layers in an attribute. Keras tells the forms by name.
        name = "model.h5" if "layer_names" in file.attrs else "model.weights.h5"
    return sum(sizes), name


@contextlib.contextmanager
def _copy_called(name: str, path: Path) -> Iterator[Path]:
    """Copy a file to a name with the ending by which Keras tells what it is."""
    with tempfile.TemporaryDirectory(prefix="edgeclf-") as folder:
        yield Path(shutil.copyfile(path, Path(folder) / name))


def _scales_its_input(model: Any) -> bool:
    """Say whether something scales the pixels before the first trained layer."""
    for operation in _operations(model):
        if type(operation).__name__ in _SCALING:
            return True
        if getattr(operation, "weights", None):
            return False
    return False


def _operations(model: Any) -> Iterator[Any]:
    for operation in getattr(model, "operations", None) or model.layers:
        if hasattr(operation, "layers"):
            yield from _operations(operation)
        else:
            yield operation
