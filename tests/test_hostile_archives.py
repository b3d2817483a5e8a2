"""Archives that want to do harm: what they name, what they grow to."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import hosting
import model_files as models
import pytest
from hosting import archive_of, member
from watching import files_below

from edgeclf.errors import DownloadError, ModelError
from edgeclf.metadata import read_model_info
from edgeclf.tflite.attached_files import AttachedFiles
from edgeclf.zoo.archive import read_tflite

MODEL = hosting.tiny_model()
LABEL = "https://host/models/tiny.tgz"
ROOT = Path(__file__).resolve().parents[1]
NAMES = [
    "../../tiny.tflite",
    "/tiny.tflite",
    "/etc/cron.d/tiny.tflite",
    "C:/Windows/tiny.tflite",
    "C:\\Windows\\tiny.tflite",
    "a\\..\\..\\tiny.tflite",
    "\\\\server\\share\\tiny.tflite",
    "a/../../tiny.tflite",
    "~/tiny.tflite",
    "$HOME/tiny.tflite",
    "d" * 30_000 + "/tiny.tflite",
    "x\x1b[2J/tiny.tflite",
    "CON/tiny.tflite",
]
DEVICES = {
    "symbolic link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "folder": tarfile.DIRTYPE,
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder in an empty folder, where nothing may appear."""
    work = tmp_path / "a" / "b"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def read(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    return read_tflite(io.BytesIO(archive_of(*members)), LABEL)


@pytest.mark.parametrize("name", NAMES)
def test_no_name_leads_anywhere(name: str, here: Path) -> None:
    assert read(member(name, MODEL)) == MODEL
    assert files_below(here) == set()


def test_name_with_nul_ends_there(here: Path) -> None:
    archive = gzip.decompress(archive_of(member("tiny.tflite", MODEL)))
    damaged = bytearray(archive)
    damaged[4] = 0  # tiny\0tflite
    damaged[148:156] = b"%06o\0 " % (sum(damaged[:148]) + sum(damaged[156:512]) + 256)
    with pytest.raises(DownloadError, match="Received: none in"):
        read_tflite(io.BytesIO(gzip.compress(bytes(damaged))), LABEL)
    assert files_below(here) == set()


@pytest.mark.parametrize("kind", DEVICES)
@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", ""])
def test_links_and_devices_are_passed_over(kind: str, target: str, here: Path) -> None:
    evil = member("tiny.tflite", kind=DEVICES[kind], target=target)
    with pytest.raises(DownloadError, match="Received: none in"):
        read(evil)
    assert read(evil, member("x/tiny.tflite", MODEL)) == MODEL
    assert files_below(here) == set()


def test_link_and_then_a_file_through_it(here: Path) -> None:
    through = member("out/tiny.tflite", MODEL)
    link = member("out", kind=tarfile.SYMTYPE, target=str(here))
    assert read(link, through) == MODEL
    assert files_below(here) == set()


BOMB = """
import io, re, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from edgeclf.errors import DownloadError
from edgeclf.zoo.archive import read_tflite
try:
    read_tflite(io.BytesIO(sys.stdin.buffer.read()), "tiny.tgz")
except DownloadError as error:
    print(error)
status = Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) >> 10)
"""


def bombs() -> dict[str, bytes]:
    """Archives of at most 200 KB that unpack to 128 MB, 4 GB and a terabyte."""
    zeros = bytes(128 << 20)
    packed = gzip.compress(gzip.compress(bytes(4 << 20), 6) * 1000)
    return {
        "other file": archive_of(member("a.pb", zeros), member("b.txt", b"x")),
        "packed twice": archive_of(member("tiny.tgz", packed)),
        "sparse": sparse_file(1 << 40),
    }


def sparse_file(size_bytes: int) -> bytes:
    """An archive with a file that is one hole of that size.

    Source: GNU tar manual, "PAX 1"; the size of the whole is in `GNU.sparse.realsize`.
    """
    header, _ = member("tiny.tflite", b"0\n".ljust(512, b"\0"))
    header.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "tiny.tflite",
        "GNU.sparse.realsize": str(size_bytes),
    }
    return archive_of((header, b"0\n".ljust(512, b"\0")))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="not Linux")
def test_bombs_cost_no_memory() -> None:
    for name, content in bombs().items():
        assert len(content) < 200_000, name
        done = subprocess.run(
            [sys.executable, "-c", BOMB], input=content, capture_output=True, cwd=ROOT
        )
        assert done.returncode == 0, (name, done.stderr)
        said, peak_mb = done.stdout.decode().strip().rsplit("\n", 1)
        assert "Expected " in said, name
        assert int(peak_mb) < 90, name  # Python alone has 20


def test_many_empty_members_take_no_time() -> None:
    members = [member(f"{number}.tflite") for number in range(20_000)]
    archive = archive_of(*members)
    started = time.process_time()
    with pytest.raises(DownloadError, match=r"more than 1000 members|of 0 bytes"):
        read_tflite(io.BytesIO(archive), LABEL)
    assert time.process_time() - started < 2


# The zip behind a model, which is read in place: names lead nowhere, too.


@pytest.mark.parametrize("name", [*NAMES, "../labels.txt", "/etc/passwd"])
def test_attached_names_lead_nowhere(name: str, here: Path) -> None:
    attached = AttachedFiles(models.with_files(models.build(), {name: b"a\nb\n"}))
    assert [attached.read(found) for found in attached.names] == [b"a\nb\n"]
    assert files_below(here) == set()


def test_attached_link_is_a_file_of_its_target(here: Path) -> None:
    """A zip marks a link by its mode, which nobody here looks at."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        link = zipfile.ZipInfo("labels.txt")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    attached = AttachedFiles(models.build() + content.getvalue())
    assert attached.read("labels.txt") == b"/etc/passwd"
    assert files_below(here) == set()


def test_attached_entries_that_overlap_are_bounded_one_by_one() -> None:
    """A thousand entries may share one packed body; only what is asked for is read."""
    body = bytes(7 << 20)  # just under what one file may have
    whole = models.with_files(models.build(), {"a.txt": body}, zipfile.ZIP_DEFLATED)
    end = whole.rindex(b"PK\5\6")
    entry_at = whole.rindex(b"PK\1\2", 0, end)
    entry = whole[entry_at:end]
    entries = b"".join(
        entry.replace(b"a.txt", f"{number:05}".encode()) for number in range(900)
    )
    directory = bytearray(whole[end:])
    struct.pack_into("<HHI", directory, 8, 900, 900, len(entries))
    bomb = whole[:entry_at] + entries + bytes(directory)
    assert len(bomb) < 200_000
    started = time.process_time()
    attached = AttachedFiles(bomb)
    assert len(attached.names) == 900
    assert len(attached.read("00899")) == len(body)
    read_model_info(bomb)  # looks at labels alone
    assert time.process_time() - started < 2
    struct.pack_into("<HH", directory, 8, 60_000, 60_000)
    with pytest.raises(ModelError, match="zip attached to the model is damaged"):
        AttachedFiles(whole[:entry_at] + entries + bytes(directory))
