"""All settings of a training run and their defaults, in one place."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from pathlib import Path

from edgeclf.data.splits import Shares
from edgeclf.data.tag_source import DEFAULT_MIN_CONFIDENCE, TAG_SOURCES, TagSource
from edgeclf.engines.arguments import ENGINES
from edgeclf.evaluation.report_files import (
    ENDING,
    SPLIT_ENDING,
    ReportPaths,
    beside,
    report_paths,
)
from edgeclf.image import DEFAULT_RESIZE, RESIZE_METHODS
from edgeclf.training.class_weights import CLASS_WEIGHTS
from edgeclf.training.descent import Descent
from edgeclf.training.quantize import HEAD_MODES, QUANTIZE_MODES
from edgeclf.training.views import (
    DEFAULT_VIEWS,
    Distortions,
    View,
    draw_variations,
)
from edgeclf.training_extra import check_packages
from edgeclf.zoo.load import check_architecture
from edgeclf.zoo.normalization import check_normalization

check_packages()  # whatever trains begins with its settings

DEFAULT_STEPS = 4000  # these two as in tensorflow-for-poets
DEFAULT_LEARNING_RATE = 0.01
DEFAULT_FINE_TUNE_EPOCHS = 12
DEFAULT_OUTPUT_GRAPH = "retrained_graph.tflite"
# Percentage points. The usual files stay below a third of it.
DEFAULT_MAX_INT8_DROP = 1.0
MAX_ENLARGEMENT = 1000  # percent: then a crop shows a tenth of each side

_Path = str | os.PathLike[str]

SOLVERS = ("auto", "discriminant", "regression", "prototype")
TAG_SOLVERS = ("auto", "regression")  # those that can fit tags

# Settings that only pictures with tags have.
TAG_SETTINGS = (
    "top_keywords",
    "min_confidence",
    "keywords",
    "synonyms",
    "precision",
    "allow_private",
)

# Settings that say where the work is done, and change no result.
ENGINE_SETTINGS = ("engine", "address")

# Settings of gradient descent that do nothing without it.
DESCENT_ONLY = (
    "train_batch_size",
    "validation_batch_size",
    "eval_step_interval",
    "intermediate_output_graphs_dir",
    "intermediate_store_frequency",
)


@dataclass(frozen=True)
class RetrainConfig:
    """Settings of `retrain`.

    Attributes:
        image_dir: Folder with one folder of pictures per class, and perhaps one,
            `_background`, of pictures of no class. With `tags_csv` the folder that its
            names are relative to; with `unsplash` the one where its pictures lie, if
            not where the table says. Pictures have one class each or, with one of the
            next three, any number of tags.
        output_graph: The `.tflite` file to write.
        output_labels: A `labels.txt` for old tools, one label a line; None for none.
        metrics_json: A JSON file with all figures; None for none.
        report: The report's HTML file, other parts of which stand beside it (see
            `report_paths`); None for the model's path with `.html`.
        no_report: Whether to write none.
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
        max_int8_drop: How much accuracy (of tags: micro-F1) int8 may be expected to
            cost, percentage points; more calibration pictures, wider ranges and a
            float head are tried before that is an error. None for no check.
        views: Views of each picture that the head is fitted to, the plain one
            included; 1 for that alone. None for 8, or with gradient descent for 1 if
            no distortion is asked for.
        solver: What fits the head if not gradient descent: "discriminant" (shrunk
            linear discriminant analysis), "regression" (softmax regression),
            "prototype" (each class is its mean) or "auto", whichever of them does best
            on pictures that it has not seen.
        class_weights: "balanced" (a rare class counts as much as a frequent one),
            "none" (by its pictures) or "auto": balanced, unless that lowers the
            macro-F1 of unseen pictures. Gradient descent has "none" always, and tags
            unless it is "balanced"; that raises a rare tag's scores and its threshold
            alike.
        how_many_training_steps: Steps of mini-batch gradient descent. None, with
            `learning_rate` None too, for `solver`.
        learning_rate: Step size of gradient descent.
        train_batch_size: Pictures per step; -1 for all.
        validation_batch_size: Pictures per evaluation while descending; -1 for all.
        test_batch_size: Test pictures that are measured on; -1 for all.
        eval_step_interval: Steps between two evaluations.
        summaries_dir: Where TensorBoard event files are written; those of an earlier
            run in it are replaced.
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
        engine: One of `ENGINES`: where bottlenecks are computed, in threads here or on
            all processors of a Ray cluster. Changes no result.
        address: Of that cluster, as for `ray.init`; None to start one here.
        fine_tune: Whether to train the backbone as well, with TensorFlow. What comes
            out is kept if it is better on the validation pictures.
        fine_tune_epochs: Passes over the training pictures at most, each with another
            view of every picture.
        unsplash: Folder with the Unsplash tables, photos and keywords; None for none.
        tags_csv: CSV (`file,tag;tag`) of pictures in `image_dir`; None for none.
        tag_folders: Folder with one folder of pictures per tag; None for none.
        top_keywords: How many tags at most, the most frequent first. None for 10 with
            `unsplash`, else for all.
        min_confidence: Percent that either AI service must be sure of a keyword of
            `unsplash` that no user suggested, 0-100.
        keywords: The tags to learn; None for the most frequent.
        synonyms: File that says which tags are one; None for none.
        precision: Share of each tag's uses that is to be right, on pictures that the
            head has not seen, in (0, 1): the tag's threshold is the lowest that holds
            it. None for the threshold of the best F1.
        allow_private: Whether photos of `unsplash` that were collected without being
            stored may be fetched again from private addresses.
    """

    image_dir: _Path | None = None
    output_graph: _Path = DEFAULT_OUTPUT_GRAPH
    output_labels: _Path | None = None
    metrics_json: _Path | None = None
    report: _Path | None = None
    no_report: bool = False
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
    max_int8_drop: float | None = DEFAULT_MAX_INT8_DROP
    views: int | None = None
    solver: str = "auto"
    class_weights: str = "auto"
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
    engine: str = ENGINES[0]
    address: str | None = None
    fine_tune: bool = False
    fine_tune_epochs: int = DEFAULT_FINE_TUNE_EPOCHS
    unsplash: _Path | None = None
    tags_csv: _Path | None = None
    tag_folders: _Path | None = None
    top_keywords: int | None = None
    min_confidence: float = DEFAULT_MIN_CONFIDENCE
    keywords: tuple[str, ...] | None = None
    synonyms: _Path | None = None
    precision: float | None = None
    allow_private: bool = False

    def __post_init__(self) -> None:
        self._check_choice("quantize", QUANTIZE_MODES)
        self._check_choice("head", HEAD_MODES)
        self._check_choice("resize", RESIZE_METHODS)
        self._check_choice("solver", SOLVERS)
        self._check_choice("class_weights", CLASS_WEIGHTS)
        self._check_choice("engine", ENGINES)
        if self.address is not None and self.engine != "ray":
            raise ValueError(
                "Expected engine ray with address, which names a Ray cluster. "
                f"Received: engine {self.engine}."
            )
        for name, least in (
            ("calibration_pictures", 1),
            ("eval_step_interval", 1),
            ("fine_tune_epochs", 1),
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
        if self.max_int8_drop is not None and not 0 <= self.max_int8_drop <= 100:
            raise ValueError(
                f"Expected max_int8_drop in 0-100. Received: {self.max_int8_drop}."
            )
        if self.views == 1 and self.distortions:
            raise ValueError(
                "Expected views of at least 2 for the distortions that are asked for. "
                "Received: 1."
            )
        if self.fine_tune_epochs != DEFAULT_FINE_TUNE_EPOCHS and not self.fine_tune:
            raise ValueError(
                "Expected fine_tune with fine_tune_epochs. "
                f"Received: fine_tune_epochs {self.fine_tune_epochs} alone."
            )
        if self.fine_tune and not (self.validation_percentage or self.split_file):
            raise ValueError(
                "Expected validation_percentage above 0 with fine_tune: validation "
                "pictures tell when to stop. Received: 0."
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
        if self.no_report and self.report is not None:
            raise ValueError("Expected report or no_report. Received: both.")
        if not self.final_tensor_name.isprintable() or not self.final_tensor_name:
            raise ValueError(
                "Expected a name in final_tensor_name. "
                f"Received: {self.final_tensor_name!r}."
            )
        self._check_source()
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

    def _check_source(self) -> None:
        """Check where the pictures are, and what is said of their tags."""
        if self.image_dir is not None and not os.fspath(self.image_dir):
            raise ValueError("Expected a folder in image_dir. Received: ''.")
        tables = [name for name in TAG_SOURCES if getattr(self, name) is not None]
        if len(tables) > 1 or not (tables or self.image_dir is not None):
            raise ValueError(
                "Expected one of image_dir (a folder of class folders), "
                f"{', '.join(TAG_SOURCES)}. "
                f"Received: {' and '.join(tables) or 'none of them'}."
            )
        if not tables:
            given = [name for name in TAG_SETTINGS if is_changed(self, name)]
            if given:
                raise ValueError(
                    f"Expected {' and '.join(given)} with {' or '.join(TAG_SOURCES)}. "
                    "Received: image_dir alone, whose pictures have one class each."
                )
            return
        self._check_tags()

    def _check_tags(self) -> None:
        if self.precision is not None and not 0 < self.precision < 1:
            raise ValueError(
                f"Expected precision above 0 and below 1. Received: {self.precision}."
            )
        if self.unsplash is None and is_changed(self, "min_confidence"):
            raise ValueError(
                "Expected min_confidence with unsplash: other tables have none. "
                f"Received: {self.min_confidence}."
            )
        if self.descent is not None:
            raise ValueError(
                "Expected no how_many_training_steps and no learning_rate with tags: "
                "their heads are solved for. Received: gradient descent."
            )
        if self.solver not in TAG_SOLVERS:
            raise ValueError(
                f"Expected solver to be {' or '.join(TAG_SOLVERS)} with tags. "
                f"Received: {self.solver}."
            )
        if self.fine_tune:
            raise ValueError(
                "Expected no fine_tune with tags: it trains for one class a picture. "
                "Received: fine_tune."
            )
        self.tag_source  # noqa: B018  # checks the rest

    def _check_paths(self) -> None:
        """Refuse to write two files to one place, or over what is read."""
        written = self.outputs
        tables = (self.architecture, self.tags_csv, self.synonyms)
        read = [Path(path) for path in tables if path]
        if self.split_file and Path(self.split_file).resolve() != (
            self.split_path.resolve()  # that one may be brought up to date
        ):
            read.append(Path(self.split_file))
        places = [path.resolve() for path in written + read]
        for path in written:
            if places.count(path.resolve()) > 1:
                raise ValueError(
                    "Expected different paths for the backbone, the tables, the model, "
                    "its labels, its split, its metrics and its report. "
                    f"Received twice: {path}."
                )

    @property
    def source(self) -> str:
        """What messages call the place where the pictures are."""
        tables = (self.unsplash, self.tags_csv, self.tag_folders)
        named = [path for path in (*tables, self.image_dir) if path is not None]
        return os.fspath(named[0])

    @property
    def class_dir(self) -> _Path:
        """The folder of class folders.

        Raises:
            ValueError: There is none: pictures have tags.
        """
        if self.image_dir is None or self.is_multi_label:
            raise ValueError(
                f"Expected image_dir, a folder of class folders. "
                f"Received: {self.source}, whose pictures have tags."
            )
        return self.image_dir

    @property
    def is_multi_label(self) -> bool:
        """Whether pictures have tags, any number each, in place of one class."""
        return any(getattr(self, name) is not None for name in TAG_SOURCES)

    @property
    def tag_source(self) -> TagSource | None:
        """Where pictures and tags are read; None where pictures have classes."""
        if not self.is_multi_label:
            return None
        return TagSource(
            unsplash=self.unsplash,
            tags_csv=self.tags_csv,
            tag_folders=self.tag_folders,
            image_dir=self.image_dir,
            top_keywords=self.top_keywords,
            min_confidence=self.min_confidence,
            keywords=self.keywords,
            synonyms=self.synonyms,
            allow_private=self.allow_private,
        )

    @property
    def outputs(self) -> list[Path]:
        """Every file that a run writes."""
        others = (self.output_labels, self.metrics_json)
        named = [Path(path) for path in others if path is not None]
        return [self.model_path, self.split_path, *named, *(self.report_paths or ())]

    @property
    def model_path(self) -> Path:
        """The file to write: for a `.pb` name the `.tflite` beside it."""
        path = Path(self.output_graph)
        return path.with_suffix(".tflite") if path.suffix == ".pb" else path

    @property
    def split_path(self) -> Path:
        """The table of splits beside the model."""
        return beside(self.model_path, SPLIT_ENDING)

    @property
    def report_paths(self) -> ReportPaths | None:
        """Where the parts of the report go; None for no report."""
        if self.no_report:
            return None
        page = self.report or beside(self.model_path, ENDING)
        taken = None if self.metrics_json is None else Path(self.metrics_json)
        return report_paths(Path(page), taken)

    @property
    def kind(self) -> str:
        """What the written file is called among the models that are measured."""
        return "float" if self.quantize == "none" else self.quantize

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
