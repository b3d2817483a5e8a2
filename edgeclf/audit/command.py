"""`edgeclf audit`: what is wrong with a folder of pictures, before training on it.

```
edgeclf audit photos
edgeclf audit photos --quarantine bad
edgeclf audit photos --undo bad
```
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from edgeclf import console
from edgeclf.audit.audit import NEED_A_MODEL, OF_CLASSES, Audit, AuditConfig, audit
from edgeclf.audit.quarantine import Outcome, check_folder, quarantine, undo
from edgeclf.audit.text import EXAMPLES, text
from edgeclf.data.findings import ERROR, KINDS
from edgeclf.data.splits import read_split_file
from edgeclf.image import RESIZE_METHODS
from edgeclf.labelling.arguments import positive
from edgeclf.labelling.output import write_json_line

logger = logging.getLogger("edgeclf")

ERRORS = tuple(kind for kind in KINDS if KINDS[kind].severity == ERROR)
NONE, ANY = "none", "any"
MANY_CONFLICTS = 1 / 3  # of the pictures: then the folders are hardly classes
OF_FOLDERS = frozenset(
    {
        "too_few_classes",
        "class_name",
        "similar_names",
        "empty_class",
        "few",
        "imbalance",
    }
)
QUARANTINED = ("unreadable", "conflicting", "duplicate")  # unless others are named


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when there is nothing that `--fail_on` names, 1 when there is, or when
        something failed. (2, as `SystemExit`, for wrong usage.)
    """
    parser = _parser()
    options = parser.parse_args(argv)
    if {NONE, ANY} & set(options.fail_on) and len(options.fail_on) > 1:
        parser.error(f"Expected kinds, or {NONE}, or {ANY}, after --fail_on.")
    if options.quarantine_kinds and not options.quarantine:
        parser.error("Expected --quarantine DIR beside --quarantine_kinds.")
    named = {*options.fail_on, *(options.quarantine_kinds or ())}
    of_classes = (named & set(OF_CLASSES)) - set(ERRORS)  # those are the default's
    if options.tags and of_classes:
        parser.error(
            f"Expected no --tags with {', '.join(sorted(of_classes))}, which are of "
            "classes."
        )
    seen_by_model = named & set(NEED_A_MODEL)
    if options.no_model and (seen_by_model or options.architecture is not None):
        parser.error(
            "Expected no --no_model. Received: it with "
            + (", ".join(sorted(seen_by_model)) or "--architecture")
            + ", which needs a model."
        )
    try:
        config = AuditConfig(
            image_dir=options.image_dir,
            tags=options.tags,
            use_model=not options.no_model,
            needs_model=bool(seen_by_model),
            architecture=options.architecture,
            input_mean=options.input_mean,
            input_std=options.input_std,
            bottleneck_dir=options.bottleneck_dir,
            model_dir=options.model_dir,
            resize=options.resize,
            views=options.views,
            seed=options.seed,
            num_workers=options.num_workers,
        )
    except ValueError as error:
        parser.error(str(error))
    if options.undo:
        return console.run(
            lambda: _undo(options),
            "What is back is whole. The same command goes on with the rest.",
        )
    return console.run(lambda: _audit(options, config), _go_on(options))


def _go_on(options: argparse.Namespace) -> str:
    """Return what is said after Ctrl-C."""
    if not options.quarantine:
        return "Nothing was changed. The same command begins anew."
    return (
        f"What was moved is recorded in {options.quarantine}. The same command goes "
        "on; --undo brings all back."
    )


def _audit(options: argparse.Namespace, config: AuditConfig) -> int:
    if options.quarantine:
        check_folder(options.image_dir, options.quarantine)
    splits = read_split_file(options.split_file) if options.split_file else {}
    found = audit(config, splits)
    kinds = options.quarantine_kinds or QUARANTINED
    chosen = [each for each in found.findings if each.kind in kinds]
    outcome = Outcome([], [])
    if options.quarantine:
        outcome = quarantine(options.image_dir, options.quarantine, chosen)
    failing = [
        each
        for each in found.findings
        if _fails(each.kind, options.fail_on)
        and not (options.quarantine and _is_gone(options.image_dir / each.file))
    ]
    _print(options, found, outcome)
    return 1 if failing or outcome.failed else 0


def _fails(kind: str, fail_on: Sequence[str]) -> bool:
    return fail_on == [ANY] or kind in fail_on


def _is_gone(path: Path) -> bool:
    return not os.path.lexists(path)


