from __future__ import annotations

import csv
import logging
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from tag_tables import KEYWORDS, draw, tags_of, write_table, write_unsplash

from edgeclf.data.tag_source import TagSource
from edgeclf.errors import DatasetError

USER, AI = "t", "f"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three photos with pictures, by all three ways a keyword can count."""
    folder = write_unsplash(
        tmp_path / "unsplash",
        ["a1", "b2", "c3"],
        [
            ("a1", "blue", "99.5", "", AI),
            ("a1", "sea", "", "99.0", AI),
            ("a1", "fish", "98.9", "98.9", AI),
            ("b2", "blue", "", "", USER),
            ("b2", "fish", "", "", AI),
            ("c3", "boat", "10", "", USER),
        ],
    )
    draw(folder, "a1.jpg", "deeper/b2.png", "c3.webp")
    return folder


def test_read_counts_either_service_and_users(small: Path) -> None:
    pictures = TagSource(unsplash=small).read()

    assert pictures.labels == ("blue", "boat", "sea")
    assert tags_of(pictures) == {
        "a1.jpg": {"blue", "sea"},
        "c3.webp": {"boat"},
        "deeper/b2.png": {"blue"},
    }
    assert [example.path for example in pictures.examples] == [
        small / "a1.jpg",
        small / "c3.webp",
        small / "deeper/b2.png",
    ]
    assert {example.label for example in pictures.examples} == {""}
    assert pictures.targets.dtype == np.bool_


def test_read_style_tags_like_dict_reader(shared: Path) -> None:
    folder = shared / "data/style_tags"
    known: dict[str, set[str]] = defaultdict(set)
    with (folder / "keywords.tsv000").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            sure = [row[f"ai_service_{n}_confidence"] for n in (1, 2)]
            if row["suggested_by_user"] == "t" or any(
                text and float(text) >= 40 for text in sure
            ):
                known[row["photo_id"]].add(row["keyword"])
    with (folder / "photos.tsv000").open(encoding="utf-8", newline="") as file:
        expected = {
            row["photo_image_url"]: known[row["photo_id"]]
            for row in csv.DictReader(file, delimiter="\t")
            if (folder / row["photo_image_url"]).exists()
        }
    counts = Counter(tag for tags in expected.values() for tag in tags)
    most = sorted(sorted(counts), key=lambda tag: -counts[tag])[:20]

    pictures = TagSource(unsplash=folder, top_keywords=20, min_confidence=40).read()

    assert pictures.labels == tuple(sorted(most))
    assert len(pictures.examples) == 1016
    assert tags_of(pictures) == {
        name: tags & set(most) for name, tags in expected.items()
    }


def test_read_takes_ten_tags_of_pictures_at_hand(tmp_path: Path) -> None:
    rows = [("here", f"tag {number:02}", "100") for number in range(12)]
    rows += [("gone", f"other {number}", "100") for number in range(12)]
    folder = write_unsplash(tmp_path, ["gone", "here"], rows)
    draw(folder, "here.jpg")

    pictures = TagSource(unsplash=folder).read()

    assert pictures.labels == tuple(f"tag {number:02}" for number in range(10))


def test_read_more_frequent_tags_come_before_earlier_ones(tmp_path: Path) -> None:
    rows = [("a", "a", "", "", USER), ("a", "z", "", "", USER)]
    rows += [("b", "z", "", "", USER), ("b", "ł", "", "", USER)]
    folder = write_unsplash(tmp_path, "ab", rows)
    draw(folder, "a.jpg", "b.jpg")

    assert TagSource(unsplash=folder, top_keywords=1).read().labels == ("z",)
    assert TagSource(unsplash=folder, top_keywords=2).read().labels == ("a", "z")


def test_read_rows_that_repeat_count_once_and_add_up(tmp_path: Path) -> None:
    rows = [("a", "x", "10"), ("a", "x", "", "", USER), ("a", "x", "100")]
    rows += [("a", "y", "100"), ("b", "y", "100")]
    folder = write_unsplash(tmp_path, "ab", rows)
    draw(folder, "a.jpg", "b.jpg")

    assert TagSource(unsplash=folder, top_keywords=1).read().labels == ("y",)
    assert tags_of(TagSource(unsplash=folder).read())["a.jpg"] == {"x", "y"}


@pytest.mark.parametrize("num_columns", [5, 6, 8])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", ["tsv000", "csv000", "tsv", "csv"])
def test_read_columns_by_header(
    tmp_path: Path, num_columns: int, order: int, name: str
) -> None:
    further = ("user_suggestion_source", "suggested_by_ai_service_3")
    columns = [*KEYWORDS, *further, "confirmed_by_ai_service_3"][:num_columns]
    values = ["a", "blue", "12.5", "99.25", "f", "photographer", "t", "t"]
    # Releases 1.3 and 1.4 have tabs in .csv000.
    delimiter = "," if name == "csv" else "\t"
    photos = ("photo_id", "photo_url", "photo_image_url")
    write_table(
        tmp_path / f"keywords.{name}",
        columns[::order],
        [values[:num_columns][::order]],
        delimiter,
    )
    write_table(
        tmp_path / f"photos.{name}",
        photos[::order],
        [("a", "", "")[::order]],
        delimiter,
    )
    draw(tmp_path, "a.jpg")

    assert TagSource(unsplash=tmp_path).read().labels == ("blue",)


def test_read_parts_and_passes_other_files_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_unsplash(tmp_path, "a", [("a", "one", "100")])
    (folder / "colors.tsv000").write_bytes(b"\xff")
    (folder / "keywords.tsv000.md5").write_bytes(b"\xff")
    write_table(folder / "keywords.tsv001", KEYWORDS, [("b", "two", "100", "", "")])
    (folder / "keywords.tsv011").touch()
    write_table(folder / "keywords.tsv010", KEYWORDS, [("a", "ten", "100", "", "")])
    write_table(folder / "photos.tsv001", ("photo_image_url", "photo_id"), [("", "b")])
    draw(folder, "a.jpg", "b.jpg")

    assert tags_of(TagSource(unsplash=folder).read()) == {
        "a.jpg": {"one", "ten"},
        "b.jpg": {"two"},
    }
    assert "Parts of the table keywords" in caplog.text
    assert "002, 003, 004, 005, 006 and 3 more" in caplog.text
    assert "table photos" not in caplog.text


def test_read_quoted_cells(tmp_path: Path) -> None:
    (tmp_path / "photos.tsv000").write_bytes(
        b"photo_id\tphoto_description\tphoto_image_url\r\n"
        b'a\t"A ""sea"",\tat\nnight"\timages/x.png\r\n\r\nb\t\t\r\n'
    )
    (tmp_path / "keywords.tsv000").write_bytes(
        b"\xef\xbb\xbf" + "\t".join(KEYWORDS).encode() + b"\n"
        b'a\t"the ""sea\n"""\t100\t\tf\nb\t"ski,\tsnow"\t\t\tt\nb\t\t\t\tt'
    )
    draw(tmp_path, "images/x.png", "b.png")

    assert tags_of(TagSource(unsplash=tmp_path).read()) == {
        "b.png": {"ski, snow"},
        "images/x.png": {'the "sea "'},
    }


