"""Rank pictures that are probably mislabelled with cleanlab, as its guide does.

Once on probabilities that are given, and once on those of a logistic regression out of
scikit-learn, cross-validated on the same bottlenecks. Needs cleanlab and scikit-learn.

    python benchmarks/peers/cleanlab_issues.py CASES.npz

`bottlenecks` are `(n, depth)`; `classes` and `probabilities` hold one `(n,)` and one
`(n, classes)` array for each case. Prints JSON: for each case and contender the quality
of each label (the lower the worse), whether it is an issue, and the seconds taken.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5


def issues(classes: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Return cleanlab's quality of each label, and which are issues; its defaults."""
    found = find_label_issues(classes, probabilities, n_jobs=1)
    quality = get_label_quality_scores(classes, probabilities)
    return {"quality": quality.tolist(), "issues": found.tolist()}


def main() -> None:
    """Rank every case twice."""
    warnings.simplefilter("ignore")  # scikit-learn's, of classes with few pictures
    cases = np.load(sys.argv[1])
    results = []
    for classes, probabilities in zip(
        cases["classes"], cases["probabilities"], strict=True
    ):
        started = time.perf_counter()
        given = issues(classes, probabilities)
        given["seconds"] = time.perf_counter() - started
        started = time.perf_counter()
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        predicted = cross_val_predict(
            model, cases["bottlenecks"], classes, cv=folds, method="predict_proba"
        )
        regression = issues(classes, predicted)
        regression["seconds"] = time.perf_counter() - started
        results.append({"given": given, "regression": regression})
    print(json.dumps(results))


if __name__ == "__main__":
    main()
