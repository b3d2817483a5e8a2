"""Make the device's file of the float classifier, by the settings."""

from __future__ import annotations

import hashlib
import logging
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from edgeclf import image
from edgeclf.errors import ImageError
from edgeclf.training.assemble import assemble
from edgeclf.training.bias_correction import corrected_biases, with_biases
from edgeclf.training.cache import BottleneckCache
from edgeclf.training.config import RetrainConfig
from edgeclf.training.extracted import ExtractedPictures
from edgeclf.training.head import Head
from edgeclf.training.quantize import (
    cast_to_float16,
    merge_ranges,
    quantize,
    with_uint8_ends,
)
from edgeclf.training.rounding import rounded
from edgeclf.zoo.backbone import Backbone

logger = logging.getLogger("edgeclf")

CORRECTION_PICTURES = 32  # more changes the biases little: they average over pixels too
CORRECTION_VERSION = 1
ROUNDING_PICTURES = 1000


def export(
    config: RetrainConfig,
    floating: bytes,
    dataset: ExtractedPictures,
    backbone: Backbone,
    head: Head,
    cache: BottleneckCache,
    merging: str = "mean",
) -> bytes:
    """Return the classifier as `config.quantize` and `config.head` want it.

    Args:
        config: Settings.
        floating: Backbone and head, as `assemble` returns them.
        dataset: Its training pictures set scales and biases.
        backbone: What the head stands on.
        head: The last layer.
        cache: Keeps corrected biases for the next run.
        merging: As for `merge_ranges`.
    """
    if config.head != "int8" and config.quantize != "int8":
        logger.info("--head has no effect: only an int8 model has a choice.")
    if config.quantize == "none":
        return floating
    if config.quantize == "float16":
        return cast_to_float16(floating)
    sample = dataset.balanced_training_sample(config.calibration_pictures)
    ranges = merge_ranges(
        dataset.activations, dataset.lows[sample], dataset.highs[sample], merging
    )
    # All that pixels can be: then the uint8 input is the pixel itself.
    ranges[dataset.activations[0]] = (
        (0 - backbone.input_mean) / backbone.input_std,
        (255 - backbone.input_mean) / backbone.input_std,
    )
    if config.head == "int8":
        head = rounded(head, _some(dataset))
        floating = assemble(
            backbone,
            head,
            config.final_tensor_name,
            multi_label=config.is_multi_label,
        )
    logits = head.logits(dataset.bottlenecks[sample])
    quantized = quantize(floating, ranges, logits, head=config.head)
    few = dataset.balanced_training_sample(CORRECTION_PICTURES)
    settings = (
        "bias correction",
        version("ai-edge-litert"),
        version("ai-edge-quantizer"),
        CORRECTION_VERSION,
        image.PREPROCESSING_VERSION,
        config.resize,
        backbone.sha256,
        backbone.input_mean,
        backbone.input_std,
        sorted(ranges.items()),
        [dataset.digests[row].hex() for row in few.tolist()],
    )
    key = hashlib.sha256(repr(settings).encode()).digest()
    entry = cache.get(key)
    if entry is None:
        pictures = _pictures(config, dataset, backbone, few)
        if not pictures:
            return with_uint8_ends(quantized)
        biases = corrected_biases(backbone, quantized, pictures)
        if len(pictures) == len(few):
            cache.put([(key, biases.astype("<i4").tobytes())])
    else:
        biases = np.frombuffer(entry, "<i4").astype(np.int32)
    return with_uint8_ends(with_biases(quantized, biases))


def _some(dataset: ExtractedPictures) -> NDArray[np.float32]:
    """Return bottlenecks of training pictures, not more than are of use."""
    return dataset.bottlenecks[dataset.balanced_training_sample(ROUNDING_PICTURES)]


def _pictures(
    config: RetrainConfig,
    dataset: ExtractedPictures,
    backbone: Backbone,
    rows: NDArray[np.intp],
) -> list[NDArray[np.uint8]]:
    """Return the decoded pictures, each `(height, width, 3)`."""
    pictures = []
    for row in rows.tolist():
        example = dataset.examples[row]
        try:
            pictures.append(
                image.load(
                    example.read(),
                    backbone.input_size,
                    resize=config.resize,
                    name=f"{example.path}",
                )
            )
        except (ImageError, OSError) as error:  # it was there a moment ago
            logger.warning("Not used for quantization: %s", error)
    return pictures
