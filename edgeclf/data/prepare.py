"""Turn a table and a folder of pictures into class folders of JPEG files.

```
decor.csv + decor/*.png   ->   decor_images/Gzhel/01_01_2_001.jpg
                               decor_images/Wycinanki łowickie/02_04_2_001.jpg ...
```
"""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from edgeclf import console
from edgeclf.data.jpeg import convert
from edgeclf.data.tables import (
    DEFAULT_TYPE_COLUMN,
    KINDS,
    Row,
    Table,
    class_labels,
    file_names,
    first_few,
    label_by_file,
    read_table,
    rows_of_kind,
)
from edgeclf.errors import DatasetError, ImageError
from edgeclf.files import sweep

logger = logging.getLogger("edgeclf")


@dataclass(frozen=True)
class PrepareConfig:
    """What to prepare, and where to.

    Attributes:
        table: CSV or TSV file with a header, UTF-8.
        images: Folder of the pictures; the table's file names are relative to it.
        output: Gets one folder per class.
        label_column: Column whose values are the classes.
        kind: "product" or "pattern": only rows of that type; "all": every row.
            Default: "product" where the column of types knows only these two, else
            "all".
        jpg_dir: Gets every picture of the table as JPEG, whatever its type. Default:
            nothing is written but `output`.
        file_column: Column of the file names.
        type_column: Column of the types. Default: "type", and in a table without that,
            file names like `01_02_2_001.png` tell the type (1 pattern, 2 product).
        quality: Of the JPEG files, 1 to 100.
    """

    table: Path
    images: Path
    output: Path
    label_column: str = "decor"
    kind: str | None = None
    jpg_dir: Path | None = None
    file_column: str = "file"
    type_column: str | None = None
    quality: int = 95

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise ValueError(
                f"Expected a type out of {', '.join(KINDS)}. Received: {self.kind!r}."
            )
        if not 1 <= self.quality <= 100:
            raise ValueError(
                f"Expected a JPEG quality from 1 to 100. Received: {self.quality}."
            )
        if self.jpg_dir is not None:
            inside, output = self.jpg_dir.resolve(), self.output.resolve()
            if inside.is_relative_to(output):
                raise ValueError(
                    "Expected the folder of all JPEG files outside the folder of the "
                    f"classes, where it would count as a class. Received: "
                    f"{self.jpg_dir} in {self.output}."
                )


@dataclass(frozen=True)
class Prepared:
    """What was prepared.

    Attributes:
        counts: Number of pictures of each class, by label in code point order.
        num_jpgs: Number of pictures in `jpg_dir`; 0 without it.
        num_written: Number of JPEG files written, in all folders.
        num_kept: Number of JPEG files that were there already, as they should be.
        unreadable: Pictures left out, each with the reason.
    """

    counts: dict[str, int]
    num_jpgs: int
    num_written: int
    num_kept: int
    unreadable: tuple[str, ...]


def prepare(config: PrepareConfig) -> Prepared:
    """Write the pictures of a table into class folders, as upright RGB JPEG files.

    Pictures are read by their content, not their ending; transparency becomes white.
    A file that an earlier run wrote from the same picture stays untouched, and files
    that the table does not name are counted, never removed. What is odd about the
    table or its pictures is logged.

    Raises:
        FileNotFoundError: The table or the folder of pictures is not there.
        DatasetError: The table cannot be used, a label cannot be a folder's name,
            a picture would be written over one it is made from, or not one picture
            is left.
        OSError: A file cannot be written.
    """
    plan = _plan(config)
    num_written = 0
    done: dict[str, list[Path]] = {}
    unreadable = []
    for folder in {path.parent for file in plan.files for path in plan.targets(file)}:
        sweep(folder)
    for file in _progress(plan.files):
        targets = plan.targets(file)
        try:
            num_written += convert(config.images / file, targets, config.quality)
        except ImageError as error:
            unreadable.append(str(error))
        else:
            done[file] = targets
    for reason in unreadable:
        logger.warning("Left out: %s", reason)
    counts = Counter(plan.label_of[file] for file in done if file in plan.label_of)
    if not counts:
        raise DatasetError(
            f"Expected pictures in {config.images} for the rows of {config.table}. "
            f"Received: none that can be read, for {plan.num_rows} rows. Check the "
            f"folder, and the file names in column {config.file_column!r}."
        )
    outputs = {target for targets in done.values() for target in targets}
    _report_strangers(config.output, outputs)
    return Prepared(
        counts=dict(sorted(counts.items())),
        num_jpgs=sum(file in plan.jpg_paths for file in done),
        num_written=num_written,
        num_kept=sum(len(targets) for targets in done.values()) - num_written,
        unreadable=tuple(unreadable),
    )


