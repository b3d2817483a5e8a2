"""Run `edgeclf label` on tiny models, and read what it wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files as models
import numpy as np
import pyarrow.dataset as ds
from PIL import Image

from edgeclf.scale.command import main

Rows = dict[str, dict[str, Any]]


def label(source: object, output: object, model: object, *options: object) -> int:
    """Run the command in this process and return its status."""
    arguments = [source, "--output", output, "--model", model, "--workers", 1]
    return main([str(each) for each in [*arguments, *options]])


def rows(output: object) -> Rows:
    """Return each row of a dataset by its path, which no other row may have."""
    found = ds.dataset(str(output)).to_table().to_pylist()
    by_path = {row["path"]: row for row in found}
    assert len(by_path) == len(found), "a path comes twice"
    return by_path


def parts(output: Path) -> dict[str, str]:
    """Return each file of results and the SHA-256 of its bytes."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.glob("part-*.parquet"))
    }


def summary(capsys: Any) -> dict[str, Any]:
    """Return what `--json` printed."""
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def write_pictures(folder: Path, count: int, *, first: int = 0) -> list[Path]:
    """Write small pictures of one colour each, in two folders; return their paths."""
    paths = []
    for number in range(first, first + count):
        color = models.COLORS[number % 3]
        path = folder / f"{number % 2}" / f"{number:05}-{color}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), models.PIXELS[color]).save(path)
        paths.append(path)
    return sorted(paths)


def are_right(found: Rows) -> bool:
    """Whether every picture of `write_pictures` has the label that its name tells."""
    return all(row["labels"][0] in path for path, row in found.items())


def each_alone(model: Path, paths: list[Path]) -> dict[str, list[tuple[str, float]]]:
    """Return what `Classifier` says of each picture, one after the other."""
    from edgeclf import Classifier

    with Classifier(model) as classifier:
        return {
            str(path): [
                (category.label, np.float32(category.score))
                for category in classifier.classify(path)
            ]
            for path in paths
        }


Run = Callable[..., int]
