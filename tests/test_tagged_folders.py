from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest
from tag_tables import draw, tags_of

from edgeclf.data.tag_source import TagSource
from edgeclf.errors import DatasetError


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Pictures of one tag, of two by a copy and by a link, and of none."""
    draw(tmp_path, "sea/one.png", "blue/two.png", "blue/deep/er.png")
    draw(tmp_path, "_background/none.png", "blue/same-size.png")
    shutil.copy(tmp_path / "sea/one.png", tmp_path / "blue/copy.png")
    (tmp_path / "Boat").mkdir()
    os.link(tmp_path / "blue/two.png", tmp_path / "Boat/link.png")
    return tmp_path


def test_read_copies_and_links_have_all_tags(
    folders: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "edgeclf"):
        pictures = TagSource(tag_folders=folders).read()

    assert pictures.labels == ("Boat", "blue", "sea")
    assert tags_of(pictures) == {
        "Boat/link.png": {"Boat", "blue"},
        "_background/none.png": set(),
        "blue/copy.png": {"blue", "sea"},
        "blue/deep/er.png": {"blue"},
        "blue/same-size.png": {"blue"},
    }
    assert "copies of a picture in another folder: 2." in caplog.text


def test_read_reads_no_file_that_is_alone_in_size(folders: Path) -> None:
    alone = folders / "sea/alone.png"
    alone.write_bytes(b"x" * 9999)
    before = alone.stat().st_atime_ns
    os.utime(alone, ns=(0, alone.stat().st_mtime_ns))

    TagSource(tag_folders=folders).read()

    assert alone.stat().st_atime_ns == 0 != before


def test_read_choice_and_synonyms(folders: Path, tmp_path: Path) -> None:
    synonyms = tmp_path / "synonyms.txt"
    synonyms.write_text("water: sea, boat\n")

    source = TagSource(tag_folders=folders, synonyms=synonyms)

    assert source.read().labels == ("blue", "water")
    most = TagSource(tag_folders=folders, top_keywords=1)
    assert most.read().labels == ("blue",)


def test_read_broken_link_stays_for_whoever_reads_it(folders: Path) -> None:
    (folders / "sea/gone.png").symlink_to(folders / "nowhere.png")

    assert tags_of(TagSource(tag_folders=folders).read())["sea/gone.png"] == {"sea"}


def test_read_refuses_folders_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "sea").mkdir()
    with pytest.raises(DatasetError, match="at least one class folder with pictures"):
        TagSource(tag_folders=tmp_path).read()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        TagSource(tag_folders=tmp_path / "none").read()
