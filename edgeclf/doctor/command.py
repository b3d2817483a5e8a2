"""`edgeclf doctor`: what this machine is, what is missing, and the line that mends it.

```
edgeclf doctor --model model.tflite
```

It starts with nothing but Python: NumPy may be what is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from edgeclf import __version__
from edgeclf.console import Parser, run
from edgeclf.doctor.diagnosis import Problem, diagnose, interpreter_in_use
from edgeclf.doctor.facts import CORAL_LIBRARY, EXTRAS, INTERPRETERS, Facts, Package
from edgeclf.doctor.inventory import collect
from edgeclf.tflite.source import checked_sha256

WORKS, FAILS = "labelling works", "labelling does not work"
MISSING = "missing"
MARKS = {"ok": "32", "problem": "31;1", "note": "33", "": ""}  # ANSI colours


def main(argv: Sequence[str] | None = None) -> int:
    """Examine this machine; the report goes to stdout.

    Args:
        argv: The arguments. Default: those of the process.

    Returns:
        0 when labelling works, 1 when there is a problem. (2, as `SystemExit`, for
        wrong usage.)
    """
    parser = Parser(
        prog="edgeclf doctor",
        description="Say whether labelling works on this machine, and what mends it.",
    )
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="label a drawn picture with this .tflite file (default: run the backbone "
        "that comes with edgeclf)",
    )
    parser.add_argument(
        "--require_sha256",
        metavar="HEX",
        help="use the model only if its file has this SHA-256, all 64 digits",
    )
    parser.add_argument("--json", action="store_true", help="one object for machines")
    options = parser.parse_args(argv)
    if options.require_sha256 is not None:
        try:
            checked_sha256(options.require_sha256)
            if options.model is None:
                raise ValueError("Expected --require_sha256 only with --model.")
        except ValueError as error:
            parser.error(str(error))
    return run(
        lambda: _report(options.model, options.require_sha256, options.json),
        "Nothing was changed. The same command begins anew.",
    )


def _report(model: str | None, sha256: str | None, as_json: bool) -> int:
    facts = collect(model, sha256)
    problems = diagnose(facts)
    works = not any(problem.blocking for problem in problems)
    if as_json:
        import json

        entry = {
            "edgeclf": __version__,
            "works": works,
            "summary": summary(facts, works),
            "problems": [asdict(problem) for problem in problems],
            "facts": asdict(facts),
        }
        print(json.dumps(entry, sort_keys=True))
    else:
        print(text(facts, problems, colored=_wants_color()))
    return 0 if works else 1


def summary(facts: Facts, works: bool) -> str:
    """Return the machine and the verdict in one line."""
    numpy = facts.packages.get("numpy", Package("missing"))
    used = interpreter_in_use(facts)
    return (
        ", ".join(
            [
                facts.board or facts.release or facts.system,
                f"{facts.machine} with {facts.bits} bits",
                f"Python {_version(facts.python)}",
                f"NumPy {numpy.version}",
                f"{used} {facts.packages[used].version}" if used else "no interpreter",
            ]
        )
        + f": {WORKS if works else FAILS}"
    )


def text(facts: Facts, problems: Sequence[Problem], *, colored: bool = False) -> str:
    """Return the report: a row for each fact, then a line to type for each problem."""
    rows = _rows(facts, problems)
    width = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        mark = f"{row.mark:8}"
        if colored and row.mark:
            mark = f"\033[{MARKS[row.mark]}m{mark}\033[0m"
        lines.append(f"{mark}{row.name:{width}}  {row.value}".rstrip())
    for fix in dict.fromkeys(problem.fix for problem in problems):
        texts = [problem.text for problem in problems if problem.fix == fix]
        lines += ["", *texts, f"    {fix}"]
    works = not any(problem.blocking for problem in problems)
    verdict = WORKS if works else FAILS
    return "\n".join([*lines, "", f"{verdict.capitalize()}."])


@dataclass(frozen=True)
class _Row:
    """A line of the report; `mark` is one of `MARKS`."""

    name: str
    value: str
    mark: str = ""


def _rows(facts: Facts, problems: Sequence[Problem]) -> list[_Row]:
    marks = {problem.about: "note" for problem in problems if not problem.blocking}
    marks.update((problem.about, "problem") for problem in problems if problem.blocking)
    packages, test = facts.packages, facts.self_test

    def checked(name: str, value: str) -> _Row:
        return _Row(name, value, marks.get(name, "" if value == MISSING else "ok"))

    def installed(name: str) -> str:
        package = packages.get(name)
        return MISSING if package is None else package.version or "there"

    rows = [_Row("board", facts.board)] if facts.board else []
    libc = " ".join(facts.libc).strip()
    rows += [
        checked("system", ", ".join(filter(None, [facts.release, libc]))),
        _Row("kernel", f"{facts.system} {facts.kernel}"),
        checked("processor", _processor(facts)),
        checked("Python", _python(facts)),
        checked("NumPy", installed("numpy")),
        checked("Pillow", installed("pillow")),
        checked("interpreter", _interpreters(facts)),
    ]
    if test is not None and not test.error:
        rows.append(
            _Row(
                "self-test",
                f"{test.model}: loaded in {test.load_ms:.0f} ms, a picture in "
                f"{test.run_ms:.1f} ms, {test.answer}",
                "ok",
            )
        )
    elif test is not None:
        rows.append(_Row("self-test", test.model, "problem"))
    rows.append(_Row("delegates", _delegates(facts)))
    rows += [_Row(f"[{extra}]", _extra(facts, extra)) for extra in EXTRAS]
    return rows


def _processor(facts: Facts) -> str:
    memory = f", {facts.memory_mb} MB of memory" if facts.memory_mb else ""
    number = f"{facts.processors} processor{'s' if facts.processors > 1 else ''}"
    return f"{facts.machine}, Python with {facts.bits} bits, {number}{memory}"


def _python(facts: Facts) -> str:
    kind = "a virtual environment" if facts.in_venv else "the system's"
    managed = ", externally managed" if facts.externally_managed else ""
    return f"{_version(facts.python)}, {facts.executable}, {kind}{managed}"


def _interpreters(facts: Facts) -> str:
    """Return the interpreters that are there, the one in use first."""
    used = interpreter_in_use(facts)
    there = [
        f"{name} {facts.packages[name].version}"
        for name in sorted(INTERPRETERS, key=lambda name: name != used)
        if name in facts.packages
    ]
    if not there:
        return MISSING
    if not used:
        return f"none works of {', '.join(there)}"
    return f"{there[0]}, the first of {', '.join(INTERPRETERS)} that works"


def _delegates(facts: Facts) -> str:
    xnnpack = facts.self_test is not None and facts.self_test.xnnpack
    return (
        f"XNNPACK {'in use' if xnnpack else 'not seen'}, {CORAL_LIBRARY} {facts.coral}"
    )


def _extra(facts: Facts, extra: str) -> str:
    there = [
        f"{name} {facts.packages[name].version}".strip()
        for name in EXTRAS[extra]
        if name in facts.packages
    ]
    return ", ".join(there) or "not installed"


def _version(numbers: Sequence[int]) -> str:
    return ".".join(map(str, numbers))


def _wants_color() -> bool:
    # Source: https://no-color.org
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


if __name__ == "__main__":
    sys.exit(main())
