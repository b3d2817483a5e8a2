r"""Label and retrain on emulated Raspberry Pis; compare with this machine.

    python tests/device/run.py dist/edgeclf-VERSION.whl

Debian bookworm for arm64 and armhf runs under qemu, with the wheel and its base
dependencies only: LiteRT on arm64, tflite-runtime 2.14 and Debian's NumPy 1.24 on
armhf. Pictures of the demo, and a sample of the shared ones where they are, are
labelled with the demo's int8 model. On arm64, with `[train]`, a model is retrained.

Exit status: 0 when boards and this machine agree, or when this machine cannot do it
(a line `skipped: ...` says why); 1 when they do not. Times under qemu mean nothing.
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

from boards import PI_3, PI_4
from scores import (
    TOLERANCE,
    Scores,
    compare_labels,
    largest_difference,
    parse,
    reference_scores,
    top,
)
from user_space import SkippedError, UserSpace, check_machine

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
SAMPLE = 60
# What is retrained on: more than this takes many minutes under qemu.
RETRAINED_CLASSES, RETRAINED_PER_CLASS = 4, 4
ENDINGS = {".jpg", ".jpeg", ".png"}

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
        help="pictures of the demo, and as many shared ones (default: %(default)s)",
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
        reference = reference_scores(model, pictures)
    # One emulated process takes one processor: all of it fits into two.
    with ThreadPoolExecutor() as pool:
        started = [
            pool.submit(check_board, board, command, ours, alike)
            for board, alike in zip(boards, (ours, reference), strict=True)
        ]
        retrained = pool.submit(retrain, boards[0], cache / "demo")
        return [text for job in (*started, retrained) for text in job.result()]


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
    others = ("tflite-runtime==2.14.0", "flatbuffers>=23.5.26")
    return Installed(space, space.install("base", wheel, *others, alone=True))


def check_board(
    board: Installed, command: Sequence[str], ours: Scores, rounded_alike: Scores
) -> list[str]:
    """Run doctor and label_image on a board; return what is wrong.

    Args:
        board: Which.
        command: What labels the pictures.
        ours: The scores of this machine.
        rounded_alike: Its scores with kernels that round as the board's do.
    """
    with Stage(f"{board}: import edgeclf, edgeclf doctor"):
        board.space.python(board.site, "-c", "import edgeclf").check_returncode()
        report = json.loads(board.edgeclf("doctor", "--json"))
    print(f"{board}: {report['summary']}")
    with Stage(f"{board}: {len(ours)} pictures labelled"):
        theirs = parse(board.edgeclf(*command))
    line, failures = compare_labels(ours, theirs)
    if line:
        difference, _ = largest_difference(ours, theirs)
        alike, picture = largest_difference(rounded_alike, theirs)
        print(
            f"{board}: {line}; scores within {difference:.3f}, of kernels that round "
            f"alike within {alike:.3f} ({Path(picture).name})"
        )
        if alike > TOLERANCE:
            failures.append(f"{picture}: a score differs by {alike:.3f}")
    return [f"{board}: {failure}" for failure in failures]


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
    options = ("--architecture", "mobilenet_v2_1.00_224_torchvision", "--image_dir")
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
    """Return pictures of the demo, and of shared flowers and decors if there."""
    pictures = spread(demo / "pictures", number)
    for name in ("flowers", "decor"):
        pictures += spread(SHARED / name, number // 2)
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
