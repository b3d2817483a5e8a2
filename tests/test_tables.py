from pathlib import Path

import pytest

from edgeclf.data.tables import (
    class_labels,
    file_names,
    first_few,
    label_by_file,
    read_table,
    rows_of_kind,
)
from edgeclf.errors import DatasetError

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
DECOR_CSV = SHARED / "data/decor/decor.csv"


def write(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_read_table_delimiters_line_ends_and_byte_order_mark(
    tmp_path: Path, delimiter: str, line_end: str, mark: bytes
) -> None:
    records = [("file", "decor"), ("a.png", "Wycinanki łowickie"), ("b.png", "Iznik")]
    text = line_end.join(delimiter.join(record) for record in records)

    table = read_table(write(tmp_path, mark + text.encode()))

    assert table.columns == ("file", "decor")
    assert [(row.number, row.cells) for row in table.rows] == [
        (2, ("a.png", "Wycinanki łowickie")),
        (3, ("b.png", "Iznik")),
    ]


def test_read_table_delimiter_inside_the_header_does_not_mislead(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "file;label, of the decor\na.png;Gzhel\nb.png;Iznik\n")

    assert read_table(path).columns == ("file", "label, of the decor")


def test_read_table_quotes_blank_rows_short_rows_and_spaces(tmp_path: Path) -> None:
    path = write(
        tmp_path, ' file , label ,note\n"a, b.png", Gzhel ,"two\nlines"\n\n,,\nc.png\n'
    )

    table = read_table(path)

    assert table.columns == ("file", "label", "note")
    assert [(row.number, row.cells) for row in table.rows] == [
        (2, ("a, b.png", "Gzhel", "two\nlines")),
        (5, ("c.png", "", "")),
    ]


def test_read_table_empty_cells_at_the_end_of_a_row_are_passed_over(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "file,label\na.png,Gzhel,,\n")

    assert read_table(path).rows[0].cells == ("a.png", "Gzhel")


def test_read_table_first_line_for_excel(tmp_path: Path) -> None:
    for first in (b"sep=;\r\n", b'"sep=;"\n'):
        table = read_table(write(tmp_path, first + b"file;a,b;c\nx.png;1,2;3\n"))
        assert table.columns == ("file", "a,b", "c")
        assert [(row.number, row.cells) for row in table.rows] == [
            (3, ("x.png", "1,2", "3"))
        ]


def test_read_table_one_column(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "file\na.png\n")).columns == ("file",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expected a header and at least one row in .*Received: nothing"),
        (b" \n,\n", "Expected a header and at least one row in "),
        (b"file,label\n", "Received: only the header file, label"),
        (b"file,label\na.png,x,y\n", "at most 2 cells .*Received: 3 in row 2"),
        (b'file,label\n"a.png,x\nb.png,y\n', "Received: row 2 of .*cannot be read"),
        (b'file,label\n"a"b,x\n', "Received: row 2 of .*cannot be read"),
        (b"file,label\na.png,\xb3owickie\n", "UTF-8.*byte 0xb3 at offset 17"),
        ("file,label\na.png,x\n".encode("utf-16"), "UTF-8.*byte 0xff at offset 0"),
    ],
)
def test_read_table_refuses(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        read_table(write(tmp_path, content))


def test_read_table_missing_file_or_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv.*no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="Received: a folder"):
        read_table(tmp_path)


def test_index_exact_name_comes_before_other_case(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "Decor,decor,FILE\nx,y,z\n"))

    assert table.index("decor") == 1
    assert table.index("Decor") == 0
    assert table.index("file") == 2


def test_index_refuses_missing_and_ambiguous_columns(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "Decor,decor,file\nx,y,z\n"))

    with pytest.raises(DatasetError, match=r"'label'.*columns are Decor, decor, file"):
        table.index("label")
    with pytest.raises(DatasetError, match="2 columns of that name"):
        table.index("DECOR")


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        ("", "empty"),
        ("../x", "leading dot"),
        ("..", "leading dot"),
        (".hidden", "leading dot"),
        ("a/b", "slash"),
        ("/etc", "slash"),
        ("a\\b", "slash"),
        ("a\x07b", "control character"),
        ("ł" * 128, "longer than 255 bytes"),
    ],
)
def test_class_labels_refuses_by_row_number(
    tmp_path: Path, label: str, problem: str
) -> None:
    table = read_table(
        write(tmp_path, f"file,label\na.png,good one\nb.png,{label}\nc.png,ok\n")
    )

    with pytest.raises(DatasetError, match=rf"row 3: .* \({problem}\)"):
        class_labels(table, table.rows, "label")
    assert class_labels(table, table.rows[:1], "label") == ["good one"]


