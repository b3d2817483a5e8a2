"""Multi-label files on pictures, through `Classifier`."""

import model_files as models
import numpy as np
import pytest
from PIL import Image

from edgeclf import Classifier
from edgeclf.data.folders import Example
from edgeclf.evaluation.tag_evaluate import evaluate_tags


def tagger(thresholds=(0.5, 0.6, 0.4), **changes):
    """A file that gives the colours that are bright, several perhaps."""
    entry = models.record(multi_label=True, thresholds=thresholds)
    return models.own(entry=entry, activation="logistic", **changes)


@pytest.fixture
def pictures(tmp_path):
    """A yellow, a blue, a damaged and a white picture; what is bright in each."""
    pixels = {"yellow": (220, 220, 20), "blue": (20, 20, 220), "white": (240,) * 3}
    examples = []
    for name in ("yellow", "blue", "damaged", "white"):
        path = tmp_path / f"{name}.png"
        if name in pixels:
            Image.new("RGB", (20, 10), pixels[name]).save(path)
        else:
            path.write_bytes(b"no picture")
        examples.append(Example(path, f"{name}.png", ""))
    targets = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 0], [1, 1, 1]], bool)
    return examples, targets


def test_scores_are_those_of_the_classifier(pictures):
    examples, targets = pictures
    unreadable = []
    quantized = tagger(output_type="uint8", input_type="uint8")
    with Classifier(tagger()) as floating, Classifier(quantized) as integer:
        found = evaluate_tags(
            [floating, integer],
            examples,
            targets,
            resize="antialias",
            unreadable=unreadable,
        )
        for one, classifier in zip(found, (floating, integer), strict=True):
            assert one.names == ["yellow.png", "blue.png", "white.png"]
            assert one.targets.tolist() == targets[[0, 1, 3]].tolist()
            assert one.thresholds.tolist() == classifier.thresholds.tolist()
            for row, name in enumerate((0, 1, 3)):
                expected = classifier.scores(examples[name].path)
                assert one.scores[row].tolist() == expected.tolist()
            assert one.mean_average_precision == one.micro_f1 == 1.0
    assert [name for name, _ in unreadable] == ["damaged.png"]
    assert found[0].scores.tolist() != found[1].scores.tolist()


def test_tags_are_those_that_the_classifier_gives(pictures):
    examples, targets = pictures
    with Classifier(tagger((0.999, 0.5, 0.01))) as classifier:
        (found,) = evaluate_tags([classifier], examples, targets, resize="antialias")
        for row, name in enumerate((0, 1, 3)):
            given = {entry.index for entry in classifier.classify(examples[name].path)}
            assert set(np.flatnonzero(found.predicted[row]).tolist()) == given


def test_thresholds_can_be_given(pictures):
    examples, targets = pictures
    never = np.full(3, 1.5, np.float32)
    with Classifier(tagger()) as classifier:
        (found,) = evaluate_tags(
            [classifier], examples, targets, resize="antialias", thresholds=never
        )
    assert not found.predicted.any()
