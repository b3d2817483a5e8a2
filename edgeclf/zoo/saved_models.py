"""Open SavedModel folders and the modules of TensorFlow Hub, which are such folders.

Three forms are in use:

    TensorFlow 1              a graph per set of tags, run through a signature; its
                              variables are frozen here
    TensorFlow 2              an object with signatures
    reusable, of the Hub      an object without signatures, to be called

Of several signatures and outputs, the one with features is taken before classes.
"""

from __future__ import annotations

import os
import shutil
import socket
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeclf.errors import DownloadError, ModelError
from edgeclf.zoo.cache import home
from edgeclf.zoo.request import mirrored
from edgeclf.zoo.tensorflow_extra import (
    MINUS_ONE_TO_ONE,
    Network,
    environment,
    first_line,
    import_quietly,
    refusing,
)

ZERO_TO_ONE = (0.0, 255.0)  # the common signature of TensorFlow Hub's image modules
HUB_TIMEOUT_S = 30.0

# Of the signatures and outputs that a SavedModel may have, features come first.
# Source: tensorflow.org/hub/common_signatures/images.
_SIGNATURES = ("image_feature_vector", "serving_default", "default")
_OUTPUTS = ("default", "feature_vector")

_UNLOADABLE = "cannot be loaded as a SavedModel"
_DT_FLOAT = 1  # Source: tensorflow/core/framework/types.proto


@dataclass(frozen=True)
class _Signature:
    """What to feed and to fetch of a SavedModel, by name and by tensor."""

    key: str
    input_name: str
    output_name: str
    input_tensor: str
    output_tensor: str
    input_size: tuple[int | None, int | None]


def hub_address(source: str) -> str | None:
    """Return the address of a TensorFlow Hub module; None if the source is a path."""
    if source.startswith(("http://", "https://")):
        return source
    return f"https://{source}" if source.startswith("tfhub.dev/") else None


