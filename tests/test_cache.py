import os
import sqlite3
import subprocess
import sys
import time

import pytest

from edgeclf.training.cache import FILE_NAME, BottleneckCache

KEY, CONTENT = b"k" * 32, bytes(range(256))


def test_entries_outlive_the_process(tmp_path):
    with BottleneckCache(tmp_path / "new" / "folder") as cache:
        assert cache.get(KEY) is None
        cache.put([(KEY, CONTENT), (b"other", b"")])
    with BottleneckCache(tmp_path / "new" / "folder") as cache:
        assert cache.get(KEY) == CONTENT
        assert cache.get(b"other") == b""


def test_a_later_entry_replaces_an_earlier_one(tmp_path):
    with BottleneckCache(tmp_path) as cache:
        cache.put([(KEY, b"old")])
        cache.put([(KEY, CONTENT)])
        assert cache.get(KEY) == CONTENT


def test_a_changed_entry_counts_as_none(tmp_path):
    with BottleneckCache(tmp_path) as cache:
        cache.put([(KEY, CONTENT)])
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    with connection:
        connection.execute("UPDATE entries SET content = ?", (CONTENT[::-1],))
    connection.close()
    with BottleneckCache(tmp_path) as cache:
        assert cache.get(KEY) is None


def test_a_damaged_file_is_set_aside(tmp_path, caplog):
    (tmp_path / FILE_NAME).write_bytes(b"not a database at all, but long enough" * 90)
    with BottleneckCache(tmp_path) as cache:
        cache.put([(KEY, CONTENT)])
        assert cache.get(KEY) == CONTENT
    assert "was damaged" in caplog.text
    assert "the damaged file is bottlenecks.damaged" in caplog.text
    assert (tmp_path / "bottlenecks.damaged").exists()


def test_a_folder_that_cannot_be_made_costs_one_warning(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    with BottleneckCache(tmp_path / "file" / "sub") as cache:
        cache.put([(KEY, CONTENT)])
        assert cache.get(KEY) is None
    assert len(caplog.messages) == 1
    assert "choose another folder with --bottleneck_dir" in caplog.text


def test_damage_behind_the_header_is_set_aside_too(tmp_path, caplog):
    with BottleneckCache(tmp_path) as cache:
        cache.put([(b"%d" % number, bytes(3000)) for number in range(50)])
    path = tmp_path / FILE_NAME
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with BottleneckCache(tmp_path) as cache:
        for number in range(50):
            cache.get(b"%d" % number)
        cache.put([(KEY, CONTENT)])
    with BottleneckCache(tmp_path) as cache:
        assert cache.get(KEY) == CONTENT
    assert caplog.text.count("was damaged") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX limits")
def test_a_full_disk_is_said_once_and_the_work_goes_on(tmp_path):
    """A limit on the size of files stands for the disk."""
    program = (
        "import logging, resource, signal, sys\n"
        "from edgeclf.training.cache import BottleneckCache\n"
        "logging.basicConfig(format='%(message)s')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))\n"
        "with BottleneckCache(sys.argv[1]) as cache:\n"
        "    for number in range(20):\n"
        "        cache.put([(b'%d' % number, bytes(4000))])\n"
        "    print(cache.get(b'0') == bytes(4000), cache.get(b'19'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "None"]
    assert done.stderr.count("cannot be used") == 1


def test_a_killed_process_keeps_what_it_had_committed(tmp_path):
    program = (
        "import os, sys; from edgeclf.training.cache import BottleneckCache\n"
        "cache = BottleneckCache(sys.argv[1])\n"
        "cache.put([(b'kept', b'1')])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -9
    with BottleneckCache(tmp_path) as cache:
        assert cache.get(b"kept") == b"1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only")
def test_two_processes_write_at_once(tmp_path):
    program = (
        "import sys; from edgeclf.training.cache import BottleneckCache\n"
        "with BottleneckCache(sys.argv[1]) as cache:\n"
        "    for number in range(200):\n"
        "        cache.put([(f'{sys.argv[2]}{number}'.encode(), b'x')])\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), letter])
        for letter in "ab"
    ]
    assert [run.wait(120) for run in runs] == [0, 0]
    with BottleneckCache(tmp_path) as cache:
        for letter in "ab":
            for number in range(200):
                assert cache.get(f"{letter}{number}".encode()) == b"x"


def test_a_locked_cache_is_waited_for_once(tmp_path, monkeypatch, caplog):
    from edgeclf.training import cache_file as module

    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 0.2)
    with BottleneckCache(tmp_path) as cache:
        cache.put([(KEY, CONTENT)])
        other = sqlite3.connect(tmp_path / FILE_NAME)
        other.execute("BEGIN EXCLUSIVE")
        try:
            start = time.monotonic()
            assert [cache.get(KEY) for _ in range(20)] == [None] * 20
            assert time.monotonic() - start < 2
        finally:
            other.close()
    assert caplog.text.count("cannot be used") == 1
