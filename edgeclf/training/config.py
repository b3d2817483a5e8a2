"""All settings of a training run and their defaults, in one place."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from pathlib import Path

from edgeclf.data.splits import Shares
from edgeclf.image import DEFAULT_RESIZE, RESIZE_METHODS
from edgeclf.training.descent import Descent
from edgeclf.training.quantize import HEAD_MODES, QUANTIZE_MODES
from edgeclf.training.views import (
    DEFAULT_VIEWS,
    Distortions,
    View,
    draw_variations,
)
from edgeclf.zoo.load import check_architecture
from edgeclf.zoo.normalization import check_normalization

DEFAULT_STEPS = 4000  # these two as in tensorflow-for-poets
DEFAULT_LEARNING_RATE = 0.01
MAX_ENLARGEMENT = 1000  # percent: then a crop shows a tenth of each side

_Path = str | os.PathLike[str]

SOLVERS = ("discriminant", "regression")

# Settings of gradient descent that do nothing without it.
DESCENT_ONLY = (
    "train_batch_size",
    "validation_batch_size",
    "eval_step_interval",
    "summaries_dir",
    "intermediate_output_graphs_dir",
    "intermediate_store_frequency",
)


@dataclass(frozen=True)
class RetrainConfig:
    """Settings of `retrain`.

    Attributes:
        image_dir: Folder with one folder of pictures per class, and perhaps one,
            `_background`, of pictures of no class.
        output_graph: The `.tflite` file to write.
        output_labels: A `labels.txt` for old tools, one label a line; None for none.
        metrics_json: A JSON file with all figures; None for none.
        architecture: Zoo name or path to a `.tflite` backbone; None for the default,
            or the bundled one where the default cannot be downloaded.
        input_mean: For a float backbone without metadata: the input is
            `(pixel - input_mean) / input_std`. None for what the file says.
        input_std: See `input_mean`.
        resize: Resize filter, recorded in the model: one of `RESIZE_METHODS`.
        bottleneck_dir: Where bottlenecks are cached; None for the user's cache folder.
        model_dir: Where backbones are kept; None for the user's cache folder.
        testing_percentage: Share of each class held out for measuring, 0-100.
        validation_percentage: Share held out for choosing settings, 0-100.
        split_file: CSV (`file,split`) to take the split from; pictures that it does
            not name are split by their hash. None for the hash alone.
        seed: Of the split, the views and gradient descent.
        strict: Whether an unreadable picture is an error.
        quantize: "int8", "float16" or "none" (float32).
        head: "int8" or "float": the type of the last layer in an int8 model.
        calibration_pictures: Training pictures, balanced over classes, whose
            activations set the scales of the int8 model.
        views: Views of each picture that the head is fitted to, the plain one
            included; 1 for that alone. None for 8, or with gradient descent for 1 if
            no distortion is asked for.
        solver: "discriminant" (shrunk linear discriminant analysis) or "regression"
            (softmax regression): what fits the head if not gradient descent.
        how_many_training_steps: Steps of mini-batch gradient descent. None, with
            `learning_rate` None too, for `solver`.
        learning_rate: Step size of gradient descent.
        train_batch_size: Pictures per step; -1 for all.
        validation_batch_size: Pictures per evaluation while descending; -1 for all.
        test_batch_size: Test pictures that are measured on; -1 for all.
        eval_step_interval: Steps between two evaluations.
        summaries_dir: Where gradient descent writes TensorBoard event files.
        intermediate_output_graphs_dir: Where float models are kept while descending,
            every `intermediate_store_frequency` steps.
        intermediate_store_frequency: See above; 0 for none.
        flip_left_right: Train on mirrored views too.
        random_crop: Train on crops with this margin, percent.
        random_scale: Train on views enlarged by up to this, percent.
        random_brightness: Train on views lighter or darker by up to this, percent.
            Without any of these four, views are crops, mirrored and lit otherwise.
        final_tensor_name: Name of the output tensor.
        num_workers: Threads that decode and run the backbone; None for all processors.
    """

    image_dir: _Path
    output_graph: _Path
    output_labels: _Path | None = None
    metrics_json: _Path | None = None
    architecture: _Path | None = None
    input_mean: float | None = None
    input_std: float | None = None
    resize: str = DEFAULT_RESIZE
    bottleneck_dir: _Path | None = None
    model_dir: _Path | None = None
    testing_percentage: float = 10.0
    validation_percentage: float = 10.0
    split_file: _Path | None = None
    seed: int = 0
    strict: bool = False
    quantize: str = "int8"
    head: str = "int8"
    calibration_pictures: int = 100
    views: int | None = None
    solver: str = "discriminant"
    how_many_training_steps: int | None = None
    learning_rate: float | None = None
    train_batch_size: int = 100
    validation_batch_size: int = 100
    test_batch_size: int = -1
    eval_step_interval: int = 10
    summaries_dir: _Path | None = None
    intermediate_output_graphs_dir: _Path | None = None
    intermediate_store_frequency: int = 0
    flip_left_right: bool = False
    random_crop: float = 0.0
    random_scale: float = 0.0
    random_brightness: float = 0.0
    final_tensor_name: str = "final_result"
    num_workers: int | None = None

    def __post_init__(self) -> None:
        self._check_choice("quantize", QUANTIZE_MODES)
        self._check_choice("head", HEAD_MODES)
        self._check_choice("resize", RESIZE_METHODS)
        self._check_choice("solver", SOLVERS)
        for name, least in (
            ("calibration_pictures", 1),
            ("eval_step_interval", 1),
            ("intermediate_store_frequency", 0),
            ("seed", 0),
            ("random_crop", 0),
            ("random_scale", 0),
            ("random_brightness", 0),
        ):
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"Expected a finite {name} of at least {least}. "
                    f"Received: {getattr(self, name)}."
                )
        for name in ("random_crop", "random_scale"):
            if getattr(self, name) > MAX_ENLARGEMENT:
                raise ValueError(
                    f"Expected {name} of at most {MAX_ENLARGEMENT} percent. "
                    f"Received: {getattr(self, name)}."
                )
        for name in ("train_batch_size", "validation_batch_size", "test_batch_size"):
            if getattr(self, name) < 1 and getattr(self, name) != -1:
                raise ValueError(
                    f"Expected a positive {name}, or -1 for all pictures. "
                    f"Received: {getattr(self, name)}."
                )
        for name in (
            "how_many_training_steps",
            "learning_rate",
            "num_workers",
            "views",
        ):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"Expected a positive {name}. Received: {value}.")
        if self.views == 1 and self.distortions:
            raise ValueError(
                "Expected views of at least 2 for the distortions that are asked for. "
                "Received: 1."
            )
        if self.random_brightness > 100:
            raise ValueError(
                "Expected random_brightness in 0-100. "
                f"Received: {self.random_brightness}."
            )
        if (
            self.intermediate_store_frequency
            and not self.intermediate_output_graphs_dir
        ):
            raise ValueError(
                "Expected intermediate_output_graphs_dir, where the models of "
                "intermediate_store_frequency go. Received: none."
            )
        if not self.final_tensor_name.isprintable() or not self.final_tensor_name:
            raise ValueError(
                "Expected a name in final_tensor_name. "
                f"Received: {self.final_tensor_name!r}."
            )
        if not os.fspath(self.image_dir):
            raise ValueError("Expected a folder in image_dir. Received: ''.")
        if not os.fspath(self.output_graph):
            raise ValueError("Expected a file name in output_graph. Received: ''.")
        check_normalization(self.input_mean, self.input_std)
        check_architecture(self.architecture)
        self._check_paths()
        self.shares  # noqa: B018  # checks the percentages

    def _check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        if getattr(self, name) not in choices:
            raise ValueError(
                f"Expected {name} to be one of {', '.join(choices)}. "
                f"Received: {getattr(self, name)!r}."
            )

    def _check_paths(self) -> None:
        """Refuse to write two files to one place, or over what is read."""
        written = self.outputs
        read = [Path(self.architecture)] if self.architecture else []
        if self.split_file and Path(self.split_file).resolve() != (
            self.split_path.resolve()  # that one may be brought up to date
        ):
            read.append(Path(self.split_file))
        places = [path.resolve() for path in written + read]
        for path in written:
            if places.count(path.resolve()) > 1:
                raise ValueError(
                    "Expected different paths for the backbone, the model, its labels, "
                    f"its split and its metrics. Received twice: {path}."
                )

    @property
    def outputs(self) -> list[Path]:
        """Every file that a run writes."""
        others = (self.output_labels, self.metrics_json)
        named = [Path(path) for path in others if path is not None]
        return [self.model_path, self.split_path, *named]

    @property
    def model_path(self) -> Path:
        """The file to write: for a `.pb` name the `.tflite` beside it."""
        path = Path(self.output_graph)
        return path.with_suffix(".tflite") if path.suffix == ".pb" else path

    @property
    def split_path(self) -> Path:
        """The table of splits beside the model."""
        stem = self.model_path.name.removesuffix(".tflite")
        return self.model_path.with_name(f"{stem}.split.csv")

    @property
    def shares(self) -> Shares:
        """What is held out."""
        return Shares(self.testing_percentage, self.validation_percentage)

    @property
    def distortions(self) -> Distortions:
        """What training pictures are varied by."""
        return Distortions(
            self.flip_left_right,
            self.random_crop,
            self.random_scale,
            self.random_brightness,
        )

    @property
    def num_views(self) -> int:
        """Views of each picture that the head is fitted to."""
        if self.views is not None:
            return self.views
        return 1 if self.descent and not self.distortions else DEFAULT_VIEWS

    def draw_views(self, digest: bytes) -> list[View]:
        """Return the views, besides the plain one, of the picture with that SHA-256."""
        draw = self.distortions.draw if self.distortions else draw_variations
        return draw(digest, self.seed, self.num_views - 1)

    @property
    def descent(self) -> Descent | None:
        """Gradient descent, when its steps or its rate are given."""
        if self.how_many_training_steps is None and self.learning_rate is None:
            return None
        return Descent(
            self.how_many_training_steps or DEFAULT_STEPS,
            self.learning_rate or DEFAULT_LEARNING_RATE,
            self.train_batch_size,
            self.validation_batch_size,
            self.eval_step_interval,
            self.intermediate_store_frequency,
        )


def is_changed(config: RetrainConfig, name: str) -> bool:
    """Return whether a setting differs from its default."""
    (field,) = (field for field in fields(config) if field.name == name)
    return bool(getattr(config, name) != field.default)