def output_names(files: Iterable[str]) -> dict[str, str]:
    """Name the JPEG of each picture, in one folder: its stem and `.jpg`.

    Of pictures with the same stem, whatever its case, the first keeps it and the
    others get a number: `a/x.png`, `b/x.jpg` become `x.jpg`, `x_2.jpg`.
    """
    stems = {file: PurePosixPath(file).stem for file in files}
    taken = {stem.lower() for stem in stems.values()}
    seen: Counter[str] = Counter()
    names = {}
    for file, stem in stems.items():
        name = stem
        seen[stem.lower()] += 1
        if seen[stem.lower()] > 1:
            while (name := f"{stem}_{seen[stem.lower()]}").lower() in taken:
                seen[stem.lower()] += 1
            taken.add(name.lower())
        names[file] = f"{name}.jpg"
    return names


@dataclass(frozen=True)
class _Plan:
    """Which picture goes where; pictures by file name relative to their folder."""

    num_rows: int
    label_of: dict[str, str]
    class_paths: dict[str, Path]
    jpg_paths: dict[str, Path]

    @property
    def files(self) -> list[str]:
        return list(dict.fromkeys([*self.jpg_paths, *self.class_paths]))

    def targets(self, file: str) -> list[Path]:
        folders = (self.jpg_paths, self.class_paths)
        return [paths[file] for paths in folders if file in paths]


def _plan(config: PrepareConfig) -> _Plan:
    table = read_table(config.table)
    names = file_names(table, config.file_column)
    chosen = rows_of_kind(table, names, config.kind, config.type_column)
    labels = class_labels(table, chosen, config.label_column)
    there = _files_below(config.images, passed_over=(config.output, config.jpg_dir))
    _report_unmatched(table, table.rows if config.jpg_dir else chosen, names, there)

    pairs = [(names[row], label) for row, label in zip(chosen, labels, strict=True)]
    label_of = label_by_file((file, label) for file, label in pairs if file in there)
    class_paths: dict[str, Path] = {}
    members: dict[str, list[str]] = {}
    for file, label in label_of.items():
        members.setdefault(label, []).append(file)
    for label, files in members.items():
        class_paths |= _paths(config.output / label, files)
    jpg_paths: dict[str, Path] = {}
    if config.jpg_dir:
        every = [names[row] for row in table.rows if names[row] in there]
        jpg_paths = _paths(config.jpg_dir, every)
    plan = _Plan(len(chosen), label_of, class_paths, jpg_paths)
    _refuse_overwriting(config.images, there, plan)
    return plan


def _files_below(root: Path, passed_over: Iterable[Path | None]) -> set[str]:
    """Return the files in `root` and its folders, hidden ones left out."""
    if not root.is_dir():
        received = "a file" if root.exists() else "no such folder"
        raise FileNotFoundError(
            f"Expected the folder of the table's pictures at {root}. "
            f"Received: {received}."
        )
    outputs = {folder.resolve() for folder in passed_over if folder}
    files = set()
    for name, subfolders, members in os.walk(root):
        folder = Path(name)
        subfolders[:] = [
            subfolder
            for subfolder in subfolders
            if not subfolder.startswith(".")
            and (folder / subfolder).resolve() not in outputs
        ]
        files |= {
            (folder / member).relative_to(root).as_posix()
            for member in members
            if not member.startswith(".") and (folder / member).is_file()
        }
    return files


def _paths(folder: Path, files: Iterable[str]) -> dict[str, Path]:
    names = output_names(files)
    numbered = [
        f"{file} is {name}"
        for file, name in names.items()
        if name != f"{PurePosixPath(file).stem}.jpg"
    ]
    if numbered:
        logger.info(
            "Same name twice in %s, so there is a number at the end: %s.",
            folder,
            first_few(numbered),
        )
    return {file: folder / name for file, name in names.items()}


def _refuse_overwriting(root: Path, files: set[str], plan: _Plan) -> None:
    sources = {root.resolve() / file for file in files}
    targets = [*plan.class_paths.values(), *plan.jpg_paths.values()]
    resolved = {
        folder: folder.resolve() for folder in {path.parent for path in targets}
    }
    for target in targets:
        if resolved[target.parent] / target.name in sources:
            raise DatasetError(
                f"Expected output folders apart from the pictures in {root}. "
                f"Received: {target.parent}, where {target.name} would be replaced."
            )


