"""How well the exported int8 file tells strangers from pictures of its classes.

Each fold retrains with all defaults and examines the file's test pictures and the
strangers through `Classifier`: flowers and damaged files for a model of decors, decors
for a model of flowers, and each decor in turn for a model of the other six, without and
with half of the seventh's pictures in `_background`.

    python -m benchmarks.unknown --architecture FILE.tflite
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks import measure
from benchmarks.datasets import SHARED_DIR, WORK_DIR, decor_products, flowers
from benchmarks.folds import stratified_folds
from edgeclf import Classifier, ImageError
from edgeclf.data.folders import read_folder
from edgeclf.data.listing import BACKGROUND
from edgeclf.data.splits import TEST, write_split_file
from edgeclf.inputs.paths import find_images
from edgeclf.training import RetrainConfig, retrain
from edgeclf.training.reject import auroc

COVERAGE = 0.95
KINDS = ("score", "distance", "both")


@dataclass(frozen=True)
class Outcome:
    """What one model makes of its test pictures and of strangers.

    Attributes:
        auroc: How often a stranger looks odder than a test picture, by kind of measure.
        rejected_at: Share of strangers beyond the limit that keeps 95 % of the test
            pictures, likewise.
        coverage: Share of the test pictures that the file's own rule keeps.
        rejected: Share of the strangers that it rejects.
        accuracy: Of all test pictures.
        accuracy_kept: Of those that the rule keeps.
    """

    auroc: dict[str, float]
    rejected_at: dict[str, float]
    coverage: float
    rejected: float
    accuracy: float
    accuracy_kept: float


@dataclass(frozen=True)
class Answers:
    """What a model says of pictures: one value for each, the larger the odder."""

    measures: dict[str, np.ndarray]
    unknown: np.ndarray
    labels: list[str]


def answers_of(classifier: Classifier, paths: Sequence[Path]) -> Answers:
    """Examine all pictures that can be read."""
    if not classifier.has_reject_rule:
        raise SystemExit("The model has no reject rule: too few pictures.")

    def examine(path: Path):
        try:
            return classifier.examine(path)
        except (ImageError, OSError):  # of the damaged files
            return None

    with ThreadPoolExecutor(2) as executor:
        seen = [answer for answer in executor.map(examine, paths) if answer]
    labels = classifier.labels or ()
    return Answers(
        {
            "score": np.array([-answer.scores.max() for answer in seen]),
            "distance": np.array([answer.distance for answer in seen]),
            "both": np.array([answer.unfamiliarity for answer in seen]),
        },
        np.array([answer.is_unknown for answer in seen]),
        [labels[int(answer.scores.argmax())] for answer in seen],
    )


def compare(known: Answers, truth: Sequence[str], strangers: Answers) -> Outcome:
    """Return how known pictures, of these classes, and strangers differ."""
    right = np.array([a == b for a, b in zip(known.labels, truth, strict=True)])
    kept = ~known.unknown
    limits = {
        kind: np.quantile(known.measures[kind], COVERAGE, method="higher")
        for kind in KINDS
    }
    return Outcome(
        auroc={
            kind: auroc(known.measures[kind], strangers.measures[kind])
            for kind in KINDS
        },
        rejected_at={
            kind: float(np.mean(strangers.measures[kind] > limits[kind]))
            for kind in KINDS
        },
        coverage=float(kept.mean()),
        rejected=float(strangers.unknown.mean()),
        accuracy=float(right.mean()),
        accuracy_kept=float(right[kept].mean()),
    )


def fold_outcomes(
    image_dir: Path,
    strangers: Mapping[str, Sequence[Path]],
    folds: int,
    args: argparse.Namespace,
) -> Iterator[dict[str, Outcome]]:
    """Retrain on each of so many folds; yield the outcome for each kind of strangers.

    Args:
        image_dir: Folder of class folders.
        strangers: Pictures by name of the kind.
        folds: How many of `args.folds` are run.
        args: The options.
    """
    examples = read_folder(image_dir)
    classes: dict[str, list[str]] = {}
    for example in examples:
        classes.setdefault(example.label, []).append(example.name)
    dealt = stratified_folds(
        classes, folds=args.folds, validation_percentage=10, seed=args.seed
    )
    for splits in islice(dealt, folds):
        write_split_file(WORK_DIR / "unknown-split.csv", splits)
        result = retrain(
            RetrainConfig(
                image_dir=image_dir,
                output_graph=WORK_DIR / "unknown.tflite",
                split_file=WORK_DIR / "unknown-split.csv",
                bottleneck_dir=args.bottleneck_dir,
                architecture=args.architecture,
                no_report=True,
                views=args.views,
                seed=args.seed,
            )
        )
        tested = [example for example in examples if splits[example.name] == TEST]
        with Classifier(result.model_path) as classifier:
            known = answers_of(classifier, [example.path for example in tested])
            truth = [example.label for example in tested]
            yield {
                name: compare(known, truth, answers_of(classifier, paths))
                for name, paths in strangers.items()
            }


def without_class(
    image_dir: Path, left_out: str, background: Sequence[Path] = ()
) -> Path:
    """Return a folder of links to all class folders but one.

    Args:
        image_dir: Folder of class folders.
        left_out: The one.
        background: Pictures to link to in `_background`.
    """
    folder = WORK_DIR / "unknown-classes"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for source in sorted(image_dir.iterdir()):
        if source.is_dir() and source.name != left_out:
            (folder / source.name).symlink_to(source.resolve())
    for number, source in enumerate(background):
        (folder / BACKGROUND).mkdir(exist_ok=True)
        place = folder / BACKGROUND / f"{number}{source.suffix}"
        place.symlink_to(source.resolve())
    return folder


def mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are there."""
    return statistics.mean(value for value in values if not np.isnan(value))


