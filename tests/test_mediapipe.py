"""Our files in MediaPipe Tasks, a reader that nobody here wrote; its files in ours."""

import model_files as models
import numpy as np
import pytest
import tag_data
import tiny
from PIL import Image

from edgeclf import Classifier, ModelError
from edgeclf.data.folders import read_folder
from edgeclf.demo import draw_pictures
from edgeclf.training import RetrainConfig, retrain
from edgeclf.zoo import BUNDLED_ARCHITECTURE

mediapipe = pytest.importorskip(
    "mediapipe", reason="needs mediapipe", exc_type=ImportError
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def open_in_mediapipe(path):
    vision = mediapipe.tasks.vision
    options = vision.ImageClassifierOptions(
        base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(path))
    )
    return vision.ImageClassifier.create_from_options(options)


def scores(peer, pixels):
    image = mediapipe.Image(
        image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels)
    )
    (head,) = peer.classify(image).classifications
    return {entry.category_name: entry.score for entry in head.categories}


def all_scores(path, *pictures):
    """Return what both say about pictures that need no resizing, by label.

    (Every 27th time that MediaPipe closes a classifier, it takes five seconds.)
    """
    with Classifier(path) as classifier, open_in_mediapipe(path) as peer:
        return [
            (
                {c.label: c.score for c in classifier.classify(pixels, top_k=1000)},
                scores(peer, pixels),
            )
            for pixels in pictures
        ]


def compare(path, pictures, input_size):
    """Return the share of equal top labels and the largest difference in score.

    The share is over the pictures as they are, which the two resize differently; the
    difference over pictures that need no resizing.
    """
    same, largest = [], 0.0
    with Classifier(path) as classifier, open_in_mediapipe(path) as peer:
        for pixels in pictures:
            theirs = scores(peer, pixels)
            assert set(theirs) == set(classifier.labels)
            ours = classifier.classify(pixels)[0].label
            same.append(theirs[ours] == max(theirs.values()))
            height, width = input_size
            fitting = np.asarray(Image.fromarray(pixels).resize((width, height)))
            theirs = scores(peer, fitting)
            for category in classifier.classify(fitting, top_k=1000):
                difference = abs(category.score - theirs[category.label])
                largest = max(largest, difference)
    return np.mean(same), largest


