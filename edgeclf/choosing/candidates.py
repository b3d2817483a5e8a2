"""What is compared: backbones, views, solvers and types of model, in every mix."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edgeclf import __version__
from edgeclf.data.folders import Example
from edgeclf.training.config import ENGINE_SETTINGS, RetrainConfig

_UNSAFE = re.compile(r"[^\w.-]+")
_OUTPUTS = ("image_dir", "output_graph", "metrics_json", "split_file")
# Change no result.
_PLACES = ("bottleneck_dir", "model_dir", "num_workers", *ENGINE_SETTINGS)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One mix of settings.

    Attributes:
        name: Its own among the candidates, and the stem of its files.
        backbone: A short name of its architecture.
        architecture: As for `RetrainConfig`, like all that follow.
        views: Of each training picture.
        solver: What fits the head.
        quantize: Type of the model.
    """

    name: str
    backbone: str
    architecture: str
    views: int
    solver: str
    quantize: str

    def configure(self, shared: RetrainConfig, folder: Path) -> RetrainConfig:
        """Return the settings to train it with.

        Args:
            shared: What all candidates have in common.
            folder: Where its files go.
        """
        return dataclasses.replace(
            shared,
            architecture=self.architecture,
            views=self.views,
            solver=self.solver,
            quantize=self.quantize,
            output_graph=folder / f"{self.name}.tflite",
            metrics_json=folder / f"{self.name}.metrics.json",
        )


def list_candidates(
    architectures: Sequence[str],
    views: Sequence[int],
    solvers: Sequence[str],
    quantize: Sequence[str],
) -> list[Candidate]:
    """Return every mix once, the backbones outermost, in the order given.

    Two files of one name in different folders are told apart by the first digits of a
    hash of their paths.
    """
    named = list(dict.fromkeys(architectures))
    stems = {name: _stem(name) for name in named}
    counts = Counter(stems.values())
    for architecture, stem in stems.items():
        if counts[stem] > 1:
            stems[architecture] = f"{stem}-{_digest(architecture)[:6]}"
    return [
        Candidate(
            f"{stems[architecture]}-{solver}-{number}-views-{kind}",
            stems[architecture],
            architecture,
            number,
            solver,
            kind,
        )
        for architecture in named
        for number in dict.fromkeys(views)
        for solver in dict.fromkeys(solvers)
        for kind in dict.fromkeys(quantize)
    ]


def _stem(architecture: str) -> str:
    """Return a zoo name or a file's stem, as it can stand in a file's name."""
    path = Path(architecture)
    name = path.stem if path.suffix in (".tflite", ".h5", ".keras") else architecture
    return _UNSAFE.sub("_", name).strip("_.") or "backbone"


def fingerprint_pictures(examples: Sequence[Example]) -> str:
    """Return a hash that changes when a picture is added, removed, renamed or edited.

    Names, sizes and times of change are looked at, not the contents.
    """
    lines = []
    for example in examples:
        if example.digest is not None:
            lines.append(f"{example.name}\0{example.digest.hex()}\n")
            continue
        try:
            status = example.path.stat()
            facts = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError:  # a broken link, say, which is left out of training
            facts = "unreadable"
        lines.append(f"{example.name}\0{facts}\n")
    return _digest("".join(lines))


def fingerprint_run(config: RetrainConfig, *facts: str) -> str:
    """Return a hash of all that a candidate's result follows from.

    Args:
        config: Its settings. Of a file that is named there the content counts.
        facts: What else does: the pictures, the split.
    """
    settings = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in (*_OUTPUTS, *_PLACES)
    }
    text = json.dumps(settings, default=os.fspath, sort_keys=True)
    return _digest(
        "\n".join([__version__, text, fingerprint_file(config.architecture), *facts])
    )


def fingerprint_file(path: str | os.PathLike[str] | None) -> str:
    """Return a hash of a file's content; the empty text where there is no file."""
    if path is None or not Path(path).is_file():
        return ""
    return _digest(Path(path).read_bytes())


def _digest(content: bytes | str) -> str:
    data = os.fsencode(content) if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()
