"""Write the locked sets of packages under locks/, for `make lock`.

    python scripts/lock.py                          pins stay where they still fit
    python scripts/lock.py --upgrade                to what is newest
    python scripts/lock.py --upgrade-package pillow

Every lock holds exact versions with their SHA-256 sums, for Linux on x86-64 and on
64-bit Arm; one file serves Python 3.10 to 3.13. At its top stands what was asked for,
so that `tests/test_locks.py` can tell when setup.cfg asks for something else.
"""

from __future__ import annotations

import argparse
import configparser
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "locks"
MACHINES = ("x86_64", "aarch64")

# Each with the reason for it; uv overlooks that a release is not for newer Pythons.
CONSTRAINTS = [
    'backports-strenum<1.3; python_version >= "3.11"',  # 1.3 is for Python 3.10 alone
]


@dataclass(frozen=True)
class Lock:
    """What one locked set is made from.

    Attributes:
        name: Of the file, without `.txt`.
        extras: Of setup.cfg, besides the base dependencies; None leaves these out too.
        others: Requirements that are in no extra.
        within: The name of a lock whose versions are taken over, as both sets are
            installed into one environment.
        lowest: True takes the lowest version that setup.cfg allows of each package
            that it names, and resolves for Python 3.10 and 3.11 alone.
        sources: Packages that come without a wheel.
    """

    name: str
    extras: tuple[str, ...] | None = ()
    others: tuple[str, ...] = ()
    within: str | None = None
    lowest: bool = False
    sources: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file."""
        return LOCKS / f"{self.name}.txt"


# `setuptools` builds edgeclf itself, without a download of its own.
ALL = (
    Lock("dev", ("dev",), ("setuptools",)),
    Lock("train", ("train",), ("setuptools",), within="dev"),
    Lock("extras", ("train", "bot", "web", "ray", "search", "camera"), within="dev"),
    Lock("browser", None, ("playwright", "axe-playwright-python"), within="dev"),
    Lock(
        "fuzz",
        None,
        tuple(
            f'atheris{bound} and platform_machine == "x86_64"'
            for bound in (
                '==3.0.0; python_version == "3.11"',
                '>=3.1; python_version >= "3.12"',
            )
        ),
        within="dev",
    ),
    Lock("tensorflow", ("train", "tensorflow"), ("pytest",)),
    Lock(
        "peers",
        None,
        (
            "cleanlab==2.9.0",
            "mediapipe==1.2.2",
            "onnxruntime",
            "openvino",
            "scikit-learn",
            "tflite2onnx",
        ),
        sources=("tflite2onnx",),
    ),
    Lock(
        "release",
        None,
        ("build", "cyclonedx-bom", "pip-audit", "pytest", "setuptools", "twine", "uv"),
    ),
    Lock("lowest-base", (), ("pytest>=8.2",), lowest=True),
    Lock(
        "lowest-extras",
        ("train", "bot", "web", "parquet", "search", "camera"),
        ("pytest>=8.2",),
        lowest=True,
    ),
)


def requirements(lock: Lock) -> list[str]:
    """Return what a lock is asked to hold, one requirement a line, in order."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = list(lock.others)
    if lock.extras is not None:
        lines += config["options"]["install_requires"].splitlines()
        for extra in lock.extras:
            lines += config["options.extras_require"][extra].splitlines()
    return sorted({line.strip() for line in lines if line.strip()})


def environments(lock: Lock) -> list[str]:
    """Return the markers of where a lock is for; elsewhere it installs nothing."""
    above = "3.12" if lock.lowest else "3.14"
    return [
        f"platform_python_implementation == 'CPython' and python_version < '{above}'"
        " and sys_platform == 'linux'"
        f" and platform_machine == '{machine}'"
        for machine in MACHINES
    ]


def header(lock: Lock) -> str:
    """Return the comment at the top of a lock's file."""
    lines = ["By `make lock`, from setup.cfg and scripts/lock.py:"]
    lines += [f"    {line}" for line in requirements(lock)]
    return "".join(f"# {line}\n" for line in lines)


def write(lock: Lock, options: list[str]) -> None:
    """Resolve one set and write its file; what it pins already is kept if it fits.

    Raises:
        subprocess.CalledProcessError: uv found no versions that fit together, or
            cannot reach the package registry; its own words are on stderr.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet"]
    command += ["--universal", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--only-binary", ":all:"]
    for name in lock.sources:
        command += ["--no-binary", name]
    if lock.lowest:
        command += ["--resolution", "lowest-direct"]
    if lock.within:
        command += ["--constraint", str(LOCKS / f"{lock.within}.txt")]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(CONSTRAINTS) + "\n", encoding="utf-8")
        command += ["--constraint", str(constraints)]
        asked = Path(folder, "asked.in")
        asked.write_text("\n".join(requirements(lock)) + "\n", encoding="utf-8")
        resolved = Path(folder, "resolved.txt")
        Path(folder, "pyproject.toml").write_text(
            f"[tool.uv]\nenvironments = {environments(lock)}\n", encoding="utf-8"
        )
        if lock.path.is_file():
            resolved.write_bytes(lock.path.read_bytes())
        command += ["--python-version", "3.10", "--output-file", str(resolved)]
        subprocess.run([*command, *options, str(asked)], check=True, cwd=folder)
        text = resolved.read_text(encoding="utf-8")
    lock.path.write_text(header(lock) + text, encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Write all locks, or those that are named; the exit status is 0 or 1."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--upgrade", action="store_true", help="to the newest versions")
    parser.add_argument(
        "--upgrade-package", action="append", default=[], metavar="PACKAGE"
    )
    given = parser.parse_args(argv)
    unknown = set(given.names) - {lock.name for lock in ALL}
    if unknown:
        parser.error(f"Expected names of locks. Received: {', '.join(sorted(unknown))}")
    options = ["--upgrade"] if given.upgrade else []
    for name in given.upgrade_package:
        options += ["--upgrade-package", name]
    LOCKS.mkdir(exist_ok=True)
    for lock in ALL:
        if given.names and lock.name not in given.names:
            continue
        print(lock.path.relative_to(ROOT), flush=True)
        try:
            write(lock, options)
        except subprocess.CalledProcessError as error:
            print(f"error: uv exited with {error.returncode}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
