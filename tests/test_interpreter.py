from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files as models
import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from edgeclf import Classifier, Embedder, ModelError
from edgeclf.interpreter import (
    allocate,
    create_interpreter,
    load_delegated,
    load_model,
)

ROOT = Path(__file__).resolve().parents[1]
SYSTEM_LIBRARY = next(Path(np.__file__).parent.rglob("_multiarray_umath*.so"))


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


@pytest.mark.parametrize(
    ("operator", "sentence"),
    [
        (
            "edgetpu-custom-op",
            "The model is compiled for an EdgeTPU and runs nowhere else: give "
            'delegate="libedgetpu.so.1" (--delegate libedgetpu.so.1), or use the file '
            "that it was compiled from.",
        ),
        (
            "FlexErf",
            "The model needs TensorFlow's own operator FlexErf, which TensorFlow Lite "
            "does not have. Convert it without SELECT_TF_OPS.",
        ),
        (
            "My op (new)",
            "The model needs the custom operator My op (new), which this interpreter "
            "does not have. Convert the model without it.",
        ),
    ],
)
def test_operators_that_are_not_there_are_named(operator: str, sentence: str) -> None:
    with pytest.raises(ModelError) as caught:
        create_interpreter(models.with_operator(models.build(), operator))
    assert str(caught.value) == sentence


DELEGATE = """
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int size; int *data; } IntArray;

/* TfLiteDelegate of tensorflow/lite/core/c/common.h; it takes no operator. */
typedef struct Delegate {
  void *data;
  int (*prepare)(void *context, struct Delegate *delegate);
  void *copy_from, *copy_to, *free_buffer;
  long long flags;
  void *opaque;
} Delegate;

static int prepared(void *context, Delegate *delegate) { return 0; }
static int broken(void *context, Delegate *delegate) { return 1; }

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count,
                                        void (*report)(const char *)) {
  int fails = 0;
  for (size_t i = 0; i < count; i++) {
    if (!strcmp(keys[i], "device") && !strcmp(values[i], "usb:9")) {
      report("No device usb:9.\\n");
      return NULL;
    }
    fails |= !strcmp(keys[i], "fail");
  }
  Delegate *delegate = calloc(1, sizeof(Delegate));
  delegate->prepare = fails ? broken : prepared;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
"""


@pytest.fixture(scope="module")
def delegate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real external delegate, which leaves all the work to the processor."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("delegate")
    source, library = folder / "delegate.c", folder / "libdelegate.so"
    source.write_text(DELEGATE)
    command = [compiler, "-shared", "-fPIC", "-w", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    return str(library)


def first_score(interpreter: Any) -> float:
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (scores,) = interpreter.get_output_details()
    interpreter.set_tensor(source["index"], np.zeros((1, 8, 6, 3), np.float32))
    interpreter.invoke()
    return float(interpreter.get_tensor(scores["index"])[0, 0])


@pytest.mark.parametrize("options", [None, {}, {"device": "usb:0", "speed": "max"}])
def test_delegate_and_its_options_are_used(
    delegate: str, options: dict[str, str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    interpreter = load_delegated(models.build(), None, delegate, options)
    assert first_score(interpreter) == pytest.approx(1 / 3)
    assert not caplog.messages
    assert interpreter._delegates  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"device": "usb:9"}, "No device usb:9."),
        ({"fail": "1"}, "."),
    ],
)
def test_delegate_that_fails_is_left_out_with_one_line(
    delegate: str,
    options: dict[str, str],
    reason: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert load_delegated(models.build(), None, delegate, options) is None
    (line,) = caplog.messages
    assert line.startswith(
        f"The delegate {delegate} cannot be used, so the processor is: "
    )
    assert line.endswith(reason)
    assert "Traceback" not in capfd.readouterr().err


def test_library_that_is_missing_or_no_delegate_is_left_out_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library")
    for library, reason in (
        ("libmissing.so.1", "cannot open shared object file"),
        (str(text), "file too short|invalid ELF header"),
        (str(SYSTEM_LIBRARY), "it has no tflite_plugin_create_delegate"),
    ):
        caplog.clear()
        assert load_delegated(models.build(), None, library) is None
        (line,) = caplog.messages
        assert re.search(reason, line)
    assert "Exception ignored" not in capfd.readouterr().err


def test_edgetpu_file_without_its_device_says_both(
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = models.with_operator(models.build(), "edgetpu-custom-op")
    with pytest.raises(ModelError, match="compiled for an EdgeTPU"):
        Classifier(content, delegate="libedgetpu.so.1", input_mean=0, input_std=1)
    assert "The delegate libedgetpu.so.1 cannot be used" in caplog.text


def test_classifier_and_embedder_hand_the_delegate_on(
    delegate: str, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    content = models.own()
    expected = Classifier(content).scores(pixels)
    vector = Embedder(content).embed(pixels)
    options: dict[str, Any] = {
        "delegate": delegate,
        "delegate_options": {"device": "usb:0"},
    }
    with Classifier(content, **options) as model, Embedder(content, **options) as other:
        np.testing.assert_allclose(model.scores(pixels), expected, atol=1e-6)
        np.testing.assert_allclose(other.embed(pixels), vector, atol=1e-6)
    assert not caplog.messages
    options["delegate_options"] = {"device": "usb:9"}
    np.testing.assert_array_equal(
        Classifier(content, **options).scores(pixels), expected
    )
    assert "No device usb:9" in caplog.text


def test_options_without_a_delegate_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Received: \{'device': 'usb'\}"):
        Classifier(models.own(), delegate_options={"device": "usb"})


@pytest.fixture
def breaking(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], None]:
    """Let a step fail of every interpreter that works with a delegate."""
    real = litert.Interpreter

    def broken(*arguments: Any) -> None:
        raise RuntimeError("The device is gone.")

    def break_step(step: str) -> None:
        def create(**options: Any) -> Any:
            interpreter = real(**options)
            if "experimental_delegates" in options:
                setattr(interpreter, step, broken)
            return interpreter

        create.__module__ = real.__module__
        monkeypatch.setattr(litert, "Interpreter", create)

    return break_step


@pytest.mark.parametrize("step", ["allocate_tensors", "resize_tensor_input"])
def test_delegate_that_fails_when_memory_is_given_is_left_out(
    delegate: str,
    step: str,
    breaking: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    expected = Classifier(models.own()).scores(pixels)
    breaking(step)
    classifier = Classifier(models.own(), delegate=delegate)
    np.testing.assert_array_equal(classifier.scores(pixels), expected)
    (line,) = caplog.messages
    assert line.startswith(f"The delegate {delegate} cannot be used, so the processor")
    assert line.endswith("The device is gone.")


def test_delegate_that_fails_at_work_is_named(
    delegate: str, breaking: Callable[[str], None]
) -> None:
    breaking("invoke")
    classifier = Classifier(models.own(), delegate=delegate)
    with pytest.raises(ModelError) as caught:
        classifier.scores(np.zeros((8, 6, 3), np.uint8))
    assert str(caught.value) == (
        "the model: The interpreter cannot run it: The device is gone. Leave out the "
        f"delegate {delegate}, which fails."
    )


def test_input_of_another_shape_is_allocated_or_refused() -> None:
    content = models.build(input_signature=(1, -1, -1, 3))
    interpreter = load_model(content)
    allocate(interpreter, 0, [1, 4, 9, 3])
    assert interpreter.get_input_details()[0]["shape"].tolist() == [1, 4, 9, 3]
    with pytest.raises(ModelError, match="The interpreter refuses the model"):
        allocate(interpreter, 0, [1, -4, 9, 3])


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