def _report_unmatched(
    table: Table, rows: Iterable[Row], names: dict[Row, str], there: set[str]
) -> None:
    missing = [
        f"{names[row] or 'no name'} in row {row.number}"
        for row in rows
        if names[row] not in there
    ]
    if missing:
        logger.warning(
            "Rows of %s without a picture: %d (%s).",
            table.path,
            len(missing),
            first_few(missing),
        )
    extensions = Image.registered_extensions()
    unnamed = sorted(
        file
        for file in there.difference(names.values())
        if extensions.get(PurePosixPath(file).suffix.lower()) in Image.OPEN
    )
    if unnamed:
        logger.warning(
            "Pictures without a row in %s: %d (%s).",
            table.path,
            len(unnamed),
            first_few(unnamed),
        )


def _report_strangers(output: Path, expected: set[Path]) -> None:
    strangers = {output / file for file in _files_below(output, ())} - expected
    if strangers:
        logger.warning(
            "Files in %s that this table does not name: %d, perhaps of an earlier "
            "run. They stay, and retrain will read them.",
            output,
            len(strangers),
        )


def _progress(files: list[str]) -> Iterable[str]:
    try:
        from tqdm import tqdm
    except ImportError:  # it belongs to the extra [train]; this works without
        return files
    progress: Iterable[str] = tqdm(files, desc="Pictures", unit="", disable=None)
    return progress


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edgeclf prepare_data` and return its exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        config = PrepareConfig(
            table=args.csv,
            images=args.images,
            output=args.output,
            label_column=args.label_column,
            kind=args.type,
            jpg_dir=args.jpg_dir,
            file_column=args.file_column,
            type_column=args.type_column,
            quality=args.quality,
        )
    except ValueError as error:
        parser.error(str(error))
    return console.run(
        lambda: _command(config, args.strict),
        "The pictures that are written stay. The same command goes on with the rest.",
    )


def _command(config: PrepareConfig, strict: bool) -> int:
    prepared = prepare(config)
    lines = [f"{label}: {count}" for label, count in prepared.counts.items()]
    total = sum(prepared.counts.values())
    lines.append(f"{config.output}: {total} pictures in {len(lines)} classes")
    if config.jpg_dir:
        lines.append(f"{config.jpg_dir}: {prepared.num_jpgs} pictures")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    logger.info(
        "Wrote %d files; %d were there already.",
        prepared.num_written,
        prepared.num_kept,
    )
    if strict and prepared.unreadable:
        raise DatasetError(
            f"Expected only pictures that can be read, with --strict. Received: "
            f"{len(prepared.unreadable)} that cannot; the others are done."
        )
    return 0


def _parser() -> console.Parser:
    parser = console.Parser(
        prog="edgeclf prepare_data",
        description="Turn a table and a folder of pictures into class folders of JPEG "
        "files, ready for edgeclf retrain.",
        epilog="example: edgeclf prepare_data --csv data/decor.csv --images data/decor "
        "--type product --output tf_files/decor_images",
    )
    parser.add_argument(
        "--csv",
        type=Path,
        required=True,
        metavar="FILE",
        help="CSV or TSV with a header, in UTF-8",
    )
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the pictures; the table's file names are relative to it",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="gets one folder of JPEG files per class",
    )
    parser.add_argument(
        "--label_column",
        default=PrepareConfig.label_column,
        metavar="COLUMN",
        help="column of the classes: decor, country or any other (%(default)s)",
    )
    parser.add_argument(
        "--type",
        choices=KINDS,
        help="rows to take (product where the types are product and pattern, else all)",
    )
    parser.add_argument(
        "--jpg_dir",
        type=Path,
        metavar="DIR",
        help="gets every picture of the table as JPEG, whatever its type",
    )
    parser.add_argument(
        "--file_column",
        default=PrepareConfig.file_column,
        metavar="COLUMN",
        help="column of the file names (%(default)s)",
    )
    parser.add_argument(
        "--type_column",
        metavar="COLUMN",
        help=f"column of the types ({DEFAULT_TYPE_COLUMN}, else told by file names "
        "like 01_02_2_001.png)",
    )
    parser.add_argument(
        "--quality",
        type=int,
        default=PrepareConfig.quality,
        metavar="1-100",
        help="of the JPEG files (%(default)s)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="fail if a picture cannot be read"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
