"""The pictures that a report shows: what was wrong, what was doubtful, and why."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf import image
from edgeclf.class_activation_map import ClassActivationMapper
from edgeclf.console import sentence
from edgeclf.data.folders import Example
from edgeclf.errors import ImageError, ModelError
from edgeclf.evaluation.metrics import Evaluation
from edgeclf.interpreter import num_processors
from edgeclf.report.layout import LONG
from edgeclf.report.pictures import Thumbnails

logger = logging.getLogger("edgeclf")

NUM_WORST = 8
NUM_DOUBTFUL = 8
NUM_MISLABELLED = 2 * LONG  # as many as the page shows without being asked
SIDE = 256  # longest side of a thumbnail in pixels
QUALITY = 80  # of its JPEG: some 10 kB


def remarkable(
    evaluation: Evaluation, labels: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the worst and the most doubtful pictures, for JSON.

    Args:
        evaluation: Scores of the pictures.
        labels: Names of the classes.

    Returns:
        `worst`: wrong, those with the highest score first. `doubtful`: of the others,
        those whose two best scores are closest. Each with `file`, `label`, `predicted`,
        `score` of that, and `label_score`, the true class's.
    """
    scores, predicted = evaluation.scores, evaluation.predicted
    best = scores.max(axis=1)
    wrong = np.flatnonzero(predicted != evaluation.classes)
    worst = wrong[np.argsort(-best[wrong], kind="stable")][:NUM_WORST]
    two_best = np.sort(scores, axis=1)[:, -2:]
    order = np.argsort(two_best[:, -1] - two_best[:, 0], kind="stable")
    doubtful = order[~np.isin(order, worst)][:NUM_DOUBTFUL]

    def entry(row: int) -> dict[str, Any]:
        return {
            "file": evaluation.names[row],
            "label": labels[evaluation.classes[row]],
            "predicted": labels[predicted[row]],
            "score": float(best[row]),
            "label_score": float(scores[row, evaluation.classes[row]]),
        }

    return {
        "worst": [entry(row) for row in worst.tolist()],
        "doubtful": [entry(row) for row in doubtful.tolist()],
    }


def illustrate(
    report: Mapping[str, Any],
    examples: Sequence[Example],
    model: bytes,
    labels: Sequence[str],
    settings: Mapping[str, Any],
    *,
    heat_maps: bool = True,
    num_workers: int | None = None,
) -> dict[str, Thumbnails]:
    """Draw small copies of the pictures that a report names.

    Those that the model was measured on get a heat map too, if the model is one that
    can be mapped. A picture that cannot be drawn is missing in the result. The log says
    what is missing.

    Args:
        report: Its values.
        examples: All pictures.
        model: The model file.
        labels: Names of its classes.
        settings: Arguments of `Classifier` besides these two.
        heat_maps: Whether to map anything.
        num_workers: Threads; None for one per processor.
    """
    pictures = report.get("pictures") or {}
    # Of a tag that is missing or too much the evidence is for that one.
    predicted = {
        entry["file"]: labels.index(entry.get("tag") or entry["predicted"])
        for group in ("worst", "doubtful", "missed", "wrong")
        for entry in pictures.get(group, ())
    }
    suspects = [*(report.get("mislabelled") or ())[:NUM_MISLABELLED]]
    for group in (report.get("suspects") or {}).values():
        suspects += group
    names = dict.fromkeys([*predicted, *(entry["file"] for entry in suspects)])
    mapper = _mapper(model, labels, settings) if predicted and heat_maps else None
    by_name = {example.name: example for example in examples}

    def draw(name: str) -> Thumbnails | None:
        label = predicted.get(name)
        try:
            return _draw(by_name[name], label, None if label is None else mapper)
        except (ImageError, ModelError, OSError) as error:
            logger.warning("Not shown in the report: %s", sentence(error))
            return None

    with ThreadPoolExecutor(num_workers or num_processors()) as executor:
        drawn = dict(zip(names, executor.map(draw, names), strict=True))
    if mapper is not None:
        mapper.close()
    return {name: found for name, found in drawn.items() if found is not None}


def _mapper(
    model: bytes, labels: Sequence[str], settings: Mapping[str, Any]
) -> ClassActivationMapper | None:
    try:
        return ClassActivationMapper(model, list(labels), **settings)
    except ModelError as error:
        logger.info("The report has no heat maps. %s", error)
        return None


def _draw(
    example: Example, label: int | None, mapper: ClassActivationMapper | None
) -> Thumbnails:
    sides = (SIDE, SIDE)
    if mapper is not None and mapper.input_size is not None:
        # Decoded once, large enough for both.
        sides = (max(SIDE, mapper.input_size[0]), max(SIDE, mapper.input_size[1]))
    decoded = image.decode(example.read(), sides, name=f"{example.path}")
    small = Image.fromarray(
        image.stretch(decoded, image.own_size(decoded.box, at_most=SIDE))
    )
    if mapper is None:
        return Thumbnails(_jpeg(small), None)
    from edgeclf.drawing import heated  # fonts and more, of no use before

    pixels: NDArray[np.uint8] | Image.Image = decoded.image
    if mapper.input_size is not None:
        pixels = image.stretch(decoded, mapper.input_size)
    evidence = mapper.map(pixels, label)
    return Thumbnails(_jpeg(small), _jpeg(heated(small, evidence)))


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
