"""The page and the pictures of a report on a model of tags."""

import re

import numpy as np
import pytest
import reports
from test_tag_metrics import evaluation

from edgeclf.evaluation.calibration import describe_tag_calibration
from edgeclf.evaluation.cooccurrence import (
    MAX_TAGS,
    count_together,
    describe_cooccurrence,
    pairs_that_differ,
)
from edgeclf.evaluation.tag_pictures import NUM_PICTURES, remarkable_tags
from edgeclf.evaluation.tag_report import describe_tag_evaluation
from edgeclf.report.confusion import cooccurrence_matrix
from edgeclf.report.matrix import Grid, draw_together
from edgeclf.report.page import render


def words_of(html):
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def test_counts_of_pairs_by_hand():
    tags = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]], bool)
    assert count_together(tags).tolist() == [[3, 2, 1], [2, 2, 1], [1, 1, 1]]


def test_the_matrix_is_of_the_most_frequent_tags_in_their_order():
    source = np.random.default_rng(1)
    frequencies = np.linspace(0.05, 0.95, MAX_TAGS + 5)[::-1]
    targets = source.random((400, MAX_TAGS + 5)) < np.roll(frequencies, 7)
    labels = [f"{tag:02}" for tag in range(MAX_TAGS + 5)]
    found = describe_cooccurrence(targets, labels)
    assert len(found["labels"]) == len(found["counts"]) == MAX_TAGS
    assert found["labels"] == sorted(found["labels"])
    rarest = sorted(labels, key=lambda label: targets[:, int(label)].sum())[:5]
    assert not set(rarest) & set(found["labels"])


def test_pairs_are_those_with_the_largest_difference():
    targets = [[1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0]]
    scores = [[0.9, 0.1, 0.9], [0.9, 0.1, 0], [0, 0.9, 0.9], [0, 0, 0]]
    assert pairs_that_differ(evaluation(targets, scores), ["x", "y", "z"]) == [
        {"labels": ["x", "y"], "true": 2, "given": 0},
        {"labels": ["x", "z"], "true": 0, "given": 1},
    ]


