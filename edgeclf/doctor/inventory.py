"""Look at a machine and at what is installed on it, without NumPy."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from edgeclf.doctor.apart import run_apart
from edgeclf.doctor.facts import (
    BASE,
    CORAL_LIBRARY,
    EXTRAS,
    INTERPRETERS,
    MODULES,
    Facts,
    Package,
)
from edgeclf.doctor.self_test import run_self_test

_NOT_THERE = "No module named "


def collect(model: str | None = None, sha256: str | None = None) -> Facts:
    """Look at this machine and this Python.

    Packages are imported, and the model is run, in processes of their own: a wheel for
    another processor ends in SIGILL.

    Args:
        model: Path of the `.tflite` file for the self-test. Default: the backbone that
            comes with the package.
        sha256: As for `Classifier`.
    """
    import importlib.util
    import sysconfig

    packages = _packages()
    stdlib = Path(sysconfig.get_path("stdlib"))
    in_venv = sys.prefix != sys.base_prefix
    return Facts(
        board=_text("/proc/device-tree/model"),
        system=platform.system(),
        release=_release(),
        kernel=platform.release(),
        machine=platform.machine(),
        bits=64 if sys.maxsize > 2**32 else 32,
        libc=_libc(),
        memory_mb=_memory_mb(),
        processors=_processors(),
        python=sys.version_info[:3],
        executable=sys.executable,
        command=_command(),
        in_venv=in_venv,
        externally_managed=not in_venv and (stdlib / "EXTERNALLY-MANAGED").is_file(),
        has_pip=importlib.util.find_spec("pip") is not None,
        has_ensurepip=importlib.util.find_spec("ensurepip") is not None,
        packages=packages,
        coral=run_apart(_load_coral).get("error") or "loads",
        self_test=run_self_test(model, sha256) if _can_start(packages) else None,
    )


def _packages() -> dict[str, Package]:
    from importlib.metadata import packages_distributions

    found: dict[str, Package] = {}
    for name in (*BASE, *INTERPRETERS, *EXTRAS["train"]):
        number = _version(name)
        error = _import_error(name, found) if name in MODULES else ""
        if number or (name in MODULES and not error.startswith(_NOT_THERE)):
            found[name] = Package(number, error)
    brought_by = packages_distributions()
    for module in EXTRAS["camera"]:
        if not _find(module):
            found[module] = Package(_version(*brought_by.get(module, [])[:1]))
    return found


def _version(name: str = "") -> str:
    """Return the version of a package, "" if it is not there or unpacked by hand."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name) if name else ""
    except PackageNotFoundError:
        return ""


def _import_error(name: str, found: dict[str, Package]) -> str:
    """Return why a package cannot be imported, "" if it can."""
    if name == "tensorflow" and any(
        other in found and not found[other].error for other in INTERPRETERS
    ):
        return _find(MODULES[name])  # another runs, and TensorFlow takes seconds
    answer = run_apart(lambda: _import(MODULES[name]))
    return str(answer.get("error", ""))


def _find(module: str) -> str:
    import importlib.util

    return "" if importlib.util.find_spec(module) else _NOT_THERE + module


def _import(module: str) -> dict[str, Any]:
    import importlib

    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module == missing or module.startswith(f"{missing}."):
            return {"error": f"{_NOT_THERE}{missing}"}
        return {"error": f"it needs the module {missing}, which is missing"}
    return {}


def _can_start(packages: dict[str, Package]) -> bool:
    """Return whether the runtime and an interpreter may be imported at all."""
    return all(name in packages for name in ("numpy", "pillow")) and any(
        name in packages for name in INTERPRETERS
    )


def _load_coral() -> dict[str, Any]:
    import ctypes

    try:
        ctypes.CDLL(CORAL_LIBRARY)
    except OSError as error:
        # Of a library that it needs, such as libusb, the message has the name.
        absent = str(error).startswith(f"{CORAL_LIBRARY}: cannot open")
        return {"error": "not found" if absent else str(error)}
    return {}


def _release() -> str:
    for line in _text("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip("\"'")
    return platform.platform(terse=True)


def _libc() -> tuple[str, str]:
    name, version = platform.libc_ver()
    if not name and Path("/lib").is_dir() and any(Path("/lib").glob("ld-musl-*")):
        return "musl", ""
    return name, version


def _memory_mb() -> int:
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _command() -> str:
    """Return the shortest thing to type that starts this Python."""
    for name in ("python3", "python"):
        found = shutil.which(name)
        if found and Path(found).absolute() == Path(sys.executable).absolute():
            return name
    return sys.executable


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n")
    except OSError:
        return ""
