"""Tags by repeated folds, through the written file, beside logistic regression.

Each fold retrains on the other pictures, chooses thresholds there, and scores its own
with `Classifier`: the int8 file, and the same model before quantization. Beside them
stands scikit-learn's logistic regression, one for each tag, on the last layer's
features of the same pictures. The figures are of all folds' pictures together, counted
by scikit-learn.

    python -m benchmarks.tags --architecture FILE.tflite --runs 3
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.datasets import SHARED_DIR, WORK_DIR
from edgeclf import Classifier
from edgeclf.data.splits import write_split_file
from edgeclf.data.tagged import TaggedPictures
from edgeclf.evaluation.tag_evaluate import evaluate_tags
from edgeclf.training import RetrainConfig, retrain
from edgeclf.training.backbone import backbone_of
from edgeclf.training.bottlenecks import BottleneckExtractor, Features, plain
from edgeclf.training.cache import BottleneckCache

BOTTLENECKS = WORK_DIR / "tags-bottlenecks"
BASELINE = "logistic regression"  # C = 0.1 on final features, threshold 0.5
VALIDATION_SHARE = 0.1  # of a fold's other pictures
KINDS = {"int8": "int8", "float": "none"}


@dataclasses.dataclass
class Answers:
    """What one contender says of all pictures, each by a head new to it.

    Attributes:
        scores: `(n, tags)`.
        given: Which tags, bool likewise.
        seconds: Of each fold.
    """

    scores: NDArray[np.float64]
    given: NDArray[np.bool_]
    seconds: list[float] = dataclasses.field(default_factory=list)

    def figures(self, targets: NDArray[np.bool_]) -> dict[str, float]:
        """Return mAP, micro-F1, macro-F1 and the median time of a fold."""
        from sklearn.metrics import average_precision_score, f1_score

        some = targets.any(axis=0)
        return {
            "mean_average_precision": average_precision_score(
                targets[:, some], self.scores[:, some], average="macro"
            ),
            "micro_f1": f1_score(targets, self.given, average="micro", zero_division=0),
            "macro_f1": f1_score(targets, self.given, average="macro", zero_division=0),
            "seconds_median": statistics.median(self.seconds),
        }


def final_features(
    config: RetrainConfig, pictures: TaggedPictures
) -> NDArray[np.float32]:
    """Return what the backbone's last layer says, `(n, depth)`."""
    backbone = backbone_of(config)
    with BottleneckCache(BOTTLENECKS) as cache:
        extractor = BottleneckExtractor(backbone, cache, resize=config.resize)
        features = list(extractor.extract(plain(pictures.examples), "bottlenecks"))
    rows = [entry.bottleneck for entry in features if isinstance(entry, Features)]
    if len(rows) < len(features):
        raise measure.CommandError("Expected readable pictures only.")
    return np.stack(rows)[:, -backbone.final_depth :]


def run_fold(
    config: RetrainConfig,
    pictures: TaggedPictures,
    splits: list[str],
    answers: dict[str, Answers],
) -> None:
    """Retrain once for each type of model and add what the files say of the test."""
    names = [example.name for example in pictures.examples]
    rows = np.flatnonzero(np.array(splits) == "test")
    with tempfile.TemporaryDirectory(dir=WORK_DIR) as folder:
        split_file = Path(folder, "folds.csv")
        write_split_file(split_file, dict(zip(names, splits, strict=True)))
        for kind, quantize in KINDS.items():
            fold = dataclasses.replace(
                config,
                output_graph=Path(folder, f"{kind}.tflite"),
                split_file=split_file,
                quantize=quantize,
            )
            started = time.perf_counter()
            retrain(fold)
            answers[kind].seconds.append(time.perf_counter() - started)
            with Classifier(fold.model_path) as classifier:
                (found,) = evaluate_tags(
                    [classifier],
                    [pictures.examples[row] for row in rows.tolist()],
                    pictures.targets[rows],
                    resize=config.resize,
                )
            answers[kind].scores[rows] = found.scores
            answers[kind].given[rows] = found.predicted


