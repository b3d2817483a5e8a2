"""Models, tables and pictures are data: nothing in them is ever run."""

from __future__ import annotations

import ast
from pathlib import Path

import model_files as models
import pytest
import tiny
from watching import Place

ROOT = Path(__file__).resolve().parents[1]
# Modules that make objects, or code, of bytes.
LOADERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
RUNNING = {"eval", "exec", "compile", "__import__"}
# Our own processes send each other what to do: `edgeclf label` and its workers.
BETWEEN_WORKERS = {"edgeclf/engines/local.py", "edgeclf/engines/ray_engine.py"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput"}


def runs_data(source: str) -> list[str]:
    """Return what in a module could run what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name.partition(".")[0] for alias in node.names]
            found += [f"import {name}" for name in names if name in LOADERS]
        elif isinstance(node, ast.ImportFrom):
            name = (node.module or "").partition(".")[0]
            found += [f"from {name}"] if name in LOADERS else []
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found += [name] if name in RUNNING | SHELLS else []
            for keyword in node.keywords:
                shown = f"{keyword.arg}={ast.unparse(keyword.value)}"
                if shown in ("allow_pickle=True", "shell=True", "safe_mode=False"):
                    found.append(shown)
    return found


def test_nothing_here_unpickles_or_evaluates() -> None:
    found = {
        str(path.relative_to(ROOT)): problems
        for path in (ROOT / "edgeclf").rglob("*.py")
        if (problems := runs_data(path.read_text(encoding="utf-8")))
    }
    for name in BETWEEN_WORKERS:
        assert set(found.pop(name, ())) <= {"import pickle"}
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "eval(text)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
    ],
)
def test_what_could_run_data_is_noticed(source: str) -> None:
    assert len(runs_data(source)) == 1


def test_labelling_starts_nothing_and_unpickles_nothing(tmp_path: Path) -> None:
    """The labels and the record say what shells would like."""
    place = Place.below(tmp_path)
    tiny.write_folder(place.work / "photos", 1)
    labels = ["$(touch hit)", "__import__('os').system('touch hit')", "`touch hit`"]
    entry = models.record(
        provenance={"command": "; touch hit", "!!python/object": "os"}
    )
    (place.work / "model.tflite").write_bytes(models.own(labels, entry))
    done = place.run("label_image", "--model", "model.tflite", "--image", "photos")
    assert done.status == 0, done.said
    assert done.started == []
    assert not (place.work / "hit").exists()
    # What the watch would have seen:
    code = "import pickle, subprocess; pickle.loads(pickle.dumps(len))"
    seen = place.run_python(f"{code}; subprocess.run(['true'])")
    assert seen.started == ["pickle.find_class", "subprocess.Popen"], seen.said