def test_class_labels_refuses_nul(tmp_path: Path) -> None:
    # csv of Python 3.10 refuses the whole row itself.
    path = write(tmp_path, "file,label\na.png,x\0y\n")

    with pytest.raises(DatasetError, match=r"row 2\b"):
        table = read_table(path)
        class_labels(table, table.rows, "label")


def test_class_labels_names_the_first_five(tmp_path: Path) -> None:
    rows = "".join(f"{i}.png,\n" for i in range(7))
    table = read_table(write(tmp_path, f"file,label\n{rows}"))

    with pytest.raises(DatasetError, match=r"row 6: '' \(empty\) and 2 more"):
        class_labels(table, table.rows, "label")


def test_file_names_are_normalised(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "file,x\n./a//b.png,1\n,2\n"))

    assert list(file_names(table, "file").values()) == ["a/b.png", ""]


def test_rows_of_kind_uses_the_column_type_and_not_type_label(tmp_path: Path) -> None:
    text = "file,type_label,type\n05_06_2_001.png,1,product\n01_01_1_001.png,1,Pattern"
    table = read_table(write(tmp_path, text))
    names = file_names(table, "file")

    assert rows_of_kind(table, names, "product", None) == table.rows[:1]
    assert rows_of_kind(table, names, "pattern", None) == table.rows[1:]
    assert rows_of_kind(table, names, "all", None) == table.rows
    assert rows_of_kind(table, names, None, None) == table.rows[:1]


def test_rows_of_kind_without_the_column_uses_the_file_name(tmp_path: Path) -> None:
    text = "file,type_label\n05_06_2_001.png,1\n01_01_1_001.png,1\n"
    table = read_table(write(tmp_path, text))

    names = file_names(table, "file")

    assert rows_of_kind(table, names, "product", None) == table.rows[:1]


def test_rows_of_kind_default_takes_all_of_a_foreign_table(tmp_path: Path) -> None:
    for text in ("file,label\na.png,x\nb.png,y\n", "file,type\na.png,cat\nb.png,dog\n"):
        table = read_table(write(tmp_path, text))
        names = file_names(table, "file")

        assert rows_of_kind(table, names, None, None) == table.rows


def test_rows_of_kind_refuses(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "file,sort\na.png,pattern\nb.png,other\n"))
    names = file_names(table, "file")

    with pytest.raises(DatasetError, match=r"'type'.*columns are file, sort"):
        rows_of_kind(table, names, "product", None)
    with pytest.raises(DatasetError, match=r"'kind'.*columns are file, sort"):
        rows_of_kind(table, names, "all", "kind")
    with pytest.raises(DatasetError, match=r"'product'.*only other, pattern"):
        rows_of_kind(table, names, "product", "sort")


def test_label_by_file_leaves_out_contradictions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pairs = [("a", "x"), ("b", "x"), ("a", "x"), ("c", "x"), ("c", "y")]

    with caplog.at_level("INFO", logger="edgeclf"):
        assert label_by_file(pairs) == {"a": "x", "b": "x"}
    assert "Rows that repeat an earlier one, counted once: 1." in caplog.text
    assert "in rows with different labels, so in no class: 1 (c)." in caplog.text


def test_first_few_counts_the_rest() -> None:
    assert first_few(list("abc")) == "a, b, c"
    assert first_few(list("abcdefg")) == "a, b, c, d, e and 2 more"


@pytest.mark.skipif(not DECOR_CSV.is_file(), reason="needs the shared decor table")
def test_decor_table() -> None:
    table = read_table(DECOR_CSV)
    names = file_names(table, "file")

    assert len(table.rows) == 485
    assert len(rows_of_kind(table, names, "product", None)) == 285
    assert len(rows_of_kind(table, names, "pattern", None)) == 200
    assert (table.rows[0].number, table.rows[-1].number) == (2, 486)


@pytest.mark.skipif(
    not (SHARED / "data/style_tags").is_dir(), reason="needs the shared style tags"
)
def test_style_tags_tables_of_tabs() -> None:
    folder = SHARED / "data/style_tags"

    keywords = read_table(folder / "keywords.tsv000")
    photos = read_table(folder / "photos.tsv000")

    assert keywords.columns[:2] == ("photo_id", "keyword")
    assert len(photos.columns) == 31
    assert photos.rows[0].cells[photos.index("photo_image_url")].startswith("images/")
