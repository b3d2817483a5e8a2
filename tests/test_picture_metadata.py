"""What cameras write beside the pixels, such as the place, does not travel."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import hosting
import pytest
import tiny
from PIL import Image, PngImagePlugin

from edgeclf.__main__ import main

PLACE = "Rynek 17, Wroclaw"
_GPS, _GPS_METHOD, _DESCRIPTION = 0x8825, 0x1B, 0x010E
# A segment or chunk of EXIF, XMP or GPS: none of ours has a reason to be there.
_MARKS = (b"Exif", b"eXIf", b"http://ns.adobe.com/xap", b"GPS", PLACE.encode())


def save_with_place(image: Image.Image, path: Path) -> None:
    """Write a JPEG or PNG that says where it was taken, in four ways."""
    exif = Image.Exif()
    exif[_DESCRIPTION] = PLACE
    place = exif.get_ifd(_GPS)
    place.update({1: "N", 2: (51.0, 6.0, 33.0), 3: "E", 4: (17.0, 1.0, 57.0)})
    place[_GPS_METHOD] = PLACE.encode()
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{PLACE}</x:xmpmeta>".encode()
    if path.suffix == ".png":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", PLACE)
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        image.save(path, exif=exif, pnginfo=text)
    else:
        image.save(path, exif=exif, comment=PLACE, xmp=xmp, quality=95)


def photos_with_place(folder: Path, count: int = 8) -> Path:
    """Class folders like `tiny.write_folder`'s, every picture with the place."""
    tiny.write_folder(folder, count)
    for path in folder.glob("*/*"):
        with Image.open(path) as image:
            image.load()
        save_with_place(image, path)
    return folder


def told(content: bytes) -> list[bytes]:
    """Return which marks are in a file, or in pictures within a page."""
    pictures = re.findall(rb"base64,([A-Za-z0-9+/=]+)", content)
    parts = [content, *map(base64.b64decode, pictures)]
    # A page is text, where the words may be a label's; the secret may not.
    marks = _MARKS if not content.lstrip().startswith((b"<", b"{")) else _MARKS[-1:]
    found = {mark for mark in marks if mark in content}
    for part in parts[1:]:
        found.update(mark for mark in _MARKS if mark in part)
    return sorted(found)


def all_told(folder: Path) -> dict[str, list[bytes]]:
    """Return what the files below a folder tell, those that tell something."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    marks = {str(path.relative_to(folder)): told(path.read_bytes()) for path in files}
    return {name: found for name, found in marks.items() if found}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos_with_place(tmp_path_factory.mktemp("place") / "photos")


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its report, its cache and its backbone."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.tflite").write_bytes(tiny.backbone_file())
    options = ["--image_dir", str(photos), "--num_workers", "1"]
    options += ["--architecture", str(folder / "tiny.tflite")]
    options += ["--output_graph", str(folder / "model.tflite")]
    options += ["--summaries_dir", str(folder / "summaries")]
    options += ["--bottleneck_dir", str(folder / "bottlenecks")]
    assert main(["retrain", *options]) == 0
    return folder


def test_the_pictures_of_these_tests_tell_the_place(photos: Path) -> None:
    assert len(all_told(photos)) == 24
    for path in photos.glob("*/*"):
        found = told(path.read_bytes())
        assert PLACE.encode() in found
        assert len(found) >= 2


def test_model_report_summaries_and_cache_tell_no_place(trained: Path) -> None:
    page = (trained / "model.html").read_bytes()
    assert page.count(b"base64,") > 3  # there are pictures in it
    assert all_told(trained) == {}


def test_model_names_no_picture_and_no_folder(trained: Path, photos: Path) -> None:
    content = (trained / "model.tflite").read_bytes()
    assert b"red" in content  # its labels
    assert not re.search(rb"\d{3}\.(png|jpg)", content)
    for folder in (photos, trained):
        assert str(folder).encode() not in content
        assert folder.name.encode() not in content


def test_copies_of_augment_and_prepare_data_tell_no_place(
    photos: Path, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    assert main(["augment", str(photos), "--output", str(copies), "--copies", "1"]) == 0
    names = [path.relative_to(photos).as_posix() for path in photos.glob("*/*")]
    rows = [f"{name},{name.split('/')[0]}" for name in sorted(names)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["file,decor", *rows]) + "\n")
    prepared = tmp_path / "prepared"
    options = ["--csv", str(table), "--images", str(photos), "--output", str(prepared)]
    assert main(["prepare_data", *options]) == 0
    assert all_told(copies) == {}
    assert all_told(prepared) == {}


def test_drawn_labels_and_heat_maps_tell_no_place(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    options = ["--model", str(trained / "model.tflite")]
    options += ["--image", str(photos / "red/001.jpg")]
    options += ["--show", str(tmp_path / "out/show.jpg")]
    options += ["--heatmap", str(tmp_path / "out/heat.png")]
    assert main(["label_image", *options]) == 0
    assert all_told(tmp_path / "out") == {}


def test_sorting_and_collecting_copy_files_as_they_are(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    """That they do so is documented: these two keep the picture's file itself."""
    picture = photos / "red/001.jpg"
    content = picture.read_bytes()
    into = tmp_path / "sorted"
    options = ["--model", str(trained / "model.tflite"), "--image", str(picture)]
    assert main(["label_image", *options, "--sort_into", str(into)]) == 0
    with hosting.running() as server:
        server.files["/a.jpg"] = content
        (tmp_path / "list.txt").write_text(f"{server.address}/a.jpg\n")
        found = tmp_path / "found"
        options = ["--urls", str(tmp_path / "list.txt"), "--label", "red"]
        options += ["--output", str(found), "--allow_private"]
        assert main(["collect", *options]) == 0
    for folder in (into, found):
        [copy] = folder.rglob("*.jpg")
        assert copy.read_bytes() == content


def test_feedback_of_the_bot_tells_no_place(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("telegram", reason="it is not installed: edgeclf[bot]")
    from edgeclf.bot.feedback import Feedback

    feedback = Feedback(tmp_path / "feedback", ["red"], multi_label=False)
    for name in ("000.png", "001.jpg"):
        feedback.store((photos / "red" / name).read_bytes(), ["red"])
    assert len(list((tmp_path / "feedback/red").iterdir())) == 2
    assert all_told(tmp_path / "feedback") == {}


def test_thumbnails_of_teaching_tell_no_place(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed: edgeclf[web]")
    from teaching import teaching

    content = (photos / "red/001.jpg").read_bytes()
    with teaching(tmp_path / "projects") as teacher:
        teacher.make("one", {"red": 0})
        [added] = teacher.add("one", "red", [content])["added"]
        path = f"/one/classes/red/pictures/{added['id']}"
        thumbnail = teacher.call("GET", f"{path}/thumbnail").raise_for_status()
        assert thumbnail.content.startswith(b"\xff\xd8")
        assert told(thumbnail.content) == []
        # The upload itself is kept as it came, for training, and given back so.
        assert teacher.call("GET", path).raise_for_status().content == content
