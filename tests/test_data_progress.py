"""What is told of a training while it runs."""

from __future__ import annotations

from pathlib import Path

import tiny

from edgeclf.data import progress
from edgeclf.training import RetrainConfig, retrain


def test_stages_and_steps_are_told(color_folder: Path, tmp_path: Path) -> None:
    backbone = tmp_path / "backbone.tflite"
    backbone.write_bytes(tiny.backbone_file())
    told: list[tuple[str, int, int | None]] = []
    config = RetrainConfig(
        image_dir=color_folder,
        output_graph=tmp_path / "model.tflite",
        architecture=backbone,
        bottleneck_dir=tmp_path / "bottlenecks",
        views=3,
    )
    with progress.observed(lambda *step: told.append(step)):
        retrain(config)
    # Each once and in this order; `head` goes on when the views are there.
    stages = [stage for stage, done, _ in told if not done]
    assert stages == [
        *("bottlenecks", "head", "views", "head", "quantize"),
        *("evaluation", "quantize", "report"),
    ]
    steps = [step for step in told if step[0] == "bottlenecks"]
    assert steps == [("bottlenecks", done, 9) for done in range(10)]
    num_told = len(told)
    retrain(config)
    assert len(told) == num_told  # nobody watches any more
