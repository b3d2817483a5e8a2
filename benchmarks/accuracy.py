"""Accuracy of the whole pipeline by repeated stratified folds.

Each fold retrains with all defaults and scores the exported int8 file on pictures that
it has not seen; the float head is scored on the same ones.

    python -m benchmarks.accuracy --architecture FILE.tflite --data decor flowers
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.datasets import WORK_DIR, decor_products, flowers
from benchmarks.folds import stratified_folds
from edgeclf.data.folders import read_folder
from edgeclf.data.splits import write_split_file
from edgeclf.evaluation.metrics import wilson_interval
from edgeclf.training import RetrainConfig, retrain
from edgeclf.training.class_weights import CLASS_WEIGHTS
from edgeclf.training.config import SOLVERS

DATA = {
    "decor": decor_products,
    "country": lambda: decor_products("country"),
    "flowers": flowers,
}
ROUNDS = {"flowers": 1}  # else three: the decor pictures are few


@dataclass(frozen=True)
class Fold:
    """What one fold gave.

    Attributes:
        seed: Of the repetition.
        num_test: Pictures in the test split.
        accuracy_int8: Of the exported file, 0-1.
        accuracy_float: Of the float head, 0-1.
        confusion_int8: Of the exported file: rows true, columns predicted.
        int8_drop: What int8 was expected to cost, from pictures not in the test split,
            percentage points; None where it was not measured.
        int8_repair: What was done about it; None for nothing.
        solver: What fitted the head.
        seconds: Wall time of `retrain`.
    """

    seed: int
    num_test: int
    accuracy_int8: float
    accuracy_float: float
    confusion_int8: list[list[int]]
    int8_drop: float | None
    int8_repair: str | None
    solver: str
    seconds: float


def run_fold(
    image_dir: Path,
    splits: dict[str, str],
    seed: int,
    architecture: str | None,
    options: Mapping[str, Any] | None = None,
) -> Fold:
    """Retrain on one fold's splits and return what the files scored."""
    WORK_DIR.mkdir(parents=True, exist_ok=True)
    # A folder of its own: another run may measure at the same time.
    with tempfile.TemporaryDirectory(dir=WORK_DIR) as folder:
        split_file = Path(folder, "folds.csv")
        write_split_file(split_file, splits)
        config = RetrainConfig(
            image_dir=image_dir,
            output_graph=Path(folder, "model.tflite"),
            split_file=split_file,
            bottleneck_dir=WORK_DIR / "accuracy-bottlenecks",
            architecture=architecture,
            no_report=True,
            seed=seed,
            **(options or {}),
        )
        started = time.perf_counter()
        metrics = retrain(config).metrics
        seconds = time.perf_counter() - started
    return Fold(
        seed=seed,
        num_test=metrics["num_test"],
        accuracy_int8=metrics["accuracy_int8"],
        accuracy_float=metrics["accuracy_float"],
        confusion_int8=metrics["test"]["confusion_matrix"],
        int8_drop=metrics["int8_drop"],
        int8_repair=metrics["int8_repair"],
        solver=metrics["solver"],
        seconds=seconds,
    )


def pooled(folds: list[Fold], kind: str) -> float:
    """Return the share of all test pictures that were right.

    Args:
        folds: One or more.
        kind: `accuracy_int8` or `accuracy_float`.
    """
    right = sum(getattr(fold, kind) * fold.num_test for fold in folds)
    return float(right / sum(fold.num_test for fold in folds))


def pooled_macro_f1(folds: list[Fold]) -> float:
    """Return the mean F1 over classes, from the sum of all folds' confusions, 0-1."""
    matrix = np.sum([fold.confusion_int8 for fold in folds], axis=0)
    both = matrix.sum(axis=0) + matrix.sum(axis=1)
    return float(np.mean(2 * np.diag(matrix) / np.maximum(both, 1)))


def worst_loss(folds: list[Fold]) -> float:
    """Return the most that int8 costs in a round, percentage points; below 0 a gain."""
    by_seed = [
        [fold for fold in folds if fold.seed == seed]
        for seed in sorted({fold.seed for fold in folds})
    ]
    return max(
        100 * (pooled(some, "accuracy_float") - pooled(some, "accuracy_int8"))
        for some in by_seed
    )


