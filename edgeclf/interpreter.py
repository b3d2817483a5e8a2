"""The only place that imports LiteRT, tflite-runtime or TensorFlow Lite."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import MissingExtraError, ModelError

# Set once and for all: threads that load pictures change the filters meanwhile.
warnings.filterwarnings(
    "ignore", message=".*experimental_preserve_all_tensors", category=UserWarning
)

logger = logging.getLogger("edgeclf")

# A second thread gains up to a third on an idle machine, and loses much more as soon as
# anything else runs. Best and median of 150 inferences on two cores, other work going
# on, in ms, with one thread and with two: int8 MobileNet V1 0.50 1.5 and 1.6, 1.6 and
# 5.2; uint8 at 160 x 160 1.6 and 1.6, 1.0 and 2.4; float V1 0.25 1.1 and 1.2, 1.2 and
# 2.8; float V2 1.00 6.6 and 6.7, 5.5 and 7.5.
DEFAULT_THREADS = 1
MAX_THREADS = 1024  # more is a slip; beyond int32 the interpreter prints the model
_EDGETPU_OPERATOR = "edgetpu-custom-op"


class InterpreterLike(Protocol):
    """What is used of an interpreter; the three packages agree on it."""

    def get_input_details(self) -> list[dict[str, Any]]:
        """Return name, index, shape, dtype and quantization of every input."""
        ...

    def get_output_details(self) -> list[dict[str, Any]]:
        """Return the same of every output."""
        ...

    def get_tensor_details(self) -> list[dict[str, Any]]:
        """Return the same of every tensor."""
        ...

    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int]) -> None:
        """Change an input's shape; `allocate_tensors` must follow."""
        ...

    def allocate_tensors(self) -> None:
        """Give the tensors memory."""
        ...

    def set_tensor(self, tensor_index: int, value: NDArray[Any]) -> None:
        """Copy a value into an input."""
        ...

    def get_tensor(self, tensor_index: int) -> NDArray[Any]:
        """Return a copy of a tensor's value."""
        ...

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        """Return what gives a view of a tensor; drop the view before `invoke`."""
        ...

    def invoke(self) -> None:
        """Compute the outputs from the inputs."""
        ...


def create_interpreter(
    content: bytes,
    num_threads: int | None = None,
    *,
    preserve_all_tensors: bool = False,
) -> InterpreterLike:
    """Load a model and allocate its tensors.

    Args:
        content: As for `load_model`.
        num_threads: As for `load_model`.
        preserve_all_tensors: As for `load_model`.

    Raises:
        MissingExtraError, ModelError, ValueError: As `load_model`.
    """
    interpreter = load_model(
        content, num_threads, preserve_all_tensors=preserve_all_tensors
    )
    allocate(interpreter)
    return interpreter


def load_model(
    content: bytes,
    num_threads: int | None = None,
    *,
    preserve_all_tensors: bool = False,
) -> InterpreterLike:
    """Load a model into the first interpreter that is installed.

    They are looked for in the order ai-edge-litert, tflite-runtime, tensorflow.

    Args:
        content: A `.tflite` file.
        num_threads: Threads of one inference. Default: `DEFAULT_THREADS`.
        preserve_all_tensors: Keep the values of intermediate tensors after `invoke`;
            slower.

    Returns:
        The interpreter, its tensors not yet allocated.

    Raises:
        MissingExtraError: No interpreter is installed; the message has the line that
            installs one.
        ModelError: The interpreter refuses the model.
        ValueError: `num_threads` is less than 1, or no whole number.
    """
    options = {"num_threads": _checked_threads(num_threads)}
    if preserve_all_tensors:
        options["experimental_preserve_all_tensors"] = True
    interpreter_class = _find_interpreter()
    with _refusal_reported():
        return _load(interpreter_class, content, options)


def load_delegated(
    content: bytes,
    num_threads: int | None,
    delegate: str,
    delegate_options: Mapping[str, str] | None = None,
) -> InterpreterLike | None:
    """Load a model that an accelerator is to compute.

    Args:
        content: As for `load_model`.
        num_threads: As for `load_model`, of what the delegate leaves to the processor.
        delegate: Library of an accelerator, such as `libedgetpu.so.1`.
        delegate_options: What the delegate's own documents say.

    Returns:
        The interpreter, its tensors not yet allocated; None when the delegate cannot
        be used, after `report_unused` said why.

    Raises:
        MissingExtraError: No interpreter is installed.
        ValueError: As `load_model`.
    """
    options: dict[str, Any] = {"num_threads": _checked_threads(num_threads)}
    interpreter_class = _find_interpreter()
    try:
        library = _load_delegate(interpreter_class, delegate, delegate_options)
        options["experimental_delegates"] = [library]
        return _load(interpreter_class, content, options)
    except (OSError, ValueError, RuntimeError) as error:
        report_unused(delegate, error)
        return None


