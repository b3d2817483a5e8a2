from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import model_files as models
import numpy as np
import pytest

from edgeclf import ModelError
from edgeclf.interpreter import create_interpreter

ROOT = Path(__file__).resolve().parents[1]


def test_model_runs() -> None:
    interpreter = create_interpreter(models.build(), num_threads=1)
    (source,) = interpreter.get_input_details()
    (scores,) = interpreter.get_output_details()
    pixels = np.zeros((1, 8, 6, 3), np.float32)
    pixels[..., 1] = 1
    interpreter.set_tensor(source["index"], pixels)
    interpreter.invoke()
    powers = np.exp([0, 4, 0])
    np.testing.assert_allclose(
        interpreter.get_tensor(scores["index"])[0], powers / powers.sum(), atol=1e-6
    )


def test_intermediate_tensors_are_preserved_on_demand() -> None:
    interpreter = create_interpreter(models.build(), preserve_all_tensors=True)
    (source,) = interpreter.get_input_details()
    pixels = np.full((1, 8, 6, 3), 0.25, np.float32)
    interpreter.set_tensor(source["index"], pixels)
    interpreter.invoke()
    bottleneck = 2  # image, axes, bottleneck
    np.testing.assert_allclose(interpreter.get_tensor(bottleneck), [[0.25] * 3])


@pytest.mark.parametrize("num_threads", [0, -1])
def test_number_of_threads_is_checked(num_threads: int) -> None:
    with pytest.raises(ValueError, match=f"num_threads={num_threads}"):
        create_interpreter(models.build(), num_threads)


@pytest.mark.parametrize("content", [b"no model at all", models.build()[:600]])
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="The interpreter refuses the model:"):
        create_interpreter(content)


def test_unknown_operator_is_refused() -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(models.build(), 0)
    code = model.operatorCodes[-1]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"edgetpu-custom-op"
    with pytest.raises(ModelError, match=r"refuses the model: .*edgetpu-custom-op"):
        create_interpreter(models.pack(model))


def run_without(modules: list[str], folder: Path, code: str) -> str:
    """Run code in a process for which some packages are not installed."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({modules!r}))\n"
    done = subprocess.run(
        [sys.executable, "-c", blocked + code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{folder}:{ROOT}"},
        check=False,
    )
    return done.stdout + done.stderr


CREATE = """
from edgeclf.interpreter import create_interpreter
print(create_interpreter(b"model", 3))
"""
FAKE = """
class Interpreter:
    def __init__(self, model_content, num_threads):
        self.text = f"{__name__} {model_content} {num_threads}"
    def allocate_tensors(self):
        self.text += " allocated"
    def __repr__(self):
        return self.text
"""


def test_missing_interpreter_names_the_install_line(tmp_path: Path) -> None:
    modules = ["ai_edge_litert", "tflite_runtime", "tensorflow"]
    code = """
import platform
from edgeclf import MissingExtraError
from edgeclf.interpreter import create_interpreter
for machine in ("x86_64", "armv7l"):
    platform.machine = lambda: machine
    try:
        create_interpreter(b"")
    except MissingExtraError as error:
        print(isinstance(error, ImportError), error)
"""
    first, second = run_without(modules, tmp_path, code).splitlines()
    sentence = "True Labelling needs a TensorFlow Lite interpreter. Install it with: "
    assert first == sentence + "pip install ai-edge-litert"
    assert second == sentence + 'pip install "tflite-runtime==2.14.0" "numpy<2"'


def test_tensorflow_is_the_last_resort(tmp_path: Path) -> None:
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text("from . import lite\n")
    (package / "lite.py").write_text(
        "import warnings\n"
        + FAKE.replace(
            "        self.text",
            "        warnings.warn('Warning: tf.lite.Interpreter is deprecated')\n"
            "        self.text",
            1,
        )
    )
    output = run_without(["ai_edge_litert", "tflite_runtime"], tmp_path, CREATE)
    assert output == "tensorflow.lite b'model' 3 allocated\n"


def test_tflite_runtime_is_used_with_numpy_1_only(tmp_path: Path) -> None:
    package = tmp_path / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(FAKE)
    modules = ["ai_edge_litert", "tensorflow"]
    numpy_1 = "import numpy; numpy.__version__ = '1.26.4'\n"
    output = run_without(modules, tmp_path, numpy_1 + CREATE)
    assert output == "tflite_runtime.interpreter b'model' 3 allocated\n"
    numpy_2 = "import numpy; numpy.__version__ = '2.3.0'\n"
    output = run_without(modules, tmp_path, numpy_2 + CREATE)
    reason = "is installed, but it needs numpy<2 and this is NumPy 2.3.0"
    assert f"tflite-runtime {reason}" in output
    assert 'pip install "numpy<2"' in output


def test_package_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    package = tmp_path / "ai_edge_litert"
    package.mkdir()
    (package / "__init__.py").touch()
    for line, reason in (
        ("raise ImportError('GLIBC_2.34 not found')", "GLIBC_2.34 not found"),
        ("import not_there", "No module named 'not_there'"),
    ):
        (package / "interpreter.py").write_text(line)
        output = run_without(["tflite_runtime", "tensorflow"], tmp_path, CREATE)
        sentence = "ai-edge-litert is installed but cannot be imported"
        assert f"({sentence}: {reason})" in output
