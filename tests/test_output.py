from __future__ import annotations

import json

import pytest

from edgeclf.labelling.output import hashtag, hashtags, reporter
from edgeclf.results import Category, label_of

Captured = pytest.CaptureFixture[str]

CATEGORIES = [Category(1, "wide  sky", 0.75), Category(0, None, 0.25)]


def test_a_label_that_is_missing_is_the_index() -> None:
    assert [label_of(category) for category in CATEGORIES] == ["wide  sky", "0"]


@pytest.mark.parametrize("several", [False, True])
def test_text_and_hashtags_name_the_picture_when_there_are_several(
    several: bool, capsys: Captured
) -> None:
    header = "a.jpg:\n" if several else ""
    report = reporter("text", several)
    report("a.jpg", CATEGORIES, "")
    assert capsys.readouterr().out == f"{header}wide  sky 0.7500\n0 0.2500\n"
    report("a.jpg", [], "")
    assert capsys.readouterr().out == header
    report("a.jpg", None, "cut short")
    assert capsys.readouterr().out == ""
    reporter("hashtags", several)("a.jpg", CATEGORIES, "")
    assert capsys.readouterr().out == f"{header}#wide_sky #0\n"


@pytest.mark.parametrize(
    ("label", "tag"),
    [
        ("Dolce & Gabbana", "#Dolce_Gabbana"),
        ("wzory łowickie", "#wzory_łowickie"),
        ("हिन्दी", "#हिन्दी"),  # vowel signs are marks, not letters
        ("rock'n'roll", "#rock_n_roll"),
        ("#tag", "#tag"),
        ("a__b_", "#a_b"),
        ("❤\ufe0f love", "#love"),
        ("2024", "#tag_2024"),
        ("24/7", "#tag_24_7"),
        ("\u0665", "#tag_\u0665"),
        ("4th of July", "#4th_of_July"),
        ("🐶", ""),
        ("#", ""),
    ],
)
def test_hashtags_are_letters_digits_and_underscores(label: str, tag: str) -> None:
    assert hashtag(Category(0, label, 0.5)) == tag


def test_hashtags_that_are_the_same_stand_once(capsys: Captured) -> None:
    labels = ("a b", "🐶", "A-b", "c")
    categories = [Category(index, label, 0.5) for index, label in enumerate(labels)]
    assert hashtags(categories) == ["#a_b", "#c"]
    reporter("hashtags", several=False)("a.jpg", [], "")
    assert capsys.readouterr().out == "\n"


def test_csv_keeps_a_row_for_a_picture_without_labels(capsys: Captured) -> None:
    report = reporter("csv", several=False)
    report("a.jpg", [], "")
    report("b, c.jpg", None, 'is "damaged"')
    report("d.jpg", CATEGORIES, "")
    assert capsys.readouterr().out == (
        "image,rank,index,label,score,error\n"
        "a.jpg,,,,,\n"
        '"b, c.jpg",,,,,"is ""damaged"""\n'
        "d.jpg,1,1,wide  sky,0.75,\n"
        "d.jpg,2,0,,0.25,\n"
    )


def test_json_keeps_what_is_absent(capsys: Captured) -> None:
    report = reporter("json", several=True)
    report("a.jpg", CATEGORIES, "")
    report("łąka.jpg", None, "cut short")
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first) == {
        "image": "a.jpg",
        "categories": [
            {"index": 1, "label": "wide  sky", "score": 0.75},
            {"index": 0, "label": None, "score": 0.25},
        ],
    }
    assert second == '{"image": "łąka.jpg", "error": "cut short"}'