def run_baseline(
    features: NDArray[np.float32],
    targets: NDArray[np.bool_],
    splits: list[str],
    answers: Answers,
) -> None:
    """Fit scikit-learn's logistic regression to all that is not in the test split."""
    from sklearn.linear_model import LogisticRegression

    is_test = np.array(splits) == "test"
    started = time.perf_counter()
    for tag, wanted in enumerate(targets.T):
        if len(set(wanted[~is_test].tolist())) < 2:
            continue
        model = LogisticRegression(C=0.1, max_iter=2000)
        model.fit(features[~is_test], wanted[~is_test])
        answers.scores[is_test, tag] = model.predict_proba(features[is_test])[:, 1]
    answers.given[is_test] = answers.scores[is_test] >= 0.5
    answers.seconds.append(time.perf_counter() - started)


def run_round(
    config: RetrainConfig, pictures: TaggedPictures, folds: int, seed: int
) -> dict[str, dict[str, float]]:
    """Return the figures of each contender for one deal of the pictures to folds."""
    from sklearn.model_selection import KFold

    shape = pictures.targets.shape
    answers = {
        name: Answers(np.zeros(shape), np.zeros(shape, np.bool_))
        for name in (*KINDS, BASELINE)
    }
    features = final_features(config, pictures)
    dealt = KFold(folds, shuffle=True, random_state=seed).split(features)
    for number, (others, test) in enumerate(dealt, 1):
        splits = np.full(len(features), "train     ")
        source = np.random.default_rng([seed, number])
        size = round(VALIDATION_SHARE * len(others))
        splits[source.choice(others, size, replace=False)] = "validation"
        splits[test] = "test"
        named = [split.strip() for split in splits.tolist()]
        run_baseline(features, pictures.targets, named, answers[BASELINE])
        run_fold(dataclasses.replace(config, seed=seed), pictures, named, answers)
        measure.say(f"seed {seed}, fold {number}/{folds}")
    return {name: entry.figures(pictures.targets) for name, entry in answers.items()}


def print_row(name: str, figures: dict[str, float]) -> None:
    """Print one contender's line."""
    measure.print_line(
        name,
        *(
            f"{figures[key]:.3f}"
            for key in ("mean_average_precision", "micro_f1", "macro_f1")
        ),
        f"{figures['seconds_median']:.1f}",
    )


def main() -> int:
    """Measure, print the table."""
    parser = measure.parser(__doc__, runs=3)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument(
        "--unsplash", type=Path, default=SHARED_DIR / "data" / "style_tags"
    )
    parser.add_argument("--top_keywords", type=int, default=20)
    parser.add_argument("--min_confidence", type=float, default=40.0)
    args = parser.parse_args()
    WORK_DIR.mkdir(parents=True, exist_ok=True)
    config = RetrainConfig(
        unsplash=args.unsplash,
        top_keywords=args.top_keywords,
        min_confidence=args.min_confidence,
        architecture=args.architecture,
        bottleneck_dir=BOTTLENECKS,
        no_report=True,
    )
    source = config.tag_source
    if source is None:
        raise measure.CommandError("Expected pictures with tags.")
    pictures = source.read()
    header = ("round", "mAP", "micro-F1", "macro-F1", "s a fold")
    measure.print_line(*header)
    measure.print_line(*["---"] * len(header))
    rounds: list[dict[str, Any]] = []
    for seed in range(args.seed, args.seed + args.runs):
        rounds.append(run_round(config, pictures, args.folds, seed))
        for name, figures in rounds[-1].items():
            print_row(f"{name}, seed {seed}", figures)
    for name in rounds[0] if len(rounds) > 1 else ():
        mean = {
            key: statistics.fmean(entry[name][key] for entry in rounds)
            for key in rounds[0][name]
        }
        print_row(f"{name}, mean", mean)
    measure.write_json(args.json, benchmark="tags", rounds=rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
