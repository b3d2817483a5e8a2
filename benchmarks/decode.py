"""Where the time of a picture goes, and whether scaled decoding changes the answer.

One process: edgeclf, the same steps written by hand and MediaPipe Tasks take turns.

    python -m benchmarks.decode --model FILE.tflite
    python -m benchmarks.decode --model FILE.tflite OTHER.tflite --agreement
"""

from __future__ import annotations

import io
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import measure
from benchmarks.classify import draw
from benchmarks.datasets import SHARED_DIR, WORK_DIR
from benchmarks.label_image import decor_model
from benchmarks.measure import CommandError, Spread, digits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PICTURE = SHARED_DIR / "data" / "flowers" / "tulips" / "137126311_debe64c6a8_n.jpg"
# (width, height)
SIZES = ((320, 240), (1152, 864), (4000, 3000), (8160, 6120))
FORMATS = ("jpg", "png")
LARGE_PIXELS = 12_000_000
AGREEMENT = 0.995
SLOW_MS = 200
NEAR_TIE = 0.02  # the best two scores of a picture that may go either way

Step = Callable[[], Any]


def pictures(source: Path) -> list[Path]:
    """Return `source` in all `SIZES` and `FORMATS`, drawn where missing."""
    paths = []
    for size in SIZES:
        for ending in FORMATS:
            path = WORK_DIR / "decode" / f"{size[0]}x{size[1]}.{ending}"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                draw(source, size, path)
            paths.append(path)
    return paths


def lean(model: Path) -> Callable[[Path], NDArray[np.uint8]]:
    """Return the label's sequence written by hand: draft, resize, one inference."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model), num_threads=1)
    interpreter.allocate_tensors()
    (model_input,) = interpreter.get_input_details()
    (output,) = interpreter.get_output_details()
    height, width = (int(side) for side in model_input["shape"][1:3])
    if model_input["dtype"] is not np.uint8:
        raise CommandError(f"Expected a model of uint8 input. Received: {model}")

    def label(path: Path) -> NDArray[np.uint8]:
        pixels = _by_hand(path, (height, width))
        interpreter.set_tensor(model_input["index"], pixels[np.newaxis])
        interpreter.invoke()
        scores: NDArray[np.uint8] = interpreter.get_tensor(output["index"])
        return scores

    return label


def mediapipe(model: Path) -> Callable[[Path], Any]:
    """Return what labels a file with MediaPipe Tasks."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(BaseOptions(str(model)), max_results=5)
    classifier = vision.ImageClassifier.create_from_options(options)
    return lambda path: classifier.classify(mp.Image.create_from_file(str(path)))


def compare(model: Path, paths: Sequence[Path], runs: int) -> list[dict[str, Any]]:
    """Time all contenders in turn, and edgeclf's steps; return a row a picture."""
    from edgeclf import Classifier, image

    # One thread for all, so that a busy neighbour disturbs them alike.
    classifier = Classifier(model, num_threads=1)
    size = classifier.input_size
    labels: dict[str, Callable[[Path], Any]] = {
        "lean": lean(model),
        "edgeclf": classifier.classify,
    }
    if find_spec("mediapipe"):
        labels["MediaPipe"] = mediapipe(model)
    rows = []
    for path in paths:
        decoded = image.decode(path, size)
        pixels = image.stretch(decoded, size)
        steps = {name: _with(label, path) for name, label in labels.items()}
        steps["decode"] = lambda path=path: image.decode(path, size)
        steps["resize"] = lambda decoded=decoded: image.stretch(decoded, size)
        steps["model"] = lambda pixels=pixels: classifier.classify(pixels)
        steps["by hand"] = lambda path=path: _by_hand(path, size)
        ms = in_turn(steps, runs)
        ours = [d + r for d, r in zip(ms["decode"], ms["resize"], strict=True)]
        extra = [a - b for a, b in zip(ours, ms.pop("by hand"), strict=True)]
        row: dict[str, Any] = {f"{name} ms": Spread.of(ms[name]) for name in ms}
        row["÷ lean"] = Spread.of(measure.ratios(ms["edgeclf"], ms["lean"]))
        row["ours, us"] = Spread.of([1000 * value for value in extra])
        if "MediaPipe" in ms:
            faster = measure.ratios(ms["MediaPipe"], ms["edgeclf"])
            row["MediaPipe ÷ edgeclf"] = Spread.of(faster)
        rows.append({"picture": path.name, **row})
        measure.say(f"{path.name} done")
    return rows


def in_turn(steps: dict[str, Step], runs: int) -> dict[str, list[float]]:
    """Return each step's times in ms; a quick one is called three times a turn."""
    ms: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(-1, runs):
        for name, step in steps.items():
            times = []
            # The median of three finds the caches filled with its own data.
            while not times or (len(times) < 3 and max(times) < SLOW_MS):
                started = time.perf_counter()
                step()
                times.append(1000 * (time.perf_counter() - started))
            if number >= 0:
                ms[name].append(median(times))
    return ms


def _with(label: Callable[[Path], Any], path: Path) -> Step:
    return lambda: label(path)


