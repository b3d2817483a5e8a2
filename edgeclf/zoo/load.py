"""From a name or a path to a backbone."""

from __future__ import annotations

import hashlib
import importlib.resources
import logging
import os
from pathlib import Path

from edgeclf.errors import DownloadError, ModelError
from edgeclf.network import named_errors
from edgeclf.tflite.flatbuffer import MODEL_IDENTIFIER
from edgeclf.tflite.source import read_model
from edgeclf.tflite.verify import check_model
from edgeclf.zoo import cache
from edgeclf.zoo.applications import KERAS_ARCHITECTURES, PREFIX
from edgeclf.zoo.backbone import Backbone
from edgeclf.zoo.hosted import (
    BUNDLED_ARCHITECTURE,
    DEFAULT_ARCHITECTURE,
    HostedModel,
    canonical_name,
    hosted_models,
)

INPUT_MEAN = 127.5  # of all hosted float models and the bundled one: [0, 255]
INPUT_STD = 127.5  # becomes [-1, 1]
BUNDLED_SOURCE = "torchvision, mobilenet_v2-b0353104.pth (ImageNet), BSD-3-Clause"
KERAS_SOURCE = "keras.applications (ImageNet), converted with TensorFlow"

_CONVERTED_SUFFIXES = (".h5", ".hdf5", ".keras")

_logger = logging.getLogger("edgeclf")


def load_backbone(
    architecture: str | os.PathLike[str] | None = None,
    *,
    input_mean: float | None = None,
    input_std: float | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Backbone:
    """Return a backbone by its zoo name or from a file.

    A hosted model is downloaded the first time, checked, and kept in the folder
    `backbones` of `home()`. `EDGECLF_MIRROR` replaces scheme and host of the
    download.

    Args:
        architecture: One of `architectures()` (tensorflow-for-poets' spelling, such
            as `mobilenet_0.50_224`, is understood too), or the path of a `.tflite`
            file: something with a slash in it or with that ending. The three that
            begin with `keras/` need TensorFlow the first time. None: the default
            `mobilenet_v1_0.50_224`; when that cannot be had, the bundled backbone,
            and a warning says so.
        input_mean: The network's input is `(pixel - input_mean) / input_std` with
            pixels 0-255. None: what the model says, else 127.5.
        input_std: See `input_mean`.
        folder: Where hosted models are kept. None: `backbones` in `home()`.

    Raises:
        ValueError: There is no backbone of this name.
        DownloadError: The named model cannot be had; the message says what can be
            done about it.
        FileNotFoundError: There is no file at this path.
        ModelError: The file is not a model that can serve as a backbone.
        MissingExtraError: TensorFlow is needed and not installed.
    """
    normalisation = (input_mean, input_std)
    kept = None if folder is None else Path(folder)
    if architecture is None:
        return _default_backbone(normalisation, kept)
    architecture = os.fspath(architecture)
    if _is_path(architecture):
        return _backbone_from_file(architecture, normalisation)
    name = canonical_name(architecture)
    if name == BUNDLED_ARCHITECTURE:
        return _bundled_backbone(normalisation)
    if name in KERAS_ARCHITECTURES:
        return _keras_backbone(name, normalisation, kept)
    try:
        return hosted_backbone(hosted_models()[name], normalisation, folder=kept)
    except DownloadError as error:
        raise DownloadError(
            f"{error} What else can be done: name the bundled backbone "
            f"{BUNDLED_ARCHITECTURE}, which needs no network; set EDGECLF_MIRROR to "
            "a server that has the same files; or give the path of a .tflite file."
        ) from error


def read_architecture(architecture: str | os.PathLike[str]) -> bytes | None:
    """Return the file that is meant; None of a name that `load_backbone` knows.

    Raises:
        ValueError: It is neither a path nor in `architectures()`.
        FileNotFoundError: There is no file at this path.
        ModelError: It is one that has to be converted first.
    """
    check_architecture(architecture)
    name = os.fspath(architecture)
    return _read_file(name) if _is_path(name) else None


def check_architecture(architecture: str | os.PathLike[str] | None) -> None:
    """Refuse a name that `load_backbone` would not know.

    Raises:
        ValueError: It is neither None, nor a path, nor in `architectures()`.
    """
    if architecture is not None and not _is_path(os.fspath(architecture)):
        canonical_name(os.fspath(architecture))


def hosted_backbone(
    model: HostedModel,
    normalisation: tuple[float | None, float | None] = (None, None),
    *,
    folder: Path | None = None,
    brief: bool = False,
) -> Backbone:
    """Return the backbone in a hosted archive, downloaded unless it is kept already.

    Args:
        model: A row of the table.
        normalisation: `(input_mean, input_std)`; None is what the model says.
        folder: Where the model is kept. None: `backbones` in `home()`.
        brief: Give up after a few seconds when no server answers.

    Raises:
        DownloadError: The archive cannot be had, or cannot be kept.
        ModelError: The model in it cannot serve as a backbone.
    """
    folder = cache.default_folder() if folder is None else folder
    content = cache.read_model_file(model, folder)
    if content is None:
        content = _downloaded(model, folder, brief=brief)
    if model.dtype == "float32":
        normalisation = _filled(model.name, normalisation)
    source = f"{model.url} (SHA-256 {model.sha256})"
    return _prepared(content, model.name, source, normalisation)


def _default_backbone(
    normalisation: tuple[float | None, float | None], folder: Path | None
) -> Backbone:
    model = hosted_models()[DEFAULT_ARCHITECTURE]
    try:
        return hosted_backbone(model, normalisation, folder=folder, brief=True)
    except DownloadError as error:
        _logger.warning(
            "The default backbone %s cannot be had (%s); using the bundled %s.",
            DEFAULT_ARCHITECTURE,
            str(error).rstrip("."),
            BUNDLED_ARCHITECTURE,
        )
        return _bundled_backbone(normalisation)


def _downloaded(model: HostedModel, folder: Path, *, brief: bool) -> bytes:
    """Return the `.tflite` file of `model`, and keep it."""
    # only here: a run that finds its model kept is spared 0.1 s of imports
    from edgeclf.zoo import archive, download, request

    patience = request.BRIEF if brief else request.PATIENT
    with cache.partial_archive(model, folder) as part:
        content = cache.read_model_file(model, folder, quiet=True)
        if content is not None:  # another process was first
            return content
        download.fetch(model, part, patience)
        part.seek(0)
        try:
            content = archive.read_tflite(part, model.url)
        except DownloadError:
            part.truncate(0)
            raise
        cache.write_model_file(model, folder, content)
    return content


def _bundled_backbone(normalisation: tuple[float | None, float | None]) -> Backbone:
    name = f"{BUNDLED_ARCHITECTURE}.tflite"
    try:
        file = importlib.resources.files("edgeclf.models") / name
        content = file.read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):  # a checkout, not installed
        path = Path(__file__).parents[2] / "models" / name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise FileNotFoundError(
                f"The bundled backbone {name} is missing from this installation of "
                "edgeclf. Install it again."
            ) from None
    filled = _filled(BUNDLED_ARCHITECTURE, normalisation)
    return _prepared(content, BUNDLED_ARCHITECTURE, BUNDLED_SOURCE, filled)


