"""Debian bookworm for another processor, run by qemu from a folder.

Nothing is installed on this machine and nothing is registered in its kernel: packages
are downloaded by apt with folders of its own, unpacked, and their Python is started
as `qemu-aarch64-static -L ROOT ROOT/usr/bin/python3`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from boards import Board

RELEASE = "bookworm"  # what Raspberry Pi OS 12 is made of: Python 3.11, glibc 2.36
PYTHON = "3.11"
GLIBC_MINOR = 36
TIME_LIMIT_S = 1800  # under qemu on a busy machine


class SkippedError(Exception):
    """This machine is not of the kind that can do the test; the sentence says why."""


class InstallError(Exception):
    """Something cannot be downloaded or installed; the sentence says what and why."""


def check_machine() -> None:
    """Say why this machine cannot build a user space.

    Raises:
        SkippedError: It is not Debian bookworm on x86_64, or not root.
    """
    release = Path("/etc/os-release")
    lines = release.read_text(encoding="utf-8") if release.is_file() else ""
    if f"VERSION_CODENAME={RELEASE}" not in lines or "ID=debian" not in lines:
        raise SkippedError(f"this is not Debian {RELEASE}, whose packages are unpacked")
    if os.uname().machine != "x86_64":
        raise SkippedError(f"this is not x86_64 but {os.uname().machine}")
    if os.geteuid() != 0:
        raise SkippedError("this is not root, which apt wants to be")


class Apt:
    """apt with lists and archives in a folder; sources and keys are this machine's.

    Args:
        folder: Where everything is kept from run to run.
        architecture: Whose packages, in Debian's spelling.
    """

    def __init__(self, folder: Path, architecture: str) -> None:
        self.archives = folder / "cache" / "archives"
        (folder / "state" / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (self.archives / "partial").mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()  # nothing is installed: all dependencies come
        options = {
            "APT::Architecture": architecture,
            "APT::Architectures::": architecture,
            "APT::Install-Recommends": "0",
            "APT::Keep-Downloaded-Packages": "1",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Debug::NoLocking": "1",
            "Dir::Cache": folder / "cache",
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "status",
        }
        self._options = [
            part
            for name, value in options.items()
            for part in ("-o", f"{name}={value}")
        ]

    def download(self, *packages: str, dependencies: bool = True) -> list[Path]:
        """Return the archives of packages and of all they depend on.

        Raises:
            InstallError: They cannot be downloaded.
        """
        # A mirror in the midst of an update has one stale list; the others do.
        self._run("update")
        before = set(self.archives.glob("*.deb"))
        if dependencies:
            done = self._run("install", "--download-only", "--yes", *packages)
        else:
            done = self._run("download", *packages)
        found = sorted(self.archives.glob("*.deb"))
        if done.returncode or not found:
            for path in set(found) - before:
                path.unlink()
            raise InstallError(
                f"apt cannot download {' '.join(packages)}: {done.stderr.strip()}"
            )
        return found

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["apt-get", "-qq", *self._options, *arguments],
            cwd=self.archives,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
        )


def unpack(
    folder: Path, architecture: str, *packages: str, alone: bool = False
) -> Path:
    """Return a folder with the files of packages; made once.

    Args:
        folder: Where it is kept, and what apt needs.
        architecture: Whose packages, in Debian's spelling.
        packages: Their names.
        alone: Leave out what they depend on.
    """
    root, done = folder / "root", folder / "unpacked.txt"
    if done.is_file() and done.read_text(encoding="utf-8").split() == [*packages]:
        return root
    for old in (root, folder / "apt"):
        shutil.rmtree(old, ignore_errors=True)
    root.mkdir(parents=True)
    apt = Apt(folder / "apt", architecture)
    for archive in apt.download(*packages, dependencies=not alone):
        subprocess.run(["dpkg-deb", "--extract", archive, root], check=True)
    shutil.rmtree(folder / "apt")
    done.write_text("\n".join(packages), encoding="utf-8")
    return root


class UserSpace:
    """A board's Python and what is installed beside it.

    Args:
        board: What to emulate.
        cache: The folder of all downloads.
    """

    def __init__(self, board: Board, cache: Path) -> None:
        self.board = board
        self._folder = cache / board.architecture
        self._cache = cache
        self._qemu = self._root = Path()

    def build(self) -> None:
        """Download and unpack what is not there yet.

        Raises:
            InstallError: The packages cannot be had.
        """
        emulators = unpack(
            self._cache / "qemu", "amd64", "qemu-user-static", alone=True
        )
        self._qemu = emulators / "usr" / "bin" / self.board.qemu
        self._root = unpack(self._folder, self.board.architecture, *self.board.packages)
        # qemu looks for every file below its root first, for this one too.
        cpuinfo = self._root / "proc" / "cpuinfo"
        cpuinfo.parent.mkdir(exist_ok=True)
        cpuinfo.write_text(
            "".join(
                self.board.cpuinfo.format(number=number) + "\n"
                for number in range(os.cpu_count() or 1)
            ),
            encoding="ascii",
        )

    def install(
        self, name: str, wheel: Path, *others: str, extra: str = "", alone: bool = False
    ) -> Path:
        """Return a folder with a wheel, and with what it depends on from run to run.

        pip evaluates conditions such as `platform_machine` for this machine: name
        what is conditional.

        Args:
            name: What the folder is called.
            wheel: It is unpacked again at each run.
            others: Names with versions of other wheels.
            extra: Such as "[train]".
            alone: Leave out what the wheels depend on.

        Raises:
            InstallError: The wheels cannot be downloaded or installed.
        """
        site = self._folder / name
        stamp = site.with_suffix(".txt")
        wanted = "\n".join([requirements_of(wheel), extra, *others])
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(site, ignore_errors=True)
            self._fetch(site, f"{wheel}{extra}", *others, alone=alone)
            stamp.write_text(wanted, encoding="utf-8")
        self._pip("install", "--upgrade", "--no-deps", f"--target={site}", str(wheel))
        return site

    def _fetch(self, site: Path, *wanted: str, alone: bool) -> None:
        """Download wheels for the board and unpack them."""
        wheels = self._folder / "wheels"
        options = ["--only-binary=:all:", "--implementation=cp"]
        options += [f"--python-version={PYTHON}", *(["--no-deps"] if alone else [])]
        options += [
            f"--platform={tag}_{self.board.machine}"
            for tag in (
                *(f"manylinux_2_{minor}" for minor in range(GLIBC_MINOR, 16, -1)),
                "manylinux2014",
                "linux",
            )
        ]
        for arguments in (
            ("download", f"--dest={wheels}"),
            ("install", f"--target={site}", "--no-index", f"--find-links={wheels}"),
        ):
            self._pip(*arguments, *options, *wanted)

    def _pip(self, command: str, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--quiet", command, *arguments],
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
        )
        if done.returncode:
            wanted = [text for text in arguments if not text.startswith("--")]
            raise InstallError(
                f"pip cannot {command} {' '.join(wanted)} for {self.board.machine}: "
                f"{done.stderr.strip()[-2000:]}"
            )

    def python(
        self, site: Path, *arguments: str, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the board's Python with the packages of one folder.

        Raises:
            subprocess.TimeoutExpired: It took longer than `TIME_LIMIT_S`.
        """
        folders = ":".join(
            str(self._root / "usr" / "lib" / name) for name in self.board.libraries
        )
        libraries = ["-E", f"LD_LIBRARY_PATH={folders}"] if folders else []
        return subprocess.run(
            [
                *(self._qemu, "-cpu", self.board.cpu, "-L", self._root, *libraries),
                *(self._root / "usr" / "bin" / "python3", *arguments),
            ],
            cwd=cwd or self._folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(site),
                "LANG": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
        )


def requirements_of(wheel: Path) -> str:
    """Return the lines of a wheel's metadata that say what it depends on."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode("utf-8").splitlines()
    return "\n".join(line for line in lines if line.startswith("Requires-Dist:"))
