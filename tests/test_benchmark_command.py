import json
from importlib import metadata

import model_files as models
import numpy as np
import pytest
from PIL import Image

from edgeclf.benchmark.cold_start import peak_bytes
from edgeclf.benchmark.command import _parser, main, report
from edgeclf.benchmark.drawn import DRAWN, draw
from edgeclf.benchmark.timings import STEPS, machine, time_start
from edgeclf.classifier import Classifier
from edgeclf.errors import EdgeclfError
from edgeclf.interpreter import num_processors
from edgeclf.labelling.arguments import model_arguments


def run_json(capsys, *arguments):
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_has_every_figure(model_file, picture, capsys):
    model, photo = model_file(), picture("green")
    options = ["--runs", 2, "--num_threads", 1]
    figures = run_json(capsys, model, "--image", photo, *options)
    assert figures["model"]["path"] == str(model)
    assert figures["model"]["size_bytes"] == model.stat().st_size
    assert figures["model"]["input_size"] == [8, 6]
    assert figures["model"]["num_classes"] == 3
    assert figures["settings"]["num_threads"] == 1
    start = figures["cold_start"]
    own = [start[name] for name in ("import_ms", "load_ms", "first_ms")]
    assert min(own) > 0
    assert start["python_ms"] == pytest.approx(max(0, start["process_ms"] - sum(own)))
    assert 10e6 < start["peak_bytes"] < 500e6
    times = figures["pictures"][str(photo)]
    assert 0 < times["p50_ms"] <= times["p95_ms"]
    steps = [times[f"{step}_ms"] for step in STEPS]
    assert min(steps[:-1]) > 0
    assert steps[-1] == pytest.approx(max(0, times["p50_ms"] - sum(steps[:-1])))
    threads = [str(number + 1) for number in range(num_processors())]
    assert sorted(figures["invoke_ms_by_threads"]) == sorted(threads)
    assert figures["machine"]["cores"] == len(threads)
    assert figures["machine"]["interpreter"].partition(" ")[0] == "ai-edge-litert"
    lines = report(figures)
    assert any(line.startswith(f"  {photo}  ") for line in lines)
    assert f"Labelling, ms ({figures['runs']} runs)" in lines


def test_without_a_picture_two_are_drawn(model_file, capsys):
    model = model_file(models.build())  # says nothing of its normalisation
    options = ["--input_mean", "127.5", "--input_std", "127.5", "--runs", "1"]
    assert main([str(model), *options]) == 0
    printed = capsys.readouterr()
    for name in DRAWN:
        assert f"\n  {name}  " in printed.out
        assert f"Labelling {name} 1 times" in printed.err


def test_a_model_of_any_size_needs_one(model_file, picture, capsys):
    shapes = {"input_shape": (1, 1, 1, 3), "input_signature": (1, -1, -1, 3)}
    any_size = model_file(models.own(**shapes))
    arguments = [str(any_size), "--image", str(picture()), "--runs", "1"]
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "--input_height and --input_width" in capsys.readouterr().err
    figures = run_json(capsys, *arguments, "--input_height", 16, "--input_width", 12)
    assert figures["model"]["input_size"] == [16, 12]


def test_a_drawn_picture_is_of_the_size_and_has_the_detail_of_a_photo(tmp_path):
    path = tmp_path / "a.jpg"
    draw((400, 300)).save(path, quality=90)
    with Image.open(path) as image:
        assert image.size == (400, 300)
        neighbours = np.diff(np.asarray(image.convert("L"), np.int16))
    assert 1 < np.abs(neighbours).mean() < 20
    assert 0.15 < path.stat().st_size / (400 * 300) < 0.5  # bytes a pixel


def test_the_report_is_aligned_and_says_what_is_not_known():
    figures = {
        "machine": {
            "processor": "Cortex-A76",
            "cores": 4,
            "system": "Linux",
            "python": "3.11.2",
            "edgeclf": "0.1.0",
            "numpy": "1.26.4",
            "pillow": "9.4.0",
            "interpreter": "tflite-runtime 2.14.0",
        },
        "model": {
            "path": "m.tflite",
            "size_bytes": 993614,
            "input_size": (224, 192),
            "num_classes": 7,
        },
        "runs": 50,
        "cold_start": {
            "process_ms": 1234.5,
            "python_ms": 34.5,
            "import_ms": 1000.0,
            "load_ms": 100.04,
            "first_ms": 100.0,
        },
        "pictures": {
            "a.jpg": {
                "p50_ms": 12.345,
                "p95_ms": 123.456,
                "decode_ms": 5.0,
                "resize_ms": 3.0,
                "feed_ms": 0.004,
                "invoke_ms": 4.0,
                "rest_ms": 0.341,
            }
        },
        "invoke_ms_by_threads": {"1": 4.0, "2": 12.5},
    }
    assert report(figures) == [
        "Cortex-A76, 4 cores, Linux",
        "python 3.11.2, edgeclf 0.1.0, numpy 1.26.4, pillow 9.4.0, "
        "tflite-runtime 2.14.0",
        "m.tflite: 0.99 MB, input 224 x 192, 7 classes",
        "",
        "Cold start, ms",
        "  python -m edgeclf.label_image, start to end  1234.5",
        "    Python itself, options, end                  34.5",
        "    import                                     1000.0",
        "    load the interpreter and the model          100.0",
        "    label the first picture                     100.0",
        "Peak memory: not known",
        "",
        "Labelling, ms (50 runs)",
        "           p50     p95  decode  resize  feed  invoke  rest",
        "  a.jpg  12.35  123.46    5.00    3.00  0.00    4.00  0.34",
        "",
        "Model alone, ms",
        "  1 thread    4.00",
        "  2 threads  12.50",
    ]


def test_an_interpreter_without_metadata_is_named_without_version(
    model_file, monkeypatch
):
    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    Classifier(model_file()).close()  # imports it
    assert machine()["interpreter"] == "ai-edge-litert"


def test_peak_memory_covers_what_was_given_back():
    block = bytearray(b"x" * 50_000_000)
    size = len(block)
    del block
    assert peak_bytes() > size


def test_what_cannot_be_read_is_one_sentence(model_file, picture, tmp_path, capsys):
    photo, broken = picture(), tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    text = tmp_path / "a.txt"
    text.write_text("no picture")
    for arguments in (
        [tmp_path / "none.tflite", "--image", photo],
        [broken, "--image", photo],
        [model_file(), "--image", photo, tmp_path / "none.jpg"],
        [model_file(), "--image", text],
    ):
        assert main(list(map(str, arguments))) == 1
        printed = capsys.readouterr()
        assert not printed.out
        (line,) = [n for n in printed.err.splitlines() if n.startswith("error: ")]
        assert str(arguments[0]) in line or str(arguments[-1]) in line


def test_a_process_that_fails_is_one_sentence(model_file, tmp_path):
    gone = str(tmp_path / "gone.jpg")  # since the command looked at it
    settings = model_arguments(_parser().parse_args(["m.tflite"]))
    with pytest.raises(EdgeclfError, match=r"(?s)label_image .* exit status 1, .*gone"):
        time_start(str(model_file()), gone, settings, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runs", "0"], "expected a whole number of 1 or more, received 0"),
        (["--num_threads", "9999"], "Expected num_threads"),
        (["--input_mean", "127.5"], "input_mean and input_std together"),
        (["--input_height", "9"], "Expected --input_height 8"),
    ],
)
def test_wrong_options_are_wrong_usage(options, message, model_file, picture, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(model_file()), "--image", str(picture()), *options])
    assert message in capsys.readouterr().err
