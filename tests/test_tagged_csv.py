from __future__ import annotations

from pathlib import Path

import pytest
from tag_tables import draw, tags_of

from edgeclf.data.tag_source import TagSource
from edgeclf.errors import DatasetError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    draw(tmp_path / "pictures", "a.jpg", "b/c.png", "d, e.png")
    return tmp_path / "pictures"


def read(pictures: Path, text: str, **settings: object) -> dict[str, set[str]]:
    table = pictures.parent / "tags.csv"
    table.write_bytes(text.encode())
    return tags_of(TagSource(tags_csv=table, image_dir=pictures, **settings).read())


@pytest.mark.parametrize(
    "text",
    [
        'file,tags\na.jpg,blue;human\nb/c.png,\n"d, e.png", sea ;;blue\n',
        'a.jpg,blue;human\nb/c.png,\n"d, e.png",sea;blue\n',
        "FILE\tTags\na.jpg\tblue;human\n./b//c.png\nd, e.png\tsea;blue\n",
        "file;tags\na.jpg;blue,human\nb/c.png;\nd, e.png;sea,blue\n",
        'file;tags\na.jpg;"blue;human"\nb/c.png\nd, e.png;"sea;blue"\n',
        'file,tags\na.jpg,"blue,human"\nb/c.png\n"d, e.png","sea,blue"\n',
        'a.jpg;"blue,human"\nb/c.png;\nd, e.png;"sea,blue"\n',
        '\ufeffsep=;\r\nfile;tags\r\na.jpg;"blue;human"\r\nb/c.png\r\n'
        "d, e.png;sea,blue\r\n",
        'file,tags\n.\\a.jpg,blue;human\nb\\c.png,\n".\\d, e.png",sea;blue\n',
        '\ufeffid,Keyword,Image\n1,blue;human,a.jpg\n2,,b/c.png\n3,sea;blue,"d, e.png"',
        'photo,tags\na.jpg,blue;human\nb/c.png\n"d, e.png",sea;blue\n',
        'file,colours\na.jpg,blue;human\nb/c.png\n"d, e.png",sea;blue\n',
        'path,tag\na.jpg,blue\nb/c.png,\na.jpg,human\n"d, e.png",sea;Blue\na.jpg,blue',
    ],
)
def test_read_forms_of_tables(pictures: Path, text: str) -> None:
    assert read(pictures, text) == {
        "a.jpg": {"blue", "human"},
        "b/c.png": set(),
        "d, e.png": {"sea", "blue"},
    }


def test_read_absolute_paths_below_the_folder_only(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    draw(pictures.parent, "outside.png")
    outside = pictures.parent / "outside.png"
    text = f"{pictures}/b/c.png,x\n{outside},y\n{pictures}/../outside.png,y\n"
    text += "..\\outside.png,y\nb\\..\\..\\outside.png,y\n"

    assert read(pictures, text) == {"b/c.png": {"x"}}
    assert "Rows without a picture: 4" in caplog.text
    monkeypatch.chdir(pictures.parent)
    table = TagSource(tags_csv="tags.csv", image_dir="pictures")
    assert tags_of(table.read()) == {"b/c.png": {"x"}}


def test_read_a_name_with_a_backslash(pictures: Path) -> None:
    draw(pictures, "b\\c.png")

    assert read(pictures, "file,tags\nb\\c.png,x\n") == {"b\\c.png": {"x"}}


def test_read_takes_all_tags_unless_told(pictures: Path) -> None:
    many = ";".join(f"tag {number:02}" for number in range(30))

    assert len(read(pictures, f"file,tags\na.jpg,{many}\n")["a.jpg"]) == 30
    assert read(pictures, f"file,tags\na.jpg,{many}\n", top_keywords=2) == {
        "a.jpg": {"tag 00", "tag 01"}
    }
    assert read(pictures, f"file,tags\na.jpg,{many}\n", keywords=("TAG 07",)) == {
        "a.jpg": {"TAG 07"}
    }


def test_read_names_what_does_not_fit(
    pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "file,tags\na.jpg,x\ngone.jpg,x\n,x\n../tags.csv,x\n"

    assert read(pictures, text) == {"a.jpg": {"x"}}
    assert "Rows without a picture: 3 (gone.jpg, row 4, ../tags.csv)." in caplog.text
    assert "Pictures without a row, left out: 2 (b/c.png, d, e.png)." in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Received: nothing"),
        ("name,tags,x\na.jpg,x,\n", "'file' or 'filename' .*Received: name, tags, x"),
        ("file,colour,x\na.jpg,x,\n", "'tags' or 'tag' .*Received: file, colour, x"),
        ("file,tags\npictures/a.jpg,x\n", "paths relative to .*Received: pictures/a"),
        ("name,tags,x\na.jpg,x,\n", "'picture' or 'path' in the header"),
        ("a.jpg,x\nb/c.png,x,y\n", "as in its first row. Received: 3 in row 2"),
        ("name,colour\na.jpg,x\n", "'file' or 'filename' .*Received: name, colour"),
        ("a.jpg,blue,human\nb.jpg,x,y\n", "'file' .*Received: a.jpg, blue, human"),
        ("file,file,tags\na.jpg,a.jpg,x\n", "2 columns of that name"),
        ("file,tags\na.jpg,x,y\n", "at most 2 cells .*3 in row 2"),
        ('file,tags\na.jpg,"x\n', "Received: row 2 of .*cannot be read"),
        ("file,tags\nz.jpg,x\n", "Expected files below .*Received: z.jpg, which"),
        ("file,tags\na.jpg,\n", "a tag of a picture .*none that counts"),
    ],
)
def test_read_refuses(pictures: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        read(pictures, text)


def test_read_refuses_other_encodings_and_missing_files(pictures: Path) -> None:
    table = pictures.parent / "tags.csv"
    table.write_bytes(b"file,tags\na.jpg,\xb3\n")
    with pytest.raises(DatasetError, match=r"UTF-8.*byte 0xb3 at offset 16"):
        TagSource(tags_csv=table, image_dir=pictures).read()
    with pytest.raises(FileNotFoundError, match=r"none\.csv.*no such file"):
        TagSource(tags_csv=pictures / "none.csv", image_dir=pictures).read()


def test_control_characters_are_blanks(tmp_path: Path) -> None:
    draw(tmp_path, "a.jpg", "b.jpg")
    table = tmp_path / "t.csv"
    table.write_text("file,tags\na.jpg,sea\x1bside\nb.jpg,sea side;\x9b\n", "utf-8")

    pictures = TagSource(tags_csv=table, image_dir=tmp_path).read()
    chosen = TagSource(tags_csv=table, image_dir=tmp_path, keywords=("sea\x07side",))

    assert pictures.labels == chosen.read().labels == ("sea side",)
    assert pictures.targets.tolist() == [[True], [True]]
