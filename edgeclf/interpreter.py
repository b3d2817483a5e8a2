"""The only place that imports LiteRT, tflite-runtime or TensorFlow Lite."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeclf.errors import MissingExtraError, ModelError

# Set once and for all: threads that load pictures change the filters meanwhile.
warnings.filterwarnings(
    "ignore", message=".*experimental_preserve_all_tensors", category=UserWarning
)


MAX_THREADS = 1024  # more is a slip; beyond int32 the interpreter prints the model


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
    """Load a model into the first interpreter that is installed.

    They are looked for in the order ai-edge-litert, tflite-runtime, tensorflow.

    Args:
        content: A `.tflite` file.
        num_threads: Threads of one inference. Default: the interpreter's own choice.
        preserve_all_tensors: Keep the values of intermediate tensors after `invoke`;
            slower.

    Returns:
        The interpreter, its tensors allocated.

    Raises:
        MissingExtraError: No interpreter is installed; the message has the line that
            installs one.
        ModelError: The interpreter refuses the model.
        ValueError: `num_threads` is less than 1.
    """
    if num_threads is not None and not 1 <= num_threads <= MAX_THREADS:
        raise ValueError(
            f"Expected num_threads of at least 1 and at most {MAX_THREADS}. "
            f"Received: num_threads={num_threads}"
        )
    interpreter_class = _find_interpreter()
    options: dict[str, Any] = {"model_content": content, "num_threads": num_threads}
    if preserve_all_tensors:
        options["experimental_preserve_all_tensors"] = True
    try:
        if interpreter_class.__module__.startswith("tensorflow"):
            with warnings.catch_warnings():  # that it will go one day
                warnings.simplefilter("ignore", UserWarning)
                interpreter = interpreter_class(**options)
        else:
            interpreter = interpreter_class(**options)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"The interpreter refuses the model: {error}") from error
    loaded: InterpreterLike = interpreter
    return loaded


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
