import dataclasses

import numpy as np
import pytest
import tiny
from PIL import Image

from edgeclf.data.folders import read_folder
from edgeclf.interpreter import create_interpreter
from edgeclf.training.bottlenecks import (
    BATCH_SIZE,
    BottleneckExtractor,
    Unreadable,
    plain,
)
from edgeclf.training.cache import BottleneckCache
from edgeclf.training.views import PLAIN, View


@pytest.fixture
def examples(tmp_path):
    return read_folder(tiny.write_folder(tmp_path / "pictures", 4))


def extract(folder, items, **options):
    with BottleneckCache(folder) as cache:
        extractor = BottleneckExtractor(
            tiny.backbone(), cache, resize="antialias", **options
        )
        return list(extractor.extract(items, "test"))


def reference(path):
    """Bottleneck, minima and maxima computed apart from the code under test."""
    pixels = np.asarray(
        Image.open(path).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR),
        np.float32,
    )
    interpreter = create_interpreter(tiny.backbone_file())
    value = ((pixels - 127.5) / 127.5)[np.newaxis]
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    features = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    return features, value.min(), value.max()


def test_bottlenecks_are_what_the_backbone_says(tmp_path, examples):
    for example, features in zip(
        examples, extract(tmp_path, plain(examples)), strict=True
    ):
        bottleneck, low, high = reference(example.path)
        np.testing.assert_allclose(features.bottleneck, bottleneck, atol=1e-5)
        assert features.lows[0] == pytest.approx(low, abs=1e-6)
        assert features.highs[0] == pytest.approx(high, abs=1e-6)
        assert features.highs[-1] == pytest.approx(bottleneck.max(), abs=1e-5)


def test_second_run_decodes_nothing(tmp_path, examples, monkeypatch):
    first = extract(tmp_path, plain(examples))

    def refuse(*_, **__):
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(Image, "open", refuse)
    for one, other in zip(first, extract(tmp_path, plain(examples)), strict=True):
        assert one.digest == other.digest
        np.testing.assert_array_equal(one.bottleneck, other.bottleneck)
        np.testing.assert_array_equal(one.lows, other.lows)
        np.testing.assert_array_equal(one.highs, other.highs)
        np.testing.assert_array_equal(one.fingerprint, other.fingerprint)


def test_renamed_pictures_are_found_and_changed_ones_are_not(tmp_path, examples):
    extract(tmp_path, plain(examples))
    count = cached(tmp_path)
    renamed = examples[0].path.with_name("other name.jpg")
    examples[0].path.rename(renamed)
    Image.new("RGB", (9, 9)).save(examples[1].path)
    extract(tmp_path, plain(read_folder(tmp_path / "pictures")))
    assert cached(tmp_path) == count + 1


def cached(folder):
    with BottleneckCache(folder) as cache:
        return cache._connection.execute("SELECT count(*) FROM entries").fetchone()[0]


def test_views_and_filters_are_kept_apart(tmp_path, examples):
    view = View(flip=True)
    plain_features, flipped = extract(
        tmp_path, [(examples[0], View()), (examples[0], view)]
    )
    assert not np.array_equal(plain_features.bottleneck, flipped.bottleneck)
    with BottleneckCache(tmp_path) as cache:
        extractor = BottleneckExtractor(tiny.backbone(), cache, resize="nearest")
        (nearest,) = extractor.extract(plain(examples[:1]), "test")
    assert not np.array_equal(nearest.bottleneck, plain_features.bottleneck)


def test_a_picture_is_decoded_once_for_all_of_its_views(
    tmp_path, examples, monkeypatch
):
    opened = []
    real_open = Image.open
    monkeypatch.setattr(
        Image, "open", lambda *args, **kwargs: opened.append(1) or real_open(*args)
    )
    views = [View(flip=True), View(brightness=1.2), View(region=(0, 0, 0.5, 0.5))]
    items = [(example, view) for example in examples for view in views]
    results = extract(tmp_path, items)
    assert len(opened) == len(examples)
    assert len(results) == len(items)
    assert {len(features.lows) for features in results} == {0}  # none are needed
    again = extract(tmp_path, items[::-1])[::-1]
    assert len(opened) == len(examples)
    for one, other in zip(results, again, strict=True):
        np.testing.assert_array_equal(one.bottleneck, other.bottleneck)


def test_views_that_are_missing_are_added(tmp_path, examples):
    extract(tmp_path, [(examples[0], View(flip=True))])
    views = [View(brightness=0.8), View(flip=True), View()]
    mixed = extract(tmp_path, [(examples[0], view) for view in views])
    apart = extract(tmp_path / "new", [(examples[0], view) for view in views[::-1]])
    for one, other in zip(mixed, apart[::-1], strict=True):
        np.testing.assert_array_equal(one.bottleneck, other.bottleneck)
        assert len(one.lows) == len(other.lows)


def test_unreadable_pictures_are_named_for_each_view(tmp_path, examples):
    examples[0].path.write_bytes(b"no picture")
    items = [(examples[0], View()), (examples[0], View(flip=True))]
    assert [result.example for result in extract(tmp_path, items)] == [examples[0]] * 2


def test_number_of_threads_changes_nothing(tmp_path, examples):
    one = extract(tmp_path / "one", plain(examples), num_workers=1)
    three = extract(tmp_path / "three", plain(examples), num_workers=3)
    for first, second in zip(one, three, strict=True):
        np.testing.assert_array_equal(first.bottleneck, second.bottleneck)


def test_unreadable_pictures_are_named_in_order(tmp_path, examples):
    examples[1].path.write_bytes(b"no picture")
    examples[2].path.unlink()
    results = extract(tmp_path, plain(examples))
    assert len(results) == len(examples)
    assert isinstance(results[1], Unreadable)
    assert results[1].example == examples[1]
    assert "not a picture" in results[1].reason
    assert results[2].reason == "No such file or directory"


def test_an_interrupted_run_keeps_its_full_batches(tmp_path, examples):
    items = plain(examples) * 20
    with BottleneckCache(tmp_path) as cache:
        extractor = BottleneckExtractor(tiny.backbone(), cache, resize="antialias")
        results = extractor.extract(items, "test")
        for _ in range(BATCH_SIZE + 1):
            next(results)
        results.close()
    assert cached(tmp_path) == len(examples)


def test_ctrl_c_in_a_batch_keeps_what_is_done(tmp_path, examples):
    with BottleneckCache(tmp_path) as cache:
        extractor = BottleneckExtractor(tiny.backbone(), cache, resize="antialias")
        results = extractor.extract(plain(examples), "test")
        keys = [next(results) for _ in range(5)]
        with pytest.raises(KeyboardInterrupt):
            results.throw(KeyboardInterrupt)
        assert len(keys) == 5
    assert cached(tmp_path) >= 5


def test_a_picture_that_was_read_is_not_read_as_another(tmp_path, examples):
    """Nothing is kept under the hash of what it was."""
    (features,) = extract(tmp_path, plain(examples[:1]))
    known = dataclasses.replace(examples[0], digest=features.digest)
    known.path.write_bytes(examples[-1].path.read_bytes())
    view = View(None, False, 1.2)
    (same,) = extract(tmp_path, [(known, PLAIN)])
    (changed,) = extract(tmp_path, [(known, view)])
    assert same.digest == features.digest
    assert (same.bottleneck == features.bottleneck).all()
    assert isinstance(changed, Unreadable)
    assert changed.reason == (
        f"Expected {known.path} to stay as it was at the beginning. Received: other "
        "content. Run again to use it."
    )
    assert cached(tmp_path) == 1
