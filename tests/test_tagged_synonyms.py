from __future__ import annotations

from pathlib import Path

import pytest

from edgeclf.data.synonyms import folded, read_synonyms
from edgeclf.errors import DatasetError


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "synonyms.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_folded_case_blanks_and_accents() -> None:
    assert folded(" New\n YORK ") == folded("new york")
    assert folded("cafe\u0301") == folded("CAF\u00c9")
    assert folded("caf\u00e9") != folded("cafe")


def test_read_synonyms_lines_add_up_and_pass_on(tmp_path: Path) -> None:
    synonyms = read_synonyms(
        write(
            tmp_path,
            "\ufeff# people\nHuman: person , People  # and so on\n\n"
            "vehicle: Truck\ncar: automobile, vehicle, CAR\nhuman: man\r\n",
        )
    )

    assert [synonyms(name) for name in ("person", "PEOPLE", "man", "human")] == [
        "Human"
    ] * 4
    assert [synonyms(name) for name in ("truck", "Vehicle", "automobile", "Car")] == [
        "car"
    ] * 4
    assert synonyms("sea") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("human person\n", r"form 'tag: synonym, synonym' .*'human person' in line 1"),
        ("a: b\n: c\n", "': c' in line 2"),
        ("a:\n", "'a:' in line 1"),
        ("a: b,,c\n", "'a: b,,c' in line 1"),
        ("a: x\nb: X\n", "under one tag .*'X' under 'a' and, in line 2, under 'b'"),
        ("a: b\nb: c\nc: A\n", "a circle: a → c → b → a"),
        (b"a: \xff\n", "Expected UTF-8 in .*at offset 3"),
    ],
)
def test_read_synonyms_refuses(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_synonyms(write(tmp_path, text))


def test_read_synonyms_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_synonyms(tmp_path / "none.txt")
