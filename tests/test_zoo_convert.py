import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path

import hosting
import numpy as np
import pytest
from PIL import Image

from edgeclf.errors import DownloadError, MissingExtraError, ModelError
from edgeclf.interpreter import create_interpreter
from edgeclf.zoo.convert import convert, main
from edgeclf.zoo.keras_files import Architecture

TINY = "mobilenet_v1_0.25_32"

# TensorFlow and Keras warn of their own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def tf():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "tensorflow", reason="needs TensorFlow (the extra tensorflow)"
        )


@pytest.fixture(scope="module")
def keras(tf):
    import keras

    keras.utils.set_random_seed(0)
    return keras


@pytest.fixture(autouse=True)
def own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGECLF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EDGECLF_MIRROR", raising=False)
    monkeypatch.delenv("TFHUB_CACHE_DIR", raising=False)


@pytest.fixture
def tiny_model(keras):
    """Three trained-looking layers on 16 x 12 pixels, and a head."""
    layers = keras.layers
    image = keras.Input((16, 12, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.DepthwiseConv2D(3, padding="same", bias_initializer="ones")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(image, layers.Dense(4, activation="softmax")(x))


def random_pixels(*input_size):
    return np.random.default_rng(1).integers(0, 256, (1, *input_size, 3), np.uint8)


def features_of(backbone, pixels):
    """Feed pixels as every backbone wants them, return its features."""
    assert (backbone.input_mean, backbone.input_std) == (127.5, 127.5)
    return run_tflite(backbone.content, (pixels.astype(np.float32) - 127.5) / 127.5)


def run_tflite(content, inputs):
    interpreter = create_interpreter(content, 1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def keras_features(keras, model, inputs, name=None):
    layer = model.get_layer(name) if name else None
    network = keras.Model(model.inputs, layer.output) if layer else model
    return network(inputs.astype(np.float32), training=False).numpy()


def write_keras_2_weights(model, path):
    """Write weights as Keras 2 did. Source: keras 2.2, engine/saving.py."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.2.4"
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{w.name}:0".encode() for w in layer.weights]
            group.attrs["weight_names"] = names
            for name, weight in zip(names, layer.weights, strict=True):
                group[name.decode()] = weight.numpy()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mobilenet_v1_0.50_224", ("v1", 0.5, (224, 224))),
        ("mobilenet_0.50_224", ("v1", 0.5, (224, 224))),
        ("mobilenet_v2_1.00_96", ("v2", 1.0, (96, 96))),
        ("mobilenet_v2_1.4", ("v2", 1.4, None)),
        ("vgg16", ("vgg16", None, (224, 224))),
        ("keras/inception_v3", ("inception_v3", None, (299, 299))),
        ("xception_150", ("xception", None, (150, 150))),
    ],
)
def test_architecture_parse_understands_zoo_names(name, expected):
    architecture = Architecture.parse(name)
    assert (
        architecture.version,
        architecture.alpha,
        architecture.input_size,
    ) == expected


@pytest.mark.parametrize("name", ["resnet50", "mobilenet", "mobilenet_v1_0.0_224"])
def test_architecture_parse_refuses_other_names(name):
    with pytest.raises(ValueError, match="Expected an architecture such as") as info:
        Architecture.parse(name)
    assert repr(name) in str(info.value)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("mobilenet_5_0_224_tf_no_top.h5", "mobilenet_v1_0.50_224"),
        ("mobilenet_1_0_128_tf.h5", "mobilenet_v1_1.00_128"),
        (
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5",
            "mobilenet_v2_0.35_96",
        ),
        ("my_mobilenet_v1_0.50_224_features.weights.h5", "mobilenet_v1_0.50_224"),
        ("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "vgg16_224"),
        ("inception_v3_weights_tf_dim_ordering_tf_kernels.h5", "inception_v3_299"),
        ("xception_weights_tf_dim_ordering_tf_kernels_notop.h5", "xception_299"),
        ("weights.h5", "None"),
    ],
)
def test_architecture_of_file_reads_the_names_that_keras_gives(file, expected):
    assert str(Architecture.of_file(Path("x") / file)) == expected


def test_convert_shared_weights_gives_the_same_features(tf, shared):
    backbone = convert(shared / "models" / "mobilenet_v1_0.50_224_features.weights.h5")
    expected = (
        shared / "models" / "mobilenet_v1_0.50_224_features_f32.tflite"
    ).read_bytes()
    assert (backbone.input_size, backbone.depth) == ((224, 224), 512)
    pictures = sorted((shared / "data").rglob("*.jpg"))[::60][:5]
    for path in pictures:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((224, 224)))[np.newaxis]
        reference = run_tflite(expected, (pixels.astype(np.float32) - 127.5) / 127.5)
        np.testing.assert_allclose(features_of(backbone, pixels), reference, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["keras 3", "keras 2"])
@pytest.mark.parametrize("num_classes", [0, 3])
def test_convert_takes_the_weights_of_a_mobilenet(keras, tmp_path, form, num_classes):
    if num_classes:
        options = {"include_top": True, "classes": num_classes}
    else:
        options = {"include_top": False, "pooling": "avg"}
    network = keras.applications.MobileNet(
        input_shape=(32, 32, 3), alpha=0.25, weights=None, **options
    )
    if form == "keras 3":
        path = tmp_path / f"{TINY}.weights.h5"
        network.save_weights(path)
    else:
        path = tmp_path / "mobilenet_2_5_32_tf.h5"
        write_keras_2_weights(network, path)
    backbone = convert(path)
    pixels = random_pixels(32, 32)
    pool = next(layer.name for layer in network.layers if "pooling" in layer.name)
    expected = keras_features(keras, network, pixels / 127.5 - 1, pool).reshape(1, -1)
    assert backbone.name == path.name.split(".weights")[0].removesuffix(".h5")
    assert (backbone.input_size, backbone.depth) == ((32, 32), 256)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(
        features_of(backbone, pixels), expected, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.slow
def test_convert_takes_mobilenet_v2_by_architecture_and_size(keras, tmp_path):
    network = keras.applications.MobileNetV2(
        input_shape=(64, 32, 3), alpha=0.35, weights=None, include_top=False
    )
    network.save_weights(tmp_path / "mine.weights.h5")
    backbone = convert(
        tmp_path / "mine.weights.h5",
        architecture="mobilenet_v2_0.35_96",
        input_size=(64, 32),
    )
    assert (backbone.input_size, backbone.depth) == ((64, 32), 1280)
    pixels = random_pixels(64, 32)
    expected = keras_features(keras, network, pixels / 127.5 - 1).mean((1, 2))
    np.testing.assert_allclose(
        features_of(backbone, pixels), expected, atol=1e-5 * np.abs(expected).max()
    )


def test_convert_asks_for_the_architecture_of_nameless_weights(keras, tmp_path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(
        tmp_path / "mine.weights.h5"
    )
    with pytest.raises(ModelError, match=r"Add --architecture, for instance"):
        convert(tmp_path / "mine.weights.h5")


def test_convert_refuses_weights_of_another_architecture(keras, tmp_path):
    network = keras.applications.MobileNet(
        input_shape=(32, 32, 3), alpha=0.25, weights=None, include_top=False
    )
    path = tmp_path / "w.weights.h5"
    network.save_weights(path)
    with pytest.raises(ModelError) as info:
        convert(path, architecture="mobilenet_v1_0.50_32")
    assert str(info.value) == (
        "Expected the 829536 weights of mobilenet_v1_0.50_32 (with a classifier 513 "
        f"more a class). Received: 218544 in {path}. Name the network that they were "
        "trained for with --architecture."
    )


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_convert_takes_a_keras_model_and_cuts_its_head(
    keras, tiny_model, tmp_path, ending
):
    path = tmp_path / f"tiny.{ending}"
    tiny_model.save(path)
    backbone = convert(path)
    assert (backbone.name, backbone.input_size, backbone.depth) == ("tiny", (16, 12), 8)
    pixels = random_pixels(16, 12)
    np.testing.assert_allclose(
        features_of(backbone, pixels),
        keras_features(keras, tiny_model, pixels / 127.5 - 1, "features"),
        atol=1e-6,
    )
    assert convert(path).content == backbone.content


def test_convert_takes_a_keras_2_file_with_groups(keras, tiny_model, tmp_path):
    import h5py

    path = tmp_path / "tiny.h5"
    tiny_model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)
    assert convert(path).depth == 8


@pytest.mark.parametrize("form", ["layer", "operators"])
def test_convert_feeds_raw_pixels_to_a_model_that_scales_them(keras, tmp_path, form):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(image) if form == "layer" else image / 255
    x = keras.layers.Conv2D(5, 3, activation="relu", bias_initializer="ones")(x)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    model.save(tmp_path / "scales.keras")
    pixels = random_pixels(8, 8)
    np.testing.assert_allclose(
        features_of(convert(tmp_path / "scales.keras"), pixels),
        keras_features(keras, model, pixels),
        atol=1e-5,
    )


def test_convert_uses_the_normalisation_it_is_told(keras, tiny_model, tmp_path):
    tiny_model.save(tmp_path / "tiny.keras")
    backbone = convert(tmp_path / "tiny.keras", input_mean=0, input_std=255)
    pixels = random_pixels(16, 12)
    np.testing.assert_allclose(
        features_of(backbone, pixels),
        keras_features(keras, tiny_model, pixels / 255, "features"),
        atol=1e-6,
    )


def test_convert_refuses_a_lambda_layer(keras, tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Lambda(lambda images: images * 2)]
    )
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(ModelError, match="cannot be loaded with Keras"):
        convert(tmp_path / "lambda.keras")


def test_convert_refuses_a_model_without_an_image_input(keras, tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)])
    model.save(tmp_path / "grey.keras")
    with pytest.raises(ModelError, match=r"Received: \[\(None, 8, 8, 1\)\] in"):
        convert(tmp_path / "grey.keras")


@pytest.mark.parametrize(
    "name", ["text.h5", "cut.h5", "empty.keras", "other.keras", "damaged.keras"]
)
def test_convert_refuses_files_that_are_no_keras_files(
    keras, tiny_model, tmp_path, name
):
    path = tmp_path / name
    if name == "cut.h5":
        tiny_model.save(path)
        path.write_bytes(path.read_bytes()[:3000])
    elif name == "damaged.keras":
        tiny_model.save(path)
        content = path.read_bytes()
        path.write_bytes(content[:60] + bytes(200) + content[260:])
    elif name == "other.keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("labels.txt", "cat")
    else:
        path.write_text("not a model" if name == "text.h5" else "")
    with pytest.raises(ModelError) as info:
        convert(path)
    assert str(path) in str(info.value)
    assert "\n" not in str(info.value)


def test_convert_takes_a_saved_model_of_any_size(keras, tmp_path):
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(6, 3, strides=2, bias_initializer="ones")(image)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    model.export(tmp_path / "saved", verbose=False)
    backbone = convert(tmp_path / "saved", input_size=(20, 30))
    assert (backbone.input_size, backbone.depth) == ((20, 30), 6)
    pixels = random_pixels(20, 30)
    np.testing.assert_allclose(
        features_of(backbone, pixels),
        keras_features(keras, model, pixels / 127.5 - 1),
        atol=1e-5,
    )
    sized = convert(tmp_path / "saved", architecture="mobilenet_v1_0.25_32")
    assert sized.input_size == (32, 32)


def test_convert_says_which_size_it_takes(keras, tmp_path, caplog):
    image = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    keras.Model(image, x).save(tmp_path / "any.keras")
    with caplog.at_level("INFO", "edgeclf"):
        assert convert(tmp_path / "any.keras").input_size == (224, 224)
    assert "takes images of several sizes: 224 x 224 is used" in caplog.text
    assert "taken to be trained on (pixel - 127.5) / 127.5" in caplog.text


def test_convert_refuses_a_size_that_the_graph_does_not_have(tiny_model, tmp_path):
    tiny_model.save(tmp_path / "tiny.keras")
    with pytest.raises(ModelError) as info:
        convert(tmp_path / "tiny.keras", input_size=(16, 16))
    assert str(info.value) == (
        "Expected input_size (height, width) (16, 12), as fixed in "
        f"{tmp_path / 'tiny.keras'}. Received: (16, 16). Leave the size out."
    )


def save_reusable_module(tf, folder):
    """Write a hub module as of TensorFlow 2: callable, without signatures."""

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.kernel = tf.Variable(tf.random.normal([3, 3, 3, 4], seed=1))

        @tf.function
        def __call__(self, images, training):
            features = tf.nn.relu(tf.nn.conv2d(images, self.kernel, 2, "SAME"))
            return tf.reduce_mean(features, [1, 2])

    module = Module()
    image = tf.TensorSpec([None, 24, 24, 3], tf.float32)
    for training in (True, False):
        module.__call__.get_concrete_function(image, training=training)
    tf.saved_model.save(module, str(folder))
    return module.kernel.numpy()


def save_hub_module_1(tf, folder):
    """Write a hub module as of TensorFlow 1: tag sets, reference variables."""
    v1 = tf.compat.v1
    with v1.Session(graph=tf.Graph()) as session:
        image = v1.placeholder(tf.float32, [None, None, None, 3], name="images")
        kernel = v1.get_variable(
            "kernel",
            [3, 3, 3, 4],
            initializer=v1.initializers.random_normal(seed=1),
            use_resource=False,
        )
        relu = tf.nn.relu(tf.nn.conv2d(image, kernel, 2, "SAME"))
        features = tf.reduce_mean(relu, [1, 2])
        session.run(v1.global_variables_initializer())
        sign = v1.saved_model.predict_signature_def
        signatures = {
            "default": sign({"images": image}, {"default": features}),
            "image_feature_vector": sign(
                {"images": image}, {"default": features, "Mobilenet/relu": relu}
            ),
        }
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, [], signatures)
        builder.add_meta_graph(["train"], signatures)
        builder.save()
        (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
        return session.run(kernel)


def conv_features(tf, kernel, inputs):
    features = tf.nn.relu(tf.nn.conv2d(inputs.astype(np.float32), kernel, 2, "SAME"))
    return tf.reduce_mean(features, [1, 2]).numpy()


def test_convert_takes_a_saved_model_without_signatures(tf, tmp_path):
    kernel = save_reusable_module(tf, tmp_path / "module")
    backbone = convert(tmp_path / "module")
    assert (backbone.input_size, backbone.depth) == ((24, 24), 4)
    pixels = random_pixels(24, 24)
    np.testing.assert_allclose(
        features_of(backbone, pixels),
        conv_features(tf, kernel, pixels / 127.5 - 1),
        atol=1e-5,
    )


def test_convert_takes_a_hub_module_of_tensorflow_1(tf, tmp_path):
    kernel = save_hub_module_1(tf, tmp_path / "module")
    backbone = convert(tmp_path / "module", input_size=(24, 16))
    assert (backbone.input_size, backbone.depth) == ((24, 16), 4)
    pixels = random_pixels(24, 16)
    np.testing.assert_allclose(
        features_of(backbone, pixels),
        conv_features(tf, kernel, pixels / 255),
        atol=1e-5,
    )


def test_convert_refuses_folders_that_are_no_saved_models(tf, tmp_path):
    with pytest.raises(ModelError, match=r"a folder with a file saved_model\.pb"):
        convert(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 40)
    with pytest.raises(ModelError, match=r"saved_model\.pb is damaged"):
        convert(tmp_path)


def test_convert_refuses_a_saved_model_that_takes_no_image(tf, tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda text: {"length": tf.strings.length(text)},
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, str(tmp_path / "text"), signatures=module.serve)
    with pytest.raises(ModelError, match="a signature that takes one float32 image"):
        convert(tmp_path / "text")


def test_convert_refuses_what_tflite_has_no_operator_for(tf, tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda image: {"found": tf.image.adjust_hue(image, 0.1)},
        input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path / "hue"), signatures=module.serve)
    with pytest.raises(ModelError, match="cannot be converted to TFLite"):
        convert(tmp_path / "hue")


@pytest.fixture
def hub_server(tf):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("tensorflow_hub", reason="needs tensorflow-hub")
    with hosting.running() as server:
        yield server


def host_module(server, path, content):
    """Serve an archive under the address that tensorflow-hub makes of `path`."""
    server.files[f"{path}?tf-hub-format=compressed"] = content
    return server.address + path


def archive_of(folder):
    """Pack a folder as a hub host does: paths relative, `./` first."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(folder, ".")
    return content.getvalue()


HANDLE = "google/imagenet/tiny/feature_vector/5"


def test_convert_fetches_a_hub_module_once(tf, hub_server, tmp_path):
    kernel = save_hub_module_1(tf, tmp_path / "module")
    handle = host_module(hub_server, f"/{HANDLE}", archive_of(tmp_path / "module"))
    backbone = convert(handle, input_size=(24, 24))
    pixels = random_pixels(24, 24)
    np.testing.assert_allclose(
        features_of(backbone, pixels),
        conv_features(tf, kernel, pixels / 255),
        atol=1e-5,
    )
    assert backbone.name == "google_imagenet_tiny_feature_vector_5"
    assert backbone.source.endswith(handle)
    assert convert(handle, input_size=(24, 24)).content == backbone.content
    assert len(hub_server.requests) == 1
    assert (tmp_path / "home" / "tfhub").is_dir()
    assert socket.getdefaulttimeout() is None
    assert "TFHUB_CACHE_DIR" not in os.environ


def test_convert_scales_a_hub_module_of_tensorflow_2_to_0_1(tf, hub_server, tmp_path):
    kernel = save_reusable_module(tf, tmp_path / "module")
    archive = archive_of(tmp_path / "module")
    backbone = convert(host_module(hub_server, "/tiny.tar.gz", archive))
    assert (backbone.name, backbone.input_size) == ("tiny", (24, 24))
    pixels = random_pixels(24, 24)
    np.testing.assert_allclose(
        features_of(backbone, pixels),
        conv_features(tf, kernel, pixels / 255),
        atol=1e-5,
    )


@pytest.mark.parametrize("scheme", ["", "https://"])
def test_convert_asks_the_mirror_for_a_handle(
    tf, hub_server, tmp_path, monkeypatch, scheme
):
    save_reusable_module(tf, tmp_path / "module")
    host_module(hub_server, f"/hub/{HANDLE}", archive_of(tmp_path / "module"))
    monkeypatch.setenv("EDGECLF_MIRROR", f"{hub_server.address}/hub")
    assert convert(f"{scheme}tfhub.dev/{HANDLE}").depth == 4


def closed_port():
    with contextlib.closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


@pytest.mark.parametrize(
    "problem", ["404", "500", "refused", "text", "cut", "silent", "escape"]
)
def test_convert_says_why_a_hub_module_cannot_be_had(
    tf, hub_server, tmp_path, monkeypatch, problem
):
    save_reusable_module(tf, tmp_path / "module")
    content = archive_of(tmp_path / "module")
    if problem == "text":
        content = b"<html>gone</html>"
    elif problem == "escape":
        escape = io.BytesIO()
        with tarfile.open(fileobj=escape, mode="w:gz") as archive:
            archive.addfile(tarfile.TarInfo("../../escaped"), io.BytesIO())
        content = escape.getvalue()
    address = host_module(hub_server, "/module", content)
    if problem == "refused":
        address = f"http://127.0.0.1:{closed_port()}/module"
    elif problem == "silent":
        monkeypatch.setattr("edgeclf.zoo.saved_models.HUB_TIMEOUT_S", 0.5)
    hub_server.script = {
        "404": [hosting.status(404)],
        "500": [hosting.status(500)],
        "cut": [hosting.cut_after(len(content) // 2)],
        "silent": [hosting.silent],
    }.get(problem, [])
    with pytest.raises(DownloadError) as info:
        convert(address)
    message = str(info.value)
    assert message.startswith(f"Expected a TensorFlow Hub module at {address}. ")
    assert "EDGECLF_MIRROR" in message
    assert "\n" not in message
    assert list((tmp_path / "home").rglob("*")) == [tmp_path / "home" / "tfhub"]
    assert not list(tmp_path.rglob("escaped"))


def test_convert_forgets_an_archive_that_is_no_module(tf, hub_server, tmp_path):
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "readme.txt").write_text("no model here")
    address = host_module(hub_server, "/m", archive_of(tmp_path / "module"))
    with pytest.raises(ModelError, match=r"an archive without saved_model\.pb"):
        convert(address)
    save_reusable_module(tf, tmp_path / "module")
    host_module(hub_server, "/m", archive_of(tmp_path / "module"))
    assert convert(address).depth == 4


def test_convert_refuses_a_missing_path():
    with pytest.raises(FileNotFoundError) as info:
        convert("nowhere/model.h5")
    assert "Received: nowhere/model.h5, which does not exist." in str(info.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "resnet"}, "Expected an architecture such as"),
        ({"input_size": (0, 224)}, "Expected input_size above 0"),
        ({"input_std": 0}, "Expected a finite input_std above 0"),
    ],
)
def test_convert_refuses_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        convert("model.h5", **options)


def test_convert_without_tensorflow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as if it were not there
    with pytest.raises(MissingExtraError) as info:
        convert(tmp_path / "model.h5")
    assert str(info.value).endswith('pip install "edgeclf[tensorflow]"')


@pytest.mark.parametrize(
    "options",
    [
        ["--architecture", "resnet"],
        ["--input_std", "0"],
        ["--input_size", "224,"],
        ["--input_size=0,0"],
    ],
)
def test_main_refuses_wrong_usage(options, capsys):
    with pytest.raises(SystemExit) as info:
        main(["model.h5", "--output", "b.tflite", *options])
    assert info.value.code == 2
    assert "xpected" in capsys.readouterr().err


def test_main_keeps_the_old_file_when_it_fails(tmp_path, capsys):
    output = tmp_path / "b.tflite"
    output.write_text("old")
    assert main([str(tmp_path / "none.h5"), "--output", str(output)]) == 1
    assert capsys.readouterr().err.startswith("error: Expected a Keras file, a Saved")
    assert output.read_text() == "old"


@pytest.mark.slow
def test_command_writes_the_file_and_only_its_own_lines(tf, tiny_model, tmp_path):
    tiny_model.save(tmp_path / "tiny.keras")
    output = tmp_path / "new" / "b.tflite"
    command = [sys.executable, "-m", "edgeclf", "convert", str(tmp_path / "tiny.keras")]
    done = subprocess.run(
        [*command, "--output", str(output), "--input-mean", "0", "--input_std=255"],
        cwd=Path(__file__).resolve().parents[1],
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{output}: input 16 x 12, bottleneck 8, 0.0 MB\n"
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'tiny.keras'}: taken to be trained on")
    assert not [line for line in lines if "oneDNN" in line or "absl" in line]
    assert sum("is cut before its last layer" in line for line in lines) == 1
    assert run_tflite(
        output.read_bytes(), np.zeros((1, 16, 12, 3), np.float32)
    ).shape == (1, 8)