def report_unused(delegate: str, error: Exception) -> None:
    """Log that the processor works in place of a delegate, and why."""
    reason = " ".join(str(error).split()).rstrip(".") or "it does not say why"
    logger.warning(
        "The delegate %s cannot be used, so the processor is: %s.", delegate, reason
    )


def allocate(
    interpreter: InterpreterLike, index: int = 0, shape: Sequence[int] | None = None
) -> None:
    """Give the tensors memory; with `shape`, after the input `index` got this shape.

    Raises:
        ModelError: The model has an operator that is not there, or cannot work on an
            input of this shape.
    """
    with _refusal_reported():
        if shape is not None:
            interpreter.resize_tensor_input(index, shape)
        interpreter.allocate_tensors()


def _checked_threads(num_threads: int | None) -> int:
    if num_threads is None:
        return DEFAULT_THREADS
    if not isinstance(num_threads, Integral) or not 1 <= num_threads <= MAX_THREADS:
        raise ValueError(
            f"Expected num_threads, a whole number from 1 to {MAX_THREADS}. "
            f"Received: num_threads={num_threads}"
        )
    return int(num_threads)


def _load(
    interpreter_class: Any, content: bytes, options: Mapping[str, Any]
) -> InterpreterLike:
    loaded: InterpreterLike
    if interpreter_class.__module__.startswith("tensorflow"):
        with warnings.catch_warnings():  # that it will go one day
            warnings.simplefilter("ignore", UserWarning)
            loaded = interpreter_class(model_content=content, **options)
    else:
        loaded = interpreter_class(model_content=content, **options)
    return loaded


def _load_delegate(
    interpreter_class: Any, library: str, options: Mapping[str, str] | None
) -> Any:
    """Return the delegate in a shared library, for this interpreter.

    Raises:
        OSError: There is no such library, or it cannot be loaded.
        ValueError: It is no delegate, or finds no device.
    """
    import ctypes

    # Looked at first: load_delegate would leave a traceback behind, not only an error.
    found = ctypes.PyDLL(library)
    for name in ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate"):
        if not hasattr(found, name):
            raise ValueError(f"it is no delegate, it has no {name}")
    module = sys.modules[interpreter_class.__module__]
    return module.load_delegate(library, dict(options or {}))


@contextmanager
def _refusal_reported() -> Iterator[None]:
    """Turn the interpreter's refusal of a model into a `ModelError`."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise ModelError(_refusal(str(error))) from error


def _refusal(reason: str) -> str:
    """Return a sentence about what the interpreter says."""
    operator = re.search(r"Node number \d+ \((.+?)\) failed to prepare", reason)
    name = operator.group(1) if operator else ""
    if name == _EDGETPU_OPERATOR:
        return (
            "The model is compiled for an EdgeTPU and runs nowhere else: give "
            'delegate="libedgetpu.so.1" (--delegate libedgetpu.so.1), or use the file '
            "that it was compiled from."
        )
    if "Select TensorFlow op" in reason:
        return (
            f"The model needs TensorFlow's own operator {name}, which TensorFlow Lite "
            "does not have. Convert it without SELECT_TF_OPS."
        )
    if "unresolved custom op" in reason:
        return (
            f"The model needs the custom operator {name}, which this interpreter does "
            "not have. Convert the model without it."
        )
    return f"The interpreter refuses the model: {reason}"


def _find_interpreter() -> Any:
    """Return the class `Interpreter` of the first package that can be imported."""
    hints = []
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter
    except ImportError as error:
        hints.append(_reason("ai-edge-litert", error))
    try:
        # Compiled against NumPy 1: with NumPy 2 it imports, then fails when used.
        if int(np.__version__.split(".")[0]) < 2:
            from tflite_runtime.interpreter import Interpreter

            return Interpreter
        import tflite_runtime  # noqa: F401

        hints.append(
            "tflite-runtime is installed, but it needs numpy<2 and this is NumPy "
            f'{np.__version__}: pip install "numpy<2"'
        )
    except ImportError as error:
        hints.append(_reason("tflite-runtime", error))
    try:
        import tensorflow
    except ImportError as error:
        hints.append(_reason("tensorflow", error))
    else:
        return tensorflow.lite.Interpreter
    raise MissingExtraError(
        " ".join(
            [
                "Labelling needs a TensorFlow Lite interpreter. Install it with: "
                f"{_install_line()}",
                *(f"({hint})" for hint in hints if hint),
            ]
        )
    )


def _reason(package: str, error: ImportError) -> str:
    """Return why a package that is there cannot be imported; "" if it is not there."""
    missing = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and missing == package.replace("-", "_"):
        return ""
    return f"{package} is installed but cannot be imported: {error}"


def _install_line() -> str:
    import platform  # only for this message

    if platform.machine().startswith(("armv6", "armv7")):  # no wheels of LiteRT
        return 'pip install "tflite-runtime==2.14.0" "numpy<2"'
    return "pip install ai-edge-litert"


def num_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
