from __future__ import annotations

import io
import os
import threading
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from edgeclf import ImageError, image

SIZE = (12, 20)  # height, width
EXIF_ORIENTATION = 0x0112


def antialiased(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize by a triangle as wide as the scale, in float64; each axis by a matrix."""

    def matrix(source: int, target: int) -> np.ndarray:
        scale = source / target
        support = max(scale, 1.0)
        centers = (np.arange(target) + 0.5) * scale
        distance = np.abs(np.arange(source) + 0.5 - centers[:, np.newaxis])
        weights = np.clip(1 - distance / support, 0, None)
        return weights / weights.sum(1, keepdims=True)

    rows, columns = (matrix(s, t) for s, t in zip(pixels.shape[:2], size, strict=True))
    return np.einsum("yh,hwc,xw->yxc", rows, pixels.astype(np.float64), columns)


def bilinear(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize by the nearest 2 x 2 pixels, half-pixel centres, in float64."""

    def axis(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        position = (np.arange(target) + 0.5) * source / target - 0.5
        low = np.floor(position).astype(int)
        part = position - low
        return np.clip(low, 0, source - 1), np.clip(low + 1, 0, source - 1), part

    pixels = pixels.astype(np.float64)
    top, bottom, down = axis(pixels.shape[0], size[0])
    left, right, across = axis(pixels.shape[1], size[1])
    across = across[np.newaxis, :, np.newaxis]
    down = down[:, np.newaxis, np.newaxis]
    upper = pixels[top][:, left] * (1 - across) + pixels[top][:, right] * across
    lower = pixels[bottom][:, left] * (1 - across) + pixels[bottom][:, right] * across
    return upper * (1 - down) + lower * down


def encoded(
    picture: Image.Image, image_format: str = "PNG", **options: object
) -> bytes:
    file = io.BytesIO()
    picture.save(file, image_format, **options)
    return file.getvalue()


def scene(width: int = 400, height: int = 300) -> Image.Image:
    """A smooth picture whose four corners differ."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x / width, 255 * y / height
    blue = 127.5 + 100 * np.sin(x / 40) * np.cos(y / 30)
    return Image.fromarray(np.stack([red, green, blue], -1).astype(np.uint8))


def test_load_returns_writable_contiguous_rgb(noise: np.ndarray) -> None:
    pixels = image.load(noise, SIZE)
    assert pixels.shape == (*SIZE, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


@pytest.mark.parametrize("size", [(12, 20), (37, 53), (90, 70)])
def test_antialias_equals_reference(noise: np.ndarray, size: tuple[int, int]) -> None:
    expected = antialiased(noise, size)
    # Each of Pillow's two passes rounds to a whole level.
    assert np.abs(image.load(noise, size) - expected).max() <= 1.01


@pytest.mark.parametrize("size", [(12, 20), (37, 53), (90, 70)])
def test_bilinear_equals_reference(noise: np.ndarray, size: tuple[int, int]) -> None:
    expected = np.floor(bilinear(noise, size) + 1e-6)
    actual = image.load(noise, size, resize="bilinear")
    assert np.abs(actual - expected).max() <= 1
    assert (actual == expected).mean() > 0.99


@pytest.mark.parametrize("size", [(12, 20), (37, 53), (90, 70), (5, 300)])
def test_bilinear_equals_opencv_but_for_rounding(
    noise: np.ndarray, size: tuple[int, int]
) -> None:
    cv2 = pytest.importorskip("cv2")
    expected = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_LINEAR)
    actual = image.load(noise, size, resize="bilinear")
    assert np.isin(expected.astype(int) - actual, (0, 1)).all()


def test_nearest_takes_the_pixel_under_the_centre(noise: np.ndarray) -> None:
    rows = np.floor((np.arange(SIZE[0]) + 0.5) * 37 / SIZE[0]).astype(int)
    columns = np.floor((np.arange(SIZE[1]) + 0.5) * 53 / SIZE[1]).astype(int)
    expected = noise[rows][:, columns]
    np.testing.assert_array_equal(image.load(noise, SIZE, resize="nearest"), expected)


def test_every_kind_of_source_gives_the_same_pixels(
    tmp_path: Path, noise: np.ndarray
) -> None:
    expected = image.load(noise, SIZE)
    content = encoded(Image.fromarray(noise))
    path = tmp_path / "noise.png"
    path.write_bytes(content)
    sources: list[image.ImageSource] = [
        str(path),
        path,
        content,
        bytearray(content),
        memoryview(content),
        io.BytesIO(content),
        Image.fromarray(noise),
    ]
    for source in sources:
        np.testing.assert_array_equal(image.load(source, SIZE), expected)
    with path.open("rb") as file:
        np.testing.assert_array_equal(image.load(file, SIZE), expected)
        assert not file.closed


def test_the_callers_picture_and_array_stay_as_they_were(noise: np.ndarray) -> None:
    before = noise.copy()
    image.load(noise, (37, 53))[:] = 0
    np.testing.assert_array_equal(noise, before)
    with Image.open(io.BytesIO(encoded(scene(), "JPEG"))) as opened:
        image.load(opened, (10, 10))
        assert opened.size == (400, 300)
        opened.getpixel((0, 0))  # still open


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, image_format: str) -> None:
    turn = image._UPRIGHT.get(orientation)
    stored = scene()
    if turn is not None:
        inverse = {
            Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
            Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
        }
        stored = stored.transpose(inverse.get(turn, turn))
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    content = encoded(stored, image_format, exif=exif)
    difference = image.load(content, SIZE).astype(int) - image.load(scene(), SIZE)
    assert np.abs(difference).mean() < 2


def test_orientation_of_an_opened_picture_is_applied() -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    content = encoded(scene(), "PNG", exif=exif)
    with Image.open(io.BytesIO(content)) as opened:
        pixels = image.load(opened, SIZE)
    np.testing.assert_array_equal(pixels, image.load(content, SIZE))
    np.testing.assert_array_equal(pixels, image.load(scene(), SIZE, rotation=90))


def test_broken_exif_is_ignored() -> None:
    content = encoded(scene(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    plain = encoded(scene(), "JPEG")
    np.testing.assert_array_equal(image.load(content, SIZE), image.load(plain, SIZE))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_clockwise(noise: np.ndarray, rotation: int) -> None:
    turned = np.ascontiguousarray(np.rot90(noise, -rotation // 90))
    np.testing.assert_array_equal(
        image.load(noise, SIZE, rotation=rotation), image.load(turned, SIZE)
    )


@pytest.mark.parametrize("resize", image.RESIZE_METHODS)
def test_region_in_pixels_equals_crop(noise: np.ndarray, resize: str) -> None:
    cropped = np.ascontiguousarray(noise[5:30, 10:50])
    np.testing.assert_array_equal(
        image.load(noise, SIZE, region=(10, 5, 50, 30), resize=resize),
        image.load(cropped, SIZE, resize=resize),
    )


def test_relative_region_equals_region_in_pixels(noise: np.ndarray) -> None:
    relative = (10 / 53, 5 / 37, 50 / 53, 30 / 37)
    # A relative edge may miss the pixel's by a rounding error.
    difference = image.load(noise, SIZE, region=relative).astype(int) - image.load(
        noise, SIZE, region=(10, 5, 50, 30)
    )
    assert np.abs(difference).max() <= 1


def test_region_counts_from_the_rotated_picture() -> None:
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, :10] = 255  # the left third becomes the upper third
    upper = image.load(pixels, (4, 4), rotation=90, region=(0, 0, 10, 10))
    lower = image.load(pixels, (4, 4), rotation=90, region=(0.0, 0.5, 1.0, 1.0))
    assert upper.min() == 255
    assert lower.max() == 0


def test_numpy_numbers_are_a_region(noise: np.ndarray) -> None:
    np.testing.assert_array_equal(
        image.load(noise, SIZE, region=np.array([10, 5, 50, 30])),  # type: ignore[arg-type]
        image.load(noise, SIZE, region=(10, 5, 50, 30)),
    )


def test_ints_are_pixels_and_one_float_makes_all_relative(noise: np.ndarray) -> None:
    whole = image.load(noise, SIZE)
    for region in ((0, 0, 1.0, 1), (0.0, 0.0, 1.0, 1.0), np.float32([0, 0, 1, 1])):
        np.testing.assert_array_equal(image.load(noise, SIZE, region=region), whole)
    pixel = image.load(noise, SIZE, region=(0, 0, 1, 1))
    assert (pixel == noise[0, 0]).all()
    tiny = image.load(noise, SIZE, region=(0.0, 0.0, 5e-324, 5e-324))
    assert (tiny == noise[0, 0]).all()


def test_tiny_region_of_a_jpeg_is_not_scaled() -> None:
    content = encoded(scene(), "JPEG")
    corner = image.load(content, SIZE, region=(0.0, 0.0, 5e-324, 5e-324))
    assert (corner == image.load(content, (300, 400))[0, 0]).all()


@pytest.mark.parametrize(
    "region",
    [
        (0, 0, 54, 37),
        (-1, 0, 10, 10),
        (10, 10, 10, 20),
        (0.5, 0.0, 0.4, 1.0),
        (0.0, 0.0, 1.1, 1.0),
        (0.0, 0.0, float("nan"), 1.0),
        (0.0, 0.0, float("inf"), 1.0),
        (0, 0, 2, 1.0),
    ],
)
def test_region_outside_the_picture_is_refused(
    noise: np.ndarray, region: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match=r"left < right and top < bottom inside the"):
        image.load(noise, SIZE, region=region)


@pytest.mark.parametrize(
    "region", [5, (0, 0, 1), ("a", 0, 1, 1), (False, False, True, True), (0, 0, 1j, 1)]
)
def test_region_of_other_things_is_refused(noise: np.ndarray, region: object) -> None:
    with pytest.raises(ValueError, match=r"Expected region=\(left, top, right, bot"):
        image.load(noise, SIZE, region=region)  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("region", [None, (0.25, 0.25, 1.0, 0.75)])
def test_scaled_decoding_changes_little(
    orientation: int, region: tuple[float, ...] | None
) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    content = encoded(scene(1600, 1200), "JPEG", quality=95, exif=exif)
    with Image.open(io.BytesIO(content)) as whole:
        whole.load()
        expected = image.load(whole, (64, 64), region=region)  # decoded in full
    difference = image.load(content, (64, 64), region=region).astype(int) - expected
    assert np.abs(difference).max() <= 4
    assert np.abs(difference).mean() < 0.5


def test_scaled_decoding_keeps_twice_the_target(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []
    loaded = ImageFile.ImageFile.load_end

    def record(picture: ImageFile.ImageFile) -> None:
        sizes.append(picture.size)
        loaded(picture)

    monkeypatch.setattr(ImageFile.ImageFile, "load_end", record)
    content = encoded(scene(1601, 1203), "JPEG")
    image.load(content, (64, 64))
    image.load(content, (300, 300))
    image.load(content, (64, 64), region=(0.0, 0.0, 0.25, 0.25))
    image.load(content, (64, 64), resize="bilinear")
    assert sizes == [(201, 151), (801, 602), (801, 602), (1601, 1203)]


def test_transparency_is_composed_over_white() -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:, :2] = (200, 0, 0, 255)
    pixels[:, 2:] = (255, 0, 255, 0)  # magenta that nobody sees
    expected = np.full((4, 4, 3), 255, np.uint8)
    expected[:, :2] = (200, 0, 0)
    picture = Image.fromarray(pixels)
    for source in (picture, encoded(picture), picture.convert("RGBa")):
        np.testing.assert_array_equal(image.load(source, (4, 4)), expected)
    small = image.load(encoded(picture), (1, 1))
    np.testing.assert_allclose(small[0, 0], (227, 127, 127), atol=1)


def test_gray_with_alpha_and_palettes_with_transparency() -> None:
    gray = Image.fromarray(np.array([[[9, 255], [9, 0]]], np.uint8), "LA")
    assert image.load(encoded(gray), (1, 2))[0].tolist() == [[9] * 3, [255] * 3]
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 255, 10, 20, 30])
    palette.putpixel((1, 0), 1)
    content = encoded(palette, transparency=0)
    assert image.load(content, (1, 2))[0].tolist() == [[255] * 3, [10, 20, 30]]
    color = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    content = encoded(color, transparency=(4, 5, 6))
    assert image.load(content, (1, 2))[0].tolist() == [[1, 2, 3], [255] * 3]


def test_gray_of_16_bits_is_scaled() -> None:
    levels = np.array([[0, 257, 32768, 65535]], np.uint16)
    for source in (Image.fromarray(levels), encoded(Image.fromarray(levels))):
        assert image.load(source, (1, 4))[0, :, 0].tolist() == [0, 1, 128, 255]
    content = encoded(Image.fromarray(levels))
    chunk = b"tRNS" + (257).to_bytes(2, "big")
    chunk = b"\0\0\0\2" + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    data = content.index(b"IDAT") - 4
    content = content[:data] + chunk + content[data:]
    assert image.load(content, (1, 4))[0, :, 0].tolist() == [0, 255, 128, 255]


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("F", [0.0, 0.5, 1.0], [0, 128, 255]),
        ("F", [0.0, 100.4, 255.0], [0, 100, 255]),
        ("F", [-1.0, 0.0, 1.0], [0, 128, 255]),
        ("F", [np.nan, np.inf, 1.0], [0, 0, 255]),
        ("F", [-3.0, -3.0, -3.0], [0, 0, 0]),
        ("I", [0, 32768, 65535], [0, 128, 255]),
        ("I", [-100, 0, 100], [0, 128, 255]),
    ],
)
def test_wide_gray_is_scaled(
    mode: str, values: list[float], expected: list[int]
) -> None:
    dtype = np.float32 if mode == "F" else np.int32
    picture = Image.fromarray(np.array([values], dtype))
    assert picture.mode == mode
    assert image.load(picture, (1, 3))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV"])
def test_other_modes_become_rgb(mode: str) -> None:
    picture = scene().convert("L").convert("RGB").convert(mode)
    expected = picture.convert("RGB")
    actual = image.load(picture, (300, 400))
    np.testing.assert_array_equal(actual, np.asarray(expected))


def test_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue")]
    for image_format in ("GIF", "WEBP", "PNG", "TIFF"):
        content = encoded(
            frames[0], image_format, save_all=True, append_images=frames[1:]
        )
        pixel = image.load(content, (2, 2))[0, 0]
        np.testing.assert_allclose(pixel, (255, 0, 0), atol=8)


def test_missing_file_and_folder_stay_os_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        image.load(tmp_path / "missing.jpg", SIZE)
    with pytest.raises(IsADirectoryError):
        image.load(tmp_path, SIZE)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty (0 bytes)."),
        (b"Hello, this is text.", "is not a picture in a format that Pillow reads."),
        (encoded(scene(), "JPEG")[:2000], "is damaged or cut short:"),
        (encoded(scene(), "PNG")[:2000], "is damaged or cut short:"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" * 9, "is a HEIC photo, which is not"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" * 9, "is a HEIC photo, which is not"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is PostScript, not"),
    ],
)
def test_unreadable_picture_is_named(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "a b.jpg"
    path.write_bytes(content)
    for source, name, called in (
        (path, None, str(path)),
        (content, None, "image"),
        (content, "upload.jpg", "upload.jpg"),
        (io.BytesIO(content), None, "image"),
    ):
        with pytest.raises(ImageError) as caught:
            image.load(source, SIZE, name=name)
        assert str(caught.value).startswith(f"{called} {sentence}")
    with path.open("rb") as file, pytest.raises(ImageError) as caught:
        image.load(file, SIZE)
    assert str(caught.value).startswith(str(path))


def png_header(width: int, height: int) -> bytes:
    content = bytearray(encoded(Image.new("1", (1, 1))))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize("limit", [None, 10, 10**12])
def test_bomb_is_refused_by_our_own_limit(
    monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ImageError, match=r"^image is too large to decode safely"):
        image.load(png_header(60_000, 60_000), SIZE)
    assert limit == Image.MAX_IMAGE_PIXELS
    # Below the limit: no bomb, and no warning of Pillow's, but cut short.
    with pytest.raises(ImageError, match="is damaged or cut short"):
        image.load(png_header(8000, 8000), SIZE)
    image.load(encoded(scene()), SIZE)


def test_truncated_files_are_refused_whatever_pillow_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    content = encoded(scene(), "JPEG")
    with pytest.raises(ImageError, match="damaged or cut short: image file is trunc"):
        image.load(content[: len(content) // 2], SIZE)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_overlapping_calls_put_pillows_settings_back() -> None:
    filters, pixels = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    start = threading.Barrier(4)
    content = encoded(scene(), "JPEG")

    def work() -> None:
        start.wait()
        for _ in range(20):
            image.load(content, SIZE)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == filters
    assert pixels == Image.MAX_IMAGE_PIXELS
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    ("array", "error", "sentence"),
    [
        (np.zeros((4, 4, 3)), TypeError, "dtype uint8. Received: float64"),
        (np.zeros((4, 4), np.uint8), ValueError, r"Received: shape=\(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, r"Received: shape=\(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), ValueError, r"Received: shape=\(0, 4, 3\)"),
    ],
)
def test_other_arrays_are_refused(
    array: np.ndarray, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as caught:
        image.load(array, SIZE)
    assert not isinstance(caught.value, ImageError)


@pytest.mark.parametrize("source", [7, None, io.StringIO("text"), [[1, 2]]])
def test_other_sources_are_refused(source: object) -> None:
    with pytest.raises(TypeError, match="Expected an image as path, bytes, binary"):
        image.load(source, SIZE)  # type: ignore[arg-type]


def test_other_arguments_are_refused(noise: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"both at least 1. Received: input_size=\(0,"):
        image.load(noise, (0, 5))
    with pytest.raises(ValueError, match=r"bilinear, nearest. Received: resize='c"):
        image.load(noise, SIZE, resize="cubic")
    for rotation in (45, -90, 360, float("nan"), False):
        with pytest.raises(
            ValueError, match=rf"degrees. Received: rotation={rotation}"
        ):
            image.load(noise, SIZE, rotation=rotation)  # type: ignore[arg-type]
    for size in (8, (8,), (2.5, 3)):
        with pytest.raises(ValueError, match=r"Received: input_size="):
            image.load(noise, size)  # type: ignore[arg-type]
    decoded = image.decode(noise, SIZE)
    with pytest.raises(ValueError, match=r"Received: resize='cubic'"):
        image.stretch(decoded, SIZE, "cubic")


def test_closed_picture_is_an_image_error() -> None:
    with Image.open(io.BytesIO(encoded(scene()))) as opened:
        pass
    with pytest.raises(ImageError, match="is damaged or cut short"):
        image.load(opened, SIZE)


def test_unseekable_file_is_read(picture: Callable[..., Path]) -> None:
    path = picture("green")
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as target:
        target.write(path.read_bytes())
    with os.fdopen(reading, "rb") as source:
        pixels = image.load(source, (2, 2))
    assert pixels[0, 0].tolist() == [30, 200, 30]


def test_no_size_means_the_pictures_own(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (23, 41, 3), dtype=np.uint8)
    np.testing.assert_array_equal(image.load(pixels, None), pixels)
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    assert image.load(path, None).shape == (41, 23, 3)
    assert image.load(path, None, region=(0.0, 0.0, 1.0, 0.5)).shape == (20, 23, 3)


@pytest.mark.parametrize("resize", image.RESIZE_METHODS)
@pytest.mark.parametrize("size", [SIZE, None])
def test_load_is_decode_and_stretch(size: tuple[int, int] | None, resize: str) -> None:
    content = encoded(scene(800, 600), "JPEG")
    region = (0.1, 0.2, 0.7, 0.9)
    decoded = image.decode(content, size, resize=resize, region=region, rotation=90)
    scaled = size is not None and resize == "antialias"
    assert decoded.image.mode == "RGB"
    assert decoded.image.size == ((75, 100) if scaled else (600, 800))
    np.testing.assert_allclose(
        np.divide(decoded.box, decoded.image.size * 2), region, atol=1e-12
    )
    np.testing.assert_array_equal(
        image.stretch(decoded, size, resize),
        image.load(content, size, resize=resize, region=region, rotation=90),
    )


def test_pictures_of_several_strips_are_whole() -> None:
    side = 1100  # more pixels than are converted at a time
    ramp = np.arange(side * side).reshape(side, side)
    gray = (ramp % 65536).astype(np.uint16)
    expected = np.floor((gray + 128.0) / 257)[..., np.newaxis].repeat(3, -1)
    np.testing.assert_array_equal(image.load(Image.fromarray(gray), None), expected)
    floats = Image.fromarray((ramp / ramp.max()).astype(np.float32))
    expected = np.rint(ramp / ramp.max() * 255)[..., np.newaxis].repeat(3, -1)
    assert np.abs(image.load(floats, None) - expected).max() <= 1
    alpha = Image.fromarray((ramp % 251).astype(np.uint8))
    black = Image.new("RGB", (side, side))
    black.putalpha(alpha)
    expected = np.repeat(255 - ramp[..., np.newaxis] % 251, 3, -1)
    np.testing.assert_array_equal(image.load(black, None), expected)


def test_a_callers_file_stays_open() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    for content in (eps, encoded(scene(), "PNG"), encoded(scene(), "PNG")[:2000], b""):
        file = io.BytesIO(content)
        with suppress(ImageError):
            image.load(file, SIZE)
        assert not file.closed


def test_webp_has_its_limit_however_it_comes() -> None:
    """Pillow tells the tiles of a WebP only when it decodes it."""
    content = encoded(Image.new("RGB", (10_000, 6_000)), "WEBP")
    with pytest.raises(ImageError, match="of which a WEBP may have"):
        image.load(content, SIZE)
    with (
        Image.open(io.BytesIO(content)) as opened,
        pytest.raises(ImageError, match="of which a WEBP may have"),
    ):
        image.load(opened, SIZE)
    small = encoded(scene(), "WEBP")
    with Image.open(io.BytesIO(small)) as opened:
        expected = image.load(opened, SIZE)
        np.testing.assert_array_equal(image.load(opened, SIZE), expected)  # decoded


def test_a_picture_that_the_caller_opened_has_the_same_limits() -> None:
    Image.init()
    if "QOI" not in Image.OPEN:
        pytest.skip("Pillow before 9.5 reads no QOI")
    content = b"qoif" + (8000).to_bytes(4, "big") * 2 + b"\3\0"
    with (
        Image.open(io.BytesIO(content)) as opened,
        pytest.raises(ImageError, match="is too large to decode safely"),
    ):
        image.load(opened, SIZE)


def test_an_empty_picture_of_pillow_is_refused():
    with pytest.raises(ImageError, match=r"image is empty \(0 x 5\)\."):
        image.load(Image.new("RGB", (0, 5)), (4, 4))
