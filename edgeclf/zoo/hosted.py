"""The table of Google's hosted models, and the names they go by."""

from __future__ import annotations

import csv
import difflib
import importlib.resources
import re
from dataclasses import dataclass
from functools import lru_cache

from edgeclf.zoo.applications import KERAS_ARCHITECTURES

DEFAULT_ARCHITECTURE = "mobilenet_v1_0.50_224"
BUNDLED_ARCHITECTURE = "mobilenet_v2_1.00_224_torchvision"

_SPELLING = re.compile(
    r"mobilenet_(?:(?P<version>v1|v2|v3_large|v3_small)_)?"
    r"(?P<alpha>\d\.\d{1,2})_(?P<size>\d+)(?P<quantized>_quant(?:ized)?)?"
)


@dataclass(frozen=True)
class HostedModel:
    """One archive on Google's storage: a `.tgz` with a `.tflite` classifier in it.

    Attributes:
        name: The zoo's name; letters, digits, `_`, `.` and `-`, as it becomes part
            of file names.
        dtype: `float32`, or `uint8` for a model trained to be quantized.
        input_size: `(height, width)` in pixels.
        url: Where the archive is; http or https.
        sha256: Checksum of the archive, 64 lower-case hexadecimal digits.

    Raises:
        ValueError: A field is not of this form.
    """

    name: str
    dtype: str
    input_size: tuple[int, int]
    url: str
    sha256: str

    def __post_init__(self) -> None:
        for field, pattern in (
            ("name", r"[A-Za-z0-9][A-Za-z0-9_.-]*"),
            ("dtype", r"float32|uint8"),
            ("url", r"https?://[^\s/]+/\S+"),
            ("sha256", r"[0-9a-f]{64}"),
        ):
            value = getattr(self, field)
            if not re.fullmatch(pattern, value):
                raise ValueError(
                    f"Expected {field} of a hosted model to match {pattern}. "
                    f"Received: {field}={value!r}"
                )
        if len(self.input_size) != 2 or min(self.input_size) < 1:
            raise ValueError(
                "Expected input_size of a hosted model to be (height, width) in "
                f"pixels. Received: input_size={self.input_size!r}"
            )


@lru_cache(maxsize=1)
def hosted_models() -> dict[str, HostedModel]:
    """Return the table's models by name, in the table's order."""
    table = importlib.resources.files("edgeclf.zoo") / "hosted_models.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    return {
        row["name"]: HostedModel(
            name=row["name"],
            dtype=row["dtype"],
            input_size=(int(row["input_size"]), int(row["input_size"])),
            url=row["url"],
            sha256=row["sha256"],
        )
        for row in csv.DictReader(lines)
    }


def architectures() -> list[str]:
    """Return every name that `load_backbone` knows, the bundled backbone first."""
    return [BUNDLED_ARCHITECTURE, *hosted_models(), *KERAS_ARCHITECTURES]


def canonical_name(architecture: str) -> str:
    """Return the zoo's name for any spelling of it.

    tensorflow-for-poets leaves the version out, writes the width multiplier as
    1.0, 0.75, 0.50 or 0.25 and ends in `_quantized`; Google's file names have 0.5.
    All of them are understood: `mobilenet_0.50_224` is `mobilenet_v1_0.50_224`,
    `mobilenet_1.0_128_quantized` is `mobilenet_v1_1.00_128_quant`.

    Raises:
        ValueError: There is no such name; the message lists close ones.
    """
    name = architecture.strip()
    spelling = _SPELLING.fullmatch(name)
    if spelling:
        name = "mobilenet_{}_{:.2f}_{}{}".format(
            spelling["version"] or "v1",
            float(spelling["alpha"]),
            spelling["size"],
            "_quant" if spelling["quantized"] else "",
        )
    known = architectures()
    if name not in known:
        close = difflib.get_close_matches(name.lower(), known, n=4, cutoff=0.6)
        hint = f"Close names: {', '.join(close)}. " if close else ""
        raise ValueError(
            "Expected a backbone's name or the path of a .tflite file (with a slash in "
            f"it, or that ending). Received: {architecture!r}. {hint}All names: "
            f"{', '.join(known)}."
        )
    return name
