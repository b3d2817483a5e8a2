"""Label pictures with a model kept loaded: edgeclf beside six peers, JPEG to labels.

The same `.tflite` file for all (ONNX Runtime: converted from it), quantized and float;
a 12-megapixel and a 320 x 240 JPEG, and the model alone.

    python -m benchmarks.classify --architecture FILE.tflite
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.datasets import WORK_DIR, decor_products
from benchmarks.label_image import (
    PEERS,
    PICTURE,
    add_peers_python,
    decor_model,
    missing,
)
from benchmarks.loaded import INVOKE, Turns, take_turns
from benchmarks.measure import CommandError, Contender, Spread
from edgeclf.benchmark.drawn import GRAIN

BASELINE = "lean script"  # what has to be done, and nothing else
EXACT = "ten lines, kept loaded"
SIZES = {  # by name: (width, height) and grain
    "12 MP, smooth": ((4000, 3000), 0),
    "12 MP": ((4000, 3000), GRAIN),
    "320 x 240": ((320, 240), GRAIN),
}


@dataclass(frozen=True)
class Peer:
    """A way to label pictures.

    Attributes:
        name: How the table calls it.
        script: Its file in `peers`, and arguments behind the model.
        package: What it imports; it is left out where that is not installed.
        models: Which of `int8` and `none` it reads.
    """

    name: str
    script: tuple[str, ...]
    package: str
    models: tuple[str, ...] = ("int8", "none")


OURS = [
    Peer(BASELINE, ("litert_loaded.py", "draft"), "ai_edge_litert"),
    Peer("edgeclf", ("edgeclf_loaded.py",), "edgeclf"),
    Peer(EXACT, ("litert_loaded.py",), "ai_edge_litert"),
    Peer("LiteRT CompiledModel", ("litert_compiled.py",), "ai_edge_litert"),
]
OTHERS = [
    Peer("MediaPipe Tasks", ("mediapipe_loaded.py",), "mediapipe"),
    Peer("OpenVINO, OpenCV", ("openvino_loaded.py",), "openvino"),
    Peer("ONNX Runtime", ("onnxruntime_loaded.py",), "onnxruntime", ("none",)),
]


def pictures(source: Path) -> dict[str, Path]:
    """Return `source` as a JPEG of each of `SIZES`, made if missing."""
    paths = {name: WORK_DIR / f"{source.stem}, {name}.jpg" for name in SIZES}
    for name, path in paths.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            size, grain = SIZES[name]
            draw(source, size, path, grain=grain)
    return paths


def draw(
    source: Path, size: tuple[int, int], path: Path, *, grain: int = GRAIN
) -> None:
    """Save a picture enlarged to `size` = (width, height), with noise of its own.

    Raises:
        CommandError: It is no picture, or cannot be saved.
    """
    command = [sys.executable, "-m", "benchmarks.enlarge"]
    command += [str(source.resolve()), str(path.resolve()), *map(str, (*size, grain))]
    measure.run_once(Contender("enlarge", command))


def to_onnx(python: str, model: Path) -> Path:
    """Return the float model as ONNX, converted by tflite2onnx if missing.

    It does not read weights that are quantized for each channel on its own, as ours
    are: there is no int8 figure.
    """
    path = model.with_suffix(".onnx")
    if not path.exists():
        program = "import sys, tflite2onnx; tflite2onnx.convert(*sys.argv[1:])"
        command = [python, "-c", program, str(model), str(path)]
        measure.run_once(Contender("tflite2onnx", command))
    return path


def contenders(model: Path, kind: str, python: str) -> list[Contender]:
    """Return the command of every peer that is installed and reads this kind.

    Args:
        model: The `.tflite` file.
        kind: `int8`, or `none` for float32.
        python: The interpreter of those that are not ours.
    """
    chosen = []
    for peers, interpreter in ((OURS, sys.executable), (OTHERS, python)):
        absent = missing(interpreter, [peer.package for peer in peers])
        for peer in peers:
            if peer.package in absent:
                measure.say(f"{peer.name} is left out: no {peer.package}.")
            elif kind in peer.models:
                script, *arguments = peer.script
                is_onnx = peer.package == "onnxruntime"
                file = to_onnx(python, model) if is_onnx else model
                command = [interpreter, str(PEERS / script), str(file), *arguments]
                chosen.append(Contender(peer.name, command))
    return chosen


def print_table(turns: Mapping[str, Turns], labels: Sequence[str]) -> None:
    """Print times by request, what it takes to be there, and how far scores differ."""
    base = turns[BASELINE].ms
    titles = [cell for task in base for cell in (f"{task}, ms", f"÷ {BASELINE}")]
    titles += ["ready s", "peak MB", "top label", f"score - {EXACT}, at most"]
    measure.print_line("", *titles)
    measure.print_line(*["---"] * (1 + len(titles)))
    for name, peer in turns.items():
        cells: list[object] = []
        for task, ms in peer.ms.items():
            ratio = median(measure.ratios(ms, base[task]))
            cells += [Spread.of(ms), f"{ratio:.2f}"]
        cells += [f"{peer.ready_s:.2f}", f"{peer.peak_mb:.0f}"]
        best = {labels[_top(scores)] for scores in peer.scores.values()}
        cells += [", ".join(sorted(best)), f"{_difference(peer, turns[EXACT]):.3f}"]
        measure.print_line(name, *cells)


def check_labels(turns: Mapping[str, Turns]) -> None:
    """Refuse figures of peers that did not give the same answer.

    Raises:
        CommandError: The best label of a picture is not the same for all.
    """
    for task in turns[EXACT].scores:
        tops = {name: _top(peer.scores[task]) for name, peer in turns.items()}
        if len(set(tops.values())) > 1:
            raise CommandError(f"{task}: expected one label from all. Received: {tops}")


def _top(scores: Sequence[float]) -> int:
    return max(range(len(scores)), key=scores.__getitem__)


def _difference(peer: Turns, exact: Turns) -> float:
    """Return the largest difference of any score of any picture."""
    return max(
        abs(score - right)
        for task, scores in exact.scores.items()
        for score, right in zip(peer.scores[task], scores, strict=True)
    )


def main() -> int:
    """Measure, print a table for each kind of model."""
    parser = measure.parser(__doc__, runs=15)
    parser.add_argument("--image", type=Path, help="else one of the decor products")
    add_peers_python(parser)
    args = parser.parse_args()

    paths = pictures(args.image or decor_products() / PICTURE)
    tasks = {name: f"label {path}" for name, path in paths.items()}
    tasks["model alone"] = INVOKE
    for name, path in paths.items():
        measure.say(f"{name}: {path.stat().st_size / 1e6:.2f} MB")
    results = {}
    for kind, title in (("int8", "int8"), ("none", "float32")):
        model, labels = decor_model(args.architecture, quantize=kind)
        chosen = contenders(model, kind, args.peers_python)
        measure.say(f"{title}: {len(chosen)} peers, {args.runs} rounds")
        turns = take_turns(chosen, tasks, args.runs)
        print(f"\n{title}\n")
        print_table(turns, labels.read_text("utf-8").splitlines())
        results[title] = turns
        check_labels(turns)
    measure.write_json(args.json, benchmark="classify", turns=results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
