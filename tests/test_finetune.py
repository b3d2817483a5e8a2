"""Fine-tuning, end to end, on a backbone of five random convolutions."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tiny
import zoo_graphs as graphs
from PIL import Image

from edgeclf import Classifier, ModelError
from edgeclf.metadata import read_model_info
from edgeclf.training import RetrainConfig, finetune, retrain
from edgeclf.training.command import main
from edgeclf.training.config import DEFAULT_FINE_TUNE_EPOCHS
from edgeclf.training.differentiable import DifferentiableGraph
from edgeclf.training.tuning import WARM_UP, check_agreement, rate_share
from edgeclf.zoo import load_backbone
from edgeclf.zoo.depths import with_depths
from edgeclf.zoo.hosted import BUNDLED_ARCHITECTURE

# TensorFlow and Keras warn of their own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore")

SIDE, COUNT = 32, 30


@pytest.fixture(scope="module")
def tf():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "tensorflow", reason="needs TensorFlow (the extra tensorflow)"
        )


def stripes(direction, seed):
    """Waves along one axis: random filters and means tell them apart badly."""
    source = np.random.default_rng([seed, direction])
    place = np.arange(SIDE) * 2 * np.pi / source.uniform(5, 8) + source.uniform(0, 7)
    wave = np.broadcast_to(np.sin(place), (SIDE, SIDE))
    wave = (wave.T if direction else wave)[..., np.newaxis]
    colors = source.uniform(90, 160, 3) + 60 * wave * source.uniform(0.5, 1, 3)
    noisy = colors + source.normal(0, 15, (SIDE, SIDE, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("stripes")
    for direction, name in enumerate(("across", "upright")):
        (root / name).mkdir()
        for seed in range(COUNT):
            path = root / name / f"{seed:02}.png"
            Image.fromarray(stripes(direction, seed)).save(path)
    return root


@pytest.fixture
def configure(tmp_path, folder):
    backbone = tmp_path / "tiny.tflite"
    backbone.write_bytes(tiny.deep_backbone_file())

    def build(**changes):
        settings = {
            "image_dir": folder,
            "output_graph": tmp_path / "model.tflite",
            "architecture": backbone,
            "bottleneck_dir": tmp_path / "bottlenecks",
            "testing_percentage": 20,
            "validation_percentage": 20,
            "views": 2,
            "fine_tune": True,
            **changes,
        }
        return RetrainConfig(**settings)

    return build


@pytest.fixture
def quick(monkeypatch):
    """Rates for weights that have learned nothing yet."""
    monkeypatch.setattr(finetune, "LEARNING_RATE", 0.03)
    monkeypatch.setattr(finetune, "HEAD_RATE", 0.01)


def test_a_backbone_learns_what_it_did_not_know(configure, quick, tf, caplog):
    caplog.set_level("INFO", logger="edgeclf")
    result = retrain(configure())
    tuning, metrics = result.metrics["fine_tuning"], result.metrics
    assert metrics["fine_tuned"] is True
    frozen, tuned = tuning["frozen"], tuning["tuned"]
    assert tuned["validation_accuracy"] >= frozen["validation_accuracy"] + 0.2
    assert tuned["validation_cross_entropy"] < frozen["validation_cross_entropy"]
    assert metrics["validation_accuracy"] == tuned["validation_accuracy"]
    assert metrics["accuracy_int8"] >= 0.8
    assert metrics["backbone_sha256"] != tuning["frozen_sha256"]
    assert metrics["backbone_source"].endswith("fine-tuned")
    assert "Fine-tuned backbone kept: validation accuracy" in caplog.text
    steps = [point["step"] for point in metrics["training_curves"]]
    assert steps == [steps[0] * number for number in range(1, len(steps) + 1)]
    assert len(steps) == tuning["epochs"] <= DEFAULT_FINE_TUNE_EPOCHS
    record = read_model_info(result.model_path.read_bytes()).record["provenance"]
    assert record["fine_tuned"] is True
    assert record["fine_tuning"]["tensorflow"] == tf.__version__
    assert "training_curves" not in record
    with Classifier(result.model_path) as classifier:
        names = [
            classifier.classify(stripes(direction, COUNT + seed))[0].label
            for seed in range(10)
            for direction in range(2)
        ]
    right = [name == "upright" for name in names[1::2]]
    assert sum(right) + sum(name == "across" for name in names[::2]) >= 16


def test_two_runs_give_the_same_bytes(configure, quick, tf, tmp_path):
    models = []
    for name in ("first", "second"):
        config = configure(
            fine_tune_epochs=3,
            output_graph=tmp_path / f"{name}.tflite",
            bottleneck_dir=tmp_path / name,
        )
        models.append(retrain(config).model_path.read_bytes())
    assert models[0] == models[1]


def test_the_frozen_backbone_is_kept_when_tuning_spoils_it(
    configure, tf, monkeypatch, tmp_path, caplog
):
    caplog.set_level("INFO", logger="edgeclf")
    colors = tiny.write_folder(tmp_path / "colors", 15)
    monkeypatch.setattr(finetune, "LEARNING_RATE", 0.3)
    result = retrain(configure(image_dir=colors, fine_tune_epochs=2))
    tuning = result.metrics["fine_tuning"]
    assert result.metrics["fine_tuned"] is False
    assert "Frozen backbone kept: validation accuracy" in caplog.text
    assert result.metrics["backbone_sha256"] == tuning["frozen_sha256"]
    without = retrain(configure(image_dir=colors, fine_tune=False))
    for name in ("validation_accuracy", "validation_cross_entropy"):
        assert tuning["frozen"][name] == without.metrics[name]
        assert result.metrics[name] == without.metrics[name]
    assert without.metrics["fine_tuned"] is False
    assert without.metrics["fine_tuning"] is None
    assert result.metrics["accuracy_int8"] == without.metrics["accuracy_int8"]


def test_numbers_that_overflow_leave_the_frozen_backbone(
    configure, tf, monkeypatch, tmp_path
):
    colors = tiny.write_folder(tmp_path / "colors", 15)
    monkeypatch.setattr(finetune, "LEARNING_RATE", 1e30)
    metrics = retrain(configure(image_dir=colors, fine_tune_epochs=4)).metrics
    assert metrics["fine_tuned"] is False
    json.dumps(metrics, allow_nan=False)


def test_without_validation_pictures_nothing_is_tuned(configure, tf, tmp_path, caplog):
    colors = tiny.write_folder(tmp_path / "colors", 4)
    rows = [
        f"{path.relative_to(colors).as_posix()},{split}\n"
        for name in tiny.COLORS
        for path, split in zip(
            sorted((colors / name).iterdir()),
            ("train", "train", "train", "test"),
            strict=True,
        )
    ]
    split_file = tmp_path / "split.csv"
    split_file.write_text("file,split\n" + "".join(rows))
    config = configure(image_dir=colors, split_file=split_file, validation_percentage=0)
    metrics = retrain(config).metrics
    assert "Not fine-tuned: no picture is held out for validation" in caplog.text
    assert metrics["fine_tuned"] is False
    assert metrics["fine_tuning"] is None


def test_a_share_of_0_for_validation_is_refused(configure):
    with pytest.raises(ValueError, match="validation_percentage above 0 with fine_t"):
        configure(validation_percentage=0)
    with pytest.raises(ValueError, match="fine_tune_epochs of at least 1"):
        configure(fine_tune_epochs=0)
    with pytest.raises(ValueError, match="fine_tune_epochs 3 alone"):
        configure(fine_tune=False, fine_tune_epochs=3)


def test_a_missing_tensorflow_is_said_before_the_work(configure, tmp_path):
    config = configure()
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from edgeclf.training.command import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = [
        "--fine_tune",
        f"--image_dir={config.image_dir}",
        f"--architecture={config.architecture}",
        f"--output_graph={config.output_graph}",
        f"--bottleneck_dir={config.bottleneck_dir}",
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == (
        "error: Fine-tuning needs the package tensorflow (import of tensorflow halted; "
        "None in sys.modules). Leave out --fine_tune, or install it with: pip install "
        '"edgeclf[tensorflow]"'
    )
    assert not (tmp_path / "bottlenecks").exists()
    assert not (tmp_path / "model.tflite").exists()


def test_a_backbone_that_cannot_be_trained_is_refused_before_the_work(
    configure, tf, tmp_path, capsys
):
    builder = graphs.Builder().image().body()
    map_shape = (1, 4, 4, graphs.CHANNELS)
    content = builder.apply("EXP", map_shape, options="ExpOptions").mean().content()
    config = configure()
    config.architecture.write_bytes(content)
    status = main(
        [
            "--fine_tune",
            f"--image_dir={config.image_dir}",
            f"--architecture={config.architecture}",
            f"--output_graph={config.output_graph}",
            f"--bottleneck_dir={config.bottleneck_dir}",
        ]
    )
    assert status == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: Expected a backbone of operators that can be trained. Received: one "
        "with EXP. Leave out --fine_tune, or use another --architecture."
    )
    assert not (tmp_path / "bottlenecks").exists()
    assert not config.model_path.exists()


def test_the_bundled_backbone_can_be_trained(tf):
    backbone = with_depths(load_backbone(BUNDLED_ARCHITECTURE))
    finetune.check_trainable(backbone)  # agrees with the interpreter


def test_a_function_that_differs_from_the_interpreter_is_refused(tf):
    backbone = tiny.backbone()
    other = DifferentiableGraph(tiny.backbone().content, tf)
    for value in other.weights.values():
        value += 0.01
    with pytest.raises(ModelError, match="numbers that differ by 0"):
        check_agreement(other, backbone, tf)


def test_the_rate_rises_and_falls_to_0():
    shares = [rate_share(step, 100) for step in range(1, 101)]
    top = round(WARM_UP * 100)
    assert shares[: top - 1] == pytest.approx(np.arange(1, top) / top)
    assert max(shares) == shares[top - 1] == 1.0
    assert all(np.diff(shares[top - 1 :]) < 0)
    assert shares[-1] == pytest.approx(0.0)