def test_a_picture_stands_once_with_its_worst_tag():
    targets = [[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    scores = [[0.3, 0.02, 0.99], [0.1, 0.9, 0], [0, 0.7, 0.8], [0.9, 0, 0], [0, 0, 0]]
    found = remarkable_tags(evaluation(targets, scores), ["x", "y", "z"])
    assert [(entry["file"], entry["tag"]) for entry in found["missed"]] == [
        ("0.jpg", "y"),
        ("1.jpg", "x"),
    ]
    assert [(entry["file"], entry["tag"]) for entry in found["wrong"]] == [
        ("2.jpg", "z")
    ]
    assert found["missed"][0]["tags"] == ["x", "y"]
    given = found["wrong"][0]["given"]
    assert [entry["label"] for entry in given] == ["z", "y"]
    assert given[0]["score"] == pytest.approx(0.8)


def test_distance_to_the_threshold_is_one_of_logits():
    # 0.005 is further below 0.2 than 0.3 below 0.6, though the difference is less.
    targets, scores = [[1, 0], [0, 1]], [[0.005, 0], [0, 0.3]]
    found = remarkable_tags(evaluation(targets, scores, [0.2, 0.6]), ["x", "y"])
    assert [entry["tag"] for entry in found["missed"]] == ["x", "y"]


def test_no_more_pictures_than_are_wanted_and_none_where_all_is_right():
    many = evaluation(np.ones((50, 1)), np.zeros((50, 1)))
    assert len(remarkable_tags(many, ["x"])["missed"]) == NUM_PICTURES
    right = evaluation([[1], [0]], [[0.9], [0.1]])
    assert remarkable_tags(right, ["x"]) == {"missed": [], "wrong": []}


def test_calibration_counts_every_pair():
    targets = np.array([[1, 0], [1, 0], [0, 0], [1, 1]], bool)
    scores = np.array([[0.75, 0], [0.75, 0], [0.75, 0], [0.75, 1]], np.float32)
    found = describe_tag_calibration(scores, targets)
    assert found["num"] == 8
    assert found["ece"] == pytest.approx(0.0)
    assert {entry["count"] for entry in found["bins"]} == {0, 1, 3, 4}
    turned = describe_tag_calibration(1 - scores, targets)
    assert turned["ece"] == pytest.approx((4 * 0.5 + 4 * 1.0) / 8)


def test_curves_have_the_corners_where_recall_is_won():
    targets = [[1], [0], [0], [1], [0], [0]]
    scores = [[0.9], [0.8], [0.75], [0.7], [0.6], [0.5]]
    found = describe_tag_evaluation(evaluation(targets, scores), ["x"], "int8")
    (curve,) = found["precision_recall"]
    points = [(point["recall"], point["precision"]) for point in curve["points"]]
    third = pytest.approx(1 / 3)
    assert points == [(0.5, 1.0), (0.5, third), (1.0, 0.5), (1.0, third)]


def test_the_page_says_every_figure():
    described = reports.tag_report()
    html = render(described, reports.thumbnails(described))
    words = words_of(html)
    device = described["accuracy"]["device"]
    assert f"{device['mean_average_precision']:.1%}" in words
    for name, key in (
        ("Micro F1", "micro_f1"),
        ("Macro F1", "macro_f1"),
        ("Exactly right", "subset_accuracy"),
        ("Hamming loss", "hamming_loss"),
        ("Ranking precision", "label_ranking_average_precision"),
    ):
        assert f"{name} {device[key]:.1%}" in words
    assert f"Binary cross-entropy {device['binary_cross_entropy']:.3f} nats" in words
    for section in ("tags", "pictures", "suspects", "together", "precision-recall",
                    "calibration", "data", "limits", "model", "reproduce"):  # fmt: skip
        assert f'<section id="{section}"' in html
    for section in ("classes", "confusion"):
        assert f'<section id="{section}"' not in html
    assert "7 tags" in words
    assert "5 pictures have none of the tags" in words
    for entry in described["per_tag"]:
        row = re.search(rf"<tr><th[^>]*>[^\n]*?{entry['label']}.*?</tr>", html)
        assert f"{entry['average_precision']:.1%}" in row.group()
        assert f"{entry['threshold']:.3f}" in row.group()
    weakest = min(described["per_tag"], key=lambda entry: entry["average_precision"])
    assert f"Its weakest tag is {weakest['label']}" in re.sub(" :", ":", words)


def test_what_is_not_known_is_left_out():
    described = reports.tag_report()
    for key in ("accuracy", "per_tag", "precision_recall", "pictures", "pairs",
                "calibration", "suspects"):  # fmt: skip
        described[key] = None
    html = render(described, {})
    assert "How good it is has not been measured" in html
    assert '<section id="tags"' in html  # with the counts alone
    for section in ("pictures", "suspects", "precision-recall", "calibration"):
        assert f'<section id="{section}"' not in html
    assert render({"multi_label": True}, {}).startswith("<!DOCTYPE html>")


def test_tags_without_test_pictures_are_named():
    targets = np.zeros((12, 3), bool)
    targets[:11, 0], targets[0, 1] = True, True
    scores = np.full((12, 3), 0.25)
    found = describe_tag_evaluation(
        evaluation(targets, scores), ["x", "y", "z"], "int8"
    )
    words = words_of(render({**found, "model": {"labels": ["x", "y", "z"]}}, {}))
    assert "1 tag has fewer than 10 test pictures" in words
    assert "Nothing has been measured of z" in words


def test_hostile_names_are_text():
    described = reports.tag_report(reports.HOSTILE)
    html = render(described, {})
    assert "<script>window" not in html
    assert "<img src='x" not in html
    assert "\ud800" not in html


def test_the_picture_shows_pairs_in_blue_and_tags_in_gray():
    counts = [[8, 4, 0], [4, 4, 0], [0, 0, 0]]
    picture = np.asarray(cooccurrence_matrix(counts, ["x", "y", "z"]), np.int64)
    colors, numbers = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    is_blue = (colors[:, 2] - colors[:, 0] > 20) & (numbers > 5000)
    assert is_blue.sum() == 2  # half of x have y, all of y have x
    again = cooccurrence_matrix(counts, ["x", "y", "z"])
    assert np.array_equal(np.asarray(again), picture)


@pytest.mark.parametrize("number", [1, 2, 40])
def test_pictures_of_many_and_few_tags(number):
    counts = np.full((number, number), 1234)
    labels = [f"tag number {tag}" for tag in range(number)]
    assert min(cooccurrence_matrix(counts.tolist(), labels).size) > 100


def test_a_perfect_tag_is_not_called_the_weakest():
    described = reports.tag_report()
    for entry in described["per_tag"]:
        entry["average_precision"] = 1.0
    words = words_of(render(described, reports.thumbnails(described)))
    assert "Its weakest tag" not in words


def test_f1_of_no_known_tag_is_a_dash():
    described = reports.tag_report()
    device = described["accuracy"]["device"]
    device.update(mean_average_precision=None, micro_f1=0.0, macro_f1=0.0)
    words = words_of(render(described, {}))
    assert "Micro F1 0.0%" not in words
    assert "Macro F1 0.0%" not in words


def test_counts_of_a_matrix_have_one_size_and_room():
    few, many = Grid(20, 18.0), Grid(20, 36.0)
    assert few.side == 28
    assert many.side > 36
    counts = np.full((20, 20), 7) + np.diag(np.full(20, 4321))
    drawn = draw_together(counts.tolist(), [f"tag {tag}" for tag in range(20)])
    assert set(re.findall(r'class="(count[^"]*)"', str(drawn))) == {"count"}
