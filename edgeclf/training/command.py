"""The command `edgeclf retrain`, with the options of tensorflow-for-poets."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from typing import Any

from edgeclf import console
from edgeclf.engines.arguments import ENGINES
from edgeclf.image import RESIZE_METHODS
from edgeclf.training.class_weights import CLASS_WEIGHTS
from edgeclf.training.config import (
    DEFAULT_LEARNING_RATE,
    DEFAULT_STEPS,
    SOLVERS,
    RetrainConfig,
)
from edgeclf.training.quantize import HEAD_MODES, QUANTIZE_MODES
from edgeclf.training.result_text import mistake_lines, result_lines
from edgeclf.training.retrain import retrain
from edgeclf.training.tag_options import add_tag_options
from edgeclf.training.views import DEFAULT_VIEWS

GO_ON = (
    "The bottlenecks so far are kept, and no file is half-written: the same command "
    "goes on from there."
)
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(RetrainConfig)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = _parser()
    options = vars(parser.parse_args(argv))
    list_misclassified = options.pop("print_misclassified_test_images")
    try:
        config = RetrainConfig(**options)
    except ValueError as error:
        parser.error(str(error))

    def command() -> int:
        start = time.monotonic()
        result = retrain(config)
        lines = mistake_lines(result) if list_misclassified else []
        print(*lines, *result_lines(result, config), sep="\n")
        print(f"Done in {time.monotonic() - start:.1f} s.", file=sys.stderr)
        return 0

    return console.run(command, go_on=GO_ON)


def _parser() -> console.Parser:
    parser = console.Parser(
        prog="edgeclf retrain",
        description="Turn a folder with one folder of pictures per class, or pictures "
        "with tags, into one quantized .tflite file that carries its labels and "
        "preprocessing.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def add(group: Any, name: str, text: str, **settings: Any) -> None:
        default = _DEFAULTS.get(name)
        if default is not dataclasses.MISSING:
            settings.setdefault("default", default)
        group.add_argument(f"--{name}", help=text, **settings)

    main_group = parser.add_argument_group("what goes in and what comes out")
    add(main_group, "image_dir", "folder of class folders, or of the pictures of tags")
    add(
        main_group,
        "output_graph",
        "the .tflite file to write (a .pb name becomes the .tflite beside it)",
    )
    add(main_group, "output_labels", "labels.txt for old tools, one label a line")
    add(main_group, "metrics_json", "write all figures to this file")
    add(
        main_group,
        "report",
        "the report, one HTML file, with JSON and pictures beside it; by default the "
        "model's path with .html",
    )
    add(main_group, "no_report", "write no report", action="store_true")
    add(
        main_group,
        "print_misclassified_test_images",
        "list the test pictures that the model gets wrong",
        action="store_true",
        default=False,
    )
    add(
        main_group,
        "strict",
        "make an unreadable picture an error",
        action="store_true",
    )

    add_tag_options(parser)

    model = parser.add_argument_group("model")
    add(
        model,
        "architecture",
        "zoo name (mobilenet_v1_0.50_224, ...) or path to a .tflite; by default "
        "mobilenet_v1_0.50_224, or the bundled one when that cannot be downloaded",
    )
    add(model, "quantize", "type of the model", choices=QUANTIZE_MODES)
    add(model, "head", "type of the last layer of an int8 model", choices=HEAD_MODES)
    add(
        model,
        "solver",
        "what fits the last layer: shrunk linear discriminant analysis, softmax "
        "regression, each class's mean alone, or whichever does best on pictures that "
        "it has not seen (auto); tags: logistic regression (auto or regression)",
        choices=SOLVERS,
    )
    add(
        model,
        "class_weights",
        "whether a rare class counts as much as a frequent one (balanced) or by its "
        "pictures (none); auto: balanced unless that lowers the macro-F1, tags: none",
        choices=CLASS_WEIGHTS,
    )
    add(model, "resize", "resize filter", choices=RESIZE_METHODS)
    mean = "of a float backbone without metadata: input = (pixel - mean) / std"
    add(model, "input_mean", mean, type=float)
    add(model, "input_std", mean, type=float)
    add(
        model,
        "calibration_pictures",
        "training pictures whose activations set the int8 scales",
        type=int,
    )
    add(
        model,
        "max_int8_drop",
        "accuracy, of tags micro-F1, that int8 may be expected to cost, percentage "
        "points; repairs are tried before it is an error; 100: no limit",
        type=float,
    )
    add(model, "final_tensor_name", "name of the output tensor")

    splits = parser.add_argument_group("splits")
    add(splits, "testing_percentage", "held out for the final figure", type=float)
    add(splits, "validation_percentage", "held out to choose settings", type=float)
    add(splits, "split_file", "CSV (file,split) to take the split from")
    add(splits, "seed", "another seed, another split", type=int)
    add(splits, "test_batch_size", "test pictures to measure on; -1: all", type=int)

    caches = parser.add_argument_group("folders")
    add(caches, "bottleneck_dir", "where bottlenecks are cached")
    add(caches, "model_dir", "where downloaded backbones are kept")
    add(caches, "num_workers", "threads; by default one per processor", type=int)

    engines = parser.add_argument_group(
        "engine",
        "With --engine ray (extra ray) the bottlenecks are computed on all processors "
        "of a Ray cluster; the rest is done here. Pictures must lie under the same "
        "path on every machine, which a shared folder does. The model is the same.",
    )
    add(engines, "engine", "where bottlenecks are computed", choices=ENGINES)
    add(
        engines,
        "address",
        "of the cluster, HOST:PORT; by default one is started on this machine",
    )

    descent = parser.add_argument_group(
        "gradient descent",
        "By default the head is solved for (see --solver), without steps. "
        "Either of the first two options selects mini-batch gradient descent.",
    )
    add(
        descent,
        "how_many_training_steps",
        f"number of steps ({DEFAULT_STEPS} if only the rate is given)",
        type=int,
    )
    add(
        descent,
        "learning_rate",
        f"step size ({DEFAULT_LEARNING_RATE} if only the steps are given)",
        type=float,
    )
    add(descent, "train_batch_size", "pictures per step; -1: all", type=int)
    add(descent, "validation_batch_size", "pictures per evaluation; -1: all", type=int)
    add(descent, "eval_step_interval", "steps between two evaluations", type=int)
    add(
        descent,
        "summaries_dir",
        "where TensorBoard event files are written, whatever fits the last layer; "
        "those of an earlier run in it are replaced",
    )
    add(
        descent,
        "intermediate_output_graphs_dir",
        "where float models are kept while descending",
    )
    add(
        descent,
        "intermediate_store_frequency",
        "steps between two of those; 0: none",
        type=int,
    )

    tuning = parser.add_argument_group(
        "fine-tuning",
        "Trains the backbone as well, in minutes rather than seconds; needs the extra "
        "tensorflow. The frozen backbone is kept where that is no better.",
    )
    add(tuning, "fine_tune", "train the backbone, too", action="store_true")
    add(tuning, "fine_tune_epochs", "passes over the pictures, at most", type=int)

    views = parser.add_argument_group(
        "views",
        "The head is fitted to several views of each picture: crops, mirrored and "
        "lit otherwise. Any of the last four replaces how they are drawn; "
        "--flip_left_right alone adds the mirrored picture.",
    )
    add(
        views,
        "views",
        f"views of a picture, the plain one included; {DEFAULT_VIEWS} by default, 1 "
        "with gradient descent; 1 is quickest",
        type=int,
    )
    add(views, "flip_left_right", "mirror half of the views", action="store_true")
    add(views, "random_crop", "margin around the crop, percent", type=float)
    add(views, "random_scale", "enlarge by up to this, percent", type=float)
    add(views, "random_brightness", "lighten or darken by up to, percent", type=float)
    return parser
