from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
from hosting import Server, running, status
from PIL import Image
from tag_tables import KEYWORDS, draw, write_table, write_unsplash

from edgeclf.collecting.features import FeatureKeeper
from edgeclf.collecting.unsplash import find, in_turn, resized
from edgeclf.data.remote import MANIFEST, RemoteExample, read_manifest
from edgeclf.data.tag_source import TagSource
from edgeclf.errors import DatasetError, DownloadError, ImageError
from edgeclf.training import RetrainConfig
from edgeclf.training.backbone import backbone_of
from edgeclf.training.bottlenecks import BottleneckExtractor, Unreadable
from edgeclf.training.cache import BottleneckCache
from edgeclf.training.features import Features
from edgeclf.training.views import PLAIN

FIELDS = ("photo_id", "photo_image_url", "photo_url", "photo_aspect_ratio")
FIELDS += ("photo_description", "photographer_first_name", "photographer_username")


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    web = "https://images.example.org/"
    rows = [
        ("a", f"{web}a", "https://example.org/a", "1.5", "A\nsea ", "Ann", "ann-1"),
        ("b", f"{web}b?ixid=1&w=9", "", "", "", "", "bob"),
        ("c", f"{web}c", "", "0.5", "", "", ""),
        ("d", "images/d.png", "", "", "", "", ""),
    ]
    write_table(folder / "photos.tsv000", FIELDS, rows)
    tags = [("a", "sea"), ("a", "blue"), ("b", "sea"), ("d", "sea"), ("c", "rare")]
    rows = [(photo, tag, "", "", "t") for photo, tag in [*tags, ("b", "blue")]]
    write_table(folder / "keywords.tsv000", KEYWORDS, rows)
    return folder


def test_find_fields(tables: Path, caplog: pytest.LogCaptureFixture) -> None:
    rare, first, second = find(TagSource(unsplash=tables), 100)

    assert rare.labels == ("rare",)
    assert first.labels == second.labels == ("blue", "sea")
    assert first.url == ("https://images.example.org/a?w=150&h=100&fit=max&fm=jpg&q=85")
    assert (first.source, first.identifier) == ("unsplash", "a")
    assert (first.page, first.title) == ("https://example.org/a", "A sea")
    assert (first.author, second.author, rare.author) == ("Ann", "bob", None)
    assert first.license == "Unsplash License"
    assert first.license_url == "https://unsplash.com/license"
    assert (second.page, second.title) == (None, None)
    assert "Photos without an address on the web, left out: 1 (d)." in caplog.text


def test_find_is_lazy_and_leaves_out_other_tags(tables: Path) -> None:
    source = TagSource(unsplash=tables, keywords=("rare",))

    assert [found.identifier for found in find(source)] == ["c"]
    with pytest.raises(ValueError, match="a source with unsplash"):
        next(find(TagSource(tag_folders=tables)))


@pytest.mark.parametrize(
    ("address", "aspect", "expected"),
    [
        ("https://h/p", None, "https://h/p?w=896&h=896&fit=max&fm=jpg&q=85"),
        ("https://h/p", 1.5, "https://h/p?w=672&h=448&fit=max&fm=jpg&q=85"),
        ("https://h/p", 0.75, "https://h/p?w=448&h=598&fit=max&fm=jpg&q=85"),
        ("https://h/p", 100.0, "https://h/p?w=1792&h=448&fit=max&fm=jpg&q=85"),
        (
            "https://h/p?w=1&crop=&ixid=a%20b&fit=crop#x",
            1.0,
            "https://h/p?crop=&ixid=a+b&w=448&h=448&fit=max&fm=jpg&q=85#x",
        ),
    ],
)
def test_resized(address: str, aspect: float | None, expected: str) -> None:
    assert resized(address, 448, aspect) == expected


