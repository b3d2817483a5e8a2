"""Small work for every command that writes something, and what it writes."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny

from edgeclf.training import RetrainConfig, retrain


class World:
    """What commands read: pictures, a backbone, a model.

    Attributes:
        photos: Class folders.
        few: Two of the photos in a folder, for what takes long.
        backbone: A tiny one.
        model: Trained on the photos.
        table: A CSV of the photos, for prepare_data.
        bottlenecks: The cache of all photos.
    """

    def __init__(self, folder: Path, per_class: int = 8) -> None:
        self.folder = folder
        self.photos = tiny.write_folder(folder / "photos", per_class)
        self.few = folder / "few"
        self.few.mkdir()
        for number in range(2):
            name = f"00{number}.{'jpg' if number else 'png'}"
            shutil.copyfile(self.photos / "red" / name, self.few / name)
        self.backbone = folder / "backbone.tflite"
        self.backbone.write_bytes(tiny.backbone_file())
        self.model = folder / "model.tflite"
        self.bottlenecks = folder / "bottlenecks"
        retrain(
            RetrainConfig(
                image_dir=self.photos,
                output_graph=self.model,
                architecture=str(self.backbone),
                bottleneck_dir=self.bottlenecks,
                views=1,
                no_report=True,
            )
        )
        self.table = folder / "table.csv"
        with self.table.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("file", "decor"))
            for path in sorted(self.photos.rglob("*.*")):
                name = path.relative_to(self.photos).as_posix()
                rows.writerow((name, path.parent.name))


@dataclass(frozen=True)
class Work:
    """A command and one of its outputs.

    Attributes:
        name: Of the test.
        arguments: Returns the command line, given what there is and a folder to
            write to.
        prepare: Called with them before.
        full: The exit status where the disk is full, and what is said.
        read_only: The same where it cannot be written to.
        is_timed: Whether what it prints tells times.
    """

    name: str
    arguments: Callable[[World, Path], list[object]]
    prepare: Callable[[World, Path], object] = lambda _, __: None
    full: tuple[int, str] = (1, "No space left on device")
    read_only: tuple[int, str] = (1, "Read-only file system")
    is_timed: bool = False


def _with_double(world: World, folder: Path) -> None:
    """Copy the photos, one of them twice."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(world.photos, folder)
    shutil.copyfile(folder / "blue" / "000.png", folder / "blue" / "double.png")


def _learnt(world: World, *names: str) -> list[object]:
    places = {
        "image_dir": world.photos,
        "architecture": world.backbone,
        "bottleneck_dir": world.bottlenecks,
    }
    return [each for name in names for each in (f"--{name}", places[name])]


# Without its cache a command takes longer, and comes to the same.
_CACHE: dict[str, Any] = {
    "full": (0, "nothing more is kept for the next run"),
    "read_only": (0, "nothing more is kept for the next run"),
}

WORKS = [
    Work(
        "evaluate",
        lambda w, to: ["evaluate", w.model, w.photos, "--report", to / "report.html"],
        is_timed=True,
    ),
    Work(
        "audit to quarantine",
        lambda w, to: [
            *("audit", w.folder / "messy", "--no_model", "--fail_on", "none"),
            *("--quarantine", to / "bad"),
        ],
        lambda w, _: _with_double(w, w.folder / "messy"),
    ),
    Work(
        "audit of a disk",
        lambda w, to: [
            *("audit", to / "photos", "--no_model", "--fail_on", "none"),
            *("--quarantine", to.with_name(f"{to.name}_bad")),
        ],
        lambda w, to: _with_double(w, to / "photos"),
        full=(0, "Moved to"),  # what is moved away needs no room here
        read_only=(1, "double.png: Read-only file system"),
    ),
    Work(
        "audit with a cache",
        lambda w, to: [
            *("audit", w.photos, "--fail_on", "none"),
            *("--architecture", w.backbone, "--bottleneck_dir", to / "bottlenecks"),
        ],
        **_CACHE,
    ),
    Work(
        "compare",
        lambda w, to: [
            *("compare", "--architectures", w.backbone, "--views", "1"),
            *_learnt(w, "image_dir", "bottleneck_dir"),
            *("--output_dir", to / "comparison"),
        ],
        is_timed=True,
    ),
    Work(
        "tune with a cache",
        lambda w, to: [
            *("tune", "--no_descent", "--solvers", "discriminant", "--views", "1"),
            *_learnt(w, "image_dir", "architecture"),
            *("--bottleneck_dir", to / "bottlenecks"),
        ],
        **_CACHE,
        is_timed=True,
    ),
    Work(
        "add_class to another file",
        lambda w, to: [
            *("add_class", w.model, "--images", w.photos / "red", "--label", "rouge"),
            *("--output", to / "more.tflite"),
        ],
    ),
    Work(
        "add_class in place",
        lambda w, to: [
            *("add_class", to / "model.tflite", "--images", w.photos / "red"),
            *("--label", "rouge"),
        ],
        lambda w, to: shutil.copyfile(w.model, to / "model.tflite"),
    ),
    Work(
        "prepare_data",
        lambda w, to: [
            *("prepare_data", "--csv", w.table, "--images", w.photos),
            *("--output", to / "classes"),
        ],
    ),
    Work(
        "prepare_data of all",
        lambda w, to: [
            *("prepare_data", "--csv", w.table, "--images", w.photos),
            *("--output", w.folder / "classes", "--jpg_dir", to / "jpgs"),
        ],
    ),
    Work(
        "label_image --sort_into",
        lambda w, to: [
            *("label_image", "--model", w.model, "--image", w.photos),
            *("--sort_into", to / "sorted"),
        ],
    ),
    Work(
        "label_image --show",
        lambda w, to: [
            *("label_image", "--model", w.model, "--image", w.few),
            *("--show", to / "shown"),
        ],
    ),
    Work(
        "label_image --heatmap",
        lambda w, to: [
            *("label_image", "--model", w.model, "--image", w.few),
            *("--heatmap", to / "maps"),
        ],
    ),
    *(
        Work(
            f"embed into {ending}",
            lambda w, to, ending=ending: [
                *("embed", "--model", w.model, "--image", w.photos),
                *("--output", to / f"vectors.{ending}"),
            ],
        )
        for ending in ("npz", "csv", "json")
    ),
    Work(
        "export",
        lambda w, to: ["export", w.model, "--output", to / "firmware"],
    ),
]