def test_read_counts_and_names_what_does_not_fit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos = ["here", "silent", *(f"dead{number}" for number in range(7))]
    rows = [("here", "x", "100"), ("dead3", "x", "100"), ("nobody", "x", "100")]
    folder = write_unsplash(tmp_path, photos, [*rows, ("nobody", "y", "100")])
    draw(folder, "here.jpg", "silent.jpg", "stray.jpg")

    with caplog.at_level(logging.INFO, "edgeclf"):
        pictures = TagSource(unsplash=folder).read()

    assert tags_of(pictures) == {"here.jpg": {"x"}, "silent.jpg": set()}
    lines = caplog.text
    assert (
        "Photos without a picture: 7 (dead0, dead1, dead2, dead3, dead4 and 2 more)."
    ) in lines
    assert "not in the table of photos, passed over: 2 (nobody)." in lines
    assert "Pictures of no photo in the table, left out: 1 (stray.jpg)." in lines
    assert "Pictures without any keyword row: 1 (silent)." in lines
    assert "none of these tags, kept as such: 1 of 2." in lines


def test_read_finds_pictures_by_path_then_by_stem(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    addresses = {
        "a": "images/a.png",
        "b": "./images/../images/other.png",
        "c": "https://images.example.org/photo-1",
        "d": "../outside.png",
        "e": str(tmp_path / "outside.png"),
        "f": "images/no-ending",
        "g": "x" * 300 + ".png",
    }
    rows = [(photo, f"tag-{photo}", "100") for photo in addresses]
    folder = write_unsplash(tmp_path / "tables", addresses, rows)
    draw(tmp_path, "outside.png")
    draw(folder, "images/a.png", "images/other.png", "images/no-ending", "b.png")
    draw(folder, "sea/c.jpg", "sky/c.jpg", ".hidden/g.png")

    assert tags_of(TagSource(unsplash=folder).read()) == {
        "images/a.png": {"tag-a"},
        "images/other.png": {"tag-b"},
        "sea/c.jpg": {"tag-c"},
        "images/no-ending": {"tag-f"},
    }
    # Neither b.png, whose photo has another picture, nor the second c.jpg.
    assert "Pictures of no photo" not in caplog.text


def test_read_two_photos_with_one_picture(tmp_path: Path) -> None:
    folder = write_unsplash(
        tmp_path, {"a": "x.png", "b": "x.png"}, [("a", "p", "100"), ("b", "q", "100")]
    )
    draw(folder, "x.png")

    assert tags_of(TagSource(unsplash=folder).read()) == {"x.png": {"p", "q"}}


def test_read_pictures_elsewhere(small: Path, tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere", "b2.jpg")

    pictures = TagSource(unsplash=small, image_dir=tmp_path / "elsewhere").read()

    assert tags_of(pictures) == {"b2.jpg": {"blue"}}
    with pytest.raises(
        DatasetError, match=r"Received: 3 pictures, none of them of the"
    ):
        draw(tmp_path / "wrong", "x.jpg", "y.jpg", "z.jpg")
        TagSource(unsplash=small, image_dir=tmp_path / "wrong").read()
    with pytest.raises(FileNotFoundError, match=r"nowhere, which does not exist"):
        TagSource(unsplash=small, image_dir=tmp_path / "nowhere").read()


def test_read_named_keywords(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = TagSource(unsplash=small, keywords=("Sea", "blue", "snow"), top_keywords=1)

    pictures = source.read()

    assert pictures.labels == ("Sea", "blue", "snow")
    assert pictures.targets.sum(axis=0).tolist() == [1, 2, 0]
    assert (
        f"No picture in {small} with min_confidence 99 has the tags: snow."
        in caplog.text
    )
    with pytest.raises(
        DatasetError, match=r"tag of ice, snow in .*none; frequent there: blue, "
    ):
        TagSource(unsplash=small, keywords=("snow", "ice")).read()


def test_read_case_and_blanks_make_no_other_tag(tmp_path: Path) -> None:
    spellings = ["New  York", "new york", "New York ", "Cafe\u0301", "caf\u00e9"]
    rows = [("abcde"[place], name, "100") for place, name in enumerate(spellings)]
    folder = write_unsplash(tmp_path, "abcde", [*rows, ("e", "New York ", "100")])
    draw(folder, *(f"{photo}.jpg" for photo in "abcde"))

    pictures = TagSource(unsplash=folder).read()

    assert pictures.labels == ("Cafe\u0301", "New York")
    assert pictures.targets.sum(axis=0).tolist() == [2, 4]


def test_read_merges_synonyms_before_it_counts(tmp_path: Path) -> None:
    rows = [("a", "person", "100"), ("b", "people", "100"), ("a", "people", "100")]
    rows += [("a", "sea", "100"), ("b", "sky", "100"), ("c", "sky", "100")]
    folder = write_unsplash(tmp_path, "abc", [*rows, ("c", "Men", "100")])
    draw(folder, "a.jpg", "b.jpg", "c.jpg")
    synonyms = tmp_path / "synonyms.txt"
    synonyms.write_text("human: person, People\nperson: men\n")

    source = TagSource(unsplash=folder, synonyms=synonyms, top_keywords=1)

    assert source.read().labels == ("human",)
    assert source.read().targets.tolist() == [[True], [True], [True]]
    asked = TagSource(unsplash=folder, synonyms=synonyms, keywords=("people", "sea"))
    assert asked.read().labels == ("human", "sea")


GOOD_PHOTOS = b"photo_id\tphoto_image_url\na\t\n"
HEAD = "\t".join(KEYWORDS).encode() + b"\n"


@pytest.mark.parametrize(
    ("photos", "keywords", "message"),
    [
        (b"", HEAD, "a header in .*photos.tsv000. Received: nothing"),
        (b"photo_id\turl\na\t\n", HEAD, "url; photo_image_url is missing"),
        (b"photo_id\tphoto_id\tphoto_image_url\n", HEAD, "photo_id is there twice"),
        (b"photo_id\tphoto_image_url\n", HEAD, "Expected photos .*Received: none"),
        (GOOD_PHOTOS + b"\tx\n", HEAD, "a photo_id in each row .*none in line 3"),
        (GOOD_PHOTOS + b"b\xff\t\n", HEAD, "UTF-8 in .*photos.*byte 0xff in line 3"),
        (GOOD_PHOTOS + b'b\t"x\n', HEAD, 'quoted with ".*photos.tsv000.*in line 3'),
        (GOOD_PHOTOS, b"photo_id\tkeyword\n", "suggested_by_user is missing"),
        (
            GOOD_PHOTOS + b'b\t"x\n' + b"c\t\n" * 40_000,
            HEAD,
            'Received: a " that does not end with its cell in line 3',
        ),
        (GOOD_PHOTOS + b'b\t"x\nc\t"y"\n', HEAD, "does not end .* in line 3"),
        (GOOD_PHOTOS, HEAD + b"a\tx\t99\t\tt\na\tx\t9", "5 cells .*3 in line 3"),
        (GOOD_PHOTOS, HEAD + b"a\tx\tsure\t\tf\n", "numbers.*'sure' and '' in line 2"),
        (GOOD_PHOTOS, HEAD + b"a\tx\t\t\tmaybe\n", "t or f .*'maybe' in line 2"),
        (
            GOOD_PHOTOS,
            HEAD + b"a\tx\t98\t\tf\n",
            "a tag of a picture.*none that counts",
        ),
        (GOOD_PHOTOS, HEAD + b"a\t \t\t\tt\n", "a tag of a picture.*none that counts"),
        (GOOD_PHOTOS, HEAD, "a tag of a picture .*none that counts"),
        (GOOD_PHOTOS, b"\xfe\xff\x00", "UTF-8 in .*keywords.tsv000.*line 1"),
    ],
)
def test_read_refuses(
    tmp_path: Path, photos: bytes, keywords: bytes, message: str
) -> None:
    (tmp_path / "photos.tsv000").write_bytes(photos)
    (tmp_path / "keywords.tsv000").write_bytes(keywords)
    draw(tmp_path, "a.jpg")

    with pytest.raises(DatasetError, match=f"(?s){message}"):
        TagSource(unsplash=tmp_path).read()


def test_read_without_tables(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"photos\.tsv000 or photos\.csv000 in"):
        TagSource(unsplash=tmp_path).read()
    (tmp_path / "photos.tsv000").write_bytes(GOOD_PHOTOS)
    draw(tmp_path, "a.jpg")
    with pytest.raises(DatasetError, match=r"keywords\.tsv000 or keywords\.csv000 in"):
        TagSource(unsplash=tmp_path).read()
    with pytest.raises(FileNotFoundError):
        TagSource(unsplash=tmp_path / "none").read()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Expected one of unsplash, tags_csv, tag_folders. Received: none"),
        ({"unsplash": "a", "tag_folders": "b"}, "Received: unsplash and tag_folders"),
        ({"tags_csv": "a.csv"}, "image_dir, the folder of the pictures, with tags_csv"),
        ({"tag_folders": "a", "image_dir": "b"}, "no image_dir with tag_folders"),
        (
            {"unsplash": "a", "top_keywords": 0},
            "top_keywords of 1 or more. Received: 0",
        ),
        ({"unsplash": "a", "min_confidence": 101}, "in 0-100. Received: 101"),
        ({"unsplash": "a", "min_confidence": float("nan")}, "in 0-100. Received: nan"),
        ({"unsplash": "a", "keywords": ()}, "names in keywords, at least one"),
        ({"unsplash": "a", "keywords": ("x", " ")}, "names in keywords"),
        ({"unsplash": "a", "keywords": ("x", "X")}, "different names in keywords"),
    ],
)
def test_tag_source_refuses(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TagSource(**arguments)
