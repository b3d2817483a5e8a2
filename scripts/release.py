"""Build what a release consists of, the same bytes wherever it is built.

    python scripts/release.py --output dist
    python scripts/release.py --output dist --packages_only

builds the last commit: what is not committed is not in it. docs/releasing.md tells what
lies in the folder afterwards and how somebody else compares it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Where the wheel has files of the checkout under another name: setup.cfg, package_dir.
MOVED = {"models/": "edgeclf/models/"}


class ReleaseError(Exception):
    """What was built is not what is released; the message says why."""


def git(*arguments: str) -> bytes:
    """Return what git prints in the checkout.

    Raises:
        subprocess.CalledProcessError: git failed; its words are on stderr.
    """
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True
    )
    return done.stdout


def export(folder: Path) -> None:
    """Write the last commit into a folder, with modes that no umask changes."""
    with tarfile.open(fileobj=io.BytesIO(git("archive", "HEAD"))) as archive:
        archive.extractall(folder, filter="data")
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def build(kind: str, source: Path, output: Path, epoch: int) -> Path:
    """Build a `sdist` or `wheel` with the setuptools of this Python; return its path.

    Raises:
        subprocess.CalledProcessError: The build failed; its words are on stderr.
    """
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}"]
    command += ["--outdir", str(output), str(source)]
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "SOURCE_DATE_EPOCH": str(epoch),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
    }
    before = set(output.iterdir())
    subprocess.run(
        command,
        check=True,
        env=environment,
        umask=0o022,
        stdout=subprocess.DEVNULL,
        cwd=output,
    )
    (built,) = set(output.iterdir()) - before
    return built


def normalize(sdist: Path, epoch: int) -> None:
    """Pack a source archive again without owner, time and order of who built it.

    Source: https://reproducible-builds.org/docs/archives/
    """
    written = io.BytesIO()
    with (
        tarfile.open(sdist) as old,
        gzip.GzipFile("", "wb", 9, written, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = epoch
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    sdist.write_bytes(written.getvalue())


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack a source archive; return the one folder in it."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return source


def check_wheel(wheel: Path) -> None:
    """Compare a wheel with the packages of the last commit, file by file.

    Raises:
        ReleaseError: It lacks a file of the packages or holds any other.
    """
    expected = set()
    for name in git("ls-files", "-z", "edgeclf", "models").decode().split("\0"):
        for there, here in MOVED.items():
            if name.startswith(there):
                name = here + name.removeprefix(there)
        expected.add(name)
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected.discard("")
    if names != expected:
        raise ReleaseError(
            f"Expected the files of the packages in {wheel.name}. Received: "
            f"missing {sorted(expected - names)}, too much {sorted(names - expected)}. "
            "Packages and their data are listed in setup.cfg."
        )


def packages(output: Path) -> list[Path]:
    """Build and check the source archive, and the wheel from it.

    Raises:
        subprocess.CalledProcessError: A build, or twine's check of it, failed.
        ReleaseError: The wheel does not hold what it should.
    """
    epoch = int(git("log", "-1", "--format=%ct"))
    with tempfile.TemporaryDirectory() as work:
        checkout, unpacked = Path(work, "checkout"), Path(work, "unpacked")
        checkout.mkdir()
        unpacked.mkdir()
        export(checkout)
        sdist = build("sdist", checkout, output, epoch)
        normalize(sdist, epoch)
        wheel = build("wheel", unpack(sdist, unpacked), output, epoch)
    check_wheel(wheel)
    command = [
        sys.executable,
        "-m",
        "twine",
        "check",
        "--strict",
        str(sdist),
        str(wheel),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return [sdist, wheel]


def bill_of_materials(wheel: Path, output: Path) -> Path:
    """Write what base and extras consist of, from an environment made for it.

    The environment has the wheel and the locked set `extras`; what is in it depends on
    the Python and the machine.

    Raises:
        subprocess.CalledProcessError: The set cannot be installed.
    """
    written = output / f"{'-'.join(wheel.name.split('-')[:2])}.cdx.json"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = str(Path(folder, "bin", "python"))
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        lock = str(ROOT / "locks" / "extras.txt")
        subprocess.run(
            [*pip, "--no-deps", "--no-compile", "--require-hashes", "-r", lock],
            check=True,
        )
        # By name: an installed path would be written into the bill.
        found = ["--no-index", "--find-links", str(output)]
        subprocess.run([*pip, "--no-deps", *found, "edgeclf"], check=True)
        licences = [python, str(ROOT / "scripts" / "licences.py")]
        subprocess.run(licences, check=True, stdout=subprocess.DEVNULL)
        # These came with the environment, not with edgeclf.
        remove = [python, "-m", "pip", "uninstall", "--quiet", "--yes"]
        subprocess.run([*remove, "setuptools", "pip"], check=True)
        command = [sys.executable, "-m", "cyclonedx_py", "environment"]
        command += ["--output-reproducible", "--of", "JSON", "-o", str(written), python]
        subprocess.run(command, check=True)
    return written


def write_sums(files: list[Path], output: Path) -> None:
    """Write SHA256SUMS, for `sha256sum --check`."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(files)
    ]
    (output / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Build a release; the exit status is 0 or 1."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--packages_only", action="store_true", help="no bill of materials"
    )
    given = parser.parse_args(argv)
    output = given.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    if any(output.iterdir()):
        parser.error(f"Expected an empty folder. Received: {given.output}")
    if git("status", "--porcelain", "--untracked-files=no"):
        print("What is not committed is left out.", file=sys.stderr)
    try:
        files = packages(output)
        if not given.packages_only:
            files.append(bill_of_materials(files[-1], output))
        write_sums(files, output)
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print((output / "SHA256SUMS").read_text(encoding="utf-8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
