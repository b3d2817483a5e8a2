"""Run one target under atheris: `python -m fuzz TARGET [options of libFuzzer]`.

What it finds stays in `fuzz/work/TARGET/`: inputs that reach new code under
`inputs/`, and one that fails as `crash-*`, `timeout-*` or `oom-*`. Minimise that with
`python -m fuzz TARGET -minimize_crash=1 -runs=2000 FILE`, mend the cause, and keep the
small input in `tests/corpus/TARGET/`.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("images", "metadata", "models", "tables", "uploads")
LIMITS = ("-rss_limit_mb=2048", "-timeout=10", "-print_final_stats=1")


def main(argv: list[str]) -> None:
    """Fuzz until a limit is reached or an input fails; libFuzzer ends the process."""
    if not argv or argv[0] not in TARGETS:
        sys.exit(f"Expected one of {', '.join(TARGETS)}. Received: {argv[:1]}")
    name, *options = argv
    sys.path.insert(0, str(ROOT / "tests"))  # they write the seeds
    logging.getLogger("edgeclf").setLevel(logging.CRITICAL)
    # Not left again: much is imported only when it is needed.
    atheris.instrument_imports(include=["edgeclf", "PIL"]).__enter__()
    target = importlib.import_module(f"fuzz.{name}")
    work = ROOT / "fuzz" / "work" / name
    inputs = work / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    for content in target.seeds().values():
        (inputs / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    kept = ROOT / "tests" / "corpus" / name
    folders = [str(inputs), *([str(kept)] if kept.is_dir() else [])]
    if any(not option.startswith("-") for option in options):
        folders = []  # a file of the user's own
    fixed = [
        *LIMITS,
        f"-max_len={target.MAX_BYTES}",
        f"-artifact_prefix={work}{os.sep}",
    ]
    atheris.Setup([sys.argv[0], *fixed, *options, *folders], target.try_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
