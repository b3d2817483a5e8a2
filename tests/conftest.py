"""Fixtures: pictures of one colour, tiny models, the shared folder if it is there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import model_files as models
import numpy as np
import pytest
from PIL import Image
from ray_cluster import RayCluster, ray_cluster

# Extras, what the tests of each import, and which tests these are: all or nothing.
EXTRAS = {
    "web": (
        ("fastapi", "httpx", "jinja2", "python_multipart", "uvicorn"),
        ("test_web_*.py", "test_teach*.py", "test_container.py", "test_crash_teach.py"),
    ),
    "parquet": (
        ("fsspec", "pyarrow"),
        tuple(
            f"test_label_{name}.py"
            for name in ("command", "errors", "resume", "sources")
        ),
    ),
}
MISSING = {
    extra: [name for name in packages if find_spec(name) is None]
    for extra, (packages, _) in EXTRAS.items()
}
collect_ignore_glob = [
    tests for extra, missing in MISSING.items() if missing for tests in EXTRAS[extra][1]
]

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def pytest_report_header() -> list[str]:
    """Say what is left out, and why."""
    return [
        f"edgeclf[{extra}]: not tested, as {', '.join(missing)} is missing"
        for extra, missing in MISSING.items()
        if missing
    ]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures and models that may lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED.name} beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayCluster]:
    """A Ray cluster of two nodes; who loses one adds another."""
    with ray_cluster() as running:
        yield running


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    """Write a picture of one of `models.PIXELS` and return its path."""

    def write(color: str = "red", name: str = "", **options: object) -> Path:
        path = tmp_path / (name or f"{color}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), models.PIXELS[color]).save(path, **options)
        return path

    return write


@pytest.fixture
def color_folder(tmp_path: Path) -> Path:
    """A folder of one folder per colour with three pictures each, and some litter."""
    folder = tmp_path / "colors"
    random = np.random.default_rng(1)
    for color, pixel in models.PIXELS.items():
        below = folder / color
        below.mkdir(parents=True)
        for number in range(3):
            pixels = random.normal(pixel, 20, (24, 30, 3)).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(below / f"{number}.png")
    (folder / ".DS_Store").write_bytes(b"litter")
    (folder / "red" / "Thumbs.db").write_bytes(b"litter")
    return folder


@pytest.fixture
def model_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a model as edgeclf writes it, or the given content; return its path."""

    def write(content: bytes | None = None, name: str = "model.tflite") -> Path:
        path = tmp_path / name
        path.write_bytes(models.own() if content is None else content)
        return path

    return write


@pytest.fixture
def noise() -> np.ndarray:
    """A picture of every colour, uint8 (37, 53, 3)."""
    return np.random.default_rng(7).integers(0, 256, (37, 53, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost by nobody, and its key."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    try:
        done = subprocess.run(
            [*command, "-keyout", "-"], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl that makes a certificate")
    path.write_bytes(done.stdout)
    return path
