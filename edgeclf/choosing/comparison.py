"""Train and measure candidates on one split; those that are finished stay finished."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgeclf import files
from edgeclf.benchmark.timings import time_inferences
from edgeclf.choosing import outcome as outcomes
from edgeclf.choosing.candidates import (
    Candidate,
    fingerprint_file,
    fingerprint_pictures,
    fingerprint_run,
)
from edgeclf.choosing.outcome import Outcome
from edgeclf.choosing.recommend import Budget
from edgeclf.console import number_of
from edgeclf.data.folders import read_background, read_folder
from edgeclf.errors import EdgeclfError
from edgeclf.training import RetrainConfig

logger = logging.getLogger("edgeclf")

ROUNDS = 5  # over all models, so that a busy moment hits no single one
MORE_ROUNDS = 15  # over those for which the limit lies among their timings
RUNS = 10  # of a model in a round


def compare(
    shared: RetrainConfig,
    candidates: Sequence[Candidate],
    folder: Path,
    budget: Budget,
) -> tuple[list[Outcome], Path]:
    """Train every candidate on the same split, then time the written files in turn.

    The first candidate that works makes the split, unless there is one from an
    earlier run with the same pictures, shares and seed; all others take it. What was
    trained before with the same settings, pictures and split is taken as it is.

    Args:
        shared: Settings that all candidates have in common.
        candidates: What to compare. One that fails does not stop the others.
        folder: Where models, figures and splits are kept.
        budget: What comes close to its latency is timed longer.

    Returns:
        One outcome per candidate, in order, and the path of the split.

    Raises:
        DatasetError: There are fewer than two classes with pictures, or no tag.
        EdgeclfError: Another process uses the folder.
        OSError: The pictures or the folder cannot be read or written.
    """
    pictures = _fingerprint_found(shared)
    folder.mkdir(parents=True, exist_ok=True)
    files.sweep(folder)
    with _alone_in(folder):
        results, split = _compare(shared, candidates, folder, pictures)
        return _timed(results, budget), split


def _fingerprint_found(shared: RetrainConfig) -> str:
    """Return a hash that changes with the pictures and what is said of them."""
    source = shared.tag_source
    if source is None:
        found = [*read_folder(shared.class_dir), *read_background(shared.class_dir)]
        return fingerprint_pictures(found)
    tagged = source.read()
    said = hashlib.sha256(repr(tagged.labels).encode("utf-8", "surrogateescape"))
    said.update(tagged.targets.tobytes())
    return f"{fingerprint_pictures(tagged.examples)} {said.hexdigest()}"


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder: they would replace the models of this one.

    Raises:
        EdgeclfError: Another one is in it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not files.lock(descriptor):
            raise EdgeclfError(
                f"Expected to be the only one that uses {folder}. Received: another "
                "comparison is being made in it. Wait, or choose another --output_dir."
            )
        yield
    finally:
        os.close(descriptor)


def _compare(
    shared: RetrainConfig,
    candidates: Sequence[Candidate],
    folder: Path,
    pictures: str,
) -> tuple[list[Outcome], Path]:
    """Do it; the hash `pictures` stands for the dataset."""
    split = folder / f"split-{_fingerprint_split(shared, pictures)[:12]}.csv"
    results = []
    for number, candidate in enumerate(candidates, 1):
        position = f"Candidate {number} of {len(candidates)}, {candidate.name}"
        given = split if split.exists() else shared.split_file
        config = candidate.configure(shared, folder)
        config = dataclasses.replace(config, split_file=given)
        path = folder / f"{candidate.name}.outcome.json"
        result = outcomes.kept(candidate, path, _fingerprint(config, pictures, split))
        if result is not None:
            logger.info("%s: finished before.", position)
        else:
            logger.info("%s", position)
            result, own_split = outcomes.train(candidate, config)
            if own_split is not None:
                if not split.exists():
                    files.write_bytes(split, own_split.read_bytes())
                outcomes.keep(result, path, _fingerprint(config, pictures, split))
        results.append(result)
    return results, split


def _fingerprint(config: RetrainConfig, pictures: str, split: Path) -> str:
    return fingerprint_run(config, pictures, fingerprint_file(split))


def _fingerprint_split(shared: RetrainConfig, pictures: str) -> str:
    """Return a hash of what the split follows from."""
    facts = (shared.shares, shared.seed, fingerprint_file(shared.split_file), pictures)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _timed(results: Sequence[Outcome], budget: Budget) -> list[Outcome]:
    """Add the times of one inference, measured now and on this machine."""
    times: dict[str, list[float]] = {
        result.model: [] for result in results if result.model is not None
    }
    if times:
        logger.info("Timing %s ...", number_of(len(times), "model"))
    _time(times, times, ROUNDS)
    timed = [_with_latency(result, times) for result in results]
    near = [result.model for result in budget.close_calls(timed) if result.model]
    _time(near, times, MORE_ROUNDS)
    return [_with_latency(result, times) for result in timed]


def _time(models: Iterable[str], times: dict[str, list[float]], rounds: int) -> None:
    for _ in range(rounds):
        for model in models:
            times[model] += time_inferences(model, {}, RUNS)


def _with_latency(result: Outcome, times: Mapping[str, Sequence[float]]) -> Outcome:
    if result.model is None:
        return result
    low, median, high = np.percentile(times[result.model], (10, 50, 90)).tolist()
    return dataclasses.replace(
        result, latency_ms=median, latency_p10_ms=low, latency_p90_ms=high
    )
