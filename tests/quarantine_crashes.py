"""Kill a quarantine before every change it makes on the disk, and look what is left.

python tests/quarantine_crashes.py ROOT FOLDER NUMBER_OF_FILES

prints at how many places it was killed. Each time in a process of its own, which does
not come to its end: SIGKILL.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from edgeclf.audit.quarantine import quarantine, undo
from edgeclf.data.findings import Finding

NAMES = ("a/plain.jpg", "a/deep/caf\udce9.jpg", "b/link.jpg")
CHANGES = frozenset(
    {"os.link", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink"}
)


def plant(root: Path, count: int = len(NAMES)) -> None:
    for name in NAMES[-count:]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.stem == "link":
            path.symlink_to("nowhere.jpg")
        else:
            path.write_text(ascii(name))


def tree(root: Path) -> dict[str, str]:
    """What every file holds, and where links lead."""
    return {
        path.relative_to(root).as_posix(): (
            str(path.readlink()) if path.is_symlink() else path.read_text()
        )
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def killed(steps: int, action: Callable[[], object]) -> bool:
    """Run in another process that is killed before its change number `steps`."""
    process = os.fork()
    if process == 0:
        left = steps

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            writes = event == "open" and str(arguments[1])[0] in "wax"
            if event in CHANGES or writes:
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

        sys.addaudithook(count)
        action()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status not in (0, -signal.SIGKILL):
        sys.exit(f"step {steps}: status {status}")
    return status != 0


def check(steps: int, root: Path, folder: Path, whole: dict[str, str]) -> None:
    """Every file must be there in full, at the old place or at the new one."""
    old, new = tree(root), tree(folder) if folder.exists() else {}
    for name, content in whole.items():
        places = [found[name] for found in (old, new) if name in found]
        if not places or set(places) != {content}:
            sys.exit(f"step {steps}: {name!a} is {places}")


def crash(root: Path, folder: Path, count: int, undoing: bool) -> int:
    """Kill at one place after the other; return how many there were."""
    findings = [Finding("unreadable", name, "") for name in NAMES[-count:]]
    for steps in range(1000):
        for place in (root, folder):
            shutil.rmtree(place, ignore_errors=True)
        plant(root, count)
        whole = tree(root)
        if undoing:
            quarantine(root, folder, findings)
            again = killed(steps, lambda: undo(root, folder))
            check(steps, root, folder, whole)
            undo(root, folder)
            wanted, place = whole, root
        else:
            again = killed(steps, lambda: quarantine(root, folder, findings))
            check(steps, root, folder, whole)
            planned = (folder / "quarantine.jsonl").is_file() and (
                folder / "quarantine.jsonl"
            ).stat().st_size
            # Nothing is wrong with what is left: the journal alone says what to do.
            quarantine(root, folder, [] if planned else findings)
            wanted, place = {}, root
            check(steps, root, folder, whole)
        if tree(place) != wanted:
            sys.exit(f"step {steps}: left {tree(place)!a}")
        litter = [*root.rglob("*part"), *folder.rglob("*part")]
        if litter:
            sys.exit(f"step {steps}: litter {litter}")
        if not again:
            return steps
    sys.exit("it never came to its end")


if __name__ == "__main__":
    settings = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    counts = crash(*settings, undoing=False), crash(*settings, undoing=True)
    sys.stdout.write(" ".join(map(str, counts)))
