"""A release is the same bytes wherever and by whomever it is built.

    make test-release

builds twice; elsewhere the packages that build are missing, and the tests skip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from scripts import release

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "scripts" / "release.py").is_file():
    pytest.skip("no checkout around these tests", allow_module_level=True)
pytest.importorskip("build", reason="build is not installed: make test-release")
pytest.importorskip("twine", reason="twine is not installed: make test-release")
if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True).returncode:
    pytest.skip("no git around this checkout", allow_module_level=True)


def built(checkout: Path, output: Path, umask: int, **environment: str) -> list[Path]:
    """Build the packages of a checkout; return the files."""
    command = [sys.executable, "scripts/release.py", "--packages_only"]
    subprocess.run(
        [*command, "--output", str(output)],
        cwd=checkout,
        check=True,
        capture_output=True,
        umask=umask,
        env={**os.environ, **environment},
    )
    return sorted(output.iterdir())


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> list[Path]:
    return built(ROOT, tmp_path_factory.mktemp("first"), 0o022)


def test_another_folder_umask_time_zone_locale_and_user_give_the_same_bytes(
    first, tmp_path
):
    checkout = tmp_path / "elsewhere" / "a much longer name"
    clone = ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)]
    subprocess.run(clone, check=True, umask=0o077)
    for path in (checkout / "edgeclf").glob("*.py"):
        os.utime(path, (10**9, 10**9))
    second = built(
        checkout,
        tmp_path / "second",
        0o077,
        TZ="Asia/Kathmandu",
        LC_ALL="C",
        HOME=str(tmp_path),
        USER="somebody",
        PYTHONHASHSEED="7",
        SOURCE_DATE_EPOCH="1",
    )
    assert [path.name for path in second] == [path.name for path in first]
    assert len(first) == 3
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_sums_are_those_of_the_files(first):
    sums = next(path for path in first if path.name == "SHA256SUMS")
    if not shutil.which("sha256sum"):
        pytest.skip("sha256sum is not installed")
    command = ["sha256sum", "--check", "--strict", sums.name]
    done = subprocess.run(command, cwd=sums.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK") == 2


def test_wheel_has_what_users_need_and_nothing_else(first):
    (wheel,) = (path for path in first if path.suffix == ".whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        said = message_from_bytes(archive.read(metadata))
        modes = {entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"edgeclf", metadata.partition("/")[0]}
    for wanted in (
        "edgeclf/py.typed",
        "edgeclf/models/mobilenet_v2_1.00_224_torchvision.tflite",
        "edgeclf/zoo/hosted_models.csv",
    ):
        assert wanted in names
    assert any(name.startswith("edgeclf/web/templates/") for name in names)
    assert not [name for name in names if "__pycache__" in name or "test_" in name]
    assert modes <= {0o644, 0o755, 0o664}
    assert said["Name"] == "edgeclf"
    assert said["License"] == "Apache-2.0"
    assert said["Requires-Python"] == ">=3.10"
    base = [line for line in said.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(line.split(">")[0] for line in base) == [
        "ai-edge-litert<3,",
        "numpy",
        "pillow",
    ]


def test_source_archive_names_nobody(first):
    (sdist,) = (path for path in first if path.name.endswith(".tar.gz"))
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert {(each.uid, each.gid, each.uname, each.gname) for each in members} == {
        (0, 0, "", "")
    }
    assert len({each.mtime for each in members}) == 1
    names = {each.name.partition("/")[2] for each in members}
    assert {"setup.cfg", "pyproject.toml", "LICENSE", "README.md"} <= names
    assert not [name for name in names if name.startswith("tests")]


@pytest.mark.parametrize("change", ["missing", "too much"])
def test_a_wheel_with_other_files_is_refused(first, tmp_path, change):
    (wheel,) = (path for path in first if path.suffix == ".whl")
    changed = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            if change == "too much" or name != "edgeclf/py.typed":
                new.writestr(name, old.read(name))
        if change == "too much":
            new.writestr("tests/test_x.py", "")
    expected = "edgeclf/py.typed" if change == "missing" else r"tests/test_x\.py"
    with pytest.raises(release.ReleaseError, match=rf"{change} \['{expected}'\]"):
        release.check_wheel(changed)


def test_a_folder_with_something_in_it_is_refused(tmp_path, capsys):
    (tmp_path / "old.whl").touch()
    with pytest.raises(SystemExit) as raised:
        release.main(["--output", str(tmp_path)])
    assert raised.value.code == 2
    assert "Expected an empty folder." in capsys.readouterr().err
