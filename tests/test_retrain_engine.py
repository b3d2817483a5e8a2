"""Bottlenecks that the workers of an engine compute."""

import pickle
import sys

import numpy as np
import pytest
import tiny
from PIL import Image

from edgeclf import DatasetError
from edgeclf.data.folders import read_folder
from edgeclf.engines.local import LocalEngine
from edgeclf.training import RetrainConfig, bottlenecks
from edgeclf.training.bottlenecks import BottleneckExtractor, Unreadable, plain
from edgeclf.training.cache import BottleneckCache
from edgeclf.training.command import main
from edgeclf.training.report import changed_settings
from edgeclf.training.spread import CHUNK_SIZE
from edgeclf.training.views import View, draw_variations


def sent(value):
    """Return what arrives in another process."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301


class Here:
    """An engine of one worker, in this process, that takes the last item first."""

    def __init__(self, before=lambda: None, after=lambda: None):
        self.pictures = []
        self._before, self._after = before, after

    def map(self, start, items):
        work = sent(start)()
        for item in sent(items[::-1]):
            self.pictures += item
            self._before()
            result = work(item)
            self._after()
            yield sent(result)


@pytest.fixture
def folder(tmp_path):
    return tiny.write_folder(tmp_path / "pictures", 24)  # 72: more than a chunk


def extract(cache, items, engine=None):
    with BottleneckCache(cache) as opened:
        extractor = BottleneckExtractor(
            tiny.backbone(), opened, resize="antialias", engine=engine
        )
        return list(extractor.extract(items, "test"))


def with_views(folder):
    """Every picture plain and in two views of its own."""
    return [
        (example, view)
        for example in read_folder(folder)
        for view in [View(), *draw_variations(example.path.read_bytes()[:32], 0, 2)]
    ]


def check_same(results, expected):
    for one, other in zip(results, expected, strict=True):
        for name in ("digest", "bottleneck", "lows", "highs", "fingerprint"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("make", [Here, lambda: LocalEngine(2)])
def test_an_engine_computes_what_is_computed_here(tmp_path, folder, make):
    items = with_views(folder)
    expected = extract(tmp_path / "here", items)
    check_same(extract(tmp_path / "there", items, make()), expected)


def test_many_views_are_sent_in_turns(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(bottlenecks, "VIEWS_AT_ONCE", 10)
    items = with_views(folder)
    check_same(extract(tmp_path / "there", items, Here()), extract(tmp_path, items))


def test_only_what_the_cache_has_not_is_sent(tmp_path, folder):
    items = with_views(folder)
    extract(tmp_path, [item for item in items if item[1] == View()][5:])
    engine = Here()
    extract(tmp_path, items, engine)
    assert sum(len(views) for _, views in engine.pictures) == len(items) - 67
    again = Here()
    extract(tmp_path, items, again)
    assert again.pictures == []


def test_what_a_stopped_run_has_computed_is_kept(tmp_path, folder):
    def stop():
        if len(engine.pictures) > CHUNK_SIZE:
            raise KeyboardInterrupt

    items = plain(read_folder(folder))
    engine = Here(before=stop)
    with pytest.raises(KeyboardInterrupt):
        extract(tmp_path / "there", items, engine)
    rest = Here()
    expected = extract(tmp_path / "here", items)
    check_same(extract(tmp_path / "there", items, rest), expected)
    assert len(rest.pictures) == CHUNK_SIZE  # the last item, of the 8 left, was done


def test_relative_paths_are_sent_as_absolute_ones(tmp_path, folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = Here()
    extract("cache", plain(read_folder("pictures")), engine)
    assert all(example.path.is_absolute() for example, _ in engine.pictures)


def test_pictures_that_cannot_be_used_are_told_as_ever(tmp_path, folder):
    paths = [example.path for example in read_folder(folder)]
    paths[3].write_bytes(b"no picture")
    items = plain(read_folder(folder))
    paths[5].unlink()
    expected = extract(tmp_path / "here", items)
    results = extract(tmp_path / "there", items, Here())
    reasons = [r.reason for r in results if isinstance(r, Unreadable)]
    assert reasons == [r.reason for r in expected if isinstance(r, Unreadable)]
    assert len(reasons) == 2


def test_pictures_that_workers_do_not_find_are_an_error(tmp_path, folder):
    away = tmp_path / "elsewhere"
    engine = Here(lambda: folder.rename(away), lambda: away.rename(folder))
    with pytest.raises(
        DatasetError,
        match=r"(?s)same path on every machine.*Received: .*pictures.*: No such file "
        r"or directory, on .+\. Share",
    ):
        extract(tmp_path / "cache", plain(read_folder(folder)), engine)


def test_a_picture_that_changes_meanwhile_is_left_out(tmp_path, folder):
    items = plain(read_folder(folder))
    path = items[0][0].path
    engine = Here(before=lambda: Image.new("RGB", (9, 9)).save(path))
    first, *others = extract(tmp_path / "cache", items, engine)
    assert isinstance(first, Unreadable)
    assert "to stay as it was" in first.reason
    assert not any(isinstance(result, Unreadable) for result in others)
    # The next run takes it as it is now: nothing was kept under the old file's name.
    check_same(extract(tmp_path / "cache", items), extract(tmp_path / "fresh", items))


def test_a_cache_that_keeps_nothing_is_an_error(tmp_path, folder):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match=r"(?s)can be written.*--bottleneck_dir"):
        extract(tmp_path / "file" / "below", plain(read_folder(folder)), Here())


def test_the_engine_is_checked_and_no_part_of_the_record(folder):
    config = RetrainConfig(image_dir=folder, engine="ray", address="10.0.0.1:6379")
    assert changed_settings(config) == changed_settings(RetrainConfig(image_dir=folder))
    with pytest.raises(ValueError, match=r"engine to be one of local, ray.*'spark'"):
        RetrainConfig(image_dir=folder, engine="spark")
    with pytest.raises(ValueError, match=r"Expected engine ray with address"):
        RetrainConfig(image_dir=folder, address="10.0.0.1:6379")


def test_without_ray_a_sentence_says_how_to_install_it(
    tmp_path, folder, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    backbone = tmp_path / "tiny.tflite"
    backbone.write_bytes(tiny.backbone_file())
    options = [f"--image_dir={folder}", f"--architecture={backbone}", "--engine=ray"]
    options += [f"--output_graph={tmp_path / 'm.tflite'}"]
    options += [f"--bottleneck_dir={tmp_path / 'cache'}"]
    assert main(options) == 1
    assert 'pip install "edgeclf[ray]"' in capsys.readouterr().err