def summarize(folds: list[Fold], repetitions: int) -> dict[str, float]:
    """Return pooled accuracies; the interval counts each picture once.

    A picture is tested once in every repetition, and these tests are not independent,
    so the interval's width is that of one repetition.
    """
    accuracy_int8, accuracy_float = (
        pooled(folds, kind) for kind in ("accuracy_int8", "accuracy_float")
    )
    num_pictures = sum(fold.num_test for fold in folds) // repetitions
    low, high = wilson_interval(accuracy_int8 * num_pictures, num_pictures)
    return {
        "num_pictures": num_pictures,
        "accuracy_int8": accuracy_int8,
        "accuracy_int8_low": low,
        "accuracy_int8_high": high,
        "accuracy_float": accuracy_float,
        "difference": accuracy_int8 - accuracy_float,
        "macro_f1_int8": pooled_macro_f1(folds),
        "worst_loss_points": worst_loss(folds),
        "seconds_median": statistics.median(fold.seconds for fold in folds),
    }


def print_row(name: str, summary: dict[str, float]) -> None:
    """Print one line of the table; the difference is in percentage points."""
    low, high = summary["accuracy_int8_low"], summary["accuracy_int8_high"]
    measure.print_line(
        name,
        int(summary["num_pictures"]),
        f"{summary['accuracy_int8']:.1%} ({low:.1%}-{high:.1%})",
        f"{summary['accuracy_float']:.1%}",
        f"{summary['difference'] * 100:+.2f}",
        f"{summary['worst_loss_points']:.2f}",
        f"{summary['macro_f1_int8']:.1%}",
        f"{summary['seconds_median']:.2f}",
    )


def rounds(
    name: str, image_dir: Path, seeds: Sequence[int], args: argparse.Namespace
) -> list[Fold]:
    """Run the folds of every round, print a row for each and one for all."""
    classes: dict[str, list[str]] = {}
    for example in read_folder(image_dir):
        classes.setdefault(example.label, []).append(example.name)
    everything: list[Fold] = []
    options = {
        name: getattr(args, name)
        for name in ("views", "solver", "class_weights", "fine_tune")
        if getattr(args, name) is not None
    }
    for seed in seeds:
        folds = []
        for splits in stratified_folds(
            classes,
            folds=args.folds,
            validation_percentage=args.validation_percentage,
            seed=seed,
        ):
            fold = run_fold(image_dir, splits, seed, args.architecture, options)
            folds.append(fold)
            drop = "?" if fold.int8_drop is None else f"{fold.int8_drop:.2f}"
            measure.say(
                f"{name}, seed {seed}, fold {len(folds)}/{args.folds}: "
                f"int8 {fold.accuracy_int8:.3f}, float {fold.accuracy_float:.3f}, "
                f"{fold.num_test} pictures; {fold.solver}, int8 expected to cost "
                f"{drop} points, repair: {fold.int8_repair}"
            )
        print_row(f"{name}, seed {seed}", summarize(folds, 1))
        everything += folds
    if len(seeds) > 1:
        print_row(f"{name}, all", summarize(everything, len(seeds)))
    return everything


def main() -> int:
    """Measure, print the table."""
    parser = measure.parser(__doc__, runs=3)
    parser.set_defaults(runs=None)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--image_dir", type=Path, help="other pictures than --data")
    parser.add_argument("--views", type=measure.positive, help="else the default")
    parser.add_argument("--fine_tune", action="store_true", help="needs TensorFlow")
    parser.add_argument("--solver", choices=SOLVERS, help="else the default")
    parser.add_argument(
        "--class_weights", choices=CLASS_WEIGHTS, help="else the default"
    )
    parser.add_argument("--validation_percentage", type=int, default=10)
    args = parser.parse_args()

    names = args.data if args.image_dir is None else [args.image_dir.name]
    header = (
        "round",
        "pictures",
        "int8 (95 %)",
        "float",
        "int8 - float, points",
        "worst round's loss, points",
        "macro-F1, int8",
        "s a fold",
    )
    measure.print_line(*header)
    measure.print_line(*["---"] * len(header))
    folds, summaries = {}, {}
    for name in names:
        image_dir = args.image_dir or DATA[name]()
        runs = args.runs or ROUNDS.get(name, 3)
        seeds = range(args.seed, args.seed + runs)
        folds[name] = rounds(name, image_dir, seeds, args)
        summaries[name] = summarize(folds[name], runs)
    measure.write_json(args.json, benchmark="accuracy", summary=summaries, folds=folds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
