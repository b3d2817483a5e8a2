from __future__ import annotations

from pathlib import Path

import pytest

from edgeclf import LabelError
from edgeclf.labels import check_number, given_labels, read_labels


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (b"a\nb\n", ("a", "b")),
        (b"a\r\nb\r\n\r\n", ("a", "b")),
        (b"\xef\xbb\xbfa\nb", ("a", "b")),
        (
            "wzory łowickie \n\n\u2028b\x85\n".encode(),
            ("wzory łowickie ", "", "\u2028b\\x85"),
        ),
        (b"", ()),
        (b"a\tb\x1b[2J\n", ("a\tb\\x1b[2J",)),
    ],
)
def test_labels_are_lines(text: bytes, labels: tuple[str, ...]) -> None:
    assert read_labels(text) == labels


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("0 cat\n1 dog\n", ("cat", "dog")),  # Teachable Machine
        ("0  cat\r\n1  hot dog\r\n", ("cat", "hot dog")),  # Coral
        ("0: cat\n1:dog\n", ("cat", "dog")),
        ("  0 cat\n  1 7up\n", ("cat", "7up")),
        ("0 cat\n2 dog\n", ("0 cat", "2 dog")),
        ("1 cat\n2 dog\n", ("1 cat", "2 dog")),
        ("0 cat\ndog\n", ("0 cat", "dog")),
        ("0\n1\n", ("0", "1")),
        ("0cat\n1dog\n", ("0cat", "1dog")),
        ("7up\n1 dog\n", ("7up", "1 dog")),
        ("1" * 5000 + " cat\n1 dog\n", ("1" * 5000 + " cat", "1 dog")),
    ],
)
def test_numbers_before_all_lines_are_left_out(
    text: str, labels: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(text.encode())
    assert given_labels(path) == (labels, str(path))
    lines = text.splitlines()
    assert given_labels(lines) == (tuple(lines), "the list of labels")


def test_background_that_explains_the_number_is_named() -> None:
    with pytest.raises(LabelError) as caught:
        check_number(["a", "b"], 3, "m.tflite", "l.txt")
    assert str(caught.value) == (
        "Expected 3 labels for m.tflite. Received: 2 in l.txt. One is missing: models "
        "of ImageNet often have background as their first class. If so, put it before "
        "the others."
    )
    for labels in (["background", "a", "b"], ["a", "b", "background"]):
        with pytest.raises(LabelError) as caught:
            check_number(labels, 2, "m.tflite", "l.txt")
        assert str(caught.value) == (
            "Expected 2 labels for m.tflite. Received: 3 in l.txt. Leave out "
            "background, which this model does not have."
        )
        check_number(labels, 3, "m.tflite", "l.txt")
    for labels, number in ((["a", "b", "c"], 2), (["background", "a"], 3)):
        with pytest.raises(LabelError, match=r"in l.txt\.$"):
            check_number(labels, number, "m.tflite", "l.txt")
