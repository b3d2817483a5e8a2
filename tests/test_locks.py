"""The locked sets under locks/ fit setup.cfg, for each Python and machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from scripts import lock as locks

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "locks").is_dir():
    pytest.skip("no checkout around these tests", allow_module_level=True)
Requirement = pytest.importorskip("packaging.requirements").Requirement
canonicalize_name = pytest.importorskip("packaging.utils").canonicalize_name

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
PIN = re.compile(
    r"^(?P<pin>[A-Za-z0-9][^\\#]*?) *\\?\n(?P<sums>(?:    --hash=.*\n)*)", re.M
)


def pins(lock: locks.Lock) -> list[tuple[Any, list[str]]]:
    """What a lock's file holds, and the sums of each."""
    text = lock.path.read_text(encoding="utf-8")
    return [
        (Requirement(found["pin"]), re.findall(r"--hash=(\S+)", found["sums"]))
        for found in PIN.finditer(text)
    ]


def surroundings(python: str, machine: str) -> dict[str, str]:
    """What markers ask for."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.20",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "extra": "",
    }


def versions(lock: locks.Lock, around: dict[str, str]) -> dict[str, str]:
    """The versions that pip installs from a lock there."""
    found: dict[str, str] = {}
    for pin, _ in pins(lock):
        if pin.marker is None or pin.marker.evaluate(around):
            name = canonicalize_name(pin.name)
            assert name not in found, f"two versions of {name} in {lock.path.name}"
            (version,) = pin.specifier
            found[name] = version.version
    return found


each_lock = pytest.mark.parametrize("lock", locks.ALL, ids=lambda lock: lock.name)


@each_lock
def test_lock_was_made_for_what_setup_cfg_says(lock):
    assert lock.path.is_file(), "run make lock"
    assert lock.path.read_text(encoding="utf-8").startswith(locks.header(lock)), (
        f"setup.cfg or scripts/lock.py asks for something else than {lock.path.name} "
        "was made for: run make lock"
    )


def test_no_lock_is_left_over():
    assert sorted(path.name for path in locks.LOCKS.glob("*.txt")) == sorted(
        lock.path.name for lock in locks.ALL
    )


@each_lock
def test_every_version_is_exact_and_has_sums(lock):
    text = lock.path.read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^ *-(?!-hash=sha256:)", text, re.M), "an option of pip"
    body = "".join(line for line in text.splitlines(True) if not line.startswith("#"))
    assert "".join(found[0] for found in PIN.finditer(body)) == body
    for pin, sums in pins(lock):
        assert [part.operator for part in pin.specifier] == ["=="], pin
        assert sums, pin
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in sums), pin


@pytest.mark.parametrize("machine", locks.MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
@each_lock
def test_versions_are_those_that_are_asked_for(lock, python, machine):
    if lock.lowest and python not in PYTHONS[:2]:
        pytest.skip("the lowest versions are for old Pythons")
    around = surroundings(python, machine)
    found = versions(lock, around)
    for line in locks.requirements(lock):
        asked = Requirement(line)
        if asked.marker is None or asked.marker.evaluate(around):
            version = found.get(canonicalize_name(asked.name))
            assert version is not None, f"{line} is missing: run make lock"
            assert asked.specifier.contains(version, prereleases=True), (line, version)


@pytest.mark.parametrize("lock", [each for each in locks.ALL if each.within])
def test_sets_of_one_environment_agree(lock):
    (outer,) = (each for each in locks.ALL if each.name == lock.within)
    for python in PYTHONS:
        around = surroundings(python, "x86_64")
        known = versions(outer, around)
        for name, version in versions(lock, around).items():
            assert known.get(name, version) == version, name


def test_lowest_versions_are_the_bounds_of_setup_cfg():
    """What is not: raised by another package that needs more of it."""
    (base,) = (each for each in locks.ALL if each.name == "lowest-base")
    found = versions(base, surroundings("3.10", "x86_64"))
    for line in locks.requirements(base):
        asked = Requirement(line)
        bounds = [each.version for each in asked.specifier if each.operator == ">="]
        version = found[canonicalize_name(asked.name)]
        assert version == bounds[0] or version.startswith(f"{bounds[0]}."), line


def test_unknown_lock_is_refused(capsys):
    with pytest.raises(SystemExit) as raised:
        locks.main(["nothing"])
    assert raised.value.code == 2
    assert "Received: nothing" in capsys.readouterr().err
