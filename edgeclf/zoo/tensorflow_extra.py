"""The extra `tensorflow`: imported without noise, its failures put in one sentence.

Nothing here imports TensorFlow by itself: `edgeclf convert --help` must answer at
once, and say what to install where the extra is missing. What the extra's packages
print at import goes to the debug log. `Network` is what every kind of source is
opened as before it is converted.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.error import URLError

from edgeclf.errors import EdgeclfError, MissingExtraError, ModelError
from edgeclf.zoo.normalization import DEFAULT_MEAN, DEFAULT_STD

# (input_mean, input_std) of keras.applications' mode "tf", and of every backbone.
MINUS_ONE_TO_ONE = (DEFAULT_MEAN, DEFAULT_STD)

_logger = logging.getLogger("edgeclf")


@dataclass(frozen=True)
class Network:
    """A loaded network, not yet converted.

    Attributes:
        call: Float images `(1, height, width, 3)` to one tensor of features.
        variables: What holds the variables, for TensorFlow to find and freeze them:
            they themselves (a Keras model would hide them) or the loaded object.
        input_size: `(height, width)` as the graph fixes them; None where it does not.
        input_mean: The network wants `(pixel - input_mean) / input_std`; one value, or
            one for each of R, G and B.
        input_std: See `input_mean`.
    """

    call: Callable[[Any], Any]
    variables: Any
    input_size: tuple[int | None, int | None]
    input_mean: float | tuple[float, ...]
    input_std: float


def import_quietly(name: str) -> ModuleType:
    """Import a package of the extra; its notices at import go to the debug log.

    Raises:
        MissingExtraError: The package is not installed.
    """
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with (
            environment(KERAS_BACKEND="tensorflow"),
            _native_stderr_to_log(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            module = importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"Converting models needs the package {name} ({error}). Install it with: "
            'pip install "edgeclf[tensorflow]"'
        ) from error
    if name == "tensorflow":
        module.get_logger().setLevel(logging.ERROR)
    return module


@contextlib.contextmanager
def absl_kept_quiet() -> Iterator[None]:
    """Keep absl from giving the root logger a handler, which repeats all our lines."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables, and put back what they were."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def refusing(source: object, problem: str) -> Iterator[None]:
    """Turn whatever Keras and TensorFlow raise into one sentence about the source.

    Raises:
        ModelError: `source problem: first line of what was raised`.
    """
    try:
        yield
    except (EdgeclfError, MemoryError):
        raise
    except Exception as error:  # they fail in many ways
        raise ModelError(f"{source} {problem}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return an error's first line, shortened and without the full stop."""
    # urllib wraps what the system said as "<urlopen error ...>".
    wrapped = type(error) is URLError and error.reason
    lines = [line for line in str(wrapped or error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return textwrap.shorten(lines[0], 200, placeholder=" ...").rstrip(".")


@contextlib.contextmanager
def _native_stderr_to_log() -> Iterator[None]:
    """Send what C++ code writes to the process's stderr to the debug log."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            notices.seek(0)
            _logger.debug("%s", notices.read().decode(errors="replace"))
