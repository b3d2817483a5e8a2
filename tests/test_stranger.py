"""A model file from a stranger: nothing in it is executed or steers a terminal."""

from __future__ import annotations

import ast
import csv
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import model_files as models
import pytest
from PIL import Image

import edgeclf
from edgeclf import Classifier, ModelError
from edgeclf.__main__ import main
from edgeclf.errors import visible
from edgeclf.tflite.attached_files import AttachedFiles

ROOT = Path(edgeclf.__file__).parent
ESCAPES = "\x1b[2J\x1b]0;title\x07", "\x9b31m\x7f", "a\rb"

# Each can run code that a file holds.
MODULES = {"pickle", "_pickle", "cPickle", "dill", "joblib", "shelve", "marshal"} | {
    *("yaml", "runpy", "code", "codeop", "torch")
}
CALLS = {"eval", "exec", "compile", "__import__"}
# Pickle what one process of a run says to another: no file.
BETWEEN_PROCESSES = {"engines/local.py", "engines/ray_engine.py"}
# What may import by a name: it comes from a table in the source.
BY_NAME = {
    "__init__.py",
    "__main__.py",
    "doctor/inventory.py",
    "engines/ray_extra.py",
    "training/retrain.py",
    "web/teach/training_process.py",
    "zoo/tensorflow_extra.py",
}
# What may load a library: --delegate, libc, Pillow's own, the doctor in a child.
LIBRARIES = {
    "decoder.py",
    "doctor/inventory.py",
    "interpreter.py",
    "web/memory.py",
}


def test_no_source_can_run_what_a_file_holds() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in sorted(ROOT.rglob("*.py"))
        for line, what in _dangers(path)
    ]
    assert found == []


def test_dangers_are_found(tmp_path: Path) -> None:
    path = ROOT / "new.py"
    source = (
        "import pickle\nfrom yaml import load\neval(a)\nnp.load(b)\n"
        "np.load(b, allow_pickle=True)\nnp.load(b, allow_pickle=False)\n"
        "importlib.import_module(c)\nsubprocess.run(d, shell=True)\nos.system(e)\n"
        "ctypes.CDLL(f)\nre.compile(g)\n"
    )
    lines = [line for line, _ in _dangers(path, source)]
    assert lines == [1, 2, 3, 4, 5, 7, 8, 9, 10]


def _dangers(path: Path, source: str | None = None) -> Iterator[tuple[int, str]]:
    name = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8") if source is None else source)
    nodes = [each for each in ast.walk(tree) if hasattr(each, "lineno")]
    for node in sorted(nodes, key=lambda each: (each.lineno, each.col_offset)):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        for module in modules:
            between = module == "pickle" and name in BETWEEN_PROCESSES
            if module.partition(".")[0] in MODULES and not between:
                yield node.lineno, f"imports {module}"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {each.arg: ast.unparse(each.value) for each in node.keywords}
        if called in CALLS or called in ("os.system", "os.popen"):
            yield node.lineno, called
        if called.endswith(("np.load", "numpy.load")) and (
            options.get("allow_pickle") != "False"
        ):
            yield node.lineno, f"{called} without allow_pickle=False"
        if called.endswith("import_module") and name not in BY_NAME:
            yield node.lineno, f"{called} of {ast.unparse(node.args[0])}"
        if called.endswith(("CDLL", "load_delegate")) and name not in LIBRARIES:
            yield node.lineno, called
        if options.get("shell", "False") != "False":
            yield node.lineno, f"{called} with a shell"
        if called.endswith("saving.load_model") and options.get("safe_mode") != "True":
            yield node.lineno, f"{called} without safe_mode"


def test_loading_a_model_opens_no_file_and_starts_nothing(tmp_path: Path) -> None:
    """Python itself tells of each file, process and library, by its audit hooks."""
    path = tmp_path / "model.tflite"
    path.write_bytes(
        models.with_files(
            models.build(input_type="uint8"),
            {
                "labels.txt": "red\ngreen\nblue\n",
                "edgeclf.json": json.dumps(models.record()),
                "../../evil.py": "raise SystemExit(3)",
                "edgeclf/__init__.py": "raise SystemExit(3)",
                "x.pkl": b"cos\nsystem\n(S'touch pwned'\ntR.",
            },
        )
    )
    script = (
        "import sys, numpy as np\n"
        "from edgeclf import Classifier\n"
        "picture = np.zeros((8, 6, 3), np.uint8)\n"
        "with Classifier(sys.argv[2]) as first: first.classify(picture)\n"
        "seen = []\n"
        "events = ('open', 'exec', 'compile', 'import', 'subprocess.Popen',"
        " 'os.system', 'os.exec', 'os.fork', 'os.posix_spawn', 'ctypes.dlopen',"
        " 'socket.connect', 'marshal.loads', 'pickle.find_class',"
        " 'shutil.unpack_archive')\n"
        "sys.addaudithook(lambda event, given: seen.append((event, str(given[0])))"
        " if event in events else None)\n"
        "with Classifier(sys.argv[1]) as model: model.classify(picture)\n"
        "print(seen)\n"
    )
    first = tmp_path / "first.tflite"
    first.write_bytes(models.own(input_type="uint8"))
    done = subprocess.run(
        [sys.executable, "-c", script, path, first],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT.parent), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout) == [("open", str(path))]
    assert sorted(tmp_path.iterdir()) == [first, path]


