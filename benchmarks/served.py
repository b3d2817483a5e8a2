"""The model that a server is measured with, and the pictures that it gets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import measure
from benchmarks.classify import pictures
from benchmarks.datasets import DECOR_DIR, WORK_DIR, decor_products, generated
from benchmarks.label_image import PICTURE, decor_model
from benchmarks.measure import Contender
from benchmarks.retrain import edgeclf_command

COUNT = 200  # pictures to train with where the decor products are not at hand
LABELS = """
import sys
from edgeclf import Classifier
labels = Classifier(sys.argv[1]).labels
if labels is None:
    sys.exit(f"Expected a model with labels. Received: {sys.argv[1]} without.")
print(*labels, sep="\\n")
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `model_of` and `pictures_of` read."""
    parser.add_argument(
        "--model", type=Path, help="with its labels in it; else one is trained"
    )
    parser.add_argument(
        "--image",
        type=Path,
        help="is sent in several sizes; else one of the decor products, or one that is "
        "drawn where they are not beside the checkout",
    )


def model_of(args: argparse.Namespace) -> Path:
    """Return the model's file, trained if none was given.

    Raises:
        CommandError: Training failed.
    """
    if args.model is not None:
        return Path(args.model).resolve()
    if DECOR_DIR.is_dir():
        return decor_model(args.architecture)[0]
    folder = WORK_DIR / "served"
    if not (folder / "model.tflite").exists():
        measure.say(f"Retraining with drawn pictures into {folder}")
        command = edgeclf_command(generated(COUNT), folder, args.architecture)
        measure.run_once(Contender("retrain", [*command, "--quantize", "int8"]))
    return folder / "model.tflite"


def pictures_of(args: argparse.Namespace) -> dict[str, Path]:
    """Return the picture in all sizes of `benchmarks.classify`."""
    if args.image is not None:
        return pictures(args.image)
    if DECOR_DIR.is_dir():
        return pictures(decor_products() / PICTURE)
    return pictures(min(generated(COUNT).glob("*/*.jpg")))


def labels_of(model: Path) -> Path:
    """Write a model's labels, a line for each; return the file.

    Raises:
        CommandError: It has none.
    """
    command = [sys.executable, "-c", LABELS, str(model)]
    path = WORK_DIR / "served" / f"{model.stem}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(measure.run_once(Contender("labels", command)).output, "utf-8")
    return path
