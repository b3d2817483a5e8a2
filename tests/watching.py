"""Run edgeclf's commands and see what they ask the network and the disk for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WATCH = Path(__file__).resolve().parent / "network_watch"


@dataclass(frozen=True)
class Watched:
    """What came of a command.

    Attributes:
        status: Its exit status.
        output: What it wrote to stdout.
        said: What it wrote to stderr.
        network: What it asked the network for: `[event, detail, ...]`.
        written: Files that it opened to write.
    """

    status: int
    output: str
    said: str
    network: list[list[str]]
    written: list[Path]


@dataclass(frozen=True)
class Place:
    """A fresh user on a machine: home folder, temporary folder, working folder."""

    home: Path
    temporary: Path
    work: Path

    @classmethod
    def below(cls, folder: Path) -> Place:
        """Make the three folders, empty."""
        place = cls(folder / "home", folder / "temporary", folder / "work")
        for path in (place.home, place.temporary, place.work):
            path.mkdir(parents=True)
        return place

    def variables(self, log: Path) -> dict[str, str]:
        """Return the environment of a command that is watched."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("EDGECLF_", "XDG_", "RAY_"))
            and not name.lower().endswith("_proxy")
        }
        return {
            **kept,
            "EDGECLF_WATCH": str(log),
            "HOME": str(self.home),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": f"{WATCH}{os.pathsep}{ROOT}",
            "TMPDIR": str(self.temporary),
        }

    def run(
        self,
        *arguments: object,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Watched:
        """Run `edgeclf ARGUMENTS` in the working folder."""
        command = [*prefix, sys.executable, "-m", "edgeclf", *map(str, arguments)]
        return self._run(command, environment or {})

    def run_python(
        self, code: str, environment: Mapping[str, str] | None = None
    ) -> Watched:
        """Run some Python there."""
        return self._run([sys.executable, "-c", code], environment or {})

    def _run(self, command: Sequence[str], more: Mapping[str, str]) -> Watched:
        log = self.home.parent / "watch.jsonl"
        log.write_bytes(b"")
        done = subprocess.run(
            command,
            capture_output=True,
            cwd=self.work,
            env={**self.variables(log), **more},
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
        )
        network, written = noted(log)
        return Watched(done.returncode, done.stdout, done.stderr, network, written)


def noted(log: Path) -> tuple[list[list[str]], list[Path]]:
    """Return what a log has of the network, and of files that were opened to write."""
    entries = [json.loads(line) for line in log.read_bytes().splitlines()]
    written = [Path(e[1]) for e in entries if e[0] in ("open", "sqlite3.connect")]
    network = [e for e in entries if e[0].startswith(("socket.", "urllib."))]
    return network, written


def without_network() -> list[str]:
    """Return what to put before a command to take its network away; [] if we cannot.

    Not even the loopback address is reached there.
    """
    prefix = ["unshare", "--net"]
    try:
        done = subprocess.run([*prefix, "true"], capture_output=True)
    except OSError:
        return []
    return [] if done.returncode else prefix


def files_below(folder: Path) -> set[str]:
    """Return the relative paths of all files below a folder."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not path.is_dir()
    }
