"""Tables and lists: rows or a `DatasetError` in a sentence, of each reader."""

from __future__ import annotations

import atexit
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from edgeclf import EdgeclfError
from edgeclf.collecting.url_list import read_urls
from edgeclf.data.line_file import LineFile
from edgeclf.data.picture_names import PictureNames
from edgeclf.data.splits import read_split_file
from edgeclf.data.synonyms import read_synonyms
from edgeclf.data.tables import (
    class_labels,
    file_names,
    label_by_file,
    read_table,
    rows_of_kind,
)
from edgeclf.data.tag_csv import read_tag_csv
from edgeclf.data.unsplash_tables import Part
from edgeclf.inputs.lines import first_bytes, is_picture, path_lines
from edgeclf.labels import given_labels

MAX_BYTES = 4096

_FOLDER = Path(tempfile.mkdtemp(prefix="edgeclf-fuzz-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_TABLE = _FOLDER / "table.csv"
for _name in ("a.png", "b.png", "c d/é.png"):
    _path = _FOLDER / "pictures" / _name
    _path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(_path)
_NAMES = PictureNames(_FOLDER / "pictures")


def seeds() -> dict[str, bytes]:
    """Return a small table or list for each reader, in the ways they may be written."""
    texts = {
        "classes": "file,decor,type\n01_02_1_001.png,Khokhloma,pattern\n"
        "01_02_2_002.png,Iznik,product\n",
        "semicolons": 'sep=;\r\nfile;label\r\n"a;1.png";Gzhel\r\nb.png;"Íz""nik"\r\n',
        "tags": 'file,tags\na.png,"red;blue"\nb.png,red\n"c d/é.png",\n',
        "no header": "a.png\tred,blue\nb.png\tgreen\n",
        "split": "file,split\nred/0.png,train\nred/1.png,test\nblue/2.png,validation\n",
        "synonyms": "# tags\nred: crimson, ruby\nblue: navy # dark\nnavy: dark\n",
        "urls": "# one a line\nhttps://a.example/a.jpg\ndata:image/png;base64,AA==\n",
        "manifest": "url,file,label,license\nhttps://a.example/a.jpg,,a;b,CC0\n",
        "unsplash": "photo_id\tkeyword\tai_service_1_confidence\nx\tsky\t97.5\n",
        "labels": "0 cat\n1: dog\n2 bird\n",
        "paths": "a.png\r\nphotos/b c.jpg\n\nhttps://a.example/a.jpg\n",
        "zeros": "a.png\0b\n.png\0",
    }
    return {
        **{name: text.encode() for name, text in texts.items()},
        "utf-8-sig": texts["classes"].encode("utf-8-sig"),
        "utf-16": texts["paths"].encode("utf-16"),
        "latin-1": texts["semicolons"].encode("latin-1"),
    }


def try_input(content: bytes) -> None:
    """Read the same bytes with every reader."""
    _TABLE.write_bytes(content)
    readers: list[Callable[[], object]] = [
        _read_classes,
        lambda: read_tag_csv(_TABLE, _NAMES),
        lambda: read_split_file(_TABLE),
        lambda: read_synonyms(_TABLE),
        lambda: read_urls(_TABLE),
        lambda: list(Part(_TABLE).rows()),
        lambda: given_labels(_TABLE),
        lambda: _read_paths(content),
        _append,
    ]
    for read in readers:
        try:
            read()
        except EdgeclfError as error:
            str(error).encode(errors="surrogateescape")


def _read_classes() -> None:
    table = read_table(_TABLE)
    names = file_names(table, table.columns[0])
    rows = rows_of_kind(table, names, None, None)
    labels = class_labels(table, rows, table.columns[-1])
    label_by_file((names[row], label) for row, label in zip(rows, labels, strict=True))


def _read_paths(content: bytes) -> None:
    stream = io.BytesIO(content)
    head = first_bytes(stream)
    if not is_picture(head) and "" in path_lines("list", head, stream):
        raise AssertionError("an empty path")


def _append() -> None:
    """Open the file as a crash may have left it, and add a line."""
    with LineFile(_TABLE) as file:
        whole = file.content
        file.append("line\n")
    if _TABLE.read_bytes() != whole + b"line\n" or (whole and whole[-1:] != b"\n"):
        raise AssertionError("the line is not whole")
