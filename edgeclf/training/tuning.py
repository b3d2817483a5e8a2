"""Train a backbone's own weights by gradient descent, in TensorFlow.

Folding batch norms leaves channels whose weights differ in size by orders of
magnitude. The weights of a channel are therefore trained in units of their own root
mean square: a step moves them by a share of what they are.

Source: P. Goyal et al., "Accurate, Large Minibatch SGD" (2017), 2.2 (warm-up);
I. Loshchilov and F. Hutter, "SGDR" (ICLR 2017), eq. 5 (cosine decay); D. Kingma and
J. Ba, "Adam" (ICLR 2015), algorithm 1; C. Szegedy et al., "Rethinking the Inception
Architecture" (CVPR 2016), 7 (label smoothing).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgeclf.errors import ModelError
from edgeclf.interpreter import create_interpreter
from edgeclf.training.differentiable import DifferentiableGraph
from edgeclf.training.fresh_views import ViewLoader
from edgeclf.training.head import Head, accuracy, cross_entropy
from edgeclf.zoo.backbone import Backbone

BATCH_SIZE = 16
BIG_BATCH = 32  # where nothing is derived
WARM_UP = 0.1  # share of all steps in which the rate rises
MOMENTUM, INERTIA, EPSILON = 0.9, 0.99, 1e-8  # of Adam, in the order of the paper
PATIENCE = 0.5  # share of all epochs in which validation may get no better
SMOOTHING = 0.1  # share of the target that all classes have alike
COARSEST = 56  # longest side of the maps of a layer that is trained
LEAST_UNIT = 1e-12  # of a channel without any weight
LEAST_SPREAD = 0.1  # of the mean: a number that hardly varies is no second bias
# float32 sums in another order; relative to the largest number of a bottleneck.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Epoch:
    """Figures of one pass over the training pictures.

    Attributes:
        step: Steps made so far.
        train_accuracy: In [0, 1], of the views that were trained on, while training.
        train_cross_entropy: Likewise, in nats.
        validation_accuracy: Of the plain validation pictures, after the pass.
        validation_cross_entropy: Likewise, in nats.
    """

    step: int
    train_accuracy: float
    train_cross_entropy: float
    validation_accuracy: float
    validation_cross_entropy: float


@dataclass(frozen=True)
class Examples:
    """Pictures to train on or to score, and their classes.

    Attributes:
        loader: Makes their views.
        classes: Class index of each, int `(n,)`.
    """

    loader: ViewLoader
    classes: NDArray[np.intp]


class Tuner:
    """Trains a backbone together with a head.

    Args:
        backbone: What is trained; stays as it is.
        head: Where its head starts.
        bottlenecks: What the backbone makes of representative pictures, `(n, depth)`.
        learning_rate: The highest, of weights in units of their root mean square.
        head_rate: The highest, of the head's weights in units of their inputs' spread.
        tensorflow: The package.

    Attributes:
        epochs: Figures of every pass so far.

    Raises:
        ModelError: The backbone holds an operator that cannot be trained.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Head,
        bottlenecks: NDArray[np.float32],
        learning_rate: float,
        head_rate: float,
        tensorflow: Any,
    ) -> None:
        self._tf, self._backbone = tensorflow, backbone
        self._graph = DifferentiableGraph(backbone.content, tensorflow)
        weights, sides = self._graph.weights, self._graph.sides
        self._trained = [index for index in weights if sides[index] <= COARSEST]
        self._fixed = {
            index: tensorflow.constant(value)
            for index, value in weights.items()
            if index not in self._trained
        }
        units = [self._unit(index) for index in self._trained]
        starts = [weights[index] for index in self._trained]
        # The head sees centred numbers: a step for its weights leaves the bias alone.
        self._centre = bottlenecks.mean(axis=0)
        spread = bottlenecks.std(axis=0)
        spread = np.maximum(spread, LEAST_SPREAD * spread.mean()) + LEAST_UNIT
        units += [1 / spread, np.ones(1)]
        starts += [head.weights, head.bias + head.weights @ self._centre]
        self._units = [unit.astype(np.float32) for unit in units]
        self._starts = [
            (start / unit).astype(np.float32)
            for start, unit in zip(starts, self._units, strict=True)
        ]
        rates = [learning_rate] * len(self._trained) + [head_rate] * 2
        self._values = [tensorflow.Variable(start) for start in self._starts]
        self._firsts = [tensorflow.Variable(0 * start) for start in self._starts]
        self._seconds = [tensorflow.Variable(0 * start) for start in self._starts]
        self._rates = rates
        pixels = tensorflow.TensorSpec((None, *backbone.input_size, 3), "uint8")
        number = tensorflow.TensorSpec((), "float32")
        classes = tensorflow.TensorSpec((None,), "int64")
        self._step = tensorflow.function(
            self._make_step, input_signature=(pixels, classes, number, number)
        )
        self._score = tensorflow.function(self._logits, input_signature=(pixels,))
        self._kept = self._starts
        self.epochs: list[Epoch] = []

    def train(
        self, train: Examples, validation: Examples, epochs: int, seed: int
    ) -> None:
        """Train until the validation cross-entropy has not fallen for a while.

        The weights of the epoch where it was least are kept.

        Args:
            train: What is trained on.
            validation: What decides when to stop; one picture or more.
            epochs: Passes over the pictures, if it falls to the end.
            seed: Of the order of the pictures.
        """
        source = np.random.default_rng(seed)
        count = len(train.classes)
        steps = epochs * math.ceil(count / BATCH_SIZE)
        least, since = math.inf, 0
        with tqdm(total=epochs, desc="fine-tuning", unit="epoch", disable=None) as bar:
            for number in range(epochs):
                order = source.permutation(count)
                batches = np.array_split(order, math.ceil(count / BATCH_SIZE))
                epoch = self._pass(train, validation, batches, number, steps)
                loss = epoch.validation_cross_entropy
                if not math.isfinite(epoch.train_cross_entropy + loss):
                    break  # steps too long for this network
                self.epochs.append(epoch)
                since += 1
                if loss < least:
                    least, since = loss, 0
                    self._kept = [value.numpy() for value in self._values]
                bar.set_postfix(validation=f"{epoch.validation_accuracy:.1%}")
                bar.update()
                if since > epochs * PATIENCE:
                    break

    def content(self, share: float) -> bytes:
        """Return the `.tflite` file of weights between the first and the kept ones.

        Source: M. Wortsman et al., "Robust fine-tuning of zero-shot models" (CVPR
        2022), eq. 1.

        Args:
            share: 0 for the first, 1 for the kept ones.
        """
        return self._graph.with_weights(
            {
                index: (start + np.float32(share) * (kept - start)) * unit
                for index, start, kept, unit in zip(
                    self._trained, self._starts, self._kept, self._units, strict=False
                )
            }
        )

    def _unit(self, index: int) -> NDArray[np.float64]:
        """Return the root mean square of each output channel's weights.

        That of a bias is one number for all channels: a small one is not held small.
        """
        squares = self._graph.weights[index].astype(np.float64) ** 2
        channels = self._graph.channel_axes[index]
        axes = tuple(axis for axis in range(squares.ndim) if axis != channels)
        mean = squares.mean(axis=axes or None, keepdims=True)
        return np.asarray(np.maximum(np.sqrt(mean), LEAST_UNIT))

    def _pass(
        self,
        train: Examples,
        validation: Examples,
        batches: Sequence[NDArray[np.intp]],
        number: int,
        steps: int,
    ) -> Epoch:
        classes = train.classes
        step = number * len(batches)
        logits = []
        for batch, pixels in zip(
            batches, train.loader.batches(batches, number), strict=True
        ):
            step += 1
            share, power = np.float32(rate_share(step, steps)), np.float32(step)
            targets = classes[batch].astype(np.int64)
            logits.append(self._step(pixels, targets, share, power).numpy())
        order = np.concatenate(batches)
        seen, scored = np.concatenate(logits), self._scores(validation)
        return Epoch(
            step,
            accuracy(seen, classes[order]),
            cross_entropy(seen, classes[order]),
            accuracy(scored, validation.classes),
            cross_entropy(scored, validation.classes),
        )

    def _scores(self, examples: Examples) -> NDArray[np.float32]:
        count = len(examples.classes)
        batches = np.array_split(np.arange(count), math.ceil(count / BIG_BATCH))
        return np.concatenate(
            [self._score(pixels).numpy() for pixels in examples.loader.batches(batches)]
        )

    def _logits(self, pixels: Any) -> Any:
        tf, backbone = self._tf, self._backbone
        *body, weights, bias = (
            value * unit for value, unit in zip(self._values, self._units, strict=True)
        )
        inputs = tf.cast(pixels, tf.float32) - np.float32(backbone.input_mean)
        inputs /= np.float32(backbone.input_std)
        trained = dict(zip(self._trained, body, strict=True))
        bottlenecks = self._graph(inputs, {**self._fixed, **trained})
        bottlenecks = tf.reshape(bottlenecks, (-1, backbone.depth))
        centred = bottlenecks - self._centre
        return tf.matmul(centred, weights, transpose_b=True) + bias

    def _make_step(self, pixels: Any, classes: Any, share: Any, step: Any) -> Any:
        """Make one step of Adam; return the logits before it."""
        tf = self._tf
        with tf.GradientTape() as tape:
            logits = self._logits(pixels)
            num_classes = logits.shape[1]
            targets = (1 - SMOOTHING) * tf.one_hot(classes, num_classes)
            targets += SMOOTHING / num_classes
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_mean(losses)
        for gradient, value, first, second, rate in zip(
            tape.gradient(loss, self._values),
            self._values,
            self._firsts,
            self._seconds,
            self._rates,
            strict=True,
        ):
            first.assign(MOMENTUM * first + (1 - MOMENTUM) * gradient)
            second.assign(INERTIA * second + (1 - INERTIA) * gradient**2)
            mean = first / (1 - MOMENTUM**step)
            size = tf.sqrt(second / (1 - INERTIA**step))
            value.assign_sub(rate * share * mean / (size + EPSILON))
        return logits


def rate_share(step: int, steps: int) -> float:
    """Return the rate at a step, 1 to `steps`, relative to the highest.

    It rises in a line, then falls like half a cosine, to 0 at the end.
    """
    rising = WARM_UP * steps
    if step < rising:
        return step / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))


def check_agreement(
    graph: DifferentiableGraph, backbone: Backbone, tensorflow: Any
) -> None:
    """Compare the function with the interpreter's answer on one picture of noise.

    Raises:
        ModelError: They differ by more than rounding.
    """
    size = (*backbone.input_size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    inputs = backbone.normalise(pixels)
    interpreter = create_interpreter(backbone.content)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    output = interpreter.get_output_details()[0]["index"]
    expected = interpreter.get_tensor(output).reshape(-1)
    weights = {key: tensorflow.constant(w) for key, w in graph.weights.items()}
    answer = graph(tensorflow.constant(inputs), weights).numpy().reshape(-1)
    difference = float(np.abs(answer - expected).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ModelError(
            f"Expected TensorFlow to compute what the backbone {backbone.name} does. "
            f"Received: numbers that differ by {difference:.2g}. Leave out "
            "--fine_tune, or use another --architecture."
        )
