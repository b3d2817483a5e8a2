"""Retrain on the decor products: edgeclf with cold and warm cache, and Keras twice.

Each is a whole process that reads class folders, writes an int8 `.tflite` file and
scores that file on held-out pictures. Keras trains its dense layer once on features
computed beforehand, and once as its transfer-learning guide does it.

    python -m benchmarks.retrain --architecture FILE.tflite --weights FILE.h5
"""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.datasets import SHARED_DIR, WORK_DIR, decor_products
from benchmarks.measure import ROOT, CommandError, Contender

WEIGHTS = SHARED_DIR / "models" / "mobilenet_v1_0.50_224_features.weights.h5"
TENSORFLOW_PYTHON = ROOT / ".venv-tensorflow" / "bin" / "python"
KERAS = "Keras, base run once a picture"
KERAS_GUIDE = "Keras, base in every epoch"
PEER = ROOT / "benchmarks" / "peers" / "keras_retrain.py"


def edgeclf_command(
    image_dir: Path,
    output: Path,
    architecture: str | None,
    views: int | None = None,
) -> list[str]:
    """Return the command line that retrains into the folder `output`."""
    options: dict[str, object] = {
        "--image_dir": image_dir,
        "--output_graph": output / "model.tflite",
        "--output_labels": output / "labels.txt",
        "--bottleneck_dir": output / "bottlenecks",
        "--metrics_json": output / "metrics.json",
        "--seed": 0,
    }
    if architecture is not None:
        options["--architecture"] = architecture
    if views is not None:
        options["--views"] = views
    words = [str(word) for option in options.items() for word in option]
    return [sys.executable, "-m", "edgeclf", "retrain", *words]


def keras_command(
    python: Path, image_dir: Path, weights: Path, output: Path
) -> list[str]:
    """Return the command line of the same job in Keras.

    Raises:
        CommandError: There is no Python with TensorFlow, or no weights file.
    """
    if not python.exists():
        raise CommandError(
            f"Expected a Python with TensorFlow. Received: {python}, which does not "
            "exist. Make it with `make .venv-tensorflow/.done`, name another with "
            "--tensorflow_python, or leave Keras out with --no_keras."
        )
    if not weights.exists():
        raise CommandError(
            "Expected a weights file for keras.applications.MobileNet(alpha=0.5, "
            f"include_top=False). Received: {weights}, which does not exist. "
            "Name it with --weights, or leave Keras out with --no_keras."
        )
    options = ["--image_dir", image_dir, "--weights", weights, "--output", output]
    return [str(word) for word in (python, PEER, *options)]


def accuracies(metrics: dict[str, Any]) -> dict[str, str]:
    """Return a row's cells about accuracy."""
    return {
        "int8 accuracy": f"{metrics['accuracy_int8']:.3f}",
        "held-out pictures": str(metrics["num_test"]),
    }


def main() -> int:
    """Measure, print the table."""
    parser = measure.parser(__doc__, runs=5)
    parser.add_argument("--image_dir", type=Path, help="else the 285 decor products")
    parser.add_argument("--tensorflow_python", type=Path, default=TENSORFLOW_PYTHON)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--no_keras", action="store_true", help="only edgeclf")
    args = parser.parse_args()

    image_dir = (args.image_dir or decor_products()).resolve()
    cold, warm = WORK_DIR / "retrain-cold", WORK_DIR / "retrain-warm"
    several = WORK_DIR / "retrain-views"
    names = {
        "edgeclf --views 1, cold cache": cold,
        "edgeclf --views 1, warm cache": warm,
        "edgeclf with all defaults, cold cache": several,
    }
    contenders = [
        Contender(
            name,
            edgeclf_command(
                image_dir, folder, args.architecture, None if folder == several else 1
            ),
            before=None
            if folder == warm
            else partial(shutil.rmtree, folder, ignore_errors=True),
        )
        for name, folder in names.items()
    ]
    if not args.no_keras:
        model = WORK_DIR / "keras.tflite"
        command = keras_command(args.tensorflow_python, image_dir, args.weights, model)
        contenders.append(Contender(KERAS, command))
        contenders.append(Contender(KERAS_GUIDE, [*command, "--through_base"]))

    measured = measure.alternate(contenders, args.runs)
    notes = {
        name: accuracies(json.loads((folder / "metrics.json").read_text("utf-8")))
        for name, folder in names.items()
    }
    for name in measured.keys() - names.keys():
        last_line = measured[name][-1].output.splitlines()[-1]
        notes[name] = accuracies(json.loads(last_line))
    baseline = contenders[0].name
    rows = measure.summarize(measured, baseline, notes)
    measure.print_rows(rows, baseline)
    measure.write_json(args.json, benchmark="retrain", rows=rows, runs=measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
