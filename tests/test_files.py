import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgeclf import files


def test_text_is_utf8_with_plain_line_ends(tmp_path):
    files.write_text(tmp_path / "new" / "a.txt", "ł\nb\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"\xc5\x82\nb\n"


def test_the_old_file_stays_when_writing_fails(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    mask = os.umask(0o027)
    try:
        files.write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_check_writable_names_a_folder_in_the_way(tmp_path):
    with pytest.raises(IsADirectoryError, match="Received a folder"):
        files.check_writable(tmp_path)


def test_check_writable_leaves_nothing_behind(tmp_path):
    files.check_writable(tmp_path / "new" / "model.tflite")
    assert list((tmp_path / "new").iterdir()) == []


def test_check_writable_fails_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        files.check_writable(tmp_path / "file" / "model.tflite")


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"old")
    (tmp_path / "a").symlink_to(tmp_path / "real" / "a")
    files.check_writable(tmp_path / "a")
    files.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "real" / "a").read_bytes() == b"new"


def test_a_pipe_is_written_into(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        files.check_writable(pipe)
        files.write_bytes(pipe, b"through")
        assert os.read(reader, 100) == b"through"
        assert stat.S_ISFIFO(pipe.stat().st_mode)
    finally:
        os.close(reader)


def test_what_a_killed_run_left_is_swept(tmp_path):
    program = (
        "import os, sys; from edgeclf.files import replacing\n"
        "with replacing(sys.argv[1]) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    target = tmp_path / "a.txt"
    subprocess.run([sys.executable, "-c", program, target], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".a.txt.edgeclf-")
    assert left.suffix == ".part"
    files.check_writable(tmp_path / "b.txt")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="POSIX locks")
def test_what_is_being_written_is_not_swept(tmp_path):
    (tmp_path / ".other.part").write_bytes(b"not ours")
    with files.replacing(tmp_path / "a.txt") as temporary:
        files.sweep(tmp_path)
        assert temporary.exists()
        temporary.write_bytes(b"whole")
        files.sweep(tmp_path)
    assert (tmp_path / "a.txt").read_bytes() == b"whole"
    assert (tmp_path / ".other.part").exists()


@pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")
def test_a_sweep_does_not_wait_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / ".a.txt.edgeclf-0.part")
    files.sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_threads_that_write_and_sweep_lose_nothing(tmp_path):
    """Nor do they change which rights files get: umask belongs to the process."""

    def write(number):
        files.write_bytes(tmp_path / f"{number % 7}", b"%d" % (number % 7))
        files.sweep(tmp_path)

    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(400)))
    finally:
        assert os.umask(before) == 0o027
    found = sorted(tmp_path.iterdir())
    assert [path.read_bytes() for path in found] == [b"%d" % n for n in range(7)]
    assert {path.stat().st_mode & 0o777 for path in found} == {0o640}
