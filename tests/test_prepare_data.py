import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeclf.data.prepare import (
    PrepareConfig,
    Prepared,
    main,
    output_names,
    prepare,
)
from edgeclf.errors import DatasetError

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
DECOR = SHARED / "data/decor"
MESSY = SHARED / "data/messy"

RED, GREEN, BLUE = (220, 30, 30), (30, 180, 30), (30, 30, 220)
PRODUCTS = {
    "Gorodets": 57,
    "Gzhel": 55,
    "Iznik": 39,
    "Khokhloma": 65,
    "Neglyubka": 12,
    "Wycinanki łowickie": 25,
    "Wzory kaszubskie": 32,
}
TABLE = """\
country_label,country,decor_label,decor,type_label,type,file
1,Russia,1,Gzhel,1,pattern,01_01_1_001.png
1,Russia,1,Gzhel,2,product,01_01_2_001.png
2,Poland,4,Wycinanki łowickie,2,product,02_04_2_001.png
3,Turkey,5,Iznik,1,product,03_05_2_001.png
"""


def save(
    path: Path,
    color: tuple[int, ...] = RED,
    encoding: str = "PNG",
    size: tuple[int, int] = (24, 16),
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "RGB" if len(color) == 3 else "RGBA"
    Image.new(mode, size, color).save(path, encoding)
    return path


def files_in(folder: Path) -> list[str]:
    """Return every file below `folder`, hidden ones too."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    )


def center(path: Path) -> tuple[int, ...]:
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        pixel = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(pixel, tuple)
    return tuple(int(value) for value in pixel)


@pytest.fixture
def decor(tmp_path: Path) -> Iterator[Path]:
    """A folder with decor.csv and decor/, four pictures with the quirks of the set."""
    (tmp_path / "decor.csv").write_text(TABLE, encoding="utf-8")
    pictures = tmp_path / "decor"
    save(pictures / "01_01_1_001.png", GREEN, "JPEG")
    save(pictures / "01_01_2_001.png", BLUE, "JPEG")
    save(pictures / "02_04_2_001.png", (*RED, 255))
    save(pictures / "03_05_2_001.png", GREEN)
    yield tmp_path


Run = Callable[..., Prepared]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Prepare a table given as text, with the pictures of `tmp_path`/images."""

    def prepare_table(text: str, **options: object) -> Prepared:
        table = tmp_path / "table.csv"
        table.write_text(text, encoding="utf-8")
        (tmp_path / "images").mkdir(exist_ok=True)
        defaults = {
            "images": tmp_path / "images",
            "output": tmp_path / "out",
            "label_column": "label",
        }
        config = PrepareConfig(table=table, **{**defaults, **options})  # type: ignore
        return prepare(config)

    return prepare_table


def arguments(folder: Path, *more: str) -> list[str]:
    return [
        f"--csv={folder / 'decor.csv'}",
        f"--images={folder / 'decor'}",
        f"--output={folder / 'out'}",
        *more,
    ]


def test_main_writes_products_by_decor(
    decor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(arguments(decor, "--type=product", f"--jpg_dir={decor / 'jpg'}"))

    captured = capsys.readouterr()
    assert status == 0
    assert captured.out.splitlines() == [
        "Gzhel: 1",
        "Iznik: 1",
        "Wycinanki łowickie: 1",
        f"{decor / 'out'}: 3 pictures in 3 classes",
        f"{decor / 'jpg'}: 4 pictures",
    ]
    assert captured.err.splitlines() == [
        "Taking 3 rows of 4: type product.",
        "Wrote 7 files; 0 were there already.",
    ]
    assert files_in(decor / "out") == [
        "Gzhel/01_01_2_001.jpg",
        "Iznik/03_05_2_001.jpg",
        "Wycinanki łowickie/02_04_2_001.jpg",
    ]
    assert len(files_in(decor / "jpg")) == 4
    jpeg_named_png = center(decor / "out/Gzhel/01_01_2_001.jpg")
    assert jpeg_named_png == pytest.approx(BLUE, abs=4)
    assert center(decor / "jpg/02_04_2_001.jpg") == pytest.approx(RED, abs=4)


@pytest.mark.parametrize(
    ("kind", "classes"),
    [
        ("product", ["Poland", "Russia", "Turkey"]),
        ("pattern", ["Russia"]),
        ("all", ["Poland", "Russia", "Russia", "Turkey"]),
    ],
)
def test_main_groups_by_country(decor: Path, kind: str, classes: list[str]) -> None:
    assert main(arguments(decor, "--label-column=country", f"--type={kind}")) == 0

    assert [name.split("/")[0] for name in files_in(decor / "out")] == classes


def test_main_takes_any_column_and_delimiter(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("Photo\tSort of Flower\nx.webp\tŁąka mała\n")
    save(tmp_path / "photos/x.webp", GREEN, "WEBP")

    status = main(
        [
            *("--csv", str(tmp_path / "t.tsv"), "--images", str(tmp_path / "photos")),
            *("--output", str(tmp_path / "out"), "--file_column", "photo"),
            *("--label_column", "sort of flower"),
        ]
    )

    assert status == 0
    assert files_in(tmp_path / "out") == ["Łąka mała/x.jpg"]


@pytest.mark.parametrize(
    "more", [["--type=both"], ["--quality=0"], ["--quality=101"], ["--jpg_dir=OUT/x"]]
)
def test_main_wrong_usage_is_2(
    decor: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    more = [option.replace("OUT", str(decor / "out")) for option in more]

    with pytest.raises(SystemExit) as ended:
        main(arguments(decor, *more))

    assert ended.value.code == 2
    assert "usage: edgeclf prepare_data" in capsys.readouterr().err
    assert not (decor / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--csv=no.csv"],
            "error: Expected a CSV or TSV table at no.csv. Received: no",
        ),
        (["--images=no"], "error: Expected the folder of the table's pictures at no."),
        (["--images=decor.csv"], "pictures at decor.csv. Received: a file."),
        (["--label_column=size"], "error: Expected one column 'size' in the header"),
        (["--file_column=name"], "error: Expected one column 'name' in the header"),
        (["--images=."], "Received: none that can be read, for 3 rows."),
    ],
)
def test_main_failures_are_1_with_a_sentence(
    decor: Path,
    more: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(decor)

    status = main(arguments(decor, *more))

    captured = capsys.readouterr()
    assert status == 1
    assert message in captured.err
    assert captured.out == ""
    assert not (decor / "out").exists()


@pytest.mark.parametrize("strict", [False, True])
def test_main_unreadable_picture_is_named_and_left_out(
    decor: Path, strict: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = decor / "decor/03_05_2_001.png"
    bad.write_bytes(bad.read_bytes()[:60])

    status = main(arguments(decor, *(["--strict"] if strict else [])))

    captured = capsys.readouterr()
    assert status == (1 if strict else 0)
    assert f"warning: Left out: {bad}" in captured.err
    assert ("error: Expected only pictures" in captured.err) == strict
    assert "2 pictures in 2 classes" in captured.out
    assert files_in(decor / "out") == [
        "Gzhel/01_01_2_001.jpg",
        "Wycinanki łowickie/02_04_2_001.jpg",
    ]


@pytest.mark.parametrize("label", ["", "..", "../up", "a/b", "/abs", ".git"])
def test_prepare_refuses_labels_that_are_no_folder_names(
    run: Run, tmp_path: Path, label: str
) -> None:
    save(tmp_path / "images/a.png")

    with pytest.raises(DatasetError, match="row 3: "):
        run(f"file,label\na.png,fine\nb.png,{label}\n")
    assert not (tmp_path / "out").exists()
    assert files_in(tmp_path) == ["images/a.png", "table.csv"]


@pytest.mark.parametrize(
    "file", ["../secret.png", "{root}/secret.png", "x/../../s.png"]
)
def test_prepare_reads_nothing_outside_the_folder(
    run: Run, tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "secret.png")
    save(tmp_path / "images/a.png")
    file = file.format(root=tmp_path)

    result = run(f"file,label\na.png,x\n{file},y\n")

    assert result.counts == {"x": 1}
    assert f"Rows of {tmp_path / 'table.csv'} without a picture: 1 (" in caplog.text
    assert "secret.png in row 3" in caplog.text or "s.png in row 3" in caplog.text


def test_prepare_upright_and_over_white(run: Run, tmp_path: Path) -> None:
    images = tmp_path / "images"
    save(images / "clear.png", (0, 0, 0, 0))
    save(images / "half.png", (255, 0, 0, 128))
    left_red = np.full((16, 24, 3), BLUE, np.uint8)
    left_red[:, :12] = RED
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise: left comes to the top
    Image.fromarray(left_red).save(images / "turned.jpg", quality=95, exif=exif)
    gray16 = np.full((16, 24), 65535 // 2, np.uint16)
    Image.fromarray(gray16).save(images / "gray16.png")

    run("file,label\nclear.png,x\nhalf.png,x\nturned.jpg,x\ngray16.png,x\n")

    out = tmp_path / "out/x"
    assert center(out / "clear.jpg") == pytest.approx((255, 255, 255), abs=2)
    assert center(out / "half.jpg") == pytest.approx((255, 127, 127), abs=4)
    assert center(out / "gray16.jpg") == pytest.approx((127, 127, 127), abs=3)
    with Image.open(out / "turned.jpg") as image:
        assert image.size == (16, 24)
        assert not image.getexif()
        assert image.getpixel((8, 3)) == pytest.approx(RED, abs=6)
        assert image.getpixel((8, 20)) == pytest.approx(BLUE, abs=6)


def test_prepare_keeps_pixels_close_to_the_source(run: Run, tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(ramp).save(tmp_path / "images/ramp.png")

    run("file,label\nramp.png,x\n")

    with Image.open(tmp_path / "out/x/ramp.jpg") as image:
        assert image.size == (64, 48)
        error = np.abs(np.asarray(image).astype(int) - ramp.astype(int))
    assert error.mean() < 2.0


def test_prepare_twice_keeps_every_file(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "images/a.png", RED)
    save(tmp_path / "images/b.png", BLUE)
    text = "file,label\na.png,x\nb.png,y\n"

    def state() -> dict[str, tuple[bytes, int, int]]:
        return {
            name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
            for name in files_in(tmp_path / "out")
            if (path := tmp_path / "out" / name)
        }

    first = run(text)
    before = state()
    second = run(text)

    assert (first.num_written, first.num_kept) == (2, 0)
    assert (second.num_written, second.num_kept) == (0, 2)
    assert first.counts == second.counts == {"x": 1, "y": 1}
    assert state() == before


def test_prepare_is_deterministic(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "images/a.png")

    run("file,label\na.png,x\n")
    run("file,label\na.png,x\n", output=tmp_path / "again")

    first = (tmp_path / "out/x/a.jpg").read_bytes()
    assert first == (tmp_path / "again/x/a.jpg").read_bytes()


def test_prepare_rewrites_what_changed(run: Run, tmp_path: Path) -> None:
    text = "file,label\na.png,x\nb.png,x\nc.png,x\nd.png,x\n"
    for name in "abcd":
        save(tmp_path / f"images/{name}.png", RED)
    run(text)
    out = tmp_path / "out/x"
    original = out.joinpath("a.jpg").read_bytes()

    save(tmp_path / "images/b.png", BLUE)  # another source
    with Image.open(out / "c.jpg") as image:  # edited, the comment with its stamp kept
        image.rotate(90).save(out / "c.jpg", comment=image.info["comment"])
    out.joinpath("d.jpg").write_bytes(original[:-9])  # cut short
    result = run(text)

    assert (result.num_written, result.num_kept) == (3, 1)
    assert center(out / "b.jpg") == pytest.approx(BLUE, abs=4)
    assert out.joinpath("c.jpg").read_bytes() == original
    assert out.joinpath("d.jpg").read_bytes() == original
    assert run(text, quality=80).num_written == 4
    assert len(out.joinpath("a.jpg").read_bytes()) < len(original)


def test_prepare_same_stem_gets_a_number(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "images/a/x.png", RED)
    save(tmp_path / "images/b/x.jpg", BLUE, "JPEG")
    save(tmp_path / "images/c/x.png", GREEN)

    with caplog.at_level("INFO", logger="edgeclf"):
        result = run(
            "file,label\na/x.png,one\nb/x.jpg,one\nc/x.png,two\n",
            jpg_dir=tmp_path / "jpg",
        )

    assert result.counts == {"one": 2, "two": 1}
    assert files_in(tmp_path / "out") == ["one/x.jpg", "one/x_2.jpg", "two/x.jpg"]
    assert files_in(tmp_path / "jpg") == ["x.jpg", "x_2.jpg", "x_3.jpg"]
    assert center(tmp_path / "out/one/x.jpg") == pytest.approx(RED, abs=4)
    assert center(tmp_path / "out/one/x_2.jpg") == pytest.approx(BLUE, abs=4)
    assert "b/x.jpg is x_2.jpg" in caplog.text


def test_output_names_are_distinct_whatever_the_case() -> None:
    files = ["a/x.png", "x_2.png", "b/X.jpg", "c/x.gif", "y.tar.png", "z"]

    assert list(output_names(files).values()) == [
        "x.jpg",
        "x_2.jpg",
        "X_3.jpg",
        "x_4.jpg",
        "y.tar.jpg",
        "z.jpg",
    ]


def test_prepare_counts_rows_and_pictures_without_a_partner(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "stray.PNG", "deep/stray.jpg", ".hidden.png"):
        save(tmp_path / "images" / name)
    (tmp_path / "images/notes.txt").write_text("no picture")

    result = run("file,label\na.png,x\na.png,x\ngone.png,x\n,x\n")

    assert result.counts == {"x": 1}
    assert "without a picture: 2 (gone.png in row 4, no name in row 5)" in caplog.text
    assert "without a row in" in caplog.text
    assert "table.csv: 2 (deep/stray.jpg, stray.PNG)" in caplog.text


def test_prepare_picture_with_two_labels_is_in_no_class(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "images/a.png")
    save(tmp_path / "images/b.png")

    result = run("file,label\na.png,x\nb.png,x\n./b.png,y\n", jpg_dir=tmp_path / "jpg")

    assert result.counts == {"x": 1}
    assert files_in(tmp_path / "out") == ["x/a.jpg"]
    assert files_in(tmp_path / "jpg") == ["a.jpg", "b.jpg"]
    assert "in rows with different labels, so in no class: 1 (b.png)" in caplog.text


def test_prepare_counts_files_of_an_earlier_run(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "images/a.png")
    save(tmp_path / "images/b.png")
    text = "file,label,country\na.png,x,u\nb.png,y,u\n"
    run(text)
    assert "earlier run" not in caplog.text

    run(text, label_column="country")

    assert f"in {tmp_path / 'out'} that this table does not name: 2," in caplog.text
    assert len(files_in(tmp_path / "out")) == 4


def test_prepare_passes_over_its_own_output_inside_the_images(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "images/a.png")
    folders = {"output": tmp_path / "images/out", "jpg_dir": tmp_path / "images/jpg"}

    for _ in range(2):
        result = run("file,label\na.png,x\n", **folders)

    assert (result.num_written, result.num_kept) == (0, 2)
    assert caplog.text == ""


@pytest.mark.parametrize("folder", ["output", "jpg_dir"])
def test_prepare_refuses_to_replace_its_sources(
    run: Run, tmp_path: Path, folder: str
) -> None:
    file = "x/a.jpg" if folder == "output" else "a.jpg"
    source = save(tmp_path / "images" / file, encoding="JPEG")
    before = source.read_bytes()

    with pytest.raises(DatasetError, match=r"a\.jpg would be replaced"):
        run(f"file,label\n{file},x\n", **{folder: tmp_path / "images"})
    assert source.read_bytes() == before


def test_prepare_refuses_sides_that_jpeg_cannot_hold(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "images/a.png")
    save(tmp_path / "images/wide.png", size=(65_501, 1))

    result = run("file,label\na.png,x\nwide.png,x\n")

    assert result.counts == {"x": 1}
    assert "65501 x 1 pixels" in result.unreadable[0]


def test_prepare_unwritable_output_is_an_error(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "images/a.png")
    (tmp_path / "out").write_text("a file where a folder should be")

    with pytest.raises(OSError, match="out"):
        run("file,label\na.png,x\n")


@pytest.mark.parametrize("python", [".venv/bin/python", "python3"])
def test_shell_command(decor: Path, tmp_path: Path, python: str) -> None:
    project = tmp_path / "project with space"
    project.mkdir()
    shutil.copy(ROOT / "prepare_data.sh", project)
    shutil.copytree(ROOT / "scripts", project / "scripts")
    shutil.copytree(ROOT / "edgeclf", project / "edgeclf")
    shutil.copytree(decor / "decor", project / "data/decor")
    shutil.copy(decor / "decor.csv", project / "data/decor.csv")
    interpreter = project / (python if "/" in python else f"bin/{python}")
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(f'#!/bin/sh\necho used >&2\nexec "{sys.executable}" "$@"\n')
    interpreter.chmod(0o755)
    environment = {**os.environ, "PATH": f"{project / 'bin'}:{os.environ['PATH']}"}

    done = subprocess.run(
        ["sh", "prepare_data.sh", "--label_column", "country"],
        cwd=project,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("used\n")
    assert done.stdout.splitlines() == [
        "Poland: 1",
        "Russia: 1",
        "Turkey: 1",
        "tf_files/decor_images: 3 pictures in 3 classes",
        "data/decor-jpg: 4 pictures",
    ]
    assert len(files_in(project / "data/decor-jpg")) == 4
    assert "Poland/02_04_2_001.jpg" in files_in(project / "tf_files/decor_images")


def test_shell_command_without_packages_says_what_to_do(tmp_path: Path) -> None:
    shutil.copy(ROOT / "prepare_data.sh", tmp_path)
    interpreter = tmp_path / ".venv/bin/python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text("#!/bin/sh\nexit 1\n")
    interpreter.chmod(0o755)

    done = subprocess.run(
        ["sh", "prepare_data.sh"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert done.returncode == 1
    assert "error: Expected NumPy and Pillow in .venv/bin/python" in done.stderr
    assert "pip install" in done.stderr


@pytest.mark.skipif(not DECOR.is_dir(), reason="needs the shared decor pictures")
@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, PRODUCTS),
        (
            {"label_column": "country"},
            {"Belarus": 12, "Poland": 57, "Russia": 177, "Turkey": 39},
        ),
        (
            {"kind": "all"},
            {
                "Gorodets": 92,
                "Gzhel": 88,
                "Iznik": 60,
                "Khokhloma": 96,
                "Neglyubka": 40,
                "Wycinanki łowickie": 55,
                "Wzory kaszubskie": 54,
            },
        ),
    ],
    ids=["products", "countries", "all"],
)
def test_decor_counts(
    tmp_path: Path, options: dict[str, str], counts: dict[str, int]
) -> None:
    config = PrepareConfig(
        table=DECOR / "decor.csv",
        images=DECOR / "images",
        output=tmp_path / "out",
        **options,  # type: ignore[arg-type]
    )

    result = prepare(config)

    assert result.counts == counts
    assert result.unreadable == ()
    assert {
        folder.name: len(list(folder.glob("*.jpg")))
        for folder in (tmp_path / "out").iterdir()
    } == counts


@pytest.mark.skipif(not DECOR.is_dir(), reason="needs the shared decor pictures")
def test_decor_all_as_jpeg(tmp_path: Path) -> None:
    config = PrepareConfig(
        table=DECOR / "decor.csv",
        images=DECOR / "images",
        output=tmp_path / "out",
        jpg_dir=tmp_path / "jpg",
    )

    result = prepare(config)

    assert result.num_jpgs == 485
    for path in (tmp_path / "jpg").iterdir():
        with (
            Image.open(path) as image,
            Image.open(DECOR / "images" / f"{path.stem}.png") as source,
        ):
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (150, 150))
            pixels = np.asarray(image).astype(int)
            error = np.abs(pixels - np.asarray(source.convert("RGB")))
        assert error.mean() < 4, path
    in_class = tmp_path / "out/Wycinanki łowickie/02_04_2_001.jpg"
    assert in_class.read_bytes() == (tmp_path / "jpg/02_04_2_001.jpg").read_bytes()


@pytest.mark.skipif(not MESSY.is_dir(), reason="needs the shared messy pictures")
def test_messy_pictures_never_stop_the_run(tmp_path: Path) -> None:
    config = PrepareConfig(
        table=MESSY / "manifest.csv",
        images=MESSY,
        output=tmp_path / "out",
        label_column="expected",
    )

    result = prepare(config)

    manifest = (MESSY / "manifest.csv").read_text(encoding="utf-8").splitlines()
    rejected = [line.split(",")[0] for line in manifest if ",rejected," in line]
    rejected.remove(".DS_Store")  # hidden, so it counts as a row without a picture
    assert len(rejected) >= 10
    assert "rejected" not in result.counts
    for name in rejected:
        assert any(name in reason for reason in result.unreadable), name
    assert result.counts["ok"] >= 30
    assert not any("exif_orientation" in reason for reason in result.unreadable)
    upright = [
        np.asarray(Image.open(path).convert("L").resize((32, 32))).astype(float)
        for path in sorted((tmp_path / "out").rglob("exif_orientation_*.jpg"))
    ]
    assert len(upright) == 8
    assert all(np.abs(one - upright[0]).mean() < 8 for one in upright)
