"""The table of layers holds, and `import edgeclf` stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import edgeclf

ROOT = Path(edgeclf.__file__).parent

# What each part may import of edgeclf besides itself, and of other packages.
BASE = {"edgeclf", "errors", "results", "files", "interrupts", "console"}
PICTURES = {*BASE, "limits", "color", "decoder", "image", "inputs", "sources"}
MODELS = {
    "labels",
    "quantization",
    "model_info",
    "tflite",
    "metadata",
    "input_tensor",
    "scores",
    "interpreter",
    "network",
    "statistics",
    "familiarity",
    "classifier",
    "embedder",
}
DRAWING = {"linear_head", "class_activation_map", "lettering", "drawing"}
RUNTIME = {*PICTURES, *MODELS, *DRAWING, "labelling", "label_image", "embed"}
INTERPRETERS = {"ai_edge_litert", "tflite_runtime", "tensorflow"}
LAYERS: dict[str, tuple[set[str], set[str]]] = {
    "__init__": (RUNTIME, set()),
    "__main__": ({"edgeclf", "errors", "training_extra"}, set()),
    "errors": (set(), set()),
    "results": ({"errors"}, set()),
    "files": ({"errors"}, set()),
    "interrupts": (set(), set()),
    "console": ({"edgeclf", "errors", "interrupts"}, set()),
    "limits": ({"errors"}, {"PIL"}),
    "color": (set(), {"numpy", "PIL"}),
    "decoder": ({"errors", "limits"}, {"numpy", "PIL"}),
    "image": ({"errors", "limits", "color", "decoder"}, {"numpy", "PIL"}),
    "inputs": ({*PICTURES}, {"numpy", "cv2", "picamera2"}),
    "sources": (PICTURES, set()),
    "labels": ({"errors"}, set()),
    "quantization": ({"errors"}, {"numpy"}),
    "model_info": ({"errors", "tflite"}, set()),
    "tflite": ({"errors", "labels", "model_info"}, {"numpy"}),
    "metadata": ({"errors", "image", "labels", "model_info", "tflite"}, set()),
    "input_tensor": ({"errors", "model_info", "quantization"}, {"numpy"}),
    "scores": ({"errors", "model_info", "tflite"}, {"numpy"}),
    "interpreter": ({"errors", "tflite"}, {"numpy", *INTERPRETERS}),
    "network": ({*PICTURES, *MODELS}, {"numpy"}),
    "statistics": ({"errors", "tflite"}, {"numpy"}),
    "familiarity": ({"errors", "model_info", "statistics", "tflite"}, {"numpy"}),
    "classifier": ({*PICTURES, *MODELS}, {"numpy"}),
    "embedder": ({*PICTURES, *MODELS}, {"numpy"}),
    "lettering": (set(), {"PIL"}),
    "linear_head": ({"errors", "tflite"}, {"numpy"}),
    "class_activation_map": ({*PICTURES, *MODELS, *DRAWING}, {"numpy"}),
    "drawing": ({*PICTURES, *MODELS, *DRAWING}, {"numpy", "PIL"}),
    "labelling": ({*PICTURES, *MODELS, *DRAWING}, {"numpy", "PIL"}),
    "label_image": (RUNTIME, {"numpy"}),
    "embed": (RUNTIME, {"numpy"}),
    "doctor": (RUNTIME, {"PIL"}),
    "export": (RUNTIME, {"numpy"}),
    "benchmark": ({*RUNTIME, "doctor"}, {"numpy", "PIL"}),
    "report": ({"lettering"}, {"numpy", "PIL"}),
    "engines": (BASE, {"ray"}),
    "zoo": (
        RUNTIME,
        {
            "numpy",
            "flatbuffers",
            "tqdm",
            "ai_edge_litert",
            "tensorflow",
            "tensorflow_hub",
        }
        | {"keras", "h5py", "tf_keras"},
    ),
    "data": (PICTURES, {"numpy", "PIL", "tqdm"}),
    "evaluation": (
        {*RUNTIME, "benchmark", "report", "data"},
        {"numpy", "PIL", "tqdm"},
    ),
    "training_extra": ({"errors"}, set()),
    "training": (
        {*RUNTIME, "benchmark", "report", "zoo", "data", "evaluation"}
        | {"training_extra", "engines"},
        {"numpy", "PIL", "tqdm", "flatbuffers", "ai_edge_litert", "ai_edge_quantizer"}
        | {"scipy", "tensorboardX", "threadpoolctl"},
    ),
    "adding": (
        {*RUNTIME, "zoo", "data", "training"},
        {"numpy", "PIL", "tqdm", "flatbuffers", "ai_edge_litert"},
    ),
    "audit": (
        {*RUNTIME, "zoo", "data", "evaluation", "training"},
        {"numpy", "PIL", "tqdm"},
    ),
    "choosing": (
        {*RUNTIME, "benchmark", "report", "zoo", "data", "evaluation", "training"},
        {"numpy", "PIL", "tqdm"},
    ),
    "augmenting": (
        {*RUNTIME, "data", "training"},
        {"numpy", "PIL", "tqdm"},
    ),
    "collecting": (
        {*RUNTIME, "zoo", "data", "training"},
        {"numpy", "PIL", "tqdm", "ddgs"},
    ),
    "bot": (RUNTIME, {"numpy", "PIL", "telegram", "tornado"}),
    "web": (
        {*RUNTIME, "report", "zoo", "data", "evaluation", "training"}
        | {"training_extra"},
        {"numpy", "PIL", "fastapi", "starlette", "uvicorn", "jinja2", "markupsafe"}
        | {"pydantic", "python_multipart", "prometheus_client", "anyio"}
        | {"httpx", "httpx_sse"},
    ),
    "scale": ({*RUNTIME, "engines"}, {"numpy", "PIL", "pyarrow", "fsspec"}),
    "demo": (
        {*RUNTIME, "zoo", "data", "evaluation", "training"},
        {"numpy", "PIL", "tqdm"},
    ),
}


def imported(source: str, path: Path) -> set[str]:
    """Full names of everything a file imports, wherever in it."""
    names: set[str] = set()
    package = ["edgeclf", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                above = package[: len(package) - node.level + 1]
                module = ".".join([*above, *filter(None, [module])])
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def part_of(name: str) -> str:
    """Return the part of edgeclf that `edgeclf.x.y` or a public name belongs to."""
    part = name.split(".")[1] if "." in name else "edgeclf"
    is_module = (ROOT / part).is_dir() or (ROOT / f"{part}.py").is_file()
    return part if is_module else "edgeclf"


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_layers_import_downwards_only(path: Path) -> None:
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert part in LAYERS, f"say in LAYERS what edgeclf/{part} may import"
    parts, packages = LAYERS[part]
    for name in imported(path.read_text(encoding="utf-8"), path):
        top = name.partition(".")[0]
        if top == "edgeclf":
            assert part_of(name) in {*parts, part}, f"{path.name} imports {name}"
        elif top not in sys.stdlib_module_names:
            assert top in packages, f"{path.name} imports {name}"


def test_only_the_interpreter_module_imports_interpreters_in_the_runtime() -> None:
    for path in FILES:
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        names = imported(path.read_text(encoding="utf-8"), path)
        tops = {name.partition(".")[0] for name in names}
        allowed = part == "interpreter" or part not in {*RUNTIME, "doctor", "export"}
        assert allowed or not tops & INTERPRETERS, path


def test_public_names_are_sorted_and_there() -> None:
    assert edgeclf.__all__ == sorted(edgeclf.__all__)
    assert set(edgeclf.__all__) <= set(dir(edgeclf))
    for name in edgeclf.__all__:
        value = getattr(edgeclf, name)
        assert name == "__version__" or value.__name__ == name
    with pytest.raises(AttributeError, match="module 'edgeclf' has no attribute 'x'"):
        edgeclf.x  # noqa: B018


def loaded(code: str) -> set[str]:
    """Names of the modules that a fresh process has loaded after `code`."""
    code += "\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT.parent,
    )
    return set(done.stdout.split())


def packages(modules: set[str]) -> set[str]:
    tops = {name.partition(".")[0] for name in modules}
    installed = {
        "numpy",
        "PIL",
        "flatbuffers",
        "tqdm",
        "scipy",
        "google",
    } | INTERPRETERS
    return tops & installed


def test_import_edgeclf_is_light() -> None:
    assert packages(loaded("import edgeclf")) == set()
    modules = loaded("from edgeclf import Category, Classifier")
    assert packages(modules) == {"numpy", "PIL"}
    # What a start of label_image would feel.
    slow = {
        "zipfile",
        "pathlib",
        "tempfile",
        "inspect",
        "json.tool",
        "importlib.metadata",
    }
    baseline = loaded("import numpy, PIL.Image, PIL.ImageFile")
    assert not (modules & slow) - baseline


def test_labelling_loads_only_numpy_pillow_and_the_interpreter(tmp_path: Path) -> None:
    import model_files as models
    import numpy as np
    from PIL import Image

    (tmp_path / "model.tflite").write_bytes(models.own())
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.jpg")
    model, photo = tmp_path / "model.tflite", tmp_path / "a.jpg"
    modules = loaded(
        "import contextlib, io\n"
        "from edgeclf.label_image import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    main(['--model', {str(model)!r}, '--image', {str(photo)!r}])"
    )
    assert packages(modules) == {"numpy", "PIL", "ai_edge_litert"}
    needed = loaded("import numpy, PIL.Image, ai_edge_litert.interpreter")
    assert not (modules - needed) & {"zipfile", "shutil", "csv", "pathlib"}
    plugins = {name for name in modules if name.endswith("ImagePlugin")}
    assert plugins <= {
        f"PIL.{name}ImagePlugin"
        for name in ("Bmp", "Gif", "Jpeg", "Mpo", "Png", "Ppm", "Tiff")
    }
