"""Damaged and malicious pictures end in pixels or in one sentence, in bounds.

They are loaded in a process of their own, which says before each picture which one it
is: so a crash, a hang and a warning have a name. `EDGECLF_MUTANTS_IMAGES=2000` tries
more.
"""

from __future__ import annotations

import faulthandler
import io
import os
import resource
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from mutations import NUM_IMAGES, mutated
from PIL import Image, PngImagePlugin

from edgeclf import EdgeclfError, image

ROOT = Path(__file__).resolve().parents[1]
MESSY = ROOT.parent / "shared" / "data" / "messy"
MOST_SECONDS = 5
MOST_BYTES = 1 << 30
SIZE = (24, 32)
UNREADABLE = {"BUFR", "EPS", "GRIB", "HDF5", "PALM", "PDF", "WMF"}  # Pillow only writes


def scene(mode: str = "RGB", size: tuple[int, int] = (48, 36)) -> Image.Image:
    across = Image.linear_gradient("L").resize(size)
    down = across.transpose(Image.Transpose.ROTATE_90).resize(size)
    picture = Image.merge(
        "RGB", (across, down, Image.effect_mandelbrot(size, (-2, -1, 1, 1), 40))
    )
    if mode in ("LA", "RGBA"):
        picture.putalpha(down)
    return picture.convert(mode)


def encoded(picture: Image.Image, image_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, image_format, **options)
    return file.getvalue()


def samples() -> dict[str, bytes]:
    """Whole pictures: each format that Pillow writes and reads, in several ways."""
    Image.init()
    warnings.simplefilter("ignore")  # that a format will go
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "camera"
    files = {}
    for name in sorted(Image.SAVE.keys() & Image.OPEN.keys() - UNREADABLE):
        for mode in ("RGB", "RGBA", "L", "1", "P", "F"):
            try:
                files[f"{name} {mode}"] = encoded(scene(mode), name)
            except (OSError, ValueError, KeyError):
                continue  # a mode that the format does not have
    for number, options in enumerate(
        (
            {"progressive": True, "exif": exif},
            {"subsampling": 0, "quality": 95, "comment": b"a comment"},
            {"restart_marker_blocks": 1, "icc_profile": bytes(300)},
        )
    ):
        files[f"JPEG {number}"] = encoded(scene(), "JPEG", **options)
    files["JPEG CMYK"] = encoded(scene("CMYK"), "JPEG")
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg", "zstd"):
        with_exif = encoded(scene(), "TIFF", compression=compression, exif=exif)
        files[f"TIFF {compression}"] = with_exif
    files["TIFF group4"] = encoded(scene("1"), "TIFF", compression="group4")
    for name in ("GIF", "MPO", "PNG", "TIFF", "WEBP"):
        more = [scene().rotate(90), scene().rotate(45)]
        files[f"{name} frames"] = encoded(
            scene(), name, save_all=True, append_images=more
        )
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "long" * 500, zip=True)
    files["PNG text"] = encoded(scene(), "PNG", pnginfo=text, exif=exif)
    files["PNG palette"] = encoded(scene("P"), "PNG", transparency=3, bits=4)
    return files


def chunk(kind: bytes, content: bytes) -> bytes:
    """One piece of a PNG."""
    checksum = zlib.crc32(kind + content)
    return (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
    )


def png(width: int, height: int, *chunks: bytes, row: bytes = b"") -> bytes:
    """A PNG of one bit a pixel; all its rows are alike."""
    compressor = zlib.compressobj(9)
    pixels = b"".join(compressor.compress(row) for _ in range(height if row else 0))
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *chunks)
    data = chunk(b"IDAT", pixels + compressor.flush()) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + data


def of_many_scans(count: int, **options: object) -> bytes:
    """A progressive JPEG of 4 megapixels whose last scan comes again and again."""
    content = encoded(
        Image.new("RGB", (2000, 2000)), "JPEG", progressive=True, **options
    )
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * count + content[-2:]


