"""A loaded model: pixels in, the values of its output tensors out."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeclf.decoder import ImageSource
from edgeclf.errors import ModelError
from edgeclf.image import DEFAULT_RESIZE, check_resize, decode, own_size, stretch
from edgeclf.input_tensor import InputTensor, given_normalization
from edgeclf.interpreter import (
    InterpreterLike,
    allocate,
    load_delegated,
    load_model,
    report_unused,
)
from edgeclf.metadata import read_model_info
from edgeclf.model_info import ModelInfo
from edgeclf.quantization import dequantize
from edgeclf.tflite.source import ModelSource, max_model_bytes, read_model
from edgeclf.tflite.verify import check_model, check_resized

MAX_OWN_SIDE = 512  # of pictures that keep their own size: they are shrunk to it
PROBE_SIZE = (224, 224)  # that a model of any size is tried with

ChooseOutputs: TypeAlias = "Callable[[bytes, ModelInfo], Sequence[int] | None]"


class OpenModel(NamedTuple):
    """What `open_network` returns.

    Attributes:
        name: What errors call the model: its path, else "the model".
        content: The `.tflite` file that runs; its outputs are the chosen ones.
        info: What the file says about itself.
        network: The model, loaded.
    """

    name: str
    content: bytes
    info: ModelInfo
    network: Network


def open_network(
    model: ModelSource,
    *,
    outputs: ChooseOutputs | None = None,
    num_threads: int | None = None,
    resize: str | None = None,
    input_mean: float | Sequence[float] | None = None,
    input_std: float | Sequence[float] | None = None,
    input_size: tuple[int, int] | None = None,
    delegate: str | None = None,
    delegate_options: Mapping[str, str] | None = None,
    sha256: str | None = None,
    max_model_mb: int | None = None,
) -> OpenModel:
    """Read, check and load a `.tflite` file.

    Args:
        model: Its path or content.
        outputs: Gets content and information, and returns the indices of the tensors
            that become the outputs; None: the graph's own. Default: the graph's own.
        num_threads: As for `Classifier`, like all that follow.
        resize: See there.
        input_mean: See there.
        input_std: See there.
        input_size: See there.
        delegate: See there.
        delegate_options: See there.
        sha256: See there.
        max_model_mb: See there.

    Raises:
        FileNotFoundError: There is no such file.
        ModelError: The model is damaged or unsupported, too large, or has another sum.
        MissingExtraError: No interpreter is installed.
        ValueError: Another argument is outside its range, or does not fit the model.
    """
    name, content = read_model(model, sha256, max_model_mb)
    with named_errors(name):
        info = read_model_info(content)
        check_model(content, max_model_bytes(max_model_mb))
        tensors = None if outputs is None else outputs(content, info)
        if tensors is not None:
            from edgeclf.tflite.graph import Graph

            content = Graph(content).with_outputs(tensors)
        network = Network(
            content,
            info,
            num_threads=num_threads,
            resize=resize,
            input_mean=input_mean,
            input_std=input_std,
            input_size=input_size,
            delegate=delegate,
            delegate_options=delegate_options,
            max_model_mb=max_model_mb,
        )
    return OpenModel(name, content, info, network)


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Put the model's name before what a `ModelError` says."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error


class Network:
    """A model in an interpreter, and how its input wants a picture.

    Threads may share it: `run` decodes at the same time for all of them, and lets one
    after the other at the interpreter. `feed`, `invoke` and `outputs` are its steps,
    for who runs them alone.

    Attributes:
        input_size: `(height, width)` of the input in pixels; None: the picture's own,
            shrunk to at most `MAX_OWN_SIDE` pixels a side.
        output_shapes: Shape of each output.
        resize: The filter that pictures are resized with.
    """

    def __init__(
        self,
        content: bytes,
        info: ModelInfo,
        *,
        num_threads: int | None = None,
        resize: str | None = None,
        input_mean: float | Sequence[float] | None = None,
        input_std: float | Sequence[float] | None = None,
        input_size: tuple[int, int] | None = None,
        delegate: str | None = None,
        delegate_options: Mapping[str, str] | None = None,
        max_model_mb: int | None = None,
    ) -> None:
        given = given_normalization(input_mean, input_std)
        self.resize = _checked_resize(resize, info)
        self._lock = threading.Lock()
        if delegate_options and delegate is None:
            raise ValueError(
                "Expected a delegate for its options. "
                f"Received: {dict(delegate_options)}"
            )
        interpreter = None
        if delegate is not None:
            interpreter = load_delegated(
                content, num_threads, delegate, delegate_options
            )
        self._delegate = None if interpreter is None else delegate  # that is used
        interpreter = interpreter or load_model(content, num_threads)
        self._input = InputTensor(
            _details(interpreter.get_input_details),
            info,
            given=given,
            input_size=input_size,
        )
        self.input_size = self._input.input_size
        self._allocated: tuple[int, int] | None = None  # the size of pictures
        self._content, self._max_bytes = content, max_model_bytes(max_model_mb)
        self._checked = (0, 0)  # the largest size that was
        try:
            self._allocate(interpreter, self.input_size or PROBE_SIZE)
        except ModelError as error:
            if self._delegate is None:
                raise
            report_unused(self._delegate, error)
            self._delegate = None
            interpreter = load_model(content, num_threads)
            self._allocate(interpreter, self.input_size or PROBE_SIZE)
        self._interpreter: InterpreterLike | None = interpreter
        self._outputs = _details(interpreter.get_output_details)
        self.output_shapes: list[tuple[int, ...]] = [
            tuple(details["shape"].tolist()) for details in self._outputs
        ]

    def run(
        self,
        source: ImageSource,
        *,
        region: Sequence[float] | None = None,
        rotation: int = 0,
    ) -> list[NDArray[np.float32]]:
        """Decode a picture, run the model, return its outputs.

        Args:
            source: As for `image.load`.
            region: As for `image.load`.
            rotation: As for `image.load`.

        Returns:
            As `outputs`.

        Raises:
            ValueError: The network is closed.
            ImageError, OSError, TypeError, ValueError: As `image.load`.
            ModelError: The model fails, or its output is not finite.
        """
        self._opened()  # before work is done in vain
        size = self.input_size
        decoded = decode(
            source,
            size or (MAX_OWN_SIDE, MAX_OWN_SIDE),
            resize=self.resize,
            region=region,
            rotation=rotation,
        )
        pixels = stretch(
            decoded, size or own_size(decoded.box, MAX_OWN_SIDE), self.resize
        )
        with self._lock:
            self.feed(pixels)
            self.invoke()
            return self.outputs()

    def feed(self, pixels: NDArray[np.uint8]) -> None:
        """Write a picture into the interpreter's own tensor, as the model wants it.

        Args:
            pixels: uint8 array of shape `(height, width, 3)`, RGB, of `input_size`.

        Raises:
            ValueError: The network is closed, or the pixels are of another size.
            ModelError: The model does not run on pictures of this size.
        """
        interpreter = self._opened()
        height, width, _ = pixels.shape
        if self.input_size not in (None, (height, width)):
            raise ValueError(
                f"Expected pixels of the size {self.input_size}. "
                f"Received: shape={pixels.shape}"
            )
        self._allocate(interpreter, (height, width))
        # The view must be gone before `invoke`, which may move the tensor.
        self._input.write(pixels, interpreter.tensor(self._input.index)())

    def invoke(self) -> None:
        """Compute the outputs.

        Raises:
            ValueError: The network is closed.
            ModelError: The model fails.
        """
        interpreter = self._opened()
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            sentence = f"The interpreter cannot run it: {error}"
            if self._delegate is not None:
                sentence += f" Leave out the delegate {self._delegate}, which fails."
            raise ModelError(sentence) from error

    def outputs(self) -> list[NDArray[np.float32]]:
        """Return the values of all outputs, dequantized, in their own shapes.

        Raises:
            ValueError: The network is closed.
            ModelError: A value is not finite, or an output cannot be dequantized.
        """
        interpreter = self._opened()
        return [
            dequantize(interpreter.get_tensor(details["index"]), details)
            for details in self._outputs
        ]

    def close(self) -> None:
        """Give the interpreter back, after the picture that runs at the moment."""
        with self._lock:
            self._interpreter = None

    @property
    def is_closed(self) -> bool:
        """Whether the interpreter has been given back."""
        return self._interpreter is None

    def _allocate(self, interpreter: InterpreterLike, size: tuple[int, int]) -> None:
        if size == self._allocated:
            return
        self._allocated = None  # if it fails, the next picture has to try again
        shape = self._input.shape_for(size)
        if shape != self._input.shape and any(map(operator.gt, size, self._checked)):
            # More than what the file declares, which was checked.
            check_resized(self._content, tuple(shape), self._max_bytes)
            self._checked = size
        try:
            allocate(interpreter, self._input.index, shape)
        except ModelError as error:
            if self.input_size is not None:
                raise
            raise ModelError(
                f"{error} That was a picture of the size {size}: give input_size="
                "(height, width), if the model takes one size only."
            ) from error
        self._allocated = size

    def _opened(self) -> InterpreterLike:
        if self._interpreter is None:
            raise ValueError("This model is closed. Make a new one to label more.")
        return self._interpreter


def _details(read: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return what the interpreter says of tensors, whose names may be damaged."""
    try:
        return read()
    except UnicodeDecodeError as error:
        raise ModelError(f"A tensor's name is not UTF-8: {error}.") from error


_Self = TypeVar("_Self", bound="HoldsNetwork")


class HoldsNetwork:
    """What works with a network of its own until it is closed, or its `with` ends."""

    _network: Network

    @property
    def input_size(self) -> tuple[int, int] | None:
        """`(height, width)` of the input in pixels; None: each picture's own."""
        return self._network.input_size

    def close(self) -> None:
        """Give the interpreter's memory back. A second call does nothing.

        A picture that another thread is working on is finished first.
        """
        self._network.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _checked_resize(resize: str | None, info: ModelInfo) -> str:
    if resize is not None:
        check_resize(resize)
        return resize
    recorded = info.record.get("preprocessing", {}).get("resize", DEFAULT_RESIZE)
    try:
        check_resize(recorded)
    except ValueError as error:
        raise ModelError(f"In the model's record: {error}") from error
    return str(recorded)
