"""Label one picture: edgeclf, a ten-line script and MediaPipe Tasks, same int8 model.

Whole processes, from starting Python to the printed labels; then what importing takes.

    python -m benchmarks.label_image --architecture FILE.tflite
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.datasets import WORK_DIR, decor_products
from benchmarks.measure import ROOT, CommandError, Contender, Row, Run
from benchmarks.retrain import edgeclf_command

PEERS = ROOT / "benchmarks" / "peers"
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
BASELINE = "ten lines"
IMPORTS = {  # by name: what a process does that does nothing else
    "numpy, PIL.Image": "import numpy, PIL.Image",
    "edgeclf": "import edgeclf",
    "edgeclf.Classifier": "from edgeclf import Classifier",
}
PICTURE = Path("Khokhloma") / "01_02_2_001.jpg"


def decor_model(architecture: str | None, quantize: str = "int8") -> tuple[Path, Path]:
    """Return a model for the decor products and its labels file, made if missing.

    Args:
        architecture: As for `edgeclf retrain`.
        quantize: Likewise: `int8`, `float16` or `none`.
    """
    folder = WORK_DIR / f"label_image-{quantize}"
    model, labels = folder / "model.tflite", folder / "labels.txt"
    if not model.exists():
        measure.say(f"Retraining into {folder}")
        command = edgeclf_command(decor_products(), folder, architecture)
        measure.run_once(Contender("retrain", [*command, "--quantize", quantize]))
    return model, labels


def add_peers_python(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the peers are installed."""
    parser.add_argument(
        "--peers_python",
        default=str(PEERS_PYTHON) if PEERS_PYTHON.exists() else sys.executable,
        help="a Python that has mediapipe, openvino, onnxruntime and tflite2onnx; "
        "peers that it does not have are left out",
    )


def missing(python: str, packages: Sequence[str]) -> set[str]:
    """Return which packages a Python cannot import."""
    program = (
        "import sys; from importlib.util import find_spec;"
        "print(*[name for name in sys.argv[1:] if not find_spec(name)])"
    )
    command = [python, "-c", program, *packages]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return set(done.stdout.split())


def top_label(run: Run) -> str:
    """Return the first line's label, which stands before the score."""
    return run.output.partition("\n")[0].rpartition(" ")[0]


def compare_imports(runs: int) -> list[Row]:
    """Return how long importing edgeclf takes, and NumPy and Pillow, which it needs."""
    contenders = [
        Contender(name, [sys.executable, "-c", program])
        for name, program in IMPORTS.items()
    ]
    measured = measure.alternate(contenders, runs)
    baseline = measured[contenders[0].name]
    notes = {}
    for name, timed in measured.items():
        pairs = zip(timed, baseline, strict=True)
        more_ms = median((run.wall_s - base.wall_s) * 1e3 for run, base in pairs)
        notes[name] = {"more, ms": f"{more_ms:+.1f}"}
    return measure.summarize(measured, contenders[0].name, notes)


def main() -> int:
    """Measure, print both tables."""
    parser = measure.parser(__doc__, runs=21)
    parser.add_argument("--model", type=Path, help="uint8 input, with its own labels")
    parser.add_argument("--labels", type=Path, help="labels.txt of --model")
    parser.add_argument("--image", type=Path, help="else one of the decor products")
    add_peers_python(parser)
    args = parser.parse_args()
    if (args.model is None) != (args.labels is None):
        parser.error("--model and --labels belong together")

    if args.model is None:
        args.model, args.labels = decor_model(args.architecture)
    image = str((args.image or decor_products() / PICTURE).resolve())
    model, labels = str(args.model.resolve()), str(args.labels.resolve())
    module = [sys.executable, "-m", "edgeclf.label_image"]
    script = [sys.executable, str(PEERS / "ten_lines.py")]
    contenders = [
        Contender(BASELINE, [*script, model, labels, image]),
        Contender("edgeclf", [*module, "--model", model, "--image", image]),
    ]
    if missing(args.peers_python, ["mediapipe"]):
        measure.say("MediaPipe Tasks is left out: no mediapipe.")
    else:
        peer = [args.peers_python, str(PEERS / "mediapipe_tasks.py")]
        contenders.append(Contender("MediaPipe Tasks", [*peer, model, image]))

    measured = measure.alternate(contenders, args.runs)
    notes = {name: {"top label": top_label(runs[0])} for name, runs in measured.items()}
    rows = measure.summarize(measured, BASELINE, notes)
    measure.print_rows(rows, BASELINE)
    print()
    imports = compare_imports(args.runs)
    measure.print_rows(imports, imports[0].name)
    measure.write_json(
        args.json, benchmark="label_image", rows=rows, runs=measured, imports=imports
    )
    if len({note["top label"] for note in notes.values()}) > 1:
        raise CommandError(f"Expected one label from all. Received: {notes}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
