"""Our files in MediaPipe Tasks, a reader that nobody here wrote."""

import numpy as np
import pytest
import tiny
from PIL import Image

from edgeclf import Classifier
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
