"""Label one picture: edgeclf, a ten-line script and MediaPipe Tasks, same int8 model.

Whole processes, from starting Python to the printed labels.

    python -m benchmarks.label_image --architecture FILE.tflite
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks import measure
from benchmarks.datasets import WORK_DIR, decor_products
from benchmarks.measure import ROOT, CommandError, Contender, Run
from benchmarks.retrain import edgeclf_command

PEERS = ROOT / "benchmarks" / "peers"
BASELINE = "ten lines"
PICTURE = Path("Khokhloma") / "01_02_2_001.jpg"


def decor_model(architecture: str | None) -> tuple[Path, Path]:
    """Return a model for the decor products and its labels file, made if missing."""
    folder = WORK_DIR / "label_image"
    model, labels = folder / "model.tflite", folder / "labels.txt"
    if not model.exists():
        measure.say(f"Retraining into {folder}")
        command = edgeclf_command(decor_products(), folder, architecture)
        measure.run_once(Contender("retrain", command))
    return model, labels


def top_label(run: Run) -> str:
    """Return the first line's label, which stands before the score."""
    return run.output.partition("\n")[0].rpartition(" ")[0]


def main() -> int:
    """Measure, print the table."""
    parser = measure.parser(__doc__, runs=21)
    parser.add_argument("--model", type=Path, help="uint8 input, with its own labels")
    parser.add_argument("--labels", type=Path, help="labels.txt of --model")
    parser.add_argument("--image", type=Path, help="else one of the decor products")
    parser.add_argument(
        "--mediapipe_python",
        default=sys.executable if find_spec("mediapipe") else None,
        help="a Python that has mediapipe; without one MediaPipe is left out",
    )
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
    if args.mediapipe_python:
        peer = [args.mediapipe_python, str(PEERS / "mediapipe_tasks.py")]
        contenders.append(Contender("MediaPipe Tasks", [*peer, model, image]))

    measured = measure.alternate(contenders, args.runs)
    notes = {name: {"top label": top_label(runs[0])} for name, runs in measured.items()}
    rows = measure.summarize(measured, BASELINE, notes)
    measure.print_rows(rows, BASELINE)
    measure.write_json(args.json, benchmark="label_image", rows=rows, runs=measured)
    if len({note["top label"] for note in notes.values()}) > 1:
        raise CommandError(f"Expected one label from all. Received: {notes}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