def open_hub_module(tf: ModuleType, address: str) -> Network:
    """Fetch a module of TensorFlow Hub, or take it from the cache, and open it.

    The cache is the folder `TFHUB_CACHE_DIR`, otherwise `tfhub` in our own home.

    Args:
        tf: TensorFlow.
        address: `http(s)://...`; a mirror is asked instead where one is set.

    Raises:
        DownloadError: The module could not be fetched, or the mirror is no address.
        ModelError: What was fetched is not a SavedModel that takes an image.
        MissingExtraError: tensorflow-hub is not installed.
    """
    hub = import_quietly("tensorflow_hub")
    address = mirrored(address)
    folder = os.environ.get("TFHUB_CACHE_DIR") or str(home() / "tfhub")
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(HUB_TIMEOUT_S)  # tensorflow-hub itself waits for ever
    try:
        with environment(TFHUB_CACHE_DIR=folder):
            module = Path(hub.resolve(address))
    except (OSError, EOFError, ValueError, zlib.error, tf.errors.OpError) as error:
        raise DownloadError(
            f"Expected a TensorFlow Hub module at {address}. Received: "
            f"{first_line(error)}. Check the address, set EDGECLF_MIRROR to a host "
            "that has the module, or download it by hand and name its folder."
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    if not (module / "saved_model.pb").is_file():
        shutil.rmtree(module, ignore_errors=True)  # else it would stay for ever
        raise ModelError(
            f"Expected a SavedModel at {address}. Received: an archive "
            "without saved_model.pb."
        )
    return open_saved_model(tf, module, ZERO_TO_ONE)


def open_saved_model(
    tf: ModuleType,
    folder: Path,
    normalisation: tuple[float, float] = MINUS_ONE_TO_ONE,
) -> Network:
    """Load a SavedModel of TensorFlow 1 or 2.

    Args:
        tf: TensorFlow.
        folder: The folder with `saved_model.pb`.
        normalisation: `(input_mean, input_std)` that the network was trained with; a
            Hub module of TensorFlow 1 says by itself that it is 0 and 255.

    Raises:
        ModelError: It is not a SavedModel, is damaged, or does not take an image.
    """
    meta_graph = _read_meta_graph(folder)
    if (folder / "tfhub_module.pb").is_file():  # the format of TensorFlow 1's hub
        normalisation = ZERO_TO_ONE
    if not meta_graph.HasField("object_graph_def"):  # TensorFlow 1
        signature = _pick_signature(meta_graph, folder)
        call = _freeze(tf, folder, meta_graph, signature)
        return Network(call, None, signature.input_size, *normalisation)
    with refusing(folder, _UNLOADABLE):
        loaded = tf.saved_model.load(str(folder))
    if not loaded.signatures and callable(loaded):  # hub's reusable SavedModel
        size = _traced_size(loaded)
        return Network(_inference(loaded), loaded, size, *normalisation)
    signature = _pick_signature(meta_graph, folder)
    function = loaded.signatures[signature.key]

    def serve(images: Any) -> Any:
        return function(**{signature.input_name: images})[signature.output_name]

    return Network(serve, loaded, signature.input_size, *normalisation)


def _read_meta_graph(folder: Path) -> Any:
    """Return the graph that a SavedModel has for serving; it may have others."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    if not path.is_file():
        raise ModelError(
            "Expected a SavedModel, that is a folder with a file saved_model.pb. "
            f"Received: {folder}"
        )
    saved_model = saved_model_pb2.SavedModel()
    with refusing(path, "is damaged"):
        saved_model.ParseFromString(path.read_bytes())
        graphs = {frozenset(g.meta_info_def.tags): g for g in saved_model.meta_graphs}
        return graphs.get(
            frozenset({"serve"}), graphs.get(frozenset(), saved_model.meta_graphs[0])
        )


def _pick_signature(meta_graph: Any, folder: Path) -> _Signature:
    """Choose the signature that takes images, features before classes."""
    usable = {
        key: size
        for key, signature in meta_graph.signature_def.items()
        if (size := _image_size(signature.inputs)) is not None
    }
    if not usable:
        raise ModelError(
            "Expected a SavedModel with a signature that takes one float32 image of "
            f"shape (None, height, width, 3). Received: {folder} with the signatures "
            f"{sorted(meta_graph.signature_def) or 'none'}"
        )
    key = _first(usable, _SIGNATURES)
    signature = meta_graph.signature_def[key]
    ((input_name, image),) = signature.inputs.items()
    outputs = signature.outputs
    output_name = _first(outputs, _OUTPUTS)
    if len(outputs) > 1 and output_name not in _OUTPUTS:
        raise ModelError(
            f"Expected one output of the signature {key!r}, or one that is called "
            f"{' or '.join(_OUTPUTS)}. Received: {sorted(outputs)} in {folder}"
        )
    tensors = image.name, outputs[output_name].name
    return _Signature(key, input_name, output_name, *tensors, usable[key])


def _first(names: Mapping[str, Any], preferred: Sequence[str]) -> str:
    """Return the name that comes first: by preference, then by the alphabet."""
    return next((name for name in preferred if name in names), None) or min(names)


def _image_size(inputs: Mapping[str, Any]) -> tuple[int | None, int | None] | None:
    """Return what a signature says of its image's size; None if it takes no image."""
    if len(inputs) != 1:
        return None
    (info,) = inputs.values()
    shape = info.tensor_shape
    sizes = [None if dim.size < 0 else int(dim.size) for dim in shape.dim]
    if shape.unknown_rank:
        sizes = [None, None, None, 3]
    if info.dtype != _DT_FLOAT or len(sizes) != 4 or sizes[3] not in (3, None):
        return None
    return sizes[1], sizes[2]


def _freeze(
    tf: ModuleType, folder: Path, meta_graph: Any, signature: _Signature
) -> Callable[[Any], Any]:
    """Make a function of a TensorFlow 1 graph, its variables turned into constants.

    `tf.saved_model.load` leaves the reference variables of old modules as they are,
    which the converter refuses.
    """
    v1 = tf.compat.v1
    with refusing(folder, _UNLOADABLE), v1.Session(graph=tf.Graph()) as session:
        tags = list(meta_graph.meta_info_def.tags)
        v1.saved_model.loader.load(session, tags, str(folder))
        output_operator = signature.output_tensor.split(":")[0]
        frozen = v1.graph_util.convert_variables_to_constants(
            session, session.graph_def, [output_operator]
        )

    def serve(images: Any) -> Any:
        (features,) = tf.graph_util.import_graph_def(
            frozen,
            input_map={signature.input_tensor: images},
            return_elements=[signature.output_tensor],
        )
        return features

    return serve


def _inference(loaded: Any) -> Callable[[Any], Any]:
    """Make a function of a reusable SavedModel that runs it as it is after training."""

    def serve(images: Any) -> Any:
        try:
            return loaded(images)
        except (TypeError, ValueError):  # was not traced without it
            return loaded(images, training=False)

    return serve


def _traced_size(loaded: Any) -> tuple[int | None, int | None]:
    """Return the image size that a SavedModel without signatures was traced for."""
    for function in loaded.__call__.concrete_functions:
        arguments, _ = function.structured_input_signature
        shape: Any = getattr(arguments[0], "shape", ()) if arguments else ()
        if len(shape) == 4:
            return shape[1], shape[2]
    return None, None
