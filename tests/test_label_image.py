from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import model_files as models
import numpy as np
import pytest
from PIL import Image

from edgeclf import Classifier
from edgeclf.label_image import main

ROOT = Path(__file__).resolve().parents[1]

Files = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


def score(path: Path, index: int, content: bytes | None = None) -> float:
    return float(Classifier(content or models.own()).scores(path)[index])


def usage_error(capsys: Captured, *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: label_image")
    return captured.err


def test_text_is_label_and_score(
    picture: Files, model_file: Files, capsys: Captured
) -> None:
    path = picture("red")
    assert main(["--model", str(model_file()), "--image", str(path)]) == 0
    assert capsys.readouterr().out == (
        f"red {score(path, 0):.4f}\n"
        f"green {score(path, 1):.4f}\n"
        f"blue {score(path, 2):.4f}\n"
    )


def test_several_pictures_have_headers_and_options_any_spelling(
    picture: Files, model_file: Files, capsys: Captured
) -> None:
    red, blue = picture("red"), picture("blue")
    options = [f"--graph={model_file()}", "--top-k=1", "--num-threads", "1"]
    assert main([*options, f"--image={red}", "--image", str(blue)]) == 0
    assert capsys.readouterr().out == (
        f"{red}:\nred {score(red, 0):.4f}\n{blue}:\nblue {score(blue, 2):.4f}\n"
    )


def test_json_is_one_line_for_each_picture(
    picture: Files, model_file: Files, capsys: Captured, tmp_path: Path
) -> None:
    path, missing = picture("green", "zdjęcie łąki.png"), tmp_path / "missing.jpg"
    arguments = ["--model", str(model_file()), "--json", "--top_k", "1"]
    assert main([*arguments, "--image", str(path), "--image", str(missing)]) == 1
    captured = capsys.readouterr()
    first, second = captured.out.splitlines()
    assert "zdjęcie łąki" in first
    assert json.loads(first) == {
        "image": str(path),
        "categories": [{"index": 1, "label": "green", "score": score(path, 1)}],
    }
    error = f"{missing}: No such file or directory."
    assert json.loads(second) == {"image": str(missing), "error": error}
    assert f"error: {error}\n" in captured.err


def test_csv_has_a_row_for_each_category_and_each_error(
    picture: Files, model_file: Files, capsys: Captured, tmp_path: Path
) -> None:
    path, text = picture("green"), tmp_path / "text.jpg"
    text.write_text("no picture")
    content = models.own(["a, b", 'c "d"', "łąka"])
    arguments = ["--model", str(model_file(content)), "--format", "csv", "--top_k=2"]
    assert main([*arguments, f"--image={text}", f"--image={path}"]) == 1
    output = capsys.readouterr().out
    assert "\r" not in output
    header, error, first, second = csv.reader(io.StringIO(output))
    assert header == ["image", "rank", "index", "label", "score", "error"]
    assert error[:5] == [str(text), "", "", "", ""]
    assert error[5].startswith(f"{text} is not a picture")
    assert first == [str(path), "1", "1", 'c "d"', str(score(path, 1)), ""]
    assert second == [str(path), "2", "0", "a, b", str(score(path, 0)), ""]


def test_hashtags_join_words(
    picture: Files, model_file: Files, capsys: Captured
) -> None:
    content = models.own(["wzory łowickie", "b", "wide  open sky"])
    arguments = ["--model", str(model_file(content)), "--format=hashtags"]
    arguments += ["--image", str(picture("red"))]
    assert main([*arguments, "--top_k=5"]) == 0
    assert capsys.readouterr().out == "#wzory_łowickie #b #wide_open_sky\n"


def test_of_one_class_a_picture_the_best_alone_is_a_hashtag(
    picture: Files, model_file: Files, capsys: Captured
) -> None:
    arguments = ["--model", str(model_file()), "--format=hashtags"]
    arguments += ["--image", str(picture("red"))]
    assert main(arguments) == 0
    assert capsys.readouterr().out == "#red\n"
    assert main([*arguments, "--score_threshold=0"]) == 0
    assert len(capsys.readouterr().out.split()) == 3
    assert main([*arguments, "--score_threshold=1"]) == 0
    assert capsys.readouterr().out == "\n"


def test_labels_that_are_missing_are_indices(
    picture: Files, model_file: Files, capsys: Captured
) -> None:
    path = picture("blue")
    arguments = ["--model", str(model_file(models.build(input_type="uint8")))]
    assert main([*arguments, "--image", str(path), "--top_k=1"]) == 0
    assert capsys.readouterr().out.startswith("2 0.")


def test_folder_is_labelled_with_relative_paths(
    color_folder: Path,
    model_file: Files,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(color_folder.parent)
    arguments = ["--model", str(model_file()), "--json", "--top_k=1"]
    assert main([*arguments, "--image", "./colors"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["image"] for line in lines] == [
        f"./colors/{color}/{number}.png"
        for color in sorted(models.COLORS)
        for number in range(3)
    ]
    for line in lines:
        assert line["categories"][0]["label"] == Path(line["image"]).parent.name


def test_folder_without_pictures_is_an_error(
    tmp_path: Path, picture: Files, model_file: Files, capsys: Captured
) -> None:
    (tmp_path / "empty").mkdir()
    arguments = ["--model", str(model_file()), "--image", str(tmp_path / "empty")]
    assert main([*arguments, "--image", str(picture("red"))]) == 1
    captured = capsys.readouterr()
    assert (
        f"error: {tmp_path / 'empty'} is a folder without image files." in captured.err
    )
    assert "red 0." in captured.out  # the rest was done


def test_choice_of_labels(picture: Files, model_file: Files, capsys: Captured) -> None:
    path = str(picture("red"))
    base = ["--model", str(model_file()), "--image", path]
    assert main([*base, "--allow", "green", "blue"]) == 0
    words = capsys.readouterr().out.split()
    assert words[::2] == ["green", "blue"]
    assert main([*base, "--deny", "red", "--deny", "blue"]) == 0
    assert capsys.readouterr().out.split()[::2] == ["green"]
    assert main([*base, "--score_threshold", "0.9"]) == 0
    assert capsys.readouterr().out.split()[::2] == ["red"]


def test_reject_says_unknown(
    picture: Files, model_file: Files, capsys: Captured
) -> None:
    content = models.own(entry=models.record(reject={"min_score": 0.999}))
    path = picture("red")
    base = ["--model", str(model_file(content)), "--image", str(path), "--reject"]
    assert main(base) == 0
    assert capsys.readouterr().out == f"unknown {score(path, 0):.4f}\n"
    assert main([*base, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["categories"] == [
        {"index": None, "label": "unknown", "score": score(path, 0)}
    ]


def test_labels_resize_and_normalisation_are_handed_on(
    tmp_path: Path, model_file: Files, capsys: Captured, noise: np.ndarray
) -> None:
    path, labels = tmp_path / "noise.png", tmp_path / "labels.txt"
    Image.fromarray(noise).save(path)
    labels.write_text("x\ny\nz\n")
    content = models.build()
    expected = Classifier(
        content, labels, resize="nearest", input_mean=0, input_std=255
    ).classify(path, top_k=1)[0]
    arguments = ["--model", str(model_file(content)), "--image", str(path)]
    arguments += ["--labels", str(labels), "--resize", "nearest", "--top_k", "1"]
    assert main([*arguments, "--input_mean", "0", "--input_std", "255"]) == 0
    assert capsys.readouterr().out == f"{expected.label} {expected.score:.4f}\n"
    assert main(arguments) == 1
    assert "give input_mean and input_std" in capsys.readouterr().err


def test_pb_name_finds_the_tflite_beside_it(
    tmp_path: Path, picture: Files, model_file: Files, capsys: Captured
) -> None:
    model_file(name="retrained_graph.tflite")
    graph = tmp_path / "retrained_graph.pb"
    arguments = [f"--graph={graph}", f"--image={picture('red')}"]
    assert main(arguments) == 0
    tflite = graph.with_suffix(".tflite")
    assert f"{graph} is not there: {tflite} is used.\n" in capsys.readouterr().err
    graph.write_bytes(b"a frozen graph")
    assert main(arguments) == 1
    assert f"error: {graph}: Expected a TFLite model" in capsys.readouterr().err
    missing = tmp_path / "other.pb"
    assert main([f"--graph={missing}", f"--image={picture('red')}"]) == 1
    assert str(missing) in capsys.readouterr().err


def test_options_of_tensorflow_for_poets_are_accepted(
    picture: Files, model_file: Files, capsys: Captured
) -> None:
    base = [f"--graph={model_file()}", f"--image={picture('red')}"]
    old = ["--input_height=8", "--input_width=6", "--input_layer=input"]
    assert main([*base, *old, "--output_layer=final_result"]) == 0
    assert "--input_layer and --output_layer are not needed: ignored.\n" in (
        capsys.readouterr().err
    )
    assert main([*base, "--input_mean=127.5", "--input_std=127.5"]) == 0
    capsys.readouterr()
    error = usage_error(capsys, *base, "--input_width=224")
    assert "Expected --input_width 6, the size of the model's input" in error
    assert "Received: 224" in error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "the following arguments are required: --model/--graph"),
        (["--top_k", "0"], "--top_k: expected a whole number of 1 or more, received 0"),
        (["--top_k", "x"], "--top_k: expected a whole number of 1 or more, received x"),
        (["--num_threads=0"], "--num_threads: expected a whole number of 1 or more"),
        (["--score_threshold", "1.5"], "--score_threshold: expected 0 to 1, received"),
        (["--format", "xml"], "--format: invalid choice: 'xml'"),
        (["--resize", "cubic"], "--resize: invalid choice: 'cubic'"),
        (["--allow", "pink"], "Received: 'pink', which it does not have."),
        (["--allow", "red", "--deny", "blue"], "Expected allow or deny, not both"),
        (["--input_mean", "0"], "Expected input_mean and input_std together"),
        (["--input_mean=0", "--input_std=255"], "its metadata say (127.5,)"),
    ],
)
def test_wrong_usage_ends_with_2(
    arguments: list[str],
    sentence: str,
    picture: Files,
    model_file: Files,
    capsys: Captured,
) -> None:
    if arguments:
        arguments += ["--model", str(model_file()), "--image", str(picture("red"))]
    assert sentence in usage_error(capsys, *arguments)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--labels", "labels.txt"], "Received: 1 in labels.txt."),
        (["--labels", "missing.txt"], "missing.txt"),
    ],
)
def test_failures_end_with_1(
    options: list[str],
    sentence: str,
    tmp_path: Path,
    picture: Files,
    model_file: Files,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text("one\n")
    arguments = ["--model", str(model_file()), "--image", str(picture("red"))]
    assert main([*arguments, *options]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert sentence in captured.err


def run(
    *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "edgeclf.label_image", *arguments]
    return subprocess.run(command, capture_output=True, cwd=ROOT, env=env, check=False)


def test_module_runs_and_writes_utf_8_and_odd_names(
    tmp_path: Path, picture: Files, model_file: Files
) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff.png"
    os.rename(picture("red"), odd)  # noqa: PTH104 - a name that is not UTF-8
    model = str(model_file(models.own(["czerwień", "b", "c"])))
    arguments = ["--model", model, "--image", os.fsdecode(odd), "--top_k=1"]
    done = run(*arguments, "--json", env={**os.environ, "PYTHONUTF8": "1"})
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.decode("utf-8"))
    assert os.fsencode(line["image"]) == odd
    assert line["categories"][0]["label"] == "czerwień"
    ascii_only = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = run(*arguments, "--json", env=ascii_only)
    assert json.loads(done.stdout)["categories"][0]["label"] == "czerwień"
    done = run(*arguments, env=ascii_only)
    assert done.returncode == 0
    assert done.stdout.startswith(rb"czerwie\u0144 0.")


def test_broken_pipe_ends_quietly(color_folder: Path, model_file: Files) -> None:
    command = [sys.executable, "-m", "edgeclf.label_image", "--model"]
    command += [str(model_file()), "--image", str(color_folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # as `head -0` would
        errors = process.stderr.read()
        assert process.wait() == 0
    assert b"Traceback" not in errors
    assert b"Broken pipe" not in errors


def test_messy_folder_goes_on_to_its_end(
    shared: Path, model_file: Files, capsys: Captured
) -> None:
    folder = shared / "data" / "messy"
    arguments = ["--model", str(model_file()), "--image", str(folder), "--json"]
    assert main(arguments) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    answers = {Path(line["image"]).name: "error" not in line for line in lines}
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["file"] in answers and row["expected"] != "either":
                assert answers[row["file"]] is (row["expected"] == "ok"), row["file"]
    assert len(answers) > 40
    assert not answers.keys() & {".DS_Store", "Thumbs.db", "drawing.svg"}


def test_a_glob_of_the_shell_is_several_images(
    picture: Callable[..., Path],
    model_file: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [str(picture("red", "a.png")), str(picture("blue", "b.png"))]
    assert main(["--model", str(model_file()), "--image", *names, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["image"] for line in lines] == names


def test_a_folder_that_cannot_be_read_does_not_stop_the_rest(
    picture: Callable[..., Path],
    model_file: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    good = picture("red", "a.png")
    closed = tmp_path / "closed"
    closed.mkdir()
    real = os.scandir

    def scandir(path: str) -> object:  # root may read everything
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(closed))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    arguments = ["--model", str(model_file()), "--json", "--image"]
    assert main([*arguments, str(closed), str(good)]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"image": str(closed), "error": f"{closed}: Permission denied."}
    assert lines[1]["image"] == str(good)
    assert lines[1]["categories"]