def test_in_turn_serves_every_tag_alike() -> None:
    source = np.random.default_rng(3)
    targets = source.random((3000, 6)) < [0.5, 0.2, 0.1, 0.05, 0.02, 0.005]

    order = list(in_turn(targets))

    assert sorted(order) == np.flatnonzero(targets.any(axis=1)).tolist()
    totals = targets.sum(axis=0)
    for limit in (12, 60, 300):
        counts = targets[order[:limit]].sum(axis=0)
        # Each tag has its share, or all there is of it.
        assert (counts >= np.minimum(totals, limit // 6)).all()


def test_in_turn_without_tags() -> None:
    assert list(in_turn(np.zeros((4, 2), np.bool_))) == []
    assert list(in_turn(np.zeros((4, 0), np.bool_))) == []


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


def jpeg(color: str, seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(tiny.pixels(color, seed)).save(file, "JPEG")
    return file.getvalue()


def manifest(folder: Path, rows: list[dict[str, str]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    columns = ("file", "label", "url", "source", "identifier", "license", "sha256")
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder / MANIFEST


def row_of(server: Server, photo: str, content: bytes) -> dict[str, str]:
    server.files[f"/{photo}?w=1"] = content
    return {
        "url": f"{server.address}/{photo}?w=1",
        "source": "unsplash",
        "identifier": photo,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_read_manifest_takes_rows_of_photos_without_a_file(
    tmp_path: Path, server: Server
) -> None:
    row = row_of(server, "a", jpeg("red"))
    others = [{**row, "file": "x.jpg", "identifier": "b"}]
    others += [{**row, "source": "urls", "identifier": "c"}]
    manifest(tmp_path, [row, *others])

    (example,) = read_manifest(tmp_path, "unsplash", allow_private=True).remote.values()

    assert (example.name, example.label) == ("a", "")
    assert example.digest == hashlib.sha256(jpeg("red")).digest()
    assert example.read() == jpeg("red")
    assert read_manifest(tmp_path / "none", "unsplash") == ({}, {})


def test_remote_example_refuses_other_pictures_and_places(
    tmp_path: Path, server: Server
) -> None:
    path = manifest(tmp_path, [row_of(server, "a", jpeg("red"))]).parent
    (refused,) = read_manifest(path, "unsplash").remote.values()
    (example,) = read_manifest(path, "unsplash", allow_private=True).remote.values()

    with pytest.raises(DownloadError, match="not a public address"):
        refused.read()
    server.files["/a?w=1"] = jpeg("blue")
    with pytest.raises(DownloadError, match=r"/a\?w=1\. Received: another file\."):
        example.read()
    server.normally = status(404)
    with pytest.raises(DownloadError, match="404"):
        example.read()


@pytest.mark.parametrize("content", [b"file,sha256\na,b\n", b"\xff\xfe\0", b""])
def test_read_manifest_passes_over_what_others_wrote(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    assert read_manifest(tmp_path, "unsplash") == ({}, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x" * 200_000, "field larger than field limit"),
        (b",unsplash,a,http://x,12", "64 hexadecimal .*, line 2. Received: '12'"),
    ],
)
def test_read_manifest_refuses(tmp_path: Path, content: bytes, message: str) -> None:
    head = b"file,source,identifier,url,sha256\n"
    (tmp_path / MANIFEST).write_bytes(head + content)
    with pytest.raises(DatasetError, match=message):
        read_manifest(tmp_path, "unsplash")


def test_tag_source_reads_stored_and_remote_pictures(
    tmp_path: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    tables = write_unsplash(
        tmp_path / "tables", "abc", [(photo, f"tag {photo}", "100") for photo in "abc"]
    )
    images = tmp_path / "images"
    rows = [row_of(server, photo, jpeg("red")) for photo in ("a", "b", "x", "c")]
    rows[3]["file"] = "sea/gone.jpg"
    places = ("sky/unsplash-c-f00.jpg", "wind/unsplash-c-f00.jpg")
    manifest(images, [*rows, *({**rows[3], "file": place} for place in places)])
    draw(images, "a.jpg", *places)

    pictures = TagSource(unsplash=tables, image_dir=images).read()

    names = [example.name for example in pictures.examples]
    assert names == ["a.jpg", "b", "sky/unsplash-c-f00.jpg"]
    are_remote = [isinstance(one, RemoteExample) for one in pictures.examples]
    assert are_remote == [False, True, False]
    assert pictures.labels == ("tag a", "tag b", "tag c")
    assert pictures.targets.tolist() == np.eye(3, dtype=bool).tolist()
    assert "Pictures of no photo" not in caplog.text


@pytest.fixture
def config(tmp_path: Path) -> RetrainConfig:
    backbone = tmp_path / "backbone.tflite"
    backbone.write_bytes(tiny.backbone_file())
    return RetrainConfig(
        unsplash=tmp_path,
        architecture=backbone,
        input_mean=127.5,
        input_std=127.5,
        bottleneck_dir=tmp_path / "bottlenecks",
        views=3,
    )


def test_keep_leaves_nothing_to_fetch(
    tmp_path: Path, server: Server, config: RetrainConfig
) -> None:
    contents = [jpeg(color) for color in tiny.COLORS]
    manifest(
        tmp_path,
        [row_of(server, f"p{n}", content) for n, content in enumerate(contents)],
    )
    with FeatureKeeper(config) as keeper:
        assert keeper.side == 2 * tiny.SIDE
        for content in contents:
            keeper.keep(content)

    examples = read_manifest(tmp_path, "unsplash", allow_private=True).remote.values()
    with BottleneckCache(config.bottleneck_dir) as cache:
        extractor = BottleneckExtractor(
            backbone_of(config), cache, resize=config.resize
        )
        items = [
            (example, view)
            for example in examples
            for view in [PLAIN, *config.draw_views(example.digest)]
        ]
        kept = list(extractor.extract(items, "kept"))
        assert server.requests == []
        other = RetrainConfig(unsplash=tmp_path, seed=1).draw_views(bytes(32))
        first = next(iter(examples))
        again = list(extractor.extract([(first, other[0])], "fetched"))

    assert len(server.requests) == 1
    assert all(isinstance(one, Features) for one in [*kept, *again])
    assert Counter(one.digest for one in kept) == Counter(
        {hashlib.sha256(content).digest(): 3 for content in contents}
    )


def test_extract_says_which_remote_picture_is_gone(
    tmp_path: Path, server: Server, config: RetrainConfig
) -> None:
    manifest(tmp_path, [row_of(server, "gone", jpeg("red"))])
    server.normally = status(404)
    examples = list(
        read_manifest(tmp_path, "unsplash", allow_private=True).remote.values()
    )
    with BottleneckCache(config.bottleneck_dir) as cache:
        extractor = BottleneckExtractor(
            backbone_of(config), cache, resize=config.resize
        )
        (result,) = extractor.extract([(examples[0], PLAIN)], "fetched")

    assert isinstance(result, Unreadable)
    assert result.example.name == "gone"
    assert "404" in result.reason


def test_keep_refuses_what_is_no_picture(config: RetrainConfig) -> None:
    with (
        FeatureKeeper(config) as keeper,
        pytest.raises(ImageError, match="it is not a"),
    ):
        keeper.keep(b"no picture")
