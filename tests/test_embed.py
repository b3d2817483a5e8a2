from __future__ import annotations

import csv
import io
import json
import logging
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path

import model_files as models
import numpy as np
import pytest

from edgeclf import Embedder
from edgeclf.embed import main
from edgeclf.embedder import cosine_similarity
from edgeclf.labelling.opening import open_each

Files = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def model(model_file: Files) -> str:
    return str(model_file())


def vector(path: Path) -> np.ndarray:
    return Embedder(models.own()).embed(path)


def usage_error(capsys: Captured, *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize("workers", ["1", "2"])
def test_json_lines_hold_the_vectors_and_errors_do_not_stop_the_run(
    model: str, picture: Files, capsys: Captured, tmp_path: Path, workers: str
) -> None:
    red, blue, missing = picture("red"), picture("blue"), tmp_path / "missing.png"
    arguments = ["--model", model, "--workers", workers, "--image"]
    assert main([*arguments, str(red), str(missing), str(blue)]) == 1
    captured = capsys.readouterr()
    error = f"{missing}: No such file or directory."
    assert [json.loads(line) for line in captured.out.splitlines()] == [
        {"image": str(red), "embedding": vector(red).tolist()},
        {"image": str(missing), "error": error},
        {"image": str(blue), "embedding": vector(blue).tolist()},
    ]
    assert f"error: {error}\n" in captured.err


def test_region_rotation_and_length_are_handed_on(
    model: str, tmp_path: Path, noise: np.ndarray, capsys: Captured
) -> None:
    from PIL import Image

    path = tmp_path / "noise.png"
    Image.fromarray(noise).save(path)
    view = ["--region", "0.25", "0", "1", "0.5", "--rotation", "90"]
    assert main(["--model", model, "--image", str(path), *view, "--normalize"]) == 0
    line = json.loads(capsys.readouterr().out)
    expected = Embedder(models.own()).embed(
        path, region=(0.25, 0, 1, 0.5), rotation=90, normalize=True
    )
    assert line["embedding"] == expected.tolist()
    assert np.linalg.norm(line["embedding"]) == pytest.approx(1, abs=1e-6)


def test_csv_has_a_column_for_each_number(
    model: str, picture: Files, capsys: Captured
) -> None:
    path = picture("green")
    assert main(["--model", model, "--image", str(path), "--format", "csv"]) == 0
    header, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == ["image", "error", "0", "1", "2"]
    assert row[:2] == [str(path), ""]
    np.testing.assert_array_equal(np.array(row[2:], float), vector(path))


def test_arrays_hold_the_names_of_what_could_be_read(
    model: str, picture: Files, tmp_path: Path, capsys: Captured
) -> None:
    red, blue = picture("red"), picture("blue", "zdjęcie.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    arguments = ["--model", model, "--image", str(red), str(bad), str(blue)]
    expected = np.stack([vector(red), vector(blue)])
    assert main([*arguments, "--output", str(tmp_path / "new" / "v.npz")]) == 1
    with np.load(tmp_path / "new" / "v.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["embeddings"], expected)
        assert arrays["images"].tolist() == [str(red), str(blue)]
        assert arrays["embeddings"].dtype == np.float32
    assert capsys.readouterr().out == ""
    only_bad = ["--model", model, "--image", str(bad)]
    assert main([*only_bad, "--output", str(tmp_path / "none.npz")]) == 1
    assert "Expected one picture at least" in capsys.readouterr().err
    assert not (tmp_path / "none.npz").exists()


def test_output_is_written_in_one_step(
    model: str, picture: Files, tmp_path: Path, capsys: Captured
) -> None:
    path, output = picture("red"), tmp_path / "vectors.csv"
    output.write_text("before")
    assert main(["--model", model, "--image", str(path), f"--output={output}"]) == 0
    assert output.read_text(encoding="utf-8").startswith("image,error,0,1,2\n")
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.glob(".*"))


def test_output_minus_is_stdout(
    model: str, picture: Files, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture("red")
    monkeypatch.chdir(path.parent)
    assert main(["--model", model, "--image", str(path), "--output", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["embedding"] == vector(path).tolist()
    assert not Path("-").exists()


def test_what_is_read_is_never_written_over(
    model: str, picture: Files, tmp_path: Path, capsys: Captured
) -> None:
    picture("red", "photos/red.png")
    noend = Path(shutil.copy(tmp_path / "photos" / "red.png", tmp_path / "noend"))
    listed, link = tmp_path / "list.txt", tmp_path / "link"
    listed.write_text(f"{noend}\n", encoding="utf-8")
    link.symlink_to(noend)
    before = {path: path.read_bytes() for path in (Path(model), noend, listed)}
    for image, output in (
        (tmp_path / "photos", model),
        (listed, listed),
        (listed, noend),
        (noend, tmp_path / "photos" / ".." / "noend"),
        (f"{tmp_path}/noen?", link),
    ):
        arguments = ["--model", model, "--image", str(image), "--output", str(output)]
        error = usage_error(capsys, *arguments)
        assert "Expected another file for --output than " in error
        assert {path: path.read_bytes() for path in before} == before


class Lines(io.BytesIO):
    """A pipe that is written to line by line."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return self.readline()


def test_a_line_of_stdin_is_not_written_over(
    model: str,
    picture: Files,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noend = Path(shutil.copy(picture("red"), tmp_path / "noend"))
    before = noend.read_bytes()
    lines = Lines(f"missing.png\nno\0path\n{noend}\n".encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(lines))
    assert main(["--model", model, "--image", "-", "--output", str(noend)]) == 1
    expected = f"error: Expected another file for --output than {noend}, which is read."
    assert capsys.readouterr().err.splitlines()[-1] == expected
    assert noend.read_bytes() == before


def test_a_region_outside_a_picture_fails_as_that_picture(
    model: str, picture: Files, capsys: Captured
) -> None:
    red, blue = str(picture("red")), str(picture("blue"))  # 20 x 10
    base = ["--model", model, "--region", "0", "0", "50", "50"]
    for arguments in (
        ["--compare", red, blue],
        ["--similar_to", red, "--image", blue],
        ["--image", red],
    ):
        assert main([*base, *arguments]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"error: {red}: Expected region=")
        assert "usage" not in error


def test_what_there_is_to_say_is_said_once(
    model: str, picture: Files, capsys: Captured
) -> None:
    arguments = ["--model", model, "--image", str(picture("red")), "--workers", "3"]
    assert main([*arguments, "--delegate", "libnothing.so.1"]) == 0
    assert capsys.readouterr().err.count("The delegate libnothing.so.1") == 1
    logger = logging.getLogger("edgeclf")
    assert logger.level == logging.INFO
    with ExitStack() as stack, pytest.raises(StopIteration):
        open_each(stack, iter([nullcontext()]).__next__, 2)  # the second one fails
    assert logger.level == logging.INFO


def test_two_pictures_are_compared(
    model: str, picture: Files, capsys: Captured
) -> None:
    red, blue = picture("red"), picture("blue")
    expected = float(cosine_similarity(vector(red), vector(blue)))
    assert main(["--model", model, "--compare", str(red), str(blue)]) == 0
    assert capsys.readouterr().out == f"{expected:.4f}\n"
    assert main(["--model", model, "--compare", str(red), str(red), "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["images"] == [str(red), str(red)]
    assert line["similarity"] == pytest.approx(1, abs=1e-6)
    assert main(["--model", model, "--compare", str(red), "missing.png"]) == 1
    assert "missing.png: No such file" in capsys.readouterr().err


def test_pictures_are_ranked_by_similarity(
    model: str, color_folder: Path, picture: Files, capsys: Captured
) -> None:
    query = picture("green")
    arguments = ["--model", model, "--image", str(color_folder)]
    arguments += ["--similar_to", str(query)]
    assert main([*arguments, "--workers=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    scores = [float(line.rpartition(" ")[2]) for line in lines]
    assert scores == sorted(scores, reverse=True)
    assert len(lines) == 9
    for line in lines[:3]:
        assert Path(line.rpartition(" ")[0]).parent.name == "green"
    assert main([*arguments, "--top_k", "1", "--json"]) == 0
    best = json.loads(capsys.readouterr().out)
    assert best["image"] == lines[0].rpartition(" ")[0]
    assert best["similarity"] == pytest.approx(scores[0], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Expected --image or --compare, one of them."),
        (["--image", "a", "--compare", "a", "b"], "--image or --compare, one of them"),
        (["--image", "a", "--format", "npz"], "Expected --output FILE with --format"),
        (
            ["--image", "a", "--format", "npz", "--output", "-"],
            "Expected --output FILE",
        ),
        (["--image", "a", "--output", "a.npy"], "ending .npz. Received: a.npy"),
        (["--image", "a", "--output", "a.jpg"], "another ending. Received: a.jpg"),
        (["--image", "a", "--top_k", "1"], "--top_k only with --similar_to"),
        (["--compare", "a", "b", "--normalize"], "only where vectors are written"),
        (["--compare", "a", "b", "--similar_to", "c"], "not both"),
        (["--image", "a", "--region", "0", "0", "2.5", "1"], "Received: 0 0 2.5 1"),
        (["--image", "-", "-"], "Expected - (stdin) once"),
        (["--compare", "-", "-"], "Expected - (stdin) once"),
        (["--similar_to", "-", "--image", "-"], "Expected - (stdin) once"),
        (["--image", "a", "--input_width", "224"], "Expected --input_width 6, the"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: list[str], sentence: str, model: str, capsys: Captured
) -> None:
    assert sentence in usage_error(capsys, "--model", model, *arguments)


def test_a_folder_is_not_a_query(
    model: str, color_folder: Path, capsys: Captured
) -> None:
    arguments = ["--model", model, "--image", "a.png", "--similar_to"]
    error = usage_error(capsys, *arguments, str(color_folder))
    assert f"Expected one picture to compare with. Received: {color_folder}" in error
