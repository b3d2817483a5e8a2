"""A class added on the device against a model retrained with all classes.

For every class: train without it, add it with `add_class` from some pictures, and
score the int8 files through `Classifier` on test pictures that none has seen. Then for
every class: train with a few of its pictures, and add the others.

    python -m benchmarks.add_class --architecture FILE.tflite --data decor
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import measure
from benchmarks.accuracy import DATA
from benchmarks.datasets import WORK_DIR
from edgeclf import Classifier, image
from edgeclf.adding import add_class
from edgeclf.data.splits import TEST, read_split_file
from edgeclf.training import RetrainConfig, retrain

COUNTS = (5, 10, 20)  # pictures that are added, besides all there are
FEW = 5  # pictures of a class before it is extended
TEST_PERCENTAGE = 25

Answers = list[tuple[str, str]]  # label of a picture, label that it got


def measured(
    image_dir: Path, work: Path, seed: int, architecture: str | None
) -> dict[str, list[tuple[float, float, float]]]:
    """Return one round's accuracies: of other classes, of the class, of all.

    Args:
        image_dir: Folder of class folders.
        work: Where files may be written.
        seed: Of the split, and of the choice of pictures.
        architecture: Of the models.

    Returns:
        By name of what was done, one entry for each class of the folder.
    """

    def train(folder: Path, name: str, split: Path | None = None) -> Path:
        config = RetrainConfig(
            image_dir=folder,
            output_graph=work / f"{name}.tflite",
            split_file=split,
            bottleneck_dir=WORK_DIR / "accuracy-bottlenecks",
            architecture=architecture,
            no_report=True,
            testing_percentage=TEST_PERCENTAGE,
            seed=seed,
        )
        return Path(retrain(config).model_path)

    everything = train(image_dir, "everything")
    split_file = work / "everything.split.csv"
    splits = read_split_file(split_file)
    tests = [name for name, split in splits.items() if split == TEST]
    kinds = sorted({label_of(name) for name in splits})
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for label in kinds:
        own = [n for n in sorted(splits) if label_of(n) == label and n not in tests]
        np.random.default_rng(seed).shuffle(own)
        others = [name for name in splits if label_of(name) != label]
        files = {"retrained with all": everything}
        before = train(linked(image_dir, others, work / "less"), "before", split_file)
        files["without the class"] = before
        for count in (*COUNTS, len(own)):
            name = "all" if count == len(own) else str(count)
            if count <= len(own):
                folder = linked(image_dir, own[:count], work / "added") / label
                files[f"added from {name}"] = added(before, folder, label)
        few = [*others, *own[:FEW], *(n for n in tests if label_of(n) == label)]
        before = train(linked(image_dir, few, work / "less"), "few", split_file)
        files[f"trained with {FEW} of it"] = before
        folder = linked(image_dir, own[FEW:], work / "added") / label
        if own[FEW:]:
            files["extended by the others"] = added(before, folder, label)
        for name, answers in answers_of(files, image_dir, tests).items():
            rows.setdefault(name, []).append(accuracies(answers, label))
        measure.say(f"seed {seed}: {label}")
    return rows


def label_of(name: str) -> str:
    """Return the class folder that a picture lies in."""
    return name.partition("/")[0]


def linked(image_dir: Path, names: Sequence[str], folder: Path) -> Path:
    """Return a folder of links to some of the pictures."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to((image_dir / name).resolve())
    return folder


def added(model: Path, folder: Path, label: str) -> Path:
    """Add a class, say how long it took, return the file."""
    started = time.perf_counter()
    output = model.with_name(f"{time.monotonic_ns()}.tflite")
    result = add_class(model, folder, label, output)
    seconds = time.perf_counter() - started
    measure.say(f"{result.num_pictures} pictures of {label}: {seconds:.2f} s")
    return Path(result.model_path)


def answers_of(
    files: Mapping[str, Path], image_dir: Path, tests: Sequence[str]
) -> dict[str, Answers]:
    """Return what every file says of the test pictures."""
    answers: dict[str, Answers] = {name: [] for name in files}
    classifiers = {name: Classifier(path) for name, path in files.items()}
    for test in tests:
        first = next(iter(classifiers.values()))
        pixels = image.load(image_dir / test, first.input_size, resize=first.resize)
        for name, classifier in classifiers.items():
            found = classifier.classify(pixels, top_k=1)[0].label or ""
            answers[name].append((label_of(test), found))
    for classifier in classifiers.values():
        classifier.close()
    return answers


def accuracies(answers: Answers, label: str) -> tuple[float, float, float]:
    """Return the share that is right of other classes, of the class, and of all."""
    right = np.array([truth == found for truth, found in answers])
    own = np.array([truth == label for truth, _ in answers])
    return tuple(float(np.mean(part)) for part in (right[~own], right[own], right))


def main() -> int:
    """Measure, print the table."""
    parser = measure.parser(__doc__, runs=3)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--data", choices=DATA, default="decor")
    parser.add_argument("--image_dir", type=Path, help="other pictures than --data")
    args: argparse.Namespace = parser.parse_args()

    image_dir = args.image_dir or DATA[args.data]()
    WORK_DIR.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(args.seed, args.seed + args.runs):
        with tempfile.TemporaryDirectory(dir=WORK_DIR) as work:
            round_of = measured(image_dir, Path(work), seed, args.architecture)
        for name, values in round_of.items():
            rows.setdefault(name, []).extend(values)
    measure.print_line("int8 file", "other classes", "the class", "all")
    measure.print_line(*["---"] * 4)
    for name, values in rows.items():
        measure.print_line(name, *(f"{share:.1%}" for share in np.mean(values, axis=0)))
    measure.write_json(args.json, benchmark="add_class", rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
