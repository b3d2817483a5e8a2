"""The command `edgeclf augment`."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from edgeclf.augmenting.augment import AugmentConfig, Augmented, augment
from edgeclf.augmenting.copies import Changes
from edgeclf.console import Parser, number_of, run

logger = logging.getLogger("edgeclf")

GO_ON = "The copies so far are whole: the same command writes only those that miss."


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edgeclf augment` and return its exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        changes = Changes(
            rotate=options.rotate,
            brightness=options.brightness,
            contrast=options.contrast,
            saturation=options.saturation,
            crop=options.crop,
            blur=options.blur,
            flip=options.flip,
        )
        config = AugmentConfig(
            folder=options.folder,
            output=options.output,
            copies=options.copies,
            changes=changes,
            max_side=options.max_side,
            seed=options.seed,
            split_file=options.split_file,
            num_workers=options.num_workers,
        )
    except ValueError as error:
        parser.error(str(error))
    return run(lambda: _command(config, as_json=options.json), go_on=GO_ON)


def _command(config: AugmentConfig, *, as_json: bool) -> int:
    augmented = augment(config)
    sys.stdout.write(_as_json(augmented) if as_json else _as_text(config, augmented))
    logger.info(
        "Wrote %s; %d were there already.",
        number_of(augmented.num_written, "copy", "copies"),
        augmented.num_kept,
    )
    if augmented.num_removed:
        logger.info(
            "Removed %s of an earlier run with more.",
            number_of(augmented.num_removed, "copy", "copies"),
        )
    return int(bool(augmented.unreadable))  # the others have their copies


def _as_json(augmented: Augmented) -> str:
    return json.dumps(asdict(augmented), sort_keys=True, ensure_ascii=False) + "\n"


def _as_text(config: AugmentConfig, augmented: Augmented) -> str:
    lines = [f"{folder}: {count}" for folder, count in augmented.counts.items()]
    total = sum(augmented.counts.values())
    lines.append(
        f"{config.output}: {number_of(total, 'copy', 'copies')} of "
        f"{number_of(augmented.num_pictures, 'picture')}"
    )
    return "".join(f"{line}\n" for line in lines)


def _parser() -> Parser:
    parser = Parser(
        prog="edgeclf augment",
        description="Write changed copies of the pictures of class folders. retrain "
        "does not need them: it draws its own views.",
        epilog="example: edgeclf augment photos --output more_photos --copies 4 "
        "--rotate 20 --crop 10",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="class folders")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="gets the copies, in folders of the same names; DIR itself is fine",
    )
    parser.add_argument(
        "--copies",
        type=int,
        default=AugmentConfig.copies,
        metavar="N",
        help="of each picture (%(default)s)",
    )
    add = parser.add_argument_group("how far a copy differs; 0 turns it off")
    for name, unit in (
        ("rotate", "degrees to either side"),
        ("brightness", "percent darker or lighter"),
        ("contrast", "percent"),
        ("saturation", "percent"),
        ("crop", "percent of each side that are cut off"),
        ("blur", "pixels, standard deviation"),
    ):
        add.add_argument(
            f"--{name}",
            type=float,
            default=getattr(Changes, name),
            metavar="X",
            help=f"up to X {unit} (%(default)s)",
        )
    flip = add.add_mutually_exclusive_group()
    flip.add_argument(
        "--flip",
        action="store_true",
        default=Changes.flip,
        help="mirror half of the copies (this is so anyway)",
    )
    flip.add_argument(
        "--no_flip", action="store_false", dest="flip", help="mirror none"
    )
    parser.add_argument(
        "--max_side",
        type=int,
        default=AugmentConfig.max_side,
        metavar="N",
        help="scale larger pictures down to N pixels on the longer side (%(default)s)",
    )
    parser.add_argument(
        "--split_file",
        type=Path,
        metavar="FILE",
        help="copy only the training pictures of this split of retrain",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=AugmentConfig.seed,
        help="another seed, other copies (%(default)s)",
    )
    parser.add_argument("--num_workers", type=int, help="threads (one per processor)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
