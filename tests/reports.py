"""Reports as the measuring part writes them, with figures that are made up."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from edgeclf.evaluation.cooccurrence import describe_cooccurrence
from edgeclf.evaluation.tag_metrics import TagEvaluation
from edgeclf.evaluation.tag_pictures import remarkable_tags
from edgeclf.evaluation.tag_report import describe_tag_evaluation
from edgeclf.report.page import Thumbnails

DECORS = (
    "Gorodets",
    "Gzhel",
    "Iznik",
    "Khokhloma",
    "Neglyubka",
    "Wycinanki łowickie",
    "Wzory kaszubskie",
)
# What breaks a page that trusts its names.
HOSTILE = (
    "<script>window.hacked = 1</script>",
    "\"><img src='x:y' onerror='window.hacked = 2'>",
    "خزف إزنيق",
    "\u202eright to left by force",
    "</title></svg></style><h1>out</h1>",
    "word" * 50,
    "花" * 40,
    "a\x00b\x1b[31m\ud800 & &amp; %s {0} \\",
)


def report(labels=DECORS, num_test=10, seed=3, command="retrain"):
    """A report with every section there is."""
    random = np.random.default_rng(seed)
    matrix = _confusions(random, len(labels), num_test)
    tested = matrix.sum(axis=1)
    hits = np.trace(matrix)
    accuracy = hits / matrix.sum()
    files = [f"{label}/picture {index}.jpg" for index, label in enumerate(labels)]
    figures = {
        "accuracy": accuracy,
        "interval_95": [max(0.0, accuracy - 0.06), min(1.0, accuracy + 0.05)],
        "num": int(matrix.sum()),
        "macro_f1": 0.8931,
        "cross_entropy": 0.31234,
    }
    wrong = [
        {"file": file, "label": label, "predicted": labels[index - 1],
         "score": 0.9 - 0.01 * index, "label_score": 0.05}
        for index, (file, label) in enumerate(zip(files, labels, strict=True))
    ][:12]  # fmt: skip
    return {
        "format_version": 1,
        "title": f"A model for {labels[0]}",
        "created": "2026-11-20T12:00:00Z",
        "command": command,
        "model": {
            "file": "model.tflite",
            "size_bytes": 1001213,
            "sha256": "5d" * 32,
            "architecture": "mobilenet_v1_0.50_224",
            "quantize": "int8",
            "input_size": [224, 192],
            "labels": list(labels),
            "parameters": 832_007,
            "solver": "discriminant",
            "views": 8,
            "temperature": 10.767688,
            "shrinkage": 0.1,
        },
        "data": {
            "image_dir": "my photos",
            "classes": [
                {"label": label, "train": 30 + 7 * (index % 5), "validation": 5,
                 "test": int(tested[index])} for index, label in enumerate(labels)
            ],
            "num_train": 224,
            "num_validation": 33,
            "num_test": int(matrix.sum()),
            "unreadable": [
                {"file": f"{labels[0]}/broken.jpg", "reason": "It ends too early."}
            ],
            "conflicting": files[:2],
            "near_duplicates": [files[:2], files[2:5]],
            "dataset_sha256": "43" * 32,
            "seed": 0,
        },
        "accuracy": {
            "device": {"kind": "int8", **figures},
            "float": {"kind": "float", **figures, "accuracy": accuracy + 0.0125},
        },
        "per_class": [
            {"label": label, "num_test": int(tested[index]), "precision": 0.9,
             "recall": float(matrix[index, index] / tested[index]),
             "recall_interval_95": [0.5, 0.99], "f1": 0.8} for index, label in
            enumerate(labels)
        ],
        "confusion_matrix": matrix.tolist(),
        "calibration": {
            "ece": 0.0312,
            "ece_before": 0.1789,
            "bins": [
                {"low": low / 10, "high": (low + 1) / 10, "count": low**2,
                 "confidence": low / 10 + 0.05 if low else None,
                 "accuracy": min(1.0, low / 10 + 0.02) if low else None}
                for low in range(10)
            ],
        },
        "reject": {
            "curve": [
                {"coverage": part / 20, "accuracy": 1 - 0.1 * (part / 20) ** 2,
                 "score": 1 - part / 21} for part in range(1, 21)
            ],
            "rule": {"coverage": 0.87, "accuracy": 0.9512},
        },
        "learning_curve": {
            "points": [
                {"num_train": number, "accuracy": 1 - 0.7 * number**-0.4,
                 "low": 1 - 0.9 * number**-0.4, "high": 1 - 0.6 * number**-0.4}
                for number in (14, 28, 56, 112, 224)
            ],
            "verdict": "More pictures should help: 0.9 points for twice as many.",
        },
        "training_curves": [
            {"step": step, "train_accuracy": 1 - 0.5 / (1 + step / 50),
             "train_cross_entropy": 1.4 / (1 + step / 60),
             "validation_accuracy": 0.93 - 0.5 / (1 + step / 60),
             "validation_cross_entropy": 0.2 + 1.4 / (1 + step / 50)}
            for step in range(0, 501, 20)
        ],
        "pictures": {
            "worst": wrong,
            "doubtful": [{**wrong[0], "predicted": wrong[0]["label"], "score": 0.41}],
        },
        "mislabelled": [
            {"file": files[1], "label": labels[1], "suggested": labels[0],
             "confidence": 0.8765}
        ],
        "latency": {
            "median_ms": 1.4321,
            "p90_ms": 1.61,
            "num_threads": 1,
            "machine": "x86_64, 2 processors",
        },
        "versions": {"edgeclf": "0.4.0", "numpy": "2.1.0", "pillow": "11.0"},
        "settings": {"seed": 0, "views": 8, "fine_tune": False, "note": None,
                     "reject": True, "title": "two words"},
    }  # fmt: skip


def tag_report(labels=DECORS, num_test=40, seed=3, command="retrain"):
    """A report on a model of tags, as it is measured on scores that are made up."""
    random = np.random.default_rng(seed)
    targets = random.random((num_test, len(labels))) < 0.3
    scores = 0.5 * targets + 0.6 * random.random(targets.shape) - 0.05
    evaluation = TagEvaluation(
        [f"{labels[row % len(labels)]}/{row}.jpg" for row in range(num_test)],
        targets,
        np.asarray(np.rint(scores.clip(0, 1) * 255) / 256, np.float32),
        np.full(len(labels), 0.5, np.float32),
    )
    base = report(labels, command=command)
    common = ("format_version", "title", "created", "command", "model", "latency",
              "versions", "settings")  # fmt: skip
    described = describe_tag_evaluation(evaluation, labels, "int8", evaluation)
    return {
        **{key: base[key] for key in common},
        **described,
        "cooccurrence": describe_cooccurrence(targets, labels),
        "suspects": remarkable_tags(evaluation, labels),
        "data": {
            "tags": [
                {"label": label, "train": 40 + 9 * index, "validation": 6, "test": 12}
                for index, label in enumerate(labels)
            ],
            "num_train": 300,
            "num_validation": 40,
            "num_test": num_test,
            "num_without_tags": 5,
            "unreadable": base["data"]["unreadable"],
            "near_duplicates": base["data"]["near_duplicates"],
            "dataset_sha256": "43" * 32,
            "seed": 0,
        },
    }


def thumbnails(described):
    """A picture for every file of the report; every other one with a heat map."""
    groups = [*described["pictures"].values(), described.get("mislabelled") or []]
    groups += (described.get("suspects") or {}).values()
    files = [entry["file"] for group in groups for entry in group]
    return {
        file: Thumbnails(jpeg(index), jpeg(index + 1) if index % 2 else None)
        for index, file in enumerate(dict.fromkeys(files))
    }


def jpeg(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((160, 120)).save(file, "JPEG")
    return file.getvalue()


def _confusions(random, num_classes, num_test):
    """Mostly right; a picture in ten goes to a class that is near."""
    matrix = np.zeros((num_classes, num_classes), np.int64)
    for row in range(num_classes):
        wrong = int(random.binomial(num_test, 0.12))
        matrix[row, row] = num_test - wrong
        for step in random.integers(1, min(4, num_classes), wrong):
            matrix[row, (row + step) % num_classes] += 1
    return matrix
