"""Scores of pictures, and how far those of two machines are apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeclf import Classifier

CLEAR = 0.1  # the best two differ by more: the label must be the same
TOLERANCE = 0.1  # of a score: kernels round differently

Scores: TypeAlias = "dict[str, dict[str, float]]"  # by picture, by label


def parse(lines: str) -> Scores:
    """Return the scores in the lines of `label_image --json`."""
    entries = map(json.loads, lines.splitlines())
    return {
        entry["image"]: {
            category["label"]: category["score"] for category in entry["categories"]
        }
        for entry in entries
    }


def top(scores: dict[str, float]) -> str:
    """Return the label with the highest score."""
    return max(scores, key=scores.__getitem__)


def reference_scores(model: Path, pixels: Mapping[str, NDArray[np.uint8]]) -> Scores:
    """Return the scores that this machine's reference kernels give.

    The 32-bit tflite-runtime has no XNNPACK and rounds as they do: for the same pixels
    its scores are the same. XNNPACK rounds otherwise: over 50 layers that moves a score
    in the middle by up to 0.26, on this machine as well.

    Args:
        model: An int8 file whose input is uint8.
        pixels: What is fed, by picture.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(str(model), experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    scale, zero_point = target["quantization"]
    scores = {}
    with Classifier(model) as classifier:
        labels = classifier.labels or []
    for picture, levels_in in pixels.items():
        interpreter.set_tensor(source["index"], levels_in[np.newaxis])
        interpreter.invoke()
        levels = interpreter.get_tensor(target["index"])[0].astype(int)
        values = scale * (levels - zero_point)
        scores[picture] = dict(zip(labels, values.tolist(), strict=True))
    return scores


def compare_labels(expected: Scores, received: Scores) -> tuple[str, list[str]]:
    """Return how many top labels are the same, and what is wrong."""
    if expected.keys() != received.keys():
        return "", [f"labelled {len(received)} of {len(expected)} pictures"]
    failures, same, num_clear = [], 0, 0
    for name, scores in expected.items():
        first, second, *_ = sorted(scores.values(), reverse=True)
        ours, theirs = top(scores), top(received[name])
        same += ours == theirs
        num_clear += first - second > CLEAR
        if first - second > CLEAR and ours != theirs:
            failures.append(f"{name}: {ours} here, {theirs} there")
    line = (
        f"{same} of {len(expected)} top labels the same, "
        f"{num_clear - len(failures)} of {num_clear} clear ones"
    )
    return line, failures


def largest_difference(expected: Scores, received: Scores) -> tuple[float, str]:
    """Return the largest difference of a score, and the picture that has it."""
    return max(
        (max(abs(scores[key] - received[name][key]) for key in scores), name)
        for name, scores in expected.items()
    )