def _print(options: argparse.Namespace, found: Audit, outcome: Outcome) -> None:
    folder = str(options.image_dir)
    if options.json:
        entry = {"image_dir": folder, **found.describe()}
        if options.quarantine:
            entry["quarantined"] = sorted(outcome.moved)
        write_json_line(entry)
    else:
        print(text(found, folder, options.examples))
    if found.without_model:
        logger.info(
            "Not looked for: near-duplicates and wrong classes (%s).",
            found.without_model.rstrip("."),
        )
    elif found.tags:
        logger.info("Not looked for: wrong tags. The report of retrain names some.")
    if found.conflicts > MANY_CONFLICTS:
        logger.warning(
            "More than a third of the pictures lie in several classes: folders of tags "
            "need --tags."
        )
    if options.quarantine:
        moved = console.number_of(len(outcome.moved), "file")
        logger.info("Moved to %s: %s.", options.quarantine, moved)
    if outcome.moved:
        back = [folder, "--undo", str(options.quarantine)]
        logger.info("Back: edgeclf audit %s", shlex.join(back))


def _undo(options: argparse.Namespace) -> int:
    outcome = undo(options.image_dir, options.undo)
    if options.json:
        entry = {"restored": sorted(outcome.moved), "failed": sorted(outcome.failed)}
        write_json_line({"image_dir": str(options.image_dir), **entry})
    else:
        count = console.number_of(len(outcome.moved), "file")
        print(f"{options.image_dir}: {count} put back from {options.undo}")
    return 1 if outcome.failed else 0


def _parser() -> console.Parser:
    parser = console.Parser(
        prog="edgeclf audit",
        description="Say what is wrong with a folder of class folders: pictures that "
        "cannot be read, copies, odd files, probably wrong classes.",
        epilog="kinds: "
        + "; ".join(f"{kind} ({KINDS[kind].severity})" for kind in KINDS),
    )
    parser.add_argument("image_dir", type=Path, help="folder of class folders")
    parser.add_argument(
        "--tags",
        action="store_true",
        help="the folders are tags: a picture may lie in several",
    )
    parser.add_argument(
        "--json", action="store_true", help="one line of JSON on stdout"
    )
    parser.add_argument(
        "--examples",
        type=positive,
        default=EXAMPLES,
        metavar="N",
        help="findings of each kind that the text lists (%(default)s)",
    )
    parser.add_argument(
        "--split_file",
        metavar="FILE",
        help="CSV (file,split): say which pictures of several splits are alike",
    )
    parser.add_argument(
        "--fail_on",
        type=console.listed(console.one_of((*KINDS, NONE, ANY))),
        default=list(ERRORS),
        metavar="A,B",
        help=f"kinds of findings that make the exit status 1, or {NONE}, or {ANY} "
        f"({','.join(ERRORS)})",
    )
    moving = parser.add_argument_group("moving files away")
    where = moving.add_mutually_exclusive_group()
    where.add_argument(
        "--quarantine", type=Path, metavar="DIR", help="move bad files there"
    )
    where.add_argument(
        "--undo",
        type=Path,
        metavar="DIR",
        help="put back what --quarantine moved there",
    )
    moving.add_argument(
        "--quarantine_kinds",
        type=console.listed(
            console.one_of([kind for kind in KINDS if kind not in OF_FOLDERS])
        ),
        metavar="A,B",
        help=f"what to move ({','.join(QUARANTINED)}); of copies in one class the one "
        "changed longest ago stays, of equally old ones that of the shortest name; of "
        "those in several classes none",
    )
    model = parser.add_argument_group("near-duplicates and wrong classes")
    model.add_argument(
        "--no_model", action="store_true", help="do not look for them; quicker"
    )
    model.add_argument(
        "--architecture", help="backbone, as for edgeclf retrain: name or path"
    )
    mean = "of a float backbone without metadata: input = (pixel - mean) / std"
    model.add_argument("--input_mean", type=float, metavar="X", help=mean)
    model.add_argument("--input_std", type=float, metavar="X", help=mean)
    model.add_argument("--bottleneck_dir", metavar="DIR", help="cache of retrain")
    model.add_argument("--model_dir", metavar="DIR", help="downloaded backbones")
    model.add_argument(
        "--resize",
        choices=RESIZE_METHODS,
        default=AuditConfig.resize,
        help="resize filter (%(default)s)",
    )
    model.add_argument(
        "--views",
        type=int,
        default=AuditConfig.views,
        help="views of each picture to learn from (%(default)s)",
    )
    model.add_argument(
        "--seed", type=int, default=AuditConfig.seed, help="of the views (%(default)s)"
    )
    parser.add_argument("--num_workers", type=int, help="threads (one per processor)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
