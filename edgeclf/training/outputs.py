"""The files of a run: checked before the work, written together after it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeclf import files
from edgeclf.data.folders import Example
from edgeclf.data.splits import format_splits, read_split_file
from edgeclf.errors import DatasetError
from edgeclf.evaluation.report_files import outdated_files
from edgeclf.training.config import RetrainConfig
from edgeclf.training.extracted import ExtractedPictures
from edgeclf.training.summaries import clear_summaries

logger = logging.getLogger("edgeclf")


def prepare_outputs(config: RetrainConfig) -> None:
    """Fail now rather than after the work if an output cannot be written.

    Raises:
        OSError: It cannot.
    """
    if config.model_path != Path(config.output_graph):
        logger.info(
            "Writing a TFLite file: %s instead of %s",
            config.model_path,
            config.output_graph,
        )
    for path in config.outputs:
        files.check_writable(path)
    for folder in (config.summaries_dir, config.intermediate_output_graphs_dir):
        if folder is not None:
            files.check_writable(Path(folder, "any"))


def check_no_picture_is_written(
    config: RetrainConfig, found: Sequence[Example]
) -> None:
    """Refuse to write over a picture.

    Raises:
        DatasetError: An output has the path of a picture.
    """
    replaced = {path.resolve() for path in config.outputs if path.exists()}
    if not replaced:
        return  # nothing to write over: spares a look at every picture's path
    for example in found:
        if example.path.resolve() in replaced:
            raise DatasetError(
                f"Expected another path to write than a picture's: {example.path}."
            )


def write_outputs(
    config: RetrainConfig,
    dataset: ExtractedPictures,
    model: bytes,
    metrics: Mapping[str, Any],
    parts: Mapping[Path, bytes],
) -> None:
    """Write all files before the first is moved into place.

    Args:
        config: Settings.
        dataset: Where labels and splits come from.
        model: The file.
        metrics: All figures.
        parts: The other files and their content.

    Raises:
        OSError: A file cannot be written.
    """
    contents = {config.model_path: model, **parts}
    pairs = zip(dataset.examples, dataset.splits.tolist(), strict=True)
    table = format_splits({example.name: split for example, split in pairs})
    if not _says(config.split_file, config.split_path, table):
        contents[config.split_path] = files.encoded(table)
    if config.output_labels is not None:
        text = "".join(f"{label}\n" for label in dataset.labels)
        contents[Path(config.output_labels)] = text.encode()
    if config.metrics_json is not None:
        text = json.dumps(metrics, ensure_ascii=False, indent=2, sort_keys=True)
        contents[Path(config.metrics_json)] = files.encoded(text + "\n")
    outdated = outdated_files(config.model_path, model, contents)
    files.write_together(contents)
    if config.summaries_dir is not None:
        clear_summaries(config.summaries_dir, contents)
    if outdated:
        logger.warning(
            "Of an earlier model, and not written anew: %s.",
            ", ".join(map(str, outdated)),
        )


def _says(given: Any, split_path: Path, table: str) -> bool:
    """Return whether the split file to write is the given one and says the same."""
    if given is None or Path(given).resolve() != split_path.resolve():
        return False
    return format_splits(read_split_file(split_path)) == table
