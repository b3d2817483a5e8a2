"""Bottlenecks for TensorBoard's embedding projector, with labels and small pictures.

Source of the file names' meaning: projector_config.proto of TensorBoard. Vectors and
metadata are tables with a tab between columns; all pictures lie in one, the sprite, row
by row.
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf import files, image
from edgeclf.console import sentence
from edgeclf.data.folders import Example
from edgeclf.errors import ImageError
from edgeclf.interpreter import num_processors
from edgeclf.training.extracted import ExtractedPictures

logger = logging.getLogger("edgeclf")

PROJECTOR = "bottlenecks"  # the run that TensorBoard shows them in
MAX_PICTURES = 1000
SPRITE_SIDE = 48  # of a picture, pixels: 32 of them fit a texture of any browser
_GRAY = 128  # of a picture that cannot be read any more

_CONFIG = """embeddings {{
  tensor_name: "bottlenecks"
  tensor_path: "tensors.tsv"
  metadata_path: "metadata.tsv"
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""


def projector_files(folder: Path, dataset: ExtractedPictures) -> dict[Path, bytes]:
    """Return files with the bottlenecks of up to `MAX_PICTURES` pictures.

    Of more, as many are left out between any two that stay.

    Args:
        folder: Of one run in TensorBoard's `--logdir`, where they go.
        dataset: The pictures.
    """
    count = len(dataset.examples)
    rows = np.unique(np.linspace(0, count - 1, min(count, MAX_PICTURES)).round())
    chosen = rows.astype(np.intp).tolist()
    lines = ["label\tsplit\tfile"]
    for row in chosen:
        example = dataset.examples[row]
        cells = (dataset.said_of(row), str(dataset.splits[row]), example.name)
        lines.append("\t".join(" ".join(cell.split()) for cell in cells))
    vectors = io.StringIO()
    np.savetxt(vectors, dataset.bottlenecks[chosen], fmt="%.4g", delimiter="\t")
    picture = io.BytesIO()
    sprite([dataset.examples[row] for row in chosen]).save(picture, "PNG")
    config = _CONFIG.format(side=SPRITE_SIDE)
    return {
        folder / "tensors.tsv": vectors.getvalue().encode(),
        folder / "metadata.tsv": files.encoded("\n".join(lines) + "\n"),
        folder / "sprite.png": picture.getvalue(),
        folder / "projector_config.pbtxt": config.encode(),
    }


def sprite(examples: Sequence[Example]) -> Image.Image:
    """Return small pictures side by side, as many rows as columns."""
    columns = math.ceil(math.sqrt(len(examples)))
    sheet = np.zeros((columns, columns, SPRITE_SIDE, SPRITE_SIDE, 3), np.uint8)
    with ThreadPoolExecutor(num_processors()) as executor:
        for number, pixels in enumerate(executor.map(_small, examples)):
            sheet[divmod(number, columns)] = pixels
    side = columns * SPRITE_SIDE
    return Image.fromarray(sheet.swapaxes(1, 2).reshape(side, side, 3))


def _small(example: Example) -> NDArray[np.uint8]:
    try:
        return image.load(example.read(), (SPRITE_SIDE, SPRITE_SIDE))
    except (ImageError, OSError) as error:  # it was there a moment ago
        logger.warning("Gray in the projector: %s", sentence(error))
        return np.full((SPRITE_SIDE, SPRITE_SIDE, 3), _GRAY, np.uint8)
