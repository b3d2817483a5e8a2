"""What fuzzers found, and files that reach much, are tried again without a fuzzer.

`make fuzz` looks for more; see `fuzz/`.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path

import pytest

CORPUS = Path(__file__).parent / "corpus"
TARGETS = ["images", "metadata", "models", "tables"]
if find_spec("fastapi") and find_spec("python_multipart"):  # the extra [web]
    TARGETS.append("uploads")
LARGEST_BYTES = 8192


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_found_is_not_found_again(target: str) -> None:
    if target == "models":
        pytest.importorskip("resource", reason="forks, to survive crashes")
    module = importlib.import_module(f"fuzz.{target}")
    kept = sorted((CORPUS / target).iterdir())
    assert len(kept) >= 5
    assert max(path.stat().st_size for path in kept) <= LARGEST_BYTES
    for path in kept:
        try:
            module.try_input(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path.name}: {error}") from error


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_are_small_and_end_well(target: str) -> None:
    module = importlib.import_module(f"fuzz.{target}")
    seeds = module.seeds()
    assert len(seeds) > 3
    assert max(map(len, seeds.values())) <= module.MAX_BYTES
    for name, content in seeds.items():
        try:
            module.try_input(content)
        except Exception as error:
            raise AssertionError(f"{name}: {error}") from error


def test_seeds_of_models_pass_the_check() -> None:
    """One that is refused at once leads the fuzzer nowhere."""
    pytest.importorskip("resource", reason="forks, to survive crashes")
    from edgeclf.tflite.verify import check_model

    for content in importlib.import_module("fuzz.models").seeds().values():
        assert check_model(content)