def _keras_backbone(
    name: str, normalisation: tuple[float | None, float | None], folder: Path | None
) -> Backbone:
    """Return a network of keras.applications, converted unless it is kept already."""
    folder = cache.default_folder() if folder is None else folder
    stem = name.replace("/", "_")
    content = cache.read_file(stem, folder)
    if content is None:
        # only here: it needs TensorFlow
        from edgeclf.zoo.convert import convert_application

        _logger.info("Converting %s with TensorFlow; once, the result is kept.", name)
        content = convert_application(name.removeprefix(PREFIX)).content
        cache.write_file(stem, folder, content)
    return _prepared(content, name, KERAS_SOURCE, _filled(name, normalisation))


def _is_path(architecture: str) -> bool:
    path = Path(architecture.strip())
    if architecture.strip() in KERAS_ARCHITECTURES:
        return False
    if architecture.startswith(PREFIX) and not path.suffix and not path.exists():
        return False  # a slip in one of those names
    separators = {"/", os.sep, os.altsep or "/"}
    endings = (".tflite", *_CONVERTED_SUFFIXES)
    return any(separator in architecture for separator in separators) or (
        architecture.lower().endswith(endings)
    )


def _backbone_from_file(
    name: str, normalisation: tuple[float | None, float | None]
) -> Backbone:
    content, path = _read_file(name), Path(name)
    source = f"{path.name} (SHA-256 {hashlib.sha256(content).hexdigest()})"
    return _prepared(content, path.stem, source, normalisation)


def _read_file(name: str) -> bytes:
    path = Path(name)
    convertible = "://" in name or path.suffix.lower() in _CONVERTED_SUFFIXES
    if convertible or path.is_dir():
        raise ModelError(
            f"Expected the path of a .tflite file. Received: {name}. Keras files, "
            "SavedModel folders and TensorFlow Hub models are converted to one by: "
            f"edgeclf convert {name} --output backbone.tflite"
        )
    try:
        _, content = read_model(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"Expected the path of a .tflite file. Received: {path}, which does not "
            "exist."
        ) from None
    if content[4:8] == MODEL_IDENTIFIER:  # of others it is said what they are
        with named_errors(name):
            check_model(content)
    return content


def _filled(
    name: str, normalisation: tuple[float | None, float | None]
) -> tuple[float, float]:
    # only here: it needs the packages that change a model
    from edgeclf.zoo.normalization import report_contradiction

    report_contradiction(name, normalisation, ((INPUT_MEAN,), (INPUT_STD,)))
    input_mean, input_std = normalisation
    return (
        INPUT_MEAN if input_mean is None else input_mean,
        INPUT_STD if input_std is None else input_std,
    )


def _prepared(
    content: bytes,
    name: str,
    source: str,
    normalisation: tuple[float | None, float | None],
) -> Backbone:
    # only here: names and paths are of use also where no model can be changed
    from edgeclf.zoo.prepare import to_backbone

    input_mean, input_std = normalisation
    return to_backbone(
        content, name, source, input_mean=input_mean, input_std=input_std
    )
