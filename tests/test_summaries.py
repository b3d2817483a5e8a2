"""What TensorBoard shows of a run, read back with TensorBoard's own package."""

import dataclasses

import numpy as np
import pytest
import tiny
import training_data
from PIL import Image

from edgeclf.files import write_together
from edgeclf.training import RetrainConfig, retrain
from edgeclf.training.fit import fit_head
from edgeclf.training.head import FineTuning
from edgeclf.training.summaries import clear_summaries, summary_files

pytest.importorskip("tensorboard", reason="needs tensorboard to read event files")
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Settings of a run that gets some test pictures wrong: classes are mixed up."""
    folder = tmp_path_factory.mktemp("run")
    photos = tiny.write_folder(folder / "photos", 15)
    for number in range(15):  # green ones that are called blue
        pixels = tiny.pixels("green", 500 + number)
        Image.fromarray(pixels).save(photos / "blue" / f"green {number}.png")
    (folder / "tiny.tflite").write_bytes(tiny.backbone_file())
    return RetrainConfig(
        image_dir=photos,
        output_graph=folder / "model.tflite",
        architecture=str(folder / "tiny.tflite"),
        bottleneck_dir=folder / "bottlenecks",
        testing_percentage=30,
        summaries_dir=folder / "logs",
    )


@pytest.fixture(scope="module")
def finished(config):
    """The run, made twice: the second replaces what the first has written."""
    retrain(dataclasses.replace(config, solver="regression", seed=1))
    return retrain(config)


def events(folder):
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    return EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()


def test_every_solver_writes_its_figures(config, finished):
    metrics = finished.metrics
    for part, accuracy, cross_entropy in (
        ("train", metrics["train_accuracy"], None),
        (
            "validation",
            metrics["validation_accuracy"],
            metrics["validation_cross_entropy"],
        ),
        ("test", metrics["accuracy"], metrics["test"]["cross_entropy"]),
    ):
        read = events(config.summaries_dir / part)
        (share,) = read.Scalars("accuracy_1")
        (loss,) = read.Scalars("cross_entropy_1")
        assert (share.step, loss.step) == (0, 0)
        assert share.value == pytest.approx(accuracy)
        assert loss.value == pytest.approx(cross_entropy or loss.value, rel=1e-5)
    (share,) = read.Scalars("accuracy_1/float")
    assert share.value == pytest.approx(metrics["accuracy_float"])


def test_descent_has_its_test_figures_behind_the_last_step(config, tmp_path):
    settings = {"how_many_training_steps": 30, "summaries_dir": tmp_path / "logs"}
    retrain(dataclasses.replace(config, **settings))
    train = events(tmp_path / "logs" / "train").Scalars("accuracy_1")
    assert [event.step for event in train] == [0, 10, 20, 29]
    (test,) = events(tmp_path / "logs" / "test").Scalars("accuracy_1")
    assert test.step == 29


def test_epochs_of_fine_tuning_have_a_folder_of_their_own(config, tmp_path):
    """With gradient descent on both backbones, of which one descent is kept."""
    names = ("train_accuracy", "train_cross_entropy")
    names += ("validation_accuracy", "validation_cross_entropy")
    curves = [
        {"step": 4 * number, **dict.fromkeys(names, 1 / number)} for number in (1, 2, 3)
    ]
    config = dataclasses.replace(config, how_many_training_steps=15)
    with training_data.opened(config) as (extractor, dataset):
        fitted = fit_head(config, extractor, dataset)
    tuning = FineTuning(True, 0.5, 3, {}, {}, "", "", curves)
    fitted = dataclasses.replace(fitted, fine_tuning=tuning)
    write_together(summary_files(tmp_path / "logs", dataset, fitted, {}, "int8"))
    for part in ("train", "validation"):
        read = events(tmp_path / "logs" / "fine_tuning" / part)
        for tag in ("accuracy_1", "cross_entropy_1"):
            found = [(event.step, event.value) for event in read.Scalars(tag)]
            assert found == [(4, 1), (8, 0.5), (12, pytest.approx(1 / 3))]
        head = events(tmp_path / "logs" / part).Scalars("accuracy_1")
        assert [event.step for event in head] == [0, 10, 14]


def test_confusion_matrix_and_mistakes_are_pictures(config, finished):
    pytest.importorskip("edgeclf.report.confusion", reason="not there yet")
    read = events(config.summaries_dir / "test")
    tags = read.Tags()["images"]
    assert "confusion_matrix" in tags
    shown = [tag for tag in tags if tag.startswith("misclassified/")]
    assert len(shown) == len(finished.misclassified) > 0
    (picture,) = read.Images(shown[0])
    assert (picture.width, picture.height) == (224, 286)


def test_the_projector_has_a_row_and_a_picture_for_each(config, finished):
    from google.protobuf import text_format
    from tensorboard.plugins.projector import ProjectorConfig

    folder = config.summaries_dir / "bottlenecks"
    text = (folder / "projector_config.pbtxt").read_text()
    (embedding,) = text_format.Parse(text, ProjectorConfig()).embeddings
    vectors = np.loadtxt(folder / embedding.tensor_path, delimiter="\t")
    rows = (folder / embedding.metadata_path).read_text().splitlines()
    splits = sum(finished.metrics[f"num_{s}"] for s in ("train", "validation", "test"))
    assert vectors.shape == (splits, tiny.DEPTH)
    assert rows[0] == "label\tsplit\tfile"
    assert len(rows) == 1 + splits
    label, split, name = rows[1].split("\t")
    assert (label, name) == ("blue", "blue/000.png")
    assert split in ("train", "validation", "test")
    side = embedding.sprite.single_image_dim[0]
    with Image.open(folder / embedding.sprite.image_path) as sprite:
        columns = int(np.ceil(np.sqrt(splits)))
        assert sprite.size == (columns * side, columns * side)
        first = np.asarray(sprite)[:side, :side].mean(axis=(0, 1))
    expected = np.asarray(Image.open(config.image_dir / name)).mean(axis=(0, 1))
    np.testing.assert_allclose(first, expected, atol=6)


def test_too_many_pictures_are_thinned_out(monkeypatch, config, tmp_path):
    monkeypatch.setattr("edgeclf.training.projector.MAX_PICTURES", 7)
    retrain(dataclasses.replace(config, summaries_dir=tmp_path))
    rows = (tmp_path / "bottlenecks" / "metadata.tsv").read_text().splitlines()[1:]
    assert len(rows) == 7
    assert {row.split("\t")[0] for row in rows} == set(tiny.COLORS)


def test_files_of_others_in_the_folder_stay(config, tmp_path):
    for name in ("train/notes.txt", "other/events.out.tfevents.1"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("mine")
    for run in ("train", "fine_tuning/train", "fine_tuning/validation"):
        (tmp_path / run).mkdir(parents=True, exist_ok=True)
        (tmp_path / run / "events.out.tfevents.1.host").write_text("old")
    clear_summaries(tmp_path)
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")}
    assert left == {"train/notes.txt", "other/events.out.tfevents.1"}