FITTING = np.random.default_rng(4).integers(0, 256, (8, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("labels", [("background", "a", "b"), ("a", "b", "background")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("types", [("float32", "float32"), ("uint8", "uint8")])
def test_foreign_files(model_file, labels, end, types):
    content = models.build(input_type=types[0], output_type=types[1])
    content = models.with_metadata(
        content,
        mean=[127.5] if types[0] == "uint8" else [110.0],
        std=[127.5] if types[0] == "uint8" else [150.0],
        files=[("a.txt", 1, None), ("labels.txt", 2, None), ("pl.txt", 2, "pl")],
        input_files=[("input.txt", 2, None)],
    )
    text = end.join(labels) + end
    others = dict.fromkeys(("a.txt", "pl.txt", "input.txt"), "x\ny\nz\n")
    path = model_file(models.with_files(content, {**others, "labels.txt": text}))
    ((ours, theirs),) = all_scores(path, FITTING)
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert set(ours) == set(labels)


@pytest.mark.parametrize("transformation", [0, 1, 2])
@pytest.mark.parametrize("activation", ["softmax", "logistic", None])
def test_score_calibration(model_file, transformation, activation):
    sigmoids = "0.9,1.5,-0.25\n0.5,-2,0.125,0.3\n\n1,40,3,1e-3\n1,0.01,0\n1,0.02,0"
    weights = np.vstack([models.WEIGHTS, -models.WEIGHTS, 60 * models.WEIGHTS])[:7]
    sigmoids += "\n1,0.03,-0.5"
    head = models.OutputMetadata(
        [("labels.txt", 2, None), ("sigmoids.csv", 4, None)],
        calibration=(transformation, 0.0625),
    )
    content = models.with_metadata(
        models.build(input_type="uint8", weights=weights, activation=activation),
        outputs=[head],
    )
    labels = "".join(f"{name}\n" for name in "abcdefg")
    files = {"labels.txt": labels, "sigmoids.csv": sigmoids}
    path = model_file(models.with_files(content, files))
    pictures = (FITTING, np.zeros_like(FITTING), np.full_like(FITTING, 255))
    for ours, theirs in all_scores(path, *pictures):
        assert ours == pytest.approx(theirs, abs=2e-6)
        assert len(set(ours.values())) > 3


def test_recommended_threshold(model_file):
    head = models.OutputMetadata([("labels.txt", 2, None)], threshold=0.3)
    content = models.build(input_type="uint8", activation="logistic")
    content = models.with_metadata(content, outputs=[head])
    path = model_file(models.with_labels(content))
    pixels = np.full((8, 6, 3), (200, 40, 120), np.uint8)
    ((ours, theirs),) = all_scores(path, pixels)
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert set(ours) == {"red", "blue"}


def test_float_input_without_normalisation_is_refused_by_both(model_file):
    path = model_file(models.build())
    with pytest.raises(ModelError, match="says how its float32 input is normalised"):
        Classifier(path)
    with pytest.raises(OSError, match="requires specifying NormalizationOptions"):
        open_in_mediapipe(path)


@pytest.mark.parametrize("head", ["int8", "float"])
def test_coloured_pictures(tmp_path, head):
    backbone = tmp_path / "tiny.tflite"
    backbone.write_bytes(tiny.backbone_file())
    photos = tiny.write_folder(tmp_path / "photos", 20)
    (photos / "red").rename(photos / "Wycinanki łowickie")
    result = retrain(
        RetrainConfig(
            image_dir=photos,
            output_graph=tmp_path / "model.tflite",
            architecture=str(backbone),
            bottleneck_dir=tmp_path / "bottlenecks",
            head=head,
        )
    )
    pictures = [tiny.pixels(color, seed) for color in tiny.COLORS for seed in range(34)]
    same, largest = compare(result.model_path, pictures, (tiny.SIDE, tiny.SIDE))
    assert same >= 0.99
    assert largest <= 0.05


@pytest.mark.parametrize("head", ["int8", "float"])
def test_tags_of_a_picture(tmp_path, head):
    """The same scores for every tag, whatever its threshold: that is the caller's."""
    (tmp_path / "tiny.tflite").write_bytes(tiny.backbone_file())
    rows = tag_data.write_pictures(tmp_path / "pictures", 42)
    table = tag_data.write_table(
        tmp_path / "tags.csv", [row.replace("red", "łąka") for row in rows]
    )
    result = retrain(
        RetrainConfig(
            tags_csv=table,
            image_dir=tmp_path / "pictures",
            output_graph=tmp_path / "model.tflite",
            architecture=str(tmp_path / "tiny.tflite"),
            bottleneck_dir=tmp_path / "bottlenecks",
            views=1,
            no_report=True,
            head=head,
        )
    )
    pictures = [tag_data.pixels(tag_data.tags_of(n), n) for n in range(50, 64)]
    size = (tiny.SIDE, tiny.SIDE)
    fitting = [np.asarray(Image.fromarray(each).resize(size)) for each in pictures]
    path = result.model_path
    with Classifier(path) as classifier, open_in_mediapipe(path) as peer:
        assert classifier.labels == ("blue", "green", "łąka")
        for pixels in fitting:
            ours = dict(zip(classifier.labels, classifier.scores(pixels), strict=True))
            # Integers are the same; floats add up in another order.
            assert scores(peer, pixels) == pytest.approx(ours, abs=1e-6)


@pytest.mark.slow
def test_drawn_decors_on_the_bundled_backbone(tmp_path):
    draw_pictures(tmp_path / "decors", 30, 0)
    result = retrain(
        RetrainConfig(
            image_dir=tmp_path / "decors",
            output_graph=tmp_path / "decors.tflite",
            architecture=BUNDLED_ARCHITECTURE,
            bottleneck_dir=tmp_path / "bottlenecks",
        )
    )
    paths = [example.path for example in read_folder(tmp_path / "decors")]
    assert len(paths) == 210
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    same, largest = compare(result.model_path, pictures, (224, 224))
    assert same >= 0.99
    assert largest <= 0.05


@pytest.mark.slow
def test_flowers(tmp_path, shared):
    features = shared / "models" / "mobilenet_v1_0.50_224_features_f32.tflite"
    result = retrain(
        RetrainConfig(
            image_dir=shared / "data" / "flowers",
            output_graph=tmp_path / "flowers.tflite",
            architecture=str(features),
            bottleneck_dir=tmp_path / "bottlenecks",
        )
    )
    paths = sorted((shared / "data" / "flowers").rglob("*.jpg"))[::7]
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    assert len(pictures) == 100
    same, largest = compare(result.model_path, pictures, (224, 224))
    assert same >= 0.99
    assert largest <= 0.05
