"""`--require_sha256`: the bytes that are checked are the bytes that are used."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import model_files as models
import numpy as np
import pytest
from PIL import Image

from edgeclf import Classifier, Embedder, ModelError
from edgeclf.__main__ import main
from edgeclf.class_activation_map import ClassActivationMapper
from edgeclf.tflite.source import checked_sha256, read_model
from edgeclf.web.loaded_model import LoadedModel

CONTENT = models.own()
SUM = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()
BOTH = rf"Expected a file of SHA-256 {OTHER}\. Received: {SUM}\."


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(CONTENT)
    Image.new("RGB", (8, 6), models.PIXELS["green"]).save(tmp_path / "a.png")
    (tmp_path / "green").mkdir()
    Image.new("RGB", (8, 6), models.PIXELS["green"]).save(tmp_path / "green/a.png")
    return path


# Commands that take a model; serve and bot would run on when the sum is right.
COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "label_image": lambda model: [
        *("--model", str(model), "--image", str(model.with_name("a.png")))
    ],
    "embed": lambda model: [
        *("--model", str(model), "--image", str(model.with_name("a.png")))
    ],
    "label": lambda model: [
        *(str(model.parent), "--model", str(model)),
        *("--output", str(model.with_name("labels"))),
    ],
    "evaluate": lambda model: [str(model), str(model.parent), "--no_report"],
    "export": lambda model: [str(model), "--output", str(model.parent)],
    "benchmark": lambda model: [str(model), "--runs", "1"],
    "doctor": lambda model: ["--model", str(model)],
}
ENDLESS: dict[str, Callable[[Path], list[str]]] = {
    "serve": lambda model: ["--model", str(model), "--port", "0"],
    "bot": lambda model: ["--model", str(model), "--state_dir", str(model.parent)],
    "add_class": lambda model: [
        *(str(model), "--images", str(model.parent), "--label", "x")
    ],
}
for name, package in {
    "label": "pyarrow",
    "serve": "fastapi",
    "bot": "telegram",
}.items():
    if find_spec(package) is None:  # its extra is missing
        COMMANDS.pop(name, None)
        ENDLESS.pop(name, None)


@pytest.mark.parametrize("command", [*COMMANDS, *ENDLESS])
def test_command_refuses_another_sum_and_names_both(
    command: str,
    model: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGECLF_TELEGRAM_TOKEN", "1:a")
    arguments = {**COMMANDS, **ENDLESS}[command](model)
    assert main([command, *arguments, "--require_sha256", OTHER]) == 1
    output = capfd.readouterr()
    assert OTHER in output.out + output.err
    assert SUM in output.out + output.err
    assert "Traceback" not in output.err


@pytest.mark.parametrize("command", [*COMMANDS, *ENDLESS])
@pytest.mark.parametrize("text", [SUM[:16], SUM + "0", "g" * 64, ""])
def test_part_of_a_sum_is_wrong_usage(command: str, text: str, model: Path) -> None:
    arguments = {**COMMANDS, **ENDLESS}[command](model)
    with pytest.raises(SystemExit) as ended:
        main([command, *arguments, f"--require_sha256={text}"])
    assert ended.value.code == 2


@pytest.mark.parametrize("command", ["label_image", "embed", "evaluate", "export"])
def test_model_is_read_once(command: str, model: Path, tmp_path: Path) -> None:
    """A pipe gives its bytes to the first who opens it, and nothing to a second."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs a named pipe")
    pipe = tmp_path / "pipe.tflite"
    os.mkfifo(pipe)
    arguments = [
        each.replace(str(model), str(pipe)) for each in COMMANDS[command](model)
    ]
    writer = threading.Thread(target=pipe.write_bytes, args=(CONTENT,), daemon=True)
    writer.start()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgeclf", command, *arguments),
            *("--require_sha256", SUM.upper()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    writer.join(10)
    assert not writer.is_alive()


@pytest.mark.parametrize("opened", [Classifier, Embedder, ClassActivationMapper])
@pytest.mark.parametrize("source", ["path", "bytes", "file"])
def test_library_refuses_another_sum(
    opened: type[Classifier], source: str, model: Path
) -> None:
    sources = {"path": model, "bytes": CONTENT}
    with opened(sources.get(source) or io.BytesIO(CONTENT), sha256=SUM):
        pass
    with pytest.raises(ModelError, match=BOTH):
        opened(sources.get(source) or io.BytesIO(CONTENT), sha256=OTHER)
    with pytest.raises(ValueError, match=r"of 64 hexadecimal digits.*Received: 'abc'"):
        opened(sources.get(source) or io.BytesIO(CONTENT), sha256="abc")


def test_served_model_has_the_sum(model: Path) -> None:
    with pytest.raises(ModelError, match=BOTH):
        LoadedModel(model, None, {"sha256": OTHER})
    loaded = LoadedModel(model, None, {"sha256": SUM})
    model.write_bytes(b"changed meanwhile")
    assert loaded.sha256 == SUM
    assert loaded.embed(np.zeros((8, 6, 3), np.uint8)).shape == (3,)
    loaded.close()


def test_sum_is_taken_in_capitals() -> None:
    assert checked_sha256(SUM.upper()) == SUM


def test_larger_file_than_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.tflite"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # of nothing, which takes no room on the disk
    with pytest.raises(ModelError, match=r"huge.tflite: Expected .* at most 900 MB"):
        read_model(path)
    with pytest.raises(ModelError, match=r"at most 3 MB.*Received: more"):
        read_model("/dev/zero", max_model_mb=3)
    with pytest.raises(ValueError, match="Received: max_model_mb=0"):
        read_model(CONTENT, max_model_mb=0)
