"""What label_image does with a labelled picture besides writing its labels."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack

from edgeclf.class_activation_map import ClassActivationMapper
from edgeclf.classifier import Classifier
from edgeclf.console import errors_only
from edgeclf.decoder import ImageSource
from edgeclf.drawing import overlay, show
from edgeclf.labelling.arguments import model_arguments
from edgeclf.labelling.illustrations import Illustrations
from edgeclf.labelling.sorting import PictureFolder, Sorter
from edgeclf.results import Category

Keep = Callable[[str, ImageSource, "list[Category]"], None]
"""Takes the picture's name, the picture, and its categories, the best first."""


def keepers(
    options: argparse.Namespace,
    stack: ExitStack,
    classifier: Classifier,
    total: int | None,
) -> list[Keep]:
    """Return what `--sort_into`, `--show` and `--heatmap` do with each picture.

    Args:
        options: Of label_image.
        stack: Closes what is opened.
        classifier: What labels the pictures.
        total: How many pictures there will be; None when that is not known.

    Raises:
        ValueError: A place to write to does not fit the pictures.
        ModelError: The model has no head that a heat map could be made of.
        OSError: A place cannot be written to.
    """
    found: list[Keep] = []
    view = {"region": options.region, "rotation": options.rotation}
    if options.sort_into is not None:
        folder = PictureFolder(options.sort_into, "--sort_into")
        folder.check(options.image or ())
        found.append(Sorter(folder, classifier.labels, classifier.multi_label).add)
    if options.show is not None:
        shown = Illustrations(options.show, "--show", options.image, total)

        def keep_shown(
            name: str, source: ImageSource, categories: list[Category]
        ) -> None:
            shown.add(name, source, show(source, categories, **view))

        found.append(keep_shown)
    if options.heatmap is not None:
        maps = Illustrations(options.heatmap, "--heatmap", options.image, total)
        with errors_only():
            mapper = stack.enter_context(
                ClassActivationMapper(
                    options.model, labels=options.labels, **model_arguments(options)
                )
            )

        def keep_map(
            name: str, source: ImageSource, categories: list[Category]
        ) -> None:
            best = categories[0] if categories else None
            evidence = mapper.map(source, None if best is None else best.index, **view)
            maps.add(name, source, overlay(source, evidence, best, **view))

        found.append(keep_map)
    return found
