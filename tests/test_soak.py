"""A process that labels many pictures does not grow, by one thread or by four."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("threads", [1, 4])
def test_labelling_does_not_grow(
    model_file: Callable[..., Path], tmp_path: Path, threads: int
) -> None:
    figures = tmp_path / "soak.json"
    command = [sys.executable, "-m", "benchmarks.soak", "--model", str(model_file())]
    command += ["--pictures", "1500", "--side", "64", "--threads", str(threads)]
    done = subprocess.run(
        [*command, "--json", str(figures)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    labelled, refused = (int(word) for word in done.stderr.split() if word.isdigit())
    assert labelled + refused == 1500
    assert refused > 50
    assert json.loads(figures.read_text())["growth_mb"] < 5
