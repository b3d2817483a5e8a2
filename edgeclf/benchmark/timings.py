"""Time a model on this machine: in fresh processes, step by step, by threads."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from PIL import __version__ as pillow_version

from edgeclf import __version__
from edgeclf.classifier import Classifier
from edgeclf.doctor.facts import INTERPRETERS, MODULES
from edgeclf.errors import EdgeclfError
from edgeclf.image import decode, stretch
from edgeclf.interpreter import num_processors
from edgeclf.network import PROBE_SIZE, Network, open_network
from edgeclf.tflite.source import ModelSource

STEPS = ("decode", "resize", "feed", "invoke", "rest")


def time_start(
    model: str, picture: str, settings: Mapping[str, Any], runs: int
) -> dict[str, float]:
    """Return medians over fresh processes that label one picture.

    `process_ms` is all of `python -m edgeclf.label_image`, from starting Python to its
    end; the rest see `cold_start`.
    """
    command = ["edgeclf.label_image", f"--model={model}", f"--image={picture}"]
    command += _words(settings)
    steps = ["edgeclf.benchmark.cold_start", model, picture, json.dumps(dict(settings))]
    starts = []
    for _ in range(runs):
        started = time.perf_counter()
        _run_module(command)
        process_ms = (time.perf_counter() - started) * 1e3
        starts.append({"process_ms": process_ms, **json.loads(_run_module(steps))})
    medians = {
        name: float(np.median([one[name] for one in starts]))
        for name in starts[0]
        if starts[0][name] is not None  # where the peak is not known
    }
    own_ms = sum(medians[name] for name in ("import_ms", "load_ms", "first_ms"))
    return {**medians, "python_ms": max(0.0, medians["process_ms"] - own_ms)}


def time_steps(
    classifier: Classifier, network: Network, path: str, runs: int
) -> dict[str, float]:
    """Return what labelling a picture takes, and what each step of it takes.

    Args:
        classifier: Its `classify` is timed.
        network: The same model, to time the steps, in turn with `classify`.
        path: The picture.
        runs: How often.
    """
    size, resize = network.input_size, network.resize
    times = []
    for _ in range(runs):
        marks = [time.perf_counter()]
        classifier.classify(path)
        marks.append(time.perf_counter())
        decoded = decode(path, size, resize=resize)
        marks.append(time.perf_counter())
        pixels = stretch(decoded, size, resize)
        marks.append(time.perf_counter())
        network.feed(pixels)
        marks.append(time.perf_counter())
        network.invoke()
        marks.append(time.perf_counter())
        times.append(np.diff(marks) * 1e3)
    (p50, *steps), p95 = np.median(times, 0), np.percentile(times, 95, axis=0)[0]
    # From scores to categories, and what lies between the steps.
    rest = max(0.0, p50 - sum(steps))
    names = ["p50_ms", "p95_ms", *(f"{step}_ms" for step in STEPS)]
    return dict(zip(names, map(float, (p50, p95, *steps, rest)), strict=True))


def time_invoke(model: str, settings: Mapping[str, Any], runs: int) -> float:
    """Return the median time of one inference in milliseconds, without the picture."""
    return float(np.median(time_inferences(model, settings, runs)))


def time_inferences(
    model: ModelSource, settings: Mapping[str, Any], runs: int
) -> list[float]:
    """Return the milliseconds of each inference after a first, without the picture."""
    network = open_network(model, **settings).network
    size = network.input_size or PROBE_SIZE
    network.feed(np.zeros((*size, 3), np.uint8))
    network.invoke()  # the first one is slower
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        network.invoke()
        times.append((time.perf_counter() - started) * 1e3)
    network.close()
    return times


def machine() -> dict[str, Any]:
    """Describe what the figures depend on: processor, cores, versions."""
    from importlib.metadata import PackageNotFoundError, version

    loaded = [name for name in INTERPRETERS if MODULES[name] in sys.modules]
    package = loaded[0] if loaded else "none"  # where no model could be loaded
    with suppress(PackageNotFoundError):  # tensorflow-cpu, or unpacked by hand
        package = f"{package} {version(package)}"
    return {
        "processor": processor(),
        "cores": num_processors(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "edgeclf": __version__,
        "numpy": np.__version__,
        "pillow": pillow_version,
        "interpreter": package,
    }


def processor() -> str:
    """Return the processor's name; on a Raspberry Pi the board's."""
    for path, key in (("/proc/device-tree/model", ""), ("/proc/cpuinfo", "model name")):
        with suppress(OSError), open(path, encoding="utf-8") as file:  # noqa: PTH123
            lines = [line for line in file if line.startswith(key)]
            if lines:
                return lines[0].rpartition(":")[2].strip(" \0\n\t")
    return platform.processor() or platform.machine()


def _words(settings: Mapping[str, Any]) -> list[str]:
    """Return the options of a command line that stand for arguments of `Classifier`."""
    options = {**settings}
    height, width = options.pop("input_size") or (None, None)
    pairs = options.pop("delegate_options") or {}
    options |= {"input_height": height, "input_width": width}
    words = [f"--{name}={v}" for name, v in options.items() if v is not None]
    return words + [f"--delegate_options={key}={value}" for key, value in pairs.items()]


def _run_module(arguments: Sequence[str]) -> str:
    """Run `python -m` and return what it prints.

    Raises:
        EdgeclfError: It fails, though this process could do the same.
    """
    # As in daily use: with modules that are compiled already.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
    )
    if done.returncode:
        raise EdgeclfError(
            f"Expected python -m {arguments[0]} to label the picture again. "
            f"Received: exit status {done.returncode}, {done.stderr.strip()}"
        )
    return done.stdout
