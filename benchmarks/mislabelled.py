"""Plant wrong labels among the pictures, and look how well they are found.

Beside `edgeclf audit` stands cleanlab, on the probabilities of the same discriminant
and on those of a logistic regression. Labels that were wrong before count as right.

    python -m benchmarks.mislabelled --architecture FILE.tflite --data decor flowers
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.datasets import WORK_DIR, decor_products, flowers
from benchmarks.label_image import PEERS, PEERS_PYTHON, missing
from edgeclf.audit.similar import ROUNDS, Seen, see
from edgeclf.data.listing import list_folder
from edgeclf.image import DEFAULT_RESIZE
from edgeclf.training.mislabelled import (
    LEAST_CONFIDENCE,
    find_mislabelled,
    out_of_fold_probabilities,
)
from edgeclf.zoo import load_backbone
from edgeclf.zoo.depths import with_depths

DATA = {"decor": decor_products, "flowers": flowers}
RATES = (0.05, 0.1)
PACKAGES = ("cleanlab", "sklearn")


@dataclass(frozen=True)
class Found:
    """How well one contender found the wrong labels of one case.

    Attributes:
        contender: Its name.
        average_precision: Of its order of all pictures, 0-1.
        recall_at_planted: Share of the wrong ones among as many as there are, 0-1.
        precision: Share of wrong ones among those that it points out, 0-1.
        recall: Share of the wrong ones that it points out, 0-1.
        seconds: From bottlenecks or probabilities to the order.
    """

    contender: str
    average_precision: float
    recall_at_planted: float
    precision: float
    recall: float
    seconds: float


def plant(
    classes: NDArray[np.intp], rate: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Give a share of the pictures another class; return classes, and which are wrong.

    Args:
        classes: The right ones.
        rate: The share, in [0, 1].
        seed: Same seed, same pictures.
    """
    source = np.random.default_rng(seed)
    num_classes = int(classes.max()) + 1
    rows = source.choice(len(classes), round(rate * len(classes)), replace=False)
    wrong = np.zeros(len(classes), bool)
    wrong[rows] = True
    planted = classes.copy()
    shift = source.integers(1, num_classes, len(rows))
    planted[rows] = (classes[rows] + shift) % num_classes
    return planted, wrong


def average_precision(wrong: NDArray[np.bool_], order: Sequence[int]) -> float:
    """Return the mean, over the wrong ones, of the precision down to each.

    Args:
        wrong: Which pictures are, `(n,)`, one or more.
        order: All rows, the most suspicious first.
    """
    hits = wrong[np.asarray(order)]
    precisions = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precisions[hits].mean())


def judge(
    contender: str,
    wrong: NDArray[np.bool_],
    order: Sequence[int],
    pointed_out: Sequence[int],
    seconds: float,
) -> Found:
    """Compare an order, and what is pointed out, with what is wrong."""
    planted = int(wrong.sum())
    hits = int(wrong[np.asarray(pointed_out, np.intp)].sum())
    return Found(
        contender,
        average_precision(wrong, order),
        float(wrong[np.asarray(order[:planted])].mean()),
        hits / len(pointed_out) if len(pointed_out) else 1.0,
        hits / planted,
        seconds,
    )


def audit_case(
    seen: Seen, widths: Sequence[int], wrong: NDArray[np.bool_], rounds: int
) -> tuple[Found, NDArray[np.float64]]:
    """Rank as `edgeclf audit` does; return the probabilities too."""
    started = time.perf_counter()
    probabilities = out_of_fold_probabilities(
        seen, widths, views=seen.views, rounds=rounds
    )
    suspects = find_mislabelled(probabilities, seen.classes, 0.0)
    seconds = time.perf_counter() - started
    order = [suspect.row for suspect in suspects]
    sure = [each.row for each in suspects if each.confidence >= LEAST_CONFIDENCE]
    name = "edgeclf audit" if rounds == ROUNDS else f"edgeclf, {rounds} round"
    return judge(name, wrong, order, sure, seconds), probabilities