def test_names_in_the_zip_are_only_names() -> None:
    content = models.with_files(models.own(), {"../../a": "b", "/etc/passwd": "c"})
    assert AttachedFiles(content).names == ["../../a", "/etc/passwd"]
    with pytest.raises(ModelError):  # the record was in the zip before it
        Classifier(content)


def test_file_in_the_zip_that_lies_elsewhere_is_damage() -> None:
    content = bytearray(models.own())
    entry = content.rindex(b"PK\1\2")
    content[entry + 42 : entry + 46] = struct.pack("<I", 1 << 30)
    files = AttachedFiles(bytes(content))
    with pytest.raises(ModelError, match="damaged"):
        files.read(files.names[-1])


def test_zip_bomb_in_a_model_is_refused() -> None:
    bomb = models.with_files(
        models.build(), {"labels.txt": bytes(64 << 20)}, zipfile.ZIP_DEFLATED
    )
    assert len(bomb) < 200_000
    with pytest.raises(ModelError, match=r"labels.txt is too large: 67108864 bytes"):
        Classifier(bomb)


@pytest.fixture
def hostile(tmp_path: Path) -> list[str]:
    """A model whose labels steer a terminal, and a picture whose name does."""
    model = tmp_path / "model.tflite"
    model.write_bytes(models.own(ESCAPES))
    picture = tmp_path / "a\x1b[31m.png"
    Image.new("RGB", (8, 6), models.PIXELS["red"]).save(picture, "PNG")
    return ["--model", str(model), "--image", str(picture)]


@pytest.mark.parametrize("form", ["text", "json", "csv", "hashtags"])
def test_no_escape_sequence_reaches_a_terminal(
    form: str, hostile: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    missing = "missing\x1b[2J.png"
    assert main(["label_image", *hostile, missing, "--format", form]) == 1
    output = capfd.readouterr()
    assert output.out.strip()
    assert "\\x1b" in output.err  # the missing picture
    for text in (output.out, output.err):
        assert visible(text) == text
        assert "\r" not in text
    if form == "json":  # what is escaped there is what was meant
        first = json.loads(output.out.splitlines()[0])
        assert first["image"] == hostile[-1]
        assert first["categories"][0]["label"] == visible(ESCAPES[0])
    if form == "csv":
        rows = [*csv.reader(output.out.splitlines())]
        assert rows[1][3] == visible(ESCAPES[0])


def test_cells_of_a_table_are_what_the_model_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Programs read them; a spreadsheet is told that they are text."""
    model, picture = tmp_path / "m.tflite", tmp_path / "a.png"
    model.write_bytes(models.own(["=1+1", "@a", "-b"]))
    Image.new("RGB", (8, 6), models.PIXELS["red"]).save(picture)
    arguments = ["--model", str(model), "--image", str(picture), "--format", "csv"]
    assert main(["label_image", *arguments, "--top_k", "1"]) == 0
    assert [*csv.reader(capsys.readouterr().out.splitlines())][1][3] == "=1+1"


def test_delegate_is_loaded_only_when_it_is_named(tmp_path: Path) -> None:
    """A model that asks for an accelerator's operator gets no library loaded."""
    content = models.with_operator(models.build(), "edgetpu-custom-op")
    with pytest.raises(ModelError, match="compiled for an EdgeTPU"):
        Classifier(content, input_mean=127.5, input_std=127.5)


@pytest.mark.parametrize(
    "name", ["TFLite_Detection_PostProcess", "odml.rope", "Mfcc\x1b"]
)
def test_custom_operator_of_the_interpreter_is_refused(name: str) -> None:
    content = models.with_operator(models.build(), name)
    with pytest.raises(ModelError, match="which edgeclf does not use"):
        Classifier(content, input_mean=127.5, input_std=127.5)
