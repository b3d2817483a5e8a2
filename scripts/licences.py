"""List the licences of what edgeclf and its extras install, and stop at a surprise.

    python scripts/licences.py

looks at the packages of the environment that it runs in, from the base dependencies and
from each extra down. A licence is expected if it asks for no more than a notice;
EXCEPTIONS names the others that are known. The exit status is 1 at any other.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# `dev` is not for users; `tensorflow` and `tflite` need environments of their own.
EXTRAS = ("", "train", "web", "bot", "parquet", "ray", "search", "camera")
# Words of licences that ask for a notice and no more, in the spellings that occur.
NOTICE = re.compile(
    r"\b(MIT|MIT-0|MIT-CMU|BSD|0BSD|ISC|ISCL|Apache|Zlib|CC0|PSF|PSFL|PSF-2\.0"
    r"|Python Software Foundation|Unlicense|HPND|CNRI-Python)\b"
)
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|MPL|EPL|EUPL|CDDL|Affero|Lesser|Mozilla)", re.I)
EXCEPTIONS = {
    "certifi": "MPL-2.0: a list of certificates, used as it is",
    "tqdm": "MPL-2.0 and MIT: used as it is; LiteRT needs it",
    "python-telegram-bot": "LGPL-3.0: the extra [bot] alone, imported as it is",
}


def licence(package: Distribution) -> str:
    """Return what a package says of its licence: expression, classifiers, or text."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    names = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier") or []
        if line.startswith("License :: OSI Approved :: ")
    ]
    if names:
        return ", ".join(names)
    for line in (metadata.get("License") or "").splitlines():
        if line.strip():
            return line.strip()[:60]
    return "not said"


def installed(extra: str) -> tuple[dict[str, Distribution], set[str]]:
    """Return what edgeclf with one extra brings along, by name, and what is missing."""
    known = distribution("edgeclf").metadata.get_all("Provides-Extra") or []
    if extra and extra not in known:
        return {}, {f"edgeclf[{extra}]"}
    found: dict[str, Distribution] = {}
    missing: set[str] = set()
    waiting = [("edgeclf", frozenset({extra}))]
    seen = set()
    while waiting:
        entry = waiting.pop()
        if entry in seen:
            continue
        seen.add(entry)
        name, extras = entry
        try:
            package = distribution(name)
        except PackageNotFoundError:
            missing.add(name)
            continue
        found[name] = package
        for line in package.requires or []:
            asked = Requirement(line)
            wanted = [{"extra": each} for each in extras | {""}]
            if not asked.marker or any(map(asked.marker.evaluate, wanted)):
                name = canonicalize_name(asked.name)
                waiting.append((name, frozenset(asked.extras)))
    del found["edgeclf"]
    return found, missing


def surprise(package: Distribution) -> bool:
    """Tell whether a licence is neither expected nor a known exception."""
    text = licence(package)
    if package.name.lower() in EXCEPTIONS:
        return False
    return bool(COPYLEFT.search(text)) or not NOTICE.search(text)


def main() -> int:
    """Print a line for each package; see above for the exit status."""
    needed: dict[str, list[str]] = {}
    packages: dict[str, Distribution] = {}
    for extra in EXTRAS:
        found, missing = installed(extra)
        if missing:
            lacking = ", ".join(sorted(missing))
            print(f"[{extra}] not checked: not installed: {lacking}", file=sys.stderr)
        for name, package in found.items():
            packages[name] = package
            needed.setdefault(name, []).append(extra or "base")
    status = 0
    for name, package in sorted(packages.items()):
        where = "base" if "base" in needed[name] else ",".join(needed[name])
        print(f"{name} {package.version}: {licence(package)} ({where})")
        if surprise(package):
            print(
                "error: Expected a licence that asks for a notice, or one of "
                f"EXCEPTIONS in scripts/licences.py. Received: {licence(package)} "
                f"of {name}.",
                file=sys.stderr,
            )
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