def cleanlab_cases(
    python: str,
    bottlenecks: NDArray[np.float32],
    classes: Sequence[NDArray[np.intp]],
    probabilities: Sequence[NDArray[np.float64]],
) -> list[dict[str, Any]]:
    """Let cleanlab rank every case, in a process of its own."""
    path = WORK_DIR / "mislabelled.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path, bottlenecks=bottlenecks, classes=classes, probabilities=probabilities
    )
    command = [python, str(PEERS / "cleanlab_issues.py"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise measure.CommandError(f"cleanlab failed:\n{done.stderr[-2000:]}")
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results


def run(
    seen: Seen, widths: Sequence[int], rate: float, runs: int, python: str | None
) -> list[Found]:
    """Plant wrong labels `runs` times; return what everybody found each time."""
    found, cases = [], []
    for seed in range(runs):
        classes, wrong = plant(seen.classes, rate, seed)
        changed = replace(seen, classes=classes)
        best, _ = audit_case(changed, widths, wrong, ROUNDS)
        single, probabilities = audit_case(changed, widths, wrong, 1)
        found += [best, single]
        cases.append((classes, wrong, probabilities))
        measure.say(f"{rate:.0%}, seed {seed}: {best.average_precision:.3f}")
    if python is None:
        return found
    everyone, masks, probabilities_of = zip(*cases, strict=True)
    results = cleanlab_cases(python, seen.bottlenecks, everyone, probabilities_of)
    names = {
        "given": "cleanlab, probabilities of 1 round",
        "regression": "cleanlab, logistic regression",
    }
    for wrong, result in zip(masks, results, strict=True):
        for key, name in names.items():
            order = np.argsort(result[key]["quality"], kind="stable").tolist()
            issues = np.flatnonzero(result[key]["issues"]).tolist()
            seconds = result[key]["seconds"]
            found.append(judge(name, wrong, order, issues, seconds))
    return found


def print_rows(title: str, found: Sequence[Found]) -> None:
    """Print a line for each contender: means over the runs."""
    for name in dict.fromkeys(each.contender for each in found):
        own = [each for each in found if each.contender == name]

        def mean(field: str, own: Sequence[Found] = own) -> float:
            return float(np.mean([getattr(each, field) for each in own]))

        measure.print_line(
            title,
            name,
            f"{mean('average_precision'):.3f}",
            f"{mean('recall_at_planted'):.1%}",
            f"{mean('precision'):.1%}",
            f"{mean('recall'):.1%}",
            f"{mean('seconds'):.2f}",
        )


def look(image_dir: Path, architecture: str | None, views: int) -> tuple[Seen, Any]:
    """Return the pictures of a folder as the backbone sees them, and its widths."""
    backbone = with_depths(load_backbone(architecture))
    pictures = list_folder(image_dir).pictures
    folder = WORK_DIR / "accuracy-bottlenecks"
    seen = see(pictures, backbone, folder, resize=DEFAULT_RESIZE, views=views)
    return seen, backbone.widths


def main() -> int:
    """Measure, print the table."""
    parser = measure.parser(__doc__, runs=5)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--image_dir", type=Path, help="other pictures than --data")
    parser.add_argument("--views", type=measure.positive, default=1)
    parser.add_argument(
        "--peers_python",
        default=str(PEERS_PYTHON) if PEERS_PYTHON.exists() else sys.executable,
        help="a Python that has cleanlab and scikit-learn; else they are left out",
    )
    args = parser.parse_args()
    python: str | None = args.peers_python
    if missing(args.peers_python, PACKAGES):
        measure.say("cleanlab is left out: not installed (see --peers_python).")
        python = None
    measure.print_line(
        "wrong labels",
        "contender",
        "average precision",
        "among as many as planted",
        "precision",
        "recall",
        "s",
    )
    measure.print_line(*["---"] * 7)
    everything: dict[str, Sequence[Found]] = {}
    for name in args.data if args.image_dir is None else [args.image_dir.name]:
        image_dir = args.image_dir or DATA[name]()
        seen, widths = look(image_dir, args.architecture, args.views)
        for rate in RATES:
            title = f"{name}, {rate:.0%}"
            everything[title] = run(seen, widths, rate, args.runs, python)
            print_rows(title, everything[title])
    measure.write_json(args.json, benchmark="mislabelled", found=everything)
    return 0


if __name__ == "__main__":
    sys.exit(main())
