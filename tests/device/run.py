r"""Label and retrain on emulated Raspberry Pis; compare with this machine.

    python tests/device/run.py dist/edgeclf-VERSION.whl

Debian bookworm for arm64 and armhf runs under qemu, with the wheel and its base
dependencies only: LiteRT on arm64, tflite-runtime 2.14 and Debian's NumPy 1.24 on
armhf. All pictures that the demo held out, and a sample of the shared ones where they
are, are labelled with the demo's int8 model. On arm64 a class is added to that model;
and, with `[train]`, a model is retrained.

What is compared with what, of every picture:

- The top label, which must be the same wherever the best two scores differ by more
  than 0.1, and all scores, which must be within 0.1: on arm64 with those of LiteRT's
  default kernels on this machine; on armhf with those of its reference kernels for the
  pixels that armhf has decoded, since the old runtime rounds as they do.
- On armhf those pixels with the ones of this machine: their mean difference must be
  less than a level. Debian's older libjpeg gives some pixels one level more or less.

- Of the pictures of the new class the label by the file made on arm64 with the one by
  the file made here, in the same way.

How far armhf is from the default kernels is printed. It is no failure: on this machine
the reference kernels are as far from them.

Exit status: 0 when boards and this machine agree, or when this machine is of a kind
that cannot do it (a line `skipped: ...` says why); 1 when they do not agree, or when
something cannot be downloaded or installed. Times under qemu mean nothing.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from boards import PI_3, PI_4
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scores import (
    TOLERANCE,
    Scores,
    compare_labels,
    largest_difference,
    parse,
    reference_scores,
    top,
)
from user_space import InstallError, SkippedError, UserSpace, check_machine

from edgeclf import Classifier
from edgeclf.data.splits import TEST
from edgeclf.demo.command import split_of
from edgeclf.image import load

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
SAMPLE = 40  # of two sets; 60 take 10 minutes where others use the machine too
# What is retrained on: more than this takes many minutes under qemu.
RETRAINED_CLASSES, RETRAINED_PER_CLASS = 4, 4
ADDED, ADDED_LABEL = 6, "inverted"  # pictures of a class that the demo has not
ENDINGS = {".jpg", ".jpeg", ".png"}

LEVELS_TOLERANCE = 1.0  # of pixels in the mean: versions of libjpeg round differently
DECODE = """\
import sys
import numpy as np
from edgeclf.image import load
file, height, width, *paths = sys.argv[1:]
np.save(file, [load(path, (int(height), int(width))) for path in paths])
"""

ACCURACY_TOLERANCE = 0.05  # of what the same training gives on this machine


def main(argv: Sequence[str] | None = None) -> int:
    """Run all parts and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument(
        "--cache",
        type=Path,
        default=ROOT / ".device",
        help="folder for downloads, which may stay (default: %(default)s)",
    )
    parser.add_argument(
        "--sample",
        type=int,
        default=SAMPLE,
        help="of each shared set of pictures (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    wheel, cache = arguments.wheel.resolve(), arguments.cache.resolve()
    started = time.monotonic()
    try:
        check_machine()
        cache.mkdir(parents=True, exist_ok=True)
        (cache / ".gitignore").write_text("*\n", encoding="utf-8")
        failures = run(wheel, cache, arguments.sample)
    except SkippedError as error:
        print(f"skipped: {error}.")
        return 0
    except InstallError as error:
        failures = [str(error)]
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    print(f"{time.monotonic() - started:.0f} s in all.")
    return 1 if failures else 0


def run(wheel: Path, cache: Path, number: int) -> list[str]:
    """Compare every board with this machine; return what is wrong."""
    with Stage("user spaces and wheels"):
        boards = [pi_4(wheel, cache), pi_3(wheel, cache)]
    with Stage("demo on this machine"):
        here("demo", "--output", str(cache / "demo"))
    model, pictures = cache / "demo" / "model.tflite", sample(cache / "demo", number)
    command = label_command(model, pictures)
    with Stage(f"{len(pictures)} pictures on this machine"):
        ours = parse(here(*command))
    # One emulated process takes one processor: all of it fits into two.
    with ThreadPoolExecutor() as pool:
        started = [
            pool.submit(check_board, board, model, command, ours) for board in boards
        ]
        trained = [
            pool.submit(check, boards[0], cache / "demo") for check in (add, retrain)
        ]
        return [text for job in (*started, *trained) for text in job.result()]


@dataclass(frozen=True)
class Installed:
    """A board with the wheel and its base dependencies; with `[train]` where it can."""

    space: UserSpace
    site: Path
    train_site: Path | None = None

    def edgeclf(self, *arguments: str, train: bool = False) -> str:
        """Run a command of edgeclf there and return what it prints."""
        site = self.train_site if train and self.train_site else self.site
        done = self.space.python(site, "-m", "edgeclf", *arguments)
        return output_of(done, f"{self}: edgeclf {arguments[0]}")

    def __str__(self) -> str:
        return self.space.board.architecture


def pi_4(wheel: Path, cache: Path) -> Installed:
    """Return a 64-bit Pi: what `pip install edgeclf` gives, and with `[train]`."""
    space = UserSpace(PI_4, cache)
    space.build()
    return Installed(
        space,
        space.install("base", wheel),
        space.install("train", wheel, extra="[train]"),
    )


def pi_3(wheel: Path, cache: Path) -> Installed:
    """Return a 32-bit Pi: NumPy 1.24 and Pillow by apt, the last tflite-runtime."""
    space = UserSpace(PI_3, cache)
    space.build()
    site = space.install("base", wheel, "tflite-runtime==2.14.0", alone=True)
    return Installed(space, site)


def check_board(
    board: Installed, model: Path, command: Sequence[str], ours: Scores
) -> list[str]:
    """Run doctor and label_image on a board; return what is wrong.

    Args:
        board: Which.
        model: The file that labels.
        command: What labels the pictures.
        ours: The scores of this machine.
    """
    with Stage(f"{board}: import edgeclf, edgeclf doctor"):
        board.space.python(board.site, "-c", "import edgeclf").check_returncode()
        report = json.loads(board.edgeclf("doctor", "--json"))
    print(f"{board}: {report['summary']}")
    with Stage(f"{board}: {len(ours)} pictures labelled"):
        theirs = parse(board.edgeclf(*command))
    failures = compare(f"{board}, with the default kernels", ours, theirs)
    if board.space.board is PI_3:
        failures, pixels = check_pixels(board, model, [*ours])
        alike = reference_scores(model, pixels)
        failures += compare(f"{board}, with the reference kernels", alike, theirs)
    return [f"{board}: {failure}" for failure in failures]


def compare(name: str, expected: Scores, received: Scores) -> list[str]:
    """Print how far scores are apart; return what is wrong."""
    line, failures = compare_labels(expected, received)
    if line:
        difference, picture = largest_difference(expected, received)
        print(f"{name}: {line}; scores within {difference:.3f} ({Path(picture).name})")
        if difference > TOLERANCE:
            failures.append(f"{picture}: a score differs by {difference:.3f}")
    return failures


def check_pixels(
    board: Installed, model: Path, pictures: Sequence[str]
) -> tuple[list[str], dict[str, NDArray[np.uint8]]]:
    """Decode pictures on a board; return what is wrong, and the pixels by picture."""
    with Classifier(model) as classifier:
        input_size = classifier.input_size
    file = model.with_name(f"{board}.npy")
    arguments = (str(file), *map(str, input_size), *pictures)
    with Stage(f"{board}: {len(pictures)} pictures decoded"):
        done = board.space.python(board.site, "-c", DECODE, *arguments)
        output_of(done, f"{board}: decoding")
    pixels = dict(zip(pictures, np.load(file), strict=True))
    worst, picture = max(
        (float(np.abs(load(name, input_size) - pixels[name].astype(int)).mean()), name)
        for name in pictures
    )
    print(f"{board}: pixels within {worst:.2f} levels in the mean")
    if worst < LEVELS_TOLERANCE:
        return [], pixels
    return [f"{picture}: pixels differ by {worst:.2f} levels in the mean"], pixels


def add(board: Installed, demo: Path) -> list[str]:
    """Add a class to the demo's model there, without `[train]`, and here."""
    work = demo.parent / "added"
    shutil.rmtree(work, ignore_errors=True)
    below = work / "pictures"
    below.mkdir(parents=True)
    first = min(path for path in (demo / "pictures").iterdir() if path.is_dir())
    for picture in spread(first, ADDED):  # in other colours it is another class
        with Image.open(picture) as image:
            ImageOps.invert(image.convert("RGB")).save(below / picture.name)
    labelled = {}
    for place, command in (("there", board.edgeclf), ("here", here)):
        model = work / f"{place}.tflite"
        with Stage(f"{board}: class added {place}"):
            command(
                *("add_class", str(demo / "model.tflite"), "--images", str(below)),
                *("--label", ADDED_LABEL, "--output", str(model)),
            )
        labelled[place] = parse(here(*label_command(model, sorted(below.iterdir()))))
    line, failures = compare_labels(labelled["here"], labelled["there"])
    print(f"{board}, after adding a class there and here: {line}")
    return [f"{board}, a class added there: {failure}" for failure in failures]


def retrain(board: Installed, demo: Path) -> list[str]:
    """Retrain on a few pictures of the demo there and here; return what is wrong."""
    work = demo.parent / "retrained"
    shutil.rmtree(work, ignore_errors=True)
    classes = sorted(path for path in (demo / "pictures").iterdir() if path.is_dir())
    classes = classes[:RETRAINED_CLASSES]
    for folder in classes:
        below = work / "pictures" / folder.name
        below.mkdir(parents=True)
        for picture in spread(folder, RETRAINED_PER_CLASS):
            shutil.copy(picture, below)
    backbone = ("--architecture", "mobilenet_v2_1.00_224_torchvision")
    # Two views in place of eight: the backbone is slow under qemu.
    options = (*backbone, "--views", "2", "--image_dir")
    models = {}
    for place, command in (
        ("there", functools.partial(board.edgeclf, train=True)),
        ("here", here),
    ):
        models[place] = work / f"{place}.tflite"
        with Stage(f"{board}: retrained {place}"):
            command(
                *("retrain", *options, str(work / "pictures")),
                *("--output_graph", str(models[place])),
                *("--bottleneck_dir", str(work / place)),
            )
    pictures = [path for folder in classes for path in sorted(folder.glob("*.jpg"))]
    right = {place: accuracy(model, pictures) for place, model in models.items()}
    labelled = parse(board.edgeclf(*label_command(models["there"], pictures[:1])))
    there, here_too = (f"{100 * right[place]:.1f} %" for place in ("there", "here"))
    print(
        f"{board}: {there} of {len(pictures)} pictures right after retraining there, "
        f"{here_too} after here; one labelled there: {top(labelled[str(pictures[0])])}"
    )
    if right["there"] < right["here"] - ACCURACY_TOLERANCE:
        return [f"{board}: retraining there gives a worse model"]
    return []


def accuracy(model: Path, pictures: Sequence[Path]) -> float:
    """Return the share of pictures that a model labels right on this machine."""
    labelled = parse(here(*label_command(model, pictures)))
    right = sum(top(labelled[str(path)]) == path.parent.name for path in pictures)
    return right / len(pictures)


def sample(demo: Path, number: int) -> list[Path]:
    """Return what the demo held out, and so many shared flowers and decors if there."""
    drawn = sorted((demo / "pictures").glob("*/*_*"))
    pictures = [path for path in drawn if split_of(path) == TEST]
    for name in ("flowers", "decor"):
        pictures += spread(SHARED / name, number)
    return pictures


def spread(folder: Path, number: int) -> list[Path]:
    """Return so many of the pictures below a folder, evenly taken."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in ENDINGS)
    return paths[:: max(1, len(paths) // number)][:number]


def label_command(model: Path, pictures: Sequence[Path]) -> list[str]:
    """Return the arguments that print every class's score, a line a picture."""
    return [
        *("label_image", "--json", "--top_k", "1000", "--model", str(model)),
        *("--image", *map(str, pictures)),
    ]


def here(*arguments: str) -> str:
    """Run a command of edgeclf on this machine and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "edgeclf", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return output_of(done, f"edgeclf {arguments[0]}")


def output_of(done: subprocess.CompletedProcess[str], command: str) -> str:
    """Return stdout of a process that must have ended well."""
    if done.returncode:
        sys.exit(
            f"error: {command} ended with {done.returncode}.\n"
            f"{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


class Stage:
    """Prints how long its block took."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        print(f"{time.monotonic() - self._started:5.0f} s  {self._name}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