def print_row(name: str, outcomes: Sequence[Outcome]) -> None:
    """Print the means over models."""
    measure.print_line(
        name,
        len(outcomes),
        *(f"{mean([o.auroc[kind] for o in outcomes]):.3f}" for kind in KINDS),
        *(f"{mean([o.rejected_at[kind] for o in outcomes]):.0%}" for kind in KINDS),
        f"{mean([o.coverage for o in outcomes]):.1%}",
        f"{mean([o.rejected for o in outcomes]):.1%}",
        f"{mean([o.accuracy for o in outcomes]):.1%}",
        f"{mean([o.accuracy_kept for o in outcomes]):.1%}",
    )


def main() -> int:
    """Measure, print the table."""
    parser = measure.parser(__doc__, runs=1)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--views", type=measure.positive, help="else the default")
    parser.add_argument(
        "--bottleneck_dir", type=Path, default=WORK_DIR / "accuracy-bottlenecks"
    )
    args = parser.parse_args()
    WORK_DIR.mkdir(parents=True, exist_ok=True)

    decor, flower = decor_products(), flowers()
    messy = find_images(SHARED_DIR / "data" / "messy")
    strangers = {
        "decor": find_images(decor),
        "flowers": find_images(flower),
        "messy": messy,
    }
    outcomes: dict[str, list[Outcome]] = {}
    measure.print_line(
        "model against strangers",
        "models",
        *(f"AUROC, {kind}" for kind in KINDS),
        *(f"strangers rejected at 95 %, {kind}" for kind in KINDS),
        "kept by the rule",
        "strangers rejected",
        "accuracy",
        "accuracy of the kept",
    )
    measure.print_line(*["---"] * 12)

    def report(name: str, added: Sequence[Outcome]) -> None:
        outcomes[name] = list(added)
        print_row(name, added)

    kinds = {name: strangers[name] for name in ("flowers", "messy")}
    found = list(fold_outcomes(decor, kinds, args.folds, args))
    for name in kinds:
        report(f"decor against {name}", [each[name] for each in found])
    left_out = sorted(path.name for path in decor.iterdir() if path.is_dir())
    for half in (False, True):
        pooled = []
        for name in left_out:
            paths = find_images(decor / name)
            others = without_class(decor, name, paths[::2] if half else ())
            kinds = {name: paths[1::2] if half else paths}
            (each,) = fold_outcomes(others, kinds, 1, args)
            pooled.append(each[name])
            what = f"{name}, half of it background" if half else name
            report(f"six decors against {what}", pooled[-1:])
        what = "the seventh, half of it background" if half else "the seventh"
        report(f"six decors against {what}, mean", pooled)
    found = list(fold_outcomes(flower, {"decor": strangers["decor"]}, args.folds, args))
    report("flowers against decor", [each["decor"] for each in found])
    measure.write_json(
        args.json,
        benchmark="unknown",
        outcomes={
            name: [asdict(outcome) for outcome in each]
            for name, each in outcomes.items()
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
