"""Ask pip-audit whether any locked version has a known vulnerability, for `make audit`.

    python scripts/audit_packages.py
    python scripts/audit_packages.py --vulnerability-service osv

All locks are looked at but the lowest versions, which are old on purpose. Options are
handed to pip-audit. The exit status is 0 where every package was checked and nothing
is known, 1 where something is known, and 3 where packages could not be checked, as the
service cannot be reached: nothing is known then.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLEAN, VULNERABLE, NOT_CHECKED = 0, 1, 3
PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)


def pinned(paths: list[Path]) -> list[tuple[str, str]]:
    """Return every package and version that locks hold, for whatever Python."""
    return sorted(
        {pin for path in paths for pin in PIN.findall(path.read_text(encoding="utf-8"))}
    )


def rounds(pins: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Part pins into lists that name no package twice, as pip-audit wants them."""
    parts: list[list[tuple[str, str]]] = []
    for name, version in pins:
        for part in parts:
            if part[-1][0] != name:
                part.append((name, version))
                break
        else:
            parts.append([(name, version)])
    return parts


def audit(pins: list[tuple[str, str]], options: list[str]) -> int:
    """Run pip-audit on pins that name no package twice; the status is that of main."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder, "asked.txt"), Path(folder, "answer.json")
        asked.write_text("".join(f"{name}=={version}\n" for name, version in pins))
        # Markers are gone and versions exact: pip has nothing to resolve.
        command = [sys.executable, "-m", "pip_audit", "--strict", "--no-deps"]
        command += ["--disable-pip"]
        command += ["--progress-spinner", "off", "--format", "json"]
        command += ["--requirement", str(asked), "--output", str(answer)]
        done = subprocess.run([*command, *options], capture_output=True, text=True)
        if not answer.is_file():
            said = done.stderr.strip() or done.stdout.strip() or "no answer"
            print(said.splitlines()[-1], file=sys.stderr)
            return NOT_CHECKED
        packages = json.loads(answer.read_text(encoding="utf-8"))["dependencies"]
    status = CLEAN
    for package in packages:
        for found in package.get("vulns", []):
            fixed = ", ".join(found["fix_versions"]) or "no version"
            name = f"{package['name']} {package['version']}"
            print(f"{name}: {found['id']}, mended in {fixed}")
            status = VULNERABLE
    checked = [package for package in packages if "vulns" in package]
    if status == CLEAN and (done.returncode or len(checked) < len(pins)):
        print(done.stderr.strip(), file=sys.stderr)
        return NOT_CHECKED
    return status


def main(argv: list[str] | None = None) -> int:
    """Audit all locks; see above for the exit status."""
    options = sys.argv[1:] if argv is None else argv
    paths = sorted((ROOT / "locks").glob("*.txt"))
    pins = pinned([path for path in paths if not path.name.startswith("lowest-")])
    statuses = {audit(part, options) for part in rounds(pins)}
    if VULNERABLE in statuses:
        return VULNERABLE
    if NOT_CHECKED in statuses:
        print(
            "not checked: Expected an answer on every package. Received: the error "
            "above; try again where the service of pip-audit can be reached.",
            file=sys.stderr,
        )
        return NOT_CHECKED
    print(f"{len(pins)} versions checked: no vulnerability is known")
    return CLEAN


if __name__ == "__main__":
    sys.exit(main())
