"""What the doctor says of machines that are not here, and of this one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import model_files as models
import pytest

import edgeclf
from edgeclf.doctor.command import summary, text
from edgeclf.doctor.diagnosis import diagnose
from edgeclf.doctor.facts import BACKBONE, Facts, Package, SelfTest

PACKAGE = Path(edgeclf.__file__).parent
BASE = {
    "numpy": Package("1.26.4"),
    "pillow": Package("10.0.0"),
}
LITERT = {**BASE, "numpy": Package("2.4.6"), "ai-edge-litert": Package("2.3.0")}
TFLITE = {**BASE, "tflite-runtime": Package("2.14.0")}
WORKS = SelfTest(BACKBONE, "ai-edge-litert", 300.0, 20.0, "feature 514", True)

PC = Facts(packages=LITERT, self_test=WORKS)
PI_5 = Facts(
    board="Raspberry Pi 5 Model B Rev 1.0",
    release="Debian GNU/Linux 12 (bookworm)",
    machine="aarch64",
    processors=4,
    memory_mb=8062,
    externally_managed=True,
    packages=BASE,
)
PI_3 = Facts(
    board="Raspberry Pi 3 Model B Rev 1.2",
    machine="armv7l",
    bits=32,
    externally_managed=True,
    packages=BASE,
)
PI_ZERO = Facts(board="Raspberry Pi Zero W Rev 1.1", machine="armv6l", bits=32)
TRIXIE = {"python": (3, 13, 5), "libc": ("glibc", "2.41")}


def fixes(facts: Facts) -> list[str]:
    return [problem.fix for problem in diagnose(facts)]


def in_venv(facts: Facts) -> Facts:
    return replace(facts, in_venv=True, externally_managed=False, command="python")


def test_nothing_to_mend() -> None:
    assert diagnose(PC) == []
    assert diagnose(replace(PC, python=(3, 14, 0))) == []
    assert diagnose(replace(PI_5, packages=LITERT)) == []
    assert diagnose(replace(PI_3, packages=TFLITE)) == []


def test_system_python_gets_a_virtual_environment() -> None:
    assert fixes(PI_5) == [
        "python3 -m venv --system-site-packages .venv && "
        ".venv/bin/pip install ai-edge-litert"
    ]
    assert fixes(replace(PI_5, has_ensurepip=False)) == [
        "sudo apt install -y python3-venv && "
        "python3 -m venv --system-site-packages .venv && "
        ".venv/bin/pip install ai-edge-litert"
    ]
    assert fixes(in_venv(PI_5)) == ["python -m pip install ai-edge-litert"]
    assert fixes(replace(in_venv(PI_5), has_pip=False)) == [
        "python -m ensurepip && python -m pip install ai-edge-litert"
    ]


def test_32_bit_arm_gets_the_runtime_for_its_python_and_glibc() -> None:
    assert fixes(PI_3) == [
        "python3 -m venv --system-site-packages .venv && "
        '.venv/bin/pip install tflite-runtime==2.14.0 "numpy<2"'
    ]
    assert fixes(in_venv(replace(PI_3, python=(3, 10, 9), libc=("glibc", "2.31")))) == [
        'python -m pip install tflite-runtime==2.13.0 "numpy<2"'
    ]
    # 3.11 needs 2.14, and that a glibc of 2.34.
    assert "64-bit" in fixes(replace(PI_3, libc=("glibc", "2.31")))[0]


def test_32_bit_trixie_has_no_wheel() -> None:
    (problem,) = diagnose(replace(PI_3, **TRIXIE))
    assert "32-bit Arm with Python 3.13 and glibc 2.41" in problem.text
    assert problem.fix == (
        "Write the 64-bit Raspberry Pi OS to the card. Or, for a board without 64 "
        "bits: Write Raspberry Pi OS Bookworm (32-bit, Python 3.11) to the card."
    )
    problem, note = diagnose(replace(PI_3, machine="aarch64", **TRIXIE))
    assert problem.fix == "Write the 64-bit Raspberry Pi OS to the card."
    assert not note.blocking
    assert note.text.startswith("The kernel has 64 bits, this Python 32")


def test_32_bit_arm_takes_numpy_and_pillow_from_apt() -> None:
    assert list(dict.fromkeys(fixes(replace(PI_3, packages={})))) == [
        "sudo apt install -y python3-numpy",
        "sudo apt install -y python3-pil",
        "python3 -m venv --system-site-packages .venv && "
        '.venv/bin/pip install tflite-runtime==2.14.0 "numpy<2"',
    ]
    assert set(fixes(in_venv(replace(PI_3, packages={})))) == {
        'python -m pip install "numpy>=1.24,<2" "pillow>=9.1" tflite-runtime==2.14.0'
    }


def test_tflite_runtime_wants_numpy_1() -> None:
    broken = {**TFLITE, "numpy": Package("2.4.6")}
    (problem,) = diagnose(Facts(packages=broken))
    assert problem.text == (
        "tflite-runtime 2.14.0 was built for NumPy 1 and fails with NumPy 2.4.6."
    )
    assert problem.fix == 'python3 -m pip install "numpy<2"'
    # No problem where LiteRT runs, nor where NumPy is 1.
    assert diagnose(replace(PC, packages={**LITERT, **TFLITE, **broken})) == []
    assert diagnose(Facts(packages=TFLITE)) == []


@pytest.mark.parametrize(
    ("change", "about", "words"),
    [
        ({"machine": "armv6l", "bits": 32}, "processor", "Raspberry Pi Zero 2 W"),
        ({"python": (3, 9, 2)}, "Python", "Raspberry Pi OS Bookworm has 3.11"),
        ({"python": (3, 15, 0)}, "Python", "python3.13 -m venv"),
        ({"libc": ("musl", "")}, "system", "python:3.12-slim"),
        ({"libc": ("glibc", "2.26")}, "system", "newer system"),
        ({"machine": "riscv64"}, "interpreter", "x86_64 or 64-bit Arm"),
        ({"machine": "i686", "bits": 32}, "interpreter", "x86_64 or 64-bit Arm"),
    ],
)
def test_machines_without_wheels(change: dict, about: str, words: str) -> None:
    (problem,) = diagnose(Facts(packages=BASE, **change))
    assert problem.about == about
    assert problem.blocking
    assert words in problem.fix


def test_base_packages() -> None:
    few = {**LITERT, "pillow": Package("8.1.0"), "numpy": Package("1.21.0")}
    problems = diagnose(Facts(packages=few))
    assert [problem.text for problem in problems] == [
        "edgeclf needs NumPy 1.24 or newer. This is 1.21.0.",
        "edgeclf needs Pillow 9.1 or newer. This is 8.1.0.",
    ]
    line = 'python3 -m pip install "numpy>=1.24" "pillow>=9.1"'
    assert {problem.fix for problem in problems} == {line}
    assert text(Facts(packages=few), problems).count(line) == 1
    # LiteRT cannot be imported without NumPy; NumPy's line is enough.
    (problem,) = diagnose(
        Facts(
            packages={
                "pillow": BASE["pillow"],
                "ai-edge-litert": Package("2.3.0", "it needs the module numpy, which"),
            }
        )
    )
    assert problem.fix == 'python3 -m pip install "numpy>=1.24"'


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("libstdc++.so.6: cannot open shared object", "sudo apt install -y libstdc++6"),
        ("libc.so.6: version `GLIBC_2.38' not found", "Use a newer system"),
        ("SIGILL: an instruction that this", "Use a board with a newer processor"),
        (
            "undefined symbol: x",
            "python3 -m pip install --force-reinstall --no-cache-dir ai-edge-litert",
        ),
    ],
)
def test_broken_interpreter(error: str, fix: str) -> None:
    broken = Package("2.3.0", error)
    (problem,) = diagnose(Facts(packages={**BASE, "ai-edge-litert": broken}))
    assert problem.text == f"ai-edge-litert 2.3.0 cannot be imported: {error}."
    assert problem.fix.startswith(fix)


def test_a_broken_interpreter_before_one_that_works_is_only_noted() -> None:
    broken = Package("2.3.0", "undefined symbol: x")
    (note,) = diagnose(Facts(packages={**TFLITE, "ai-edge-litert": broken}))
    assert not note.blocking
    assert "undefined symbol: x" in note.text
    # One that ends the process stops those after it too.
    broken = Package("2.3.0", "SIGILL: no such instruction")
    (problem,) = diagnose(Facts(packages={**TFLITE, "ai-edge-litert": broken}))
    assert problem.blocking


def test_failed_self_test_is_a_problem() -> None:
    bad = SelfTest("flowers.tflite", error="flowers.tflite: it is cut short")
    facts = replace(PC, self_test=bad)
    (problem,) = diagnose(facts)
    assert problem.text == "flowers.tflite does not run: it is cut short"
    assert "ok      interpreter  ai-edge-litert 2.3.0, the" in text(facts, [problem])
    assert ", ai-edge-litert 2.3.0: labelling does" in summary(facts, False)
    assert "without --model" in problem.fix
    (problem,) = diagnose(replace(PC, self_test=SelfTest(BACKBONE, error="no")))
    assert "Report it" in problem.fix


def test_text_report_marks_the_rows_and_ends_with_the_lines() -> None:
    report = text(PI_5, diagnose(PI_5)).splitlines()
    rows = {line[8:].split("  ")[0]: line for line in report[:11]}
    assert rows["board"] == "        board        Raspberry Pi 5 Model B Rev 1.0"
    assert rows["NumPy"] == "ok      NumPy        1.26.4"
    assert rows["interpreter"] == "problem interpreter  missing"
    assert report[-3].startswith("    python3 -m venv")
    assert report[-1] == "Labelling does not work."
    assert "[camera]     not installed" in report[10]
    assert summary(PI_5, False) == (
        "Raspberry Pi 5 Model B Rev 1.0, aarch64 with 64 bits, Python 3.11.2, NumPy "
        "1.26.4, no interpreter: labelling does not work"
    )
    assert text(PC, []).splitlines()[-1] == "Labelling works."
    assert "\033" not in text(PC, [])
    colored = text(PI_5, diagnose(PI_5), colored=True)
    assert re.sub(r"\033\[[0-9;]*m", "", colored).splitlines() == report
    assert "\033[31;1mproblem" in colored


def test_unsupported_machine_gets_one_line_and_no_marks_for_the_rest() -> None:
    report = text(PI_ZERO, diagnose(PI_ZERO)).splitlines()
    assert any(line.startswith("problem processor    armv6l") for line in report)
    assert "        NumPy        missing" in report


def doctor(
    *arguments: str, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command; `path` is looked through before the installed packages."""
    folders = os.pathsep.join(map(str, filter(None, (path, PACKAGE.parent))))
    return subprocess.run(
        [sys.executable, "-m", "edgeclf.doctor.command", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": folders},
    )


def test_this_machine_labels(tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(models.own())
    done = doctor("--json", "--model", str(model))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    report = json.loads(done.stdout)
    assert report["works"]
    assert report["summary"].endswith(": labelling works")
    facts = report["facts"]
    assert facts["python"] == list(sys.version_info[:3])
    assert facts["packages"]["numpy"]["version"]
    assert facts["self_test"]["interpreter"] in facts["packages"]
    assert facts["self_test"]["answer"].split()[0] in models.COLORS
    assert facts["self_test"]["run_ms"] > 0


def test_this_machine_runs_the_bundled_backbone() -> None:
    done = doctor()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "feature 514" in done.stdout
    assert done.stdout.endswith("Labelling works.\n")


@pytest.mark.skipif(
    not (PACKAGE.parent / "models").is_dir(), reason="this is not a checkout"
)
def test_backbone_is_found_in_a_checkout_that_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "edgeclf").symlink_to(PACKAGE)
    (tmp_path / "models").symlink_to(PACKAGE.parent / "models")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    code += "; sys.meta_path = [f for f in sys.meta_path if 'ditable' not in repr(f)]"
    code += "; from edgeclf.doctor.self_test import _backbone; _backbone().close()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_damaged_model_fails_with_its_name(tmp_path: Path) -> None:
    model = tmp_path / "cut.tflite"
    model.write_bytes(models.own()[:200])
    done = doctor("--json", "--model", str(model))
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert str(model) in report["problems"][0]["text"]
    missing = doctor("--model", str(tmp_path / "none.tflite"))
    assert missing.returncode == 1
    said = f"{tmp_path}/none.tflite does not run: No such file or directory.\n"
    assert said in missing.stdout


@pytest.mark.parametrize("version", ["", "5.0.0"])
def test_opencv_of_any_package_is_found(tmp_path: Path, version: str) -> None:
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text("raise RuntimeError")
    if version:
        info = tmp_path / "opencv_contrib_python-5.0.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Name: opencv-contrib-python\nVersion: {version}\n"
        )
        (info / "top_level.txt").write_text("cv2\n")
    done = doctor("--json", path=tmp_path)
    found = json.loads(done.stdout)["facts"]["packages"]["cv2"]
    assert found["version"] == version or not version


def test_starts_without_any_package(tmp_path: Path) -> None:
    (tmp_path / "edgeclf").symlink_to(PACKAGE)
    code = f"import sys; sys.path = [{str(tmp_path)!r}, *sys.path]"
    code += "; from edgeclf.doctor.command import main; sys.exit(main([]))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],  # only the standard library
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert not done.stderr
    assert 'pip install "numpy>=1.24"' in done.stdout
    assert "ai-edge-litert" in done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is run apart")
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.kill(os.getpid(), 4)", "SIGILL: an instruction that this"),
        ("raise ImportError('libstdc++.so.6: cannot open')", "libstdc++6"),
        ("import libneeded", "it needs the module libneeded, which is missing"),
    ],
)
def test_broken_package_does_not_break_the_doctor(
    code: str, words: str, tmp_path: Path
) -> None:
    package = tmp_path / "ai_edge_litert"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(code, encoding="utf-8")
    done = doctor(path=tmp_path)
    if "SIGILL" in words:
        assert done.returncode == 1
    assert words in done.stdout
