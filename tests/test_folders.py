import logging
import os

import pytest
import tiny

from edgeclf.data.folders import Example, read_folder
from edgeclf.errors import DatasetError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_classes_are_first_level_folders_in_code_point_order(tmp_path):
    touch(tmp_path, "b/2.jpg", "b/1.png", "Wzory łowickie/x.webp", "Z/deep/er/y.gif")
    assert [(e.label, e.name) for e in read_folder(tmp_path)] == [
        ("Wzory łowickie", "Wzory łowickie/x.webp"),
        ("Z", "Z/deep/er/y.gif"),
        ("b", "b/1.png"),
        ("b", "b/2.jpg"),
    ]


def test_example_knows_where_the_picture_is(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png")
    assert read_folder(str(tmp_path))[0] == Example(
        tmp_path / "a" / "1.png", "a/1.png", "a"
    )


def test_litter_and_hidden_folders_are_passed_over_without_a_word(tmp_path, caplog):
    touch(tmp_path, "a/1.jpg", "b/1.jpg", "a/.DS_Store", "a/Thumbs.db", "notes.txt")
    touch(tmp_path, ".ipynb_checkpoints/1.jpg", "a/.hidden/1.jpg", ".x.jpg")
    with caplog.at_level(logging.INFO):
        names = [example.name for example in read_folder(tmp_path)]
    assert names == ["a/1.jpg", "b/1.jpg"]
    assert not caplog.messages


def test_an_empty_class_is_left_out_with_a_warning(tmp_path, caplog):
    touch(tmp_path, "a/1.jpg", "b/1.jpg", "empty/readme.txt")
    assert {example.label for example in read_folder(tmp_path)} == {"a", "b"}
    assert caplog.messages == [
        f"No pictures in the class folder {tmp_path / 'empty'}: left out."
    ]


@pytest.mark.parametrize(
    ("names", "received"), [([], "none"), (["a/1.jpg"], "one: a"), (["1.jpg"], "none")]
)
def test_fewer_than_two_classes_are_refused(tmp_path, names, received):
    touch(tmp_path, *names)
    with pytest.raises(DatasetError) as caught:
        read_folder(tmp_path)
    assert str(caught.value) == (
        f"Expected at least two class folders with pictures in {tmp_path}. "
        f"Received: {received}."
    )


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no/such, which does not exist"):
        read_folder(tmp_path / "no" / "such")


def test_a_file_is_no_folder(tmp_path):
    touch(tmp_path, "a.jpg")
    with pytest.raises(NotADirectoryError, match=r"a\.jpg, which is a file"):
        read_folder(tmp_path / "a.jpg")


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_a_class_may_be_a_link(tmp_path):
    tiny.write_folder(tmp_path / "real", {"red": 1, "blue": 1})
    data = tmp_path / "data"
    data.mkdir()
    (data / "A").symlink_to(tmp_path / "real" / "red")
    (data / "B").symlink_to(tmp_path / "real" / "blue")
    assert [example.name for example in read_folder(data)] == ["A/000.png", "B/000.png"]


def test_pictures_outside_of_all_classes_are_counted(tmp_path, caplog):
    touch(tmp_path, "a/1.jpg", "b/1.jpg", "x.jpg", "y.PNG", "notes.txt")
    assert len(read_folder(tmp_path)) == 2
    assert caplog.messages == [
        f"2 pictures lie in {tmp_path} itself, in no class folder: left out."
    ]


@pytest.mark.parametrize("name", [b"two\nlines", b"end\n", b"end\r", b"\xff\xfe"])
def test_a_name_that_is_no_label_is_refused(tmp_path, name):
    touch(tmp_path, "a/1.jpg", "b/1.jpg")
    folder = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118
    os.mkdir(folder)  # noqa: PTH102
    with pytest.raises(DatasetError, match=r"one line of UTF-8.*Rename it\."):
        read_folder(tmp_path)


def test_a_litter_folder_is_no_class(tmp_path):
    touch(tmp_path, "a/1.jpg", "b/1.jpg", "@eaDir/x.jpg", "__MACOSX/a.jpg")
    assert {example.label for example in read_folder(tmp_path)} == {"a", "b"}
