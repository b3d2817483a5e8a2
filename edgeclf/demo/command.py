"""The demo from blank page to labels: draw, retrain, measure, label, show."""

from __future__ import annotations

import io
import logging
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from edgeclf.console import Parser, run
from edgeclf.demo.pictures import draw_pictures
from edgeclf.files import replacing

BACKBONE = "mobilenet_v2_1.00_224_torchvision"  # in the package: needs no network
OUTPUT = "demo"
PER_CLASS = 40
LEAST_PER_CLASS = 5  # one for each split at least
SEED = 0

_logger = logging.getLogger("edgeclf")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edgeclf demo` and return the exit status."""
    parser = Parser(
        prog="edgeclf demo",
        description="Draw pictures of seven decors, retrain on them, label some.",
    )
    parser.add_argument(
        "--output", default=OUTPUT, help="folder for everything (default: %(default)s)"
    )
    parser.add_argument(
        "--per_class",
        type=int,
        default=PER_CLASS,
        help="pictures of each decor (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=SEED, help="another seed, other pictures"
    )
    arguments = parser.parse_args(argv)
    if arguments.per_class < LEAST_PER_CLASS:
        parser.error(
            f"Expected --per_class of at least {LEAST_PER_CLASS}. "
            f"Received: {arguments.per_class}.",
        )
    if arguments.seed < 0:
        parser.error(f"Expected --seed of at least 0. Received: {arguments.seed}.")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # any label prints
    output = Path(arguments.output)
    return run(
        lambda: run_demo(output, arguments.per_class, arguments.seed),
        f"What is drawn and computed stays in {output}. The same command goes on.",
    )


def run_demo(output: Path, per_class: int = PER_CLASS, seed: int = SEED) -> int:
    """Draw, retrain, measure and label; results go to stdout.

    Args:
        output: Folder for pictures, model, labels, split and overview. Files in it
            that are not the demo's stay.
        per_class: Pictures of each decor, `LEAST_PER_CLASS` or more.
        seed: Of the pictures and of the training.

    Returns:
        The exit status 0.

    Raises:
        EdgeclfError: Training failed, or its packages are not installed.
        OSError: The folder cannot be written to.
    """
    # Here, so that drawing works without the packages that training needs.
    from edgeclf import Classifier
    from edgeclf.data.splits import TEST, write_split_file
    from edgeclf.evaluation.contact_sheet import LabelledPicture, contact_sheet
    from edgeclf.training import RetrainConfig, retrain

    started = time.monotonic()
    pictures, model = output / "pictures", output / "model.tflite"
    split_file = model.with_suffix(".split.csv")  # training completes it
    _logger.info("Drawing %d pictures of each of seven decors:", per_class)
    drawn = draw_pictures(pictures, per_class, seed)
    splits = {path.relative_to(pictures).as_posix(): split_of(path) for path in drawn}
    held_out = [path for path in drawn if split_of(path) == TEST]
    write_split_file(split_file, splits)

    _logger.info(
        "Retraining %s on %s, %d pictures held out for the test:",
        BACKBONE,
        pictures,
        len(held_out),
    )
    result = retrain(
        RetrainConfig(
            image_dir=pictures,
            output_graph=model,
            output_labels=output / "labels.txt",
            architecture=BACKBONE,
            bottleneck_dir=output / "bottlenecks",
            split_file=split_file,
            seed=seed,
        )
    )
    share, num_test = result.metrics["accuracy_int8"], result.metrics["num_test"]
    accuracy = f"{100 * share:.1f} %"

    with Classifier(model) as classifier:
        labelled = [
            LabelledPicture(
                path, path.parent.name, classifier.classify(path, top_k=1)[0]
            )
            for path in held_out
        ]
        example = held_out[len(held_out) // 2]
        categories = classifier.classify(example, top_k=3)
    size_mb = model.stat().st_size / 1e6
    sheet = contact_sheet(
        labelled,
        "Seven decors, as the int8 model labels them",
        f"{len(held_out)} pictures that it never saw; test accuracy {accuracy}; "
        f"one file of {size_mb:.1f} MB",
    )
    with replacing(output / "overview.png") as temporary:
        sheet.save(temporary, "PNG", optimize=True)

    count = f"{round(share * num_test)} of {num_test} pictures"
    _result(f"Test accuracy of the int8 model: {accuracy} ({count})")
    _logger.info("One of the pictures held out is %s. Its labels:", example)
    for category in categories:
        _result(f"{category.label} {category.score:.4f}")
    _say_what_next(output, model, time.monotonic() - started)
    return 0


def split_of(path: Path) -> str:
    """Return the split of a drawn picture: every fifth is test, every tenth validation.

    The pictures are independent of each other, so their numbers may decide.
    """
    from edgeclf.data.splits import TEST, TRAIN, VALIDATION

    number = int(path.stem.rpartition("_")[2])
    if number % 5 == 2:
        return TEST
    return VALIDATION if number % 10 == 4 else TRAIN


def _say_what_next(output: Path, model: Path, seconds: float) -> None:
    command = _own_command()
    _logger.info(
        "Done in %.0f s. In %s:\n"
        "  model.tflite  the model, with its labels inside\n"
        "  model.html    a report on it: open it in a browser\n"
        "  overview.png  the held-out pictures with the label each was given\n"
        "  pictures      what it learned from\n"
        "To label pictures of your own:\n"
        "  %s label_image --model %s --image PICTURE\n"
        "To learn classes of your own, one folder of pictures for each:\n"
        "  %s retrain --image_dir FOLDER --output_graph my_model.tflite",
        seconds,
        output,
        command,
        shlex.quote(str(model)),
        command,
    )


def _own_command() -> str:
    """Return how a shell in the current folder starts edgeclf."""
    if shutil.which("edgeclf"):
        return "edgeclf"
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    return f"{shlex.quote(os.fspath(python))} -m edgeclf"


def _result(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