def _by_hand(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Do what `image.load` does for an upright RGB picture, and nothing else."""
    import numpy as np
    from PIL import Image

    height, width = size
    with Image.open(path) as image:
        image.draft("RGB", (2 * width, 2 * height))
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def shared(name: str) -> list[Path]:
    """Return all pictures of a shared data set."""
    files = sorted((SHARED_DIR / "data" / name).rglob("*"))
    return [path for path in files if path.suffix in (".jpg", ".jpeg", ".png")]


def enlarged(path: Path) -> bytes:
    """Return a picture as a JPEG of 12 megapixels."""
    from PIL import Image

    with Image.open(path) as image:
        factor = math.sqrt(LARGE_PIXELS / (image.width * image.height))
        size = round(image.width * factor), round(image.height * factor)
        large = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    large.save(file, "JPEG", quality=90)
    return file.getvalue()


@dataclass(frozen=True)
class Answer:
    """What a model says to one picture decoded in full, scaled, and with noise.

    Attributes:
        margin: How far the best score is above the next, decoded in full.
        scaled: How far the same label is above the others when the JPEG is scaled
            while it is decoded; negative where another one is the best.
        noisy: The same for the full picture with as much random noise as scaling
            makes a difference: what the model itself does with such a difference.
        difference: Mean difference of the pixels, in levels.
    """

    model: Path
    path: Path
    margin: float
    scaled: float
    noisy: float
    difference: float


def answers(models: Sequence[Path], paths: Sequence[Path]) -> Iterator[Answer]:
    """Yield what each model says to each picture, enlarged to 12 megapixels."""
    import numpy as np
    from PIL import Image

    from edgeclf import Classifier, image

    classifiers = {model: Classifier(model, num_threads=1) for model in models}
    wanted = {(c.input_size, c.resize) for c in classifiers.values()}
    random = np.random.default_rng(0)
    for number, path in enumerate(paths, 1):
        content = enlarged(path)
        variants = {}
        with Image.open(io.BytesIO(content)) as whole:
            whole.load()  # what is decoded already is not scaled
            for size, resize in wanted:
                full = image.load(whole, size, resize=resize)
                scaled = image.load(content, size, resize=resize)
                difference = float(np.abs(scaled.astype(int) - full).mean())
                signs = np.where(random.random(full.shape) < 0.5, -1, 1)
                noise = signs * (random.random(full.shape) < difference)
                noisy = np.clip(full + noise, 0, 255).astype(np.uint8)
                variants[size, resize] = (full, scaled, noisy), difference
        for model, classifier in classifiers.items():
            pictures, difference = variants[classifier.input_size, classifier.resize]
            scores = [classifier.scores(pixels) for pixels in pictures]
            best = int(scores[0].argmax())
            margins = (margin(row, best) for row in scores)
            yield Answer(model, path, *margins, difference)
        if number % 50 == 0:
            measure.say(f"{number}/{len(paths)} pictures")


def margin(scores: NDArray[np.float32], index: int) -> float:
    """Return how far a score is above the best of the others."""
    others = scores.copy()
    others[index] = -1
    return float(scores[index] - others.max())


def agreement(models: Sequence[Path], data: Mapping[str, Sequence[Path]]) -> int:
    """Print how often each model names the same label; 1 if too seldom."""
    status = 0
    titles = ("same label", "with noise instead", f"ties within {NEAR_TIE}", "levels")
    measure.print_line("model, pictures", *titles)
    measure.print_line(*["---"] * (1 + len(titles)))
    for name, paths in data.items():
        found = list(answers(models, paths))
        for model in models:
            mine = [answer for answer in found if answer.model == model]
            share = sum(answer.scaled >= 0 for answer in mine) / len(mine)
            noisy = sum(answer.noisy >= 0 for answer in mine) / len(mine)
            ties = sum(answer.margin < NEAR_TIE for answer in mine)
            difference = sum(answer.difference for answer in mine) / len(mine)
            measure.print_line(
                f"{model.name}, {len(mine)} {name}",
                f"{100 * share:.2f} %",
                f"{100 * noisy:.2f} %",
                ties,
                digits(difference),
            )
            status |= share < AGREEMENT
            for answer in mine:
                if answer.scaled < 0:
                    measure.say(
                        f"{model.name} {answer.path.name}: the best two scores differ "
                        f"by {answer.margin:.4f} in full, {answer.scaled:.4f} scaled"
                    )
    return status


def main() -> int:
    """Measure, print the table."""
    parser = measure.parser(__doc__, runs=15)
    parser.add_argument("--model", type=Path, nargs="+", help="else one is made")
    parser.add_argument("--agreement", action="store_true")
    parser.add_argument("--every", type=measure.positive, default=1, metavar="N")
    args = parser.parse_args()
    args.model = args.model or [decor_model(args.architecture)[0]]
    if args.agreement:
        data = {name: shared(name)[:: args.every] for name in ("flowers", "decor")}
        return agreement(args.model, data)
    rows = compare(args.model[0], pictures(PICTURE), args.runs)
    measure.print_line(*rows[0])
    measure.print_line(*["---"] * len(rows[0]))
    for row in rows:
        measure.print_line(*row.values())
    measure.write_json(args.json, benchmark="decode", rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
