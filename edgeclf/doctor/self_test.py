"""Run a model on a drawn picture and say how that went."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeclf.doctor.apart import run_apart
from edgeclf.doctor.facts import BACKBONE, INTERPRETERS, MODULES, SelfTest

if TYPE_CHECKING:
    from edgeclf.embedder import Embedder

# How the input of `BACKBONE` is normalised. Source: its card in models/.
BACKBONE_MEAN = BACKBONE_STD = 127.5
# The largest of its 1280 features for the drawn picture: 2.577, the next is 2.488.
BACKBONE_ANSWER = 514


def run_self_test(model: str | None = None, sha256: str | None = None) -> SelfTest:
    """Label a drawn picture, in a process of its own.

    Args:
        model: Path of a `.tflite` file. Default: the bundled backbone.
        sha256: As for `Classifier`.
    """
    answer = run_apart(lambda: _run_model(model, sha256))
    return SelfTest(**{"model": model or BACKBONE, **answer})


def _run_model(model: str | None, sha256: str | None) -> dict[str, Any]:
    """Load the model, show it a drawn picture twice, and say how it went."""
    import tempfile
    from time import perf_counter

    said = tempfile.TemporaryFile()  # noqa: SIM115 - this process ends soon
    os.dup2(said.fileno(), 2)
    started = perf_counter()
    from PIL import Image

    from edgeclf.classifier import Classifier
    from edgeclf.embedder import Embedder

    picture = Image.linear_gradient("L").convert("RGB")

    def answer() -> str:
        if isinstance(loaded, Embedder):
            return f"feature {loaded.embed(picture).argmax()}"
        best = loaded.classify(picture, top_k=1, score_threshold=0)[0]
        return f"{best.label or best.index} {best.score:.4f}"

    loaded = Classifier(model, sha256=sha256) if model else _backbone()
    load_ms = 1000 * (perf_counter() - started)
    text = answer()
    if not model and text != f"feature {BACKBONE_ANSWER}":
        return {"error": f"expected feature {BACKBONE_ANSWER}, received {text}"}
    started = perf_counter()
    answer()
    run_ms = 1000 * (perf_counter() - started)
    used = (name for name in INTERPRETERS if MODULES[name] in sys.modules)
    return {
        "interpreter": next(used),
        "load_ms": round(load_ms, 1),
        "run_ms": round(run_ms, 1),
        "answer": text,
        "xnnpack": said.seek(0) == 0 and b"XNNPACK" in said.read(),
    }


def _backbone() -> Embedder:
    import importlib.resources

    from edgeclf.embedder import Embedder

    try:
        file = importlib.resources.files("edgeclf.models") / BACKBONE
        content = file.read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):  # a checkout, not installed
        content = (Path(__file__).parents[2] / "models" / BACKBONE).read_bytes()
    return Embedder(content, input_mean=BACKBONE_MEAN, input_std=BACKBONE_STD)