def resized(content: bytes, width: int, height: int, ways: bytes = b"\x22") -> bytes:
    """A JPEG whose header says another size, and how much finer the first colour is."""
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        start = content.find(marker)
        if start >= 0:
            size = struct.pack(">HH", height, width)
            changed = bytearray(content)
            changed[start + 5 : start + 9] = size
            changed[start + 11 : start + 12] = ways
            return bytes(changed)
    raise AssertionError("no frame in this JPEG")


def fits(side: int) -> bytes:
    """The header of a picture of one byte a pixel, as telescopes write."""
    cards = {"SIMPLE": "T", "BITPIX": 8, "NAXIS": 2, "NAXIS1": side, "NAXIS2": side}
    lines = [f"{key:8}= {value:>20}".ljust(80) for key, value in cards.items()]
    return "".join([*lines, "END"]).ljust(2880).encode() + bytes(2880)


def bombs() -> dict[str, bytes]:
    """Small files that ask for much memory or time."""
    small = encoded(scene(), "JPEG")
    progressive = encoded(scene(), "JPEG", progressive=True)
    inner = png(60_000, 60_000)
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(inner), 22)
    dds = bytearray(encoded(scene(), "DDS"))
    dds[12:20] = struct.pack("<II", 9000, 7000)
    bmp = bytearray(encoded(scene("P"), "BMP"))
    bmp[18:26] = struct.pack("<ii", 8000, 8000)
    bmp[30:34] = struct.pack("<I", 1)  # run-length encoded
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(5_000_000), 9))
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(5_000_000), 9))
    return {
        "PNG of 3.6 gigapixels": png(60_000, 60_000),
        "PNG of 400 megapixels, whole": png(20_000, 20_000, row=bytes(2501)),
        "PNG one pixel wide": png(1, 60_000_000),
        "PNG one pixel high": png(60_000_000, 1, row=bytes(7_500_001)),
        "PNG with 5 MB of text": png(8, 8, text, row=bytes(2)),
        "PNG with 5 MB of profile": png(8, 8, profile, row=bytes(2)),
        "JPEG of 1,000 scans": of_many_scans(1000),
        "JPEG of 4.2 gigapixels": resized(small, 65_000, 65_000),
        "progressive JPEG of 4.2 gigapixels": resized(progressive, 65_000, 65_000),
        "progressive JPEG of full colour": resized(
            progressive, 14_000, 14_000, b"\x11"
        ),
        "ICO around a PNG": icon + inner,
        "DDS of 63 megapixels": bytes(dds),
        "QOI of 64 megapixels": b"qoif" + struct.pack(">IIBB", 8000, 8000, 3, 0),
        "BMP of 64 megapixels": bytes(bmp),
        "PPM of 3.6 gigapixels": b"P6 60000 60000 255\n",
        "PPM in figures": b"P2 8000 8000 255\n" + b"1 " * 100_000,
        "WebP of 268 megapixels": encoded(scene(), "WEBP", lossless=True)[:21]
        + b"\xff\xff\xff\x0f"
        + bytes(100),
        "GIF of 4.2 gigapixels": b"GIF89a\xff\xff\xff\xff\x80\0\0"
        + bytes(6)
        + b",\0\0\0\0\xff\xff\xff\xff\0\x08\x01\0\0;",
        "FITS of 64 megapixels": fits(8000),
    }


