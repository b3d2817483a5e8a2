"""VGG16, Inception V3 and Xception: their features on the device are those of Keras."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tiny

from edgeclf.errors import DownloadError, MissingExtraError, ModelError
from edgeclf.interpreter import create_interpreter
from edgeclf.zoo import architectures, cache, load_backbone
from edgeclf.zoo.applications import APPLICATIONS, KERAS_ARCHITECTURES
from edgeclf.zoo.convert import convert
from edgeclf.zoo.load import check_architecture

# TensorFlow and Keras warn of their own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore")

NAMES = {"vgg16": "VGG16", "inception_v3": "InceptionV3", "xception": "Xception"}
SIDES = {"vgg16": 40, "inception_v3": 80, "xception": 75}  # small, and quick


@pytest.fixture(scope="module")
def keras():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(
            "tensorflow", reason="needs TensorFlow (the extra tensorflow)"
        )
    import keras

    keras.utils.set_random_seed(0)
    return keras


@pytest.fixture(autouse=True)
def own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGECLF_HOME", str(tmp_path / "home"))


def build(keras, name, **options):
    settings = {"include_top": False, "pooling": "avg", "weights": None, **options}
    side = SIDES[name]
    maker = getattr(keras.applications, NAMES[name])
    return maker(input_shape=(side, side, 3), **settings)


def features_of(backbone, pixels):
    interpreter = create_interpreter(backbone.content, 1)
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], backbone.normalise(pixels)
    )
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def write_weights(network, folder, name):
    """Weights under the name of Keras' download."""
    path = folder / f"{name}_weights_tf_dim_ordering_tf_kernels_notop.weights.h5"
    network.save_weights(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_features_are_those_of_keras_on_preprocessed_pixels(keras, tmp_path, name):
    network = build(keras, name)
    path = write_weights(network, tmp_path, name)
    side = SIDES[name]
    backbone = convert(path, input_size=(side, side))
    # Colours that differ and borders that are not gray: swapped channels show, and a
    # mean that is not subtracted before the padding.
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
    pixels[..., 0] //= 3
    module = getattr(keras.applications, name)
    inputs = module.preprocess_input(pixels[np.newaxis].astype(np.float32))
    expected = network.predict(inputs, verbose=0)
    assert (backbone.input_size, backbone.depth) == ((side, side), expected.shape[1])
    assert np.abs(expected).max() > 0
    difference = np.abs(features_of(backbone, pixels) - expected).max()
    assert difference < 1e-4 * np.abs(expected).max()
    if name == "vgg16":  # and the test can tell
        swapped = features_of(backbone, np.ascontiguousarray(pixels[..., ::-1]))
        assert np.abs(swapped - expected).max() > 1e-2 * np.abs(expected).max()


@pytest.mark.slow
def test_weights_with_a_classifier_are_cut(keras, tmp_path):
    network = build(keras, "xception", include_top=True, pooling=None, classes=3)
    path = tmp_path / "mine.weights.h5"
    network.save_weights(path)
    backbone = convert(path, architecture="keras/xception", input_size=(75, 75))
    assert backbone.depth == 2048


@pytest.mark.slow
def test_vgg16_with_its_classifier_is_refused(keras, tmp_path):
    network = build(keras, "vgg16")
    layers = keras.layers
    top = layers.Dense(2)(network.output)
    whole = keras.Model(network.input, top)
    path = tmp_path / "vgg16_weights.weights.h5"
    whole.save_weights(path)
    with pytest.raises(ModelError, match=r"the file that ends in notop\.h5"):
        convert(path)


def test_the_names_stand_in_the_table_of_the_zoo():
    assert tuple(f"keras/{name}" for name in NAMES) == KERAS_ARCHITECTURES
    assert set(KERAS_ARCHITECTURES) < set(architectures())
    assert {name: APPLICATIONS[name].maker for name in APPLICATIONS} == NAMES
    for name in KERAS_ARCHITECTURES:
        check_architecture(name)  # a name, not a path


def test_a_kept_backbone_needs_no_tensorflow(tmp_path):
    cache.write_file("keras_vgg16", tmp_path, tiny.backbone_file())
    code = (
        "import sys; from edgeclf.zoo import load_backbone; "
        f"backbone = load_backbone('keras/vgg16', folder={str(tmp_path)!r}); "
        "print(backbone.name, backbone.depth, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.stdout.split() == ["keras/vgg16", "8", "False"]


def test_a_damaged_kept_backbone_is_passed_over(tmp_path):
    cache.write_file("keras_vgg16", tmp_path, tiny.backbone_file())
    (path,) = tmp_path.glob("keras_vgg16-*.tflite")
    path.write_bytes(path.read_bytes()[:-9])
    assert cache.read_file("keras_vgg16", tmp_path) is None


def test_without_tensorflow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as if not installed
    with pytest.raises(MissingExtraError, match=r"edgeclf\[tensorflow\]"):
        load_backbone("keras/xception", folder=tmp_path)


@pytest.mark.slow
def test_without_network_keras_failure_is_a_sentence(keras, tmp_path):
    """In a process of its own: Keras reads its home folder when it is imported."""
    code = (
        "import json; from edgeclf.zoo import load_backbone\n"
        "try: load_backbone('keras/vgg16')\n"
        "except OSError as error: print(json.dumps([type(error).__name__, str(error)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "KERAS_HOME": str(tmp_path / "keras"),
            "EDGECLF_HOME": str(tmp_path / "home"),
            "https_proxy": "http://127.0.0.1:9",  # where nothing listens
        },
    )
    kind, message = json.loads(done.stdout)
    assert kind == DownloadError.__name__
    assert message.startswith("Keras cannot download the weights of vgg16: ")
    assert "edgeclf convert FILE --output backbone.tflite" in message
    assert "\n" not in message
