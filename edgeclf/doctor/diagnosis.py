"""What keeps a machine from labelling, and the line that mends it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgeclf.doctor.facts import BACKBONE, BASE, INTERPRETERS, Facts, Package, SelfTest

LITERT, TFLITE, _ = INTERPRETERS
LEAST_VERSIONS = {"numpy": (1, 24), "pillow": (9, 1)}  # of setup.cfg
LEAST_PYTHON = (3, 10)

# For which Python and glibc there are wheels of ai-edge-litert 2.1 and later, and of
# the last two tflite-runtime. Source: the package index, 2026-11.
LITERT_PYTHONS = ((3, 10), (3, 14))
LITERT_GLIBC = (2, 27)
LITERT_MACHINES = ("x86_64", "amd64", "aarch64", "arm64")
TFLITE_2_14 = ((3, 11), (2, 34))  # the last Python, the oldest glibc
TFLITE_2_13 = ((3, 10), (2, 17))

DEBIAN_NAMES = {"numpy": "python3-numpy", "pillow": "python3-pil"}
NUMPY_1 = '"numpy<2"'
OS_64_BIT = "Write the 64-bit Raspberry Pi OS to the card."
OS_BOOKWORM = "Write Raspberry Pi OS Bookworm (32-bit, Python 3.11) to the card."


@dataclass(frozen=True)
class Problem:
    """Something to mend.

    Attributes:
        about: The row of the report that it belongs to.
        text: What is wrong.
        fix: The line to type; or, where none helps, what to do in a sentence.
        blocking: Labelling does not work before it is mended.
        needs: What pip has to install; `fix` is then made of all that is needed.
    """

    about: str
    text: str
    fix: str = ""
    blocking: bool = True
    needs: tuple[str, ...] = ()


def diagnose(facts: Facts) -> list[Problem]:
    """Return what is wrong, what to mend first before the rest."""
    hopeless = _unsupported(facts)
    if hopeless:
        return hopeless
    problems = [*_base(facts), *_interpreter(facts)]
    test = facts.self_test
    blocked = any(problem.blocking for problem in problems)
    if not blocked and test is not None and test.error:
        problems.append(_failed_test(test))
    needs: dict[str, str] = {}
    for problem in problems:
        for need in problem.needs if problem.blocking else ():
            needs.setdefault(need.strip('"').split("<")[0].split(">")[0], need)
    return [
        replace(
            problem,
            fix=pip_install(
                facts, *(needs.values() if problem.blocking else problem.needs)
            ),
        )
        if problem.needs
        else problem
        for problem in (*problems, *_notes(facts))
    ]


def pip_install(facts: Facts, *requirements: str) -> str:
    """Return the line that installs packages where this Python finds them.

    Into a system Python that the distribution manages, pip installs nothing (PEP 668):
    the line then makes a virtual environment that sees the system's packages.
    """
    wanted = " ".join(requirements)
    if facts.externally_managed:
        line = (
            f"{facts.command} -m venv --system-site-packages .venv && "
            f".venv/bin/pip install {wanted}"
        )
        return line if facts.has_ensurepip else f"{_APT} python3-venv && {line}"
    line = f"{facts.command} -m pip install {wanted}"
    if facts.has_pip:
        return line
    return f"{facts.command} -m ensurepip && {line}"


_APT = "sudo apt install -y"


def _unsupported(facts: Facts) -> list[Problem]:
    """Return the problem that no package mends, if there is one."""
    version = ".".join(map(str, facts.python[:2]))
    test = facts.self_test  # somebody may have built one
    if facts.machine.startswith("armv6") and (test is None or test.error):
        return [
            Problem(
                "processor",
                "armv6 (Raspberry Pi Zero, Zero W and 1) is not supported: every "
                "interpreter uses instructions that it does not have (SIGILL).",
                "Use a board with armv7 or newer: Raspberry Pi Zero 2 W, 2, 3, 4, 5.",
            )
        ]
    if facts.python[:2] < LEAST_PYTHON:
        return [
            Problem(
                "Python",
                f"edgeclf needs Python 3.10 or newer. This is {version}.",
                "Use a system with a newer Python: Raspberry Pi OS Bookworm has 3.11; "
                "or start edgeclf with another Python of this system.",
            )
        ]
    return []


def _base(facts: Facts) -> list[Problem]:
    """Return what is wrong with NumPy and Pillow."""
    problems: list[Problem] = []
    for name in BASE:
        package = facts.packages.get(name)
        title = {"numpy": "NumPy", "pillow": "Pillow"}[name]
        least = LEAST_VERSIONS[name]
        wanted = _requirement(name, facts)
        if package is None:
            problems.append(_missing(facts, name, title, wanted))
        elif package.error:
            problems.append(_broken(facts, title, wanted, package))
        elif package.version and _numbers(package.version) < least:
            needed = ".".join(map(str, least))
            problems.append(
                Problem(
                    title,
                    f"edgeclf needs {title} {needed} or newer. "
                    f"This is {package.version}.",
                    needs=(wanted,),
                )
            )
    return problems


def _requirement(name: str, facts: Facts) -> str:
    least = ".".join(map(str, LEAST_VERSIONS[name]))
    below = ",<2" if name == "numpy" and _needs_numpy_1(facts) else ""
    return f'"{name}>={least}{below}"'


def _missing(facts: Facts, name: str, title: str, wanted: str) -> Problem:
    text = f"{title} is missing."
    # No wheels for 32-bit Arm on the package index; Debian has both.
    if _is_arm_32(facts) and name in DEBIAN_NAMES and not facts.in_venv:
        return Problem(title, text, f"{_APT} {DEBIAN_NAMES[name]}")
    return Problem(title, text, needs=(wanted,))


def _needs_numpy_1(facts: Facts) -> bool:
    return _is_arm_32(facts) or (
        TFLITE in facts.packages and LITERT not in facts.packages
    )


def _interpreter(facts: Facts) -> list[Problem]:
    """Return why no interpreter can be used; or which was passed over."""
    reasons: list[Problem] = []
    for name in INTERPRETERS:
        package = facts.packages.get(name)
        if package is None:
            continue
        problem = _unusable(facts, name, package)
        if problem is None:
            return [replace(reason, blocking=False) for reason in reasons]
        reasons.append(problem)
        if package.error.startswith("SIG"):  # it would end the process
            break
    return reasons[:1] or [_no_interpreter(facts)]


def interpreter_in_use(facts: Facts) -> str:
    """Return what ran the self-test, else the first that can; "" if none can."""
    if facts.self_test is not None and facts.self_test.interpreter:
        return facts.self_test.interpreter
    for name in INTERPRETERS:
        package = facts.packages.get(name, Package("", "missing"))
        if not package.error and _unusable(facts, name, package) is None:
            return name
        if package.error.startswith("SIG"):
            break
    return ""


def _unusable(facts: Facts, name: str, package: Package) -> Problem | None:
    """Return why an installed interpreter cannot be used."""
    numpy = facts.packages.get("numpy", Package(""))
    if name == TFLITE and _numbers(numpy.version) >= (2,):
        return Problem(
            "interpreter",
            f"tflite-runtime {package.version} was built for NumPy 1 and fails with "
            f"NumPy {numpy.version}.",
            needs=(NUMPY_1,),
        )
    if not package.error:
        return None
    if "numpy" not in facts.packages and "numpy" in package.error:
        return None  # the line for NumPy mends it
    return _broken(facts, "interpreter", name, package)


def _broken(facts: Facts, about: str, name: str, package: Package) -> Problem:
    """Return what to do about a package that is there but cannot be imported."""
    error = package.error
    text = f"{name.strip(chr(34))} {package.version} cannot be imported: {error}"
    if "GLIBC_" in error:
        fix = "Use a newer system: its C library is older than the one in the error."
    elif "libstdc++" in error or "libgcc_s" in error:
        fix = f"{_APT} libstdc++6"
    elif "SIGILL" in error:
        fix = "Use a board with a newer processor, or the system's own package by apt."
    else:
        fix = pip_install(facts, "--force-reinstall --no-cache-dir", name)
    return Problem(about, text if text.endswith(".") else f"{text}.", fix)


def _no_interpreter(facts: Facts) -> Problem:
    """Return which interpreter to install on this machine, if there is one."""
    text = "No interpreter is installed (ai-edge-litert, tflite-runtime, tensorflow)."
    python, libc = facts.python[:2], _numbers(facts.libc[1])
    version = ".".join(map(str, python))
    if _is_arm_32(facts):
        return _no_interpreter_on_arm_32(facts, text)
    if facts.machine.lower() not in LITERT_MACHINES or facts.bits == 32:
        where = f"{facts.machine}, {facts.bits} bits"
        return Problem(
            "interpreter",
            f"{text} None has wheels for {where}.",
            "Use 64-bit Python on x86_64 or 64-bit Arm.",
        )
    if python > LITERT_PYTHONS[1]:
        return Problem(
            "Python",
            f"{text} ai-edge-litert has wheels for Python 3.10 to 3.14, not {version}.",
            "Make the virtual environment with one of these: "
            "python3.13 -m venv .venv && .venv/bin/pip install edgeclf",
        )
    if facts.libc[0] == "musl":
        return Problem(
            "system",
            f"{text} None has wheels for musl (Alpine Linux).",
            "Use a system with glibc, such as Debian; in a container python:3.12-slim.",
        )
    if facts.libc[0] == "glibc" and libc < LITERT_GLIBC:
        return Problem(
            "system",
            f"{text} ai-edge-litert needs glibc 2.27 or newer. This is "
            f"{facts.libc[1]}.",
            "Use a newer system.",
        )
    return Problem("interpreter", text, needs=(LITERT,))


def _no_interpreter_on_arm_32(facts: Facts, text: str) -> Problem:
    """Return the tflite-runtime for this Python and glibc: LiteRT has no wheels."""
    python, libc = facts.python[:2], _numbers(facts.libc[1])
    for release, (last, oldest) in (("2.14.0", TFLITE_2_14), ("2.13.0", TFLITE_2_13)):
        if python <= last and libc >= oldest:
            needs = (f"tflite-runtime=={release}", NUMPY_1)
            return Problem("interpreter", text, needs=needs)
    version = ".".join(map(str, python))
    return Problem(
        "interpreter",
        f"{text} None has wheels for 32-bit Arm with Python {version} and glibc "
        f"{facts.libc[1] or '?'}: tflite-runtime stops at Python 3.11.",
        OS_64_BIT
        if facts.machine in LITERT_MACHINES
        else f"{OS_64_BIT} Or, for a board without 64 bits: {OS_BOOKWORM}",
    )


def _failed_test(test: SelfTest) -> Problem:
    """Return what to do when everything imports but labelling fails."""
    if test.model == BACKBONE:
        fix = "Report it, with what `edgeclf doctor --json` prints."
    else:
        fix = "Run it without --model: if that works, it is the model."
    reason = test.error.removeprefix(f"{test.model}: ")
    return Problem("self-test", f"{test.model} does not run: {reason}", fix)


def _notes(facts: Facts) -> list[Problem]:
    """Return what could be better but stops nothing."""
    notes = []
    if _is_arm_32(facts) and facts.machine in LITERT_MACHINES:
        notes.append(
            Problem(
                "processor",
                "The kernel has 64 bits, this Python 32: LiteRT has wheels for 64 "
                "only, and runs int8 models faster there.",
                OS_64_BIT,
                blocking=False,
            )
        )
    return notes


def _is_arm_32(facts: Facts) -> bool:
    """Return whether this Python is 32-bit Arm, also below a 64-bit kernel."""
    return facts.bits == 32 and facts.machine.lower().startswith(("arm", "aarch64"))


def _numbers(version: str) -> tuple[int, ...]:
    """Return `(2, 36)` for "2.36", as far as there are numbers."""
    numbers = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)