def in_child(*arguments: object) -> list[str]:
    """Run this file with a limit on time and memory; return its lines."""
    command = [sys.executable, "-W", "error", __file__, *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    last = lines[-1] if lines else "nothing"
    assert done.returncode == 0, f"after {last}: {done.stderr}"
    assert not done.stderr, f"expected nothing on stderr, received: {done.stderr}"
    return lines


def test_mutated_pictures_end_in_pixels_or_an_error_in_bounds() -> None:
    whole, mutants = {}, {}
    for line in in_child("mutants", 0, NUM_IMAGES):
        name, _, end = line.rpartition(": ")
        (mutants if name.startswith("seed") else whole)[name] = end
    assert len(whole) > 50
    assert set(whole.values()) == {"pixels"}, whole
    assert len(mutants) == NUM_IMAGES
    assert set(mutants.values()) == {"pixels", "error"}


def test_bombs_are_refused_in_bounds() -> None:
    lines = in_child("bombs")
    assert [line for line in lines if not line.endswith(": error")] == []
    assert len(lines) == len(bombs())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (png(1, 60_000_000), r"1 x 60000000 pixels, of which a PNG may have \d+, and"),
        (png(60_000, 60_000), r"it has more than 67108864 pixels\."),
        (b"qoif" + struct.pack(">IIBB", 8000, 8000, 3, 0), "of which a QOI may have"),
        (of_many_scans(1000), r"10\d\d scans with 4000000 pixels"),
    ],
)
def test_too_large_a_picture_is_told_why(content: bytes, sentence: str) -> None:
    pattern = rf"^a\.png is too large to decode safely: .*{sentence}.* Make it smaller"
    with pytest.raises(EdgeclfError, match=pattern):
        image.load(content, SIZE, name="a.png")


def test_what_is_no_picture_is_refused_by_its_kind() -> None:
    content = fits(8)
    with pytest.raises(EdgeclfError, match=r"is a table or image of astronomy, not a"):
        image.load(content, SIZE)


def test_a_phones_picture_of_200_megapixels_is_scaled_not_refused() -> None:
    # Only the header is that large: what is missing is gray.
    content = resized(encoded(scene(), "JPEG"), 16_320, 12_240)
    assert image.load(content, SIZE).shape == (*SIZE, 3)
    with pytest.raises(EdgeclfError, match=r"too large .* of which a JPEG may have"):
        image.load(content, SIZE, resize="bilinear")  # in full


def test_a_progressive_picture_of_a_camera_is_not_refused() -> None:
    content = of_many_scans(0)
    assert image.load(content, SIZE).shape == (*SIZE, 3)


def _run(kind: str, first: int = 0, count: int = 0) -> None:
    """Load pictures one after another; say which, and how it ended."""
    resource.setrlimit(resource.RLIMIT_AS, (4 * MOST_BYTES, 4 * MOST_BYTES))
    named = _mutants(first, count) if kind == "mutants" else iter(bombs().items())
    before = _peak_bytes()
    for number, (name, content) in enumerate(named):
        print(name, end=": ", flush=True)  # noqa: T201
        faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
        try:
            image.load(
                content,
                SIZE if number % 5 else None,
                resize=image.RESIZE_METHODS[number % 3],
                rotation=90 * (number % 4),
                region=None if number % 2 else (0.1, 0.0, 1.0, 0.7),
            )
        except EdgeclfError:
            print("error")  # noqa: T201
        else:
            print("pixels")  # noqa: T201
        faulthandler.cancel_dump_traceback_later()
        peak = _peak_bytes()
        if peak > MOST_BYTES:
            raise SystemExit(f"{peak >> 20} MiB, {before >> 20} MiB before")


def _peak_bytes() -> int:
    """Return the most memory held since this program began.

    That of `getrusage` counts what its parent held at the fork.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _mutants(first: int, count: int) -> Iterator[tuple[str, bytes]]:
    files = list(samples().items())
    yield from files
    if MESSY.is_dir():
        found = (path for path in sorted(MESSY.iterdir()) if path.stat().st_size)
        files += [(path.name, path.read_bytes()) for path in found]
    for seed in range(first, first + count):
        name, content = files[seed % len(files)]
        yield f"seed {seed}, {name}", mutated(content, seed)


if __name__ == "__main__":
    _run(sys.argv[1], *map(int, sys.argv[2:]))
