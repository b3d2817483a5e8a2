"""The cache of bottlenecks gives what was put into it or nothing, whatever happens."""

import hashlib
import random
import shutil
import sqlite3
import sys
import zlib

import pytest
from killing import KILLS, finished, killed_runs, started
from mutations import mutated

from edgeclf.training.cache import FILE_NAME, BottleneckCache

COUNT = 150
MUTANTS = 20 * KILLS
SILENT = 0.05  # share of mutants at most: keys out of order, found by nobody


def entries(count=COUNT):
    """As many keys and contents, some of them larger than a page."""
    source = random.Random(5)
    return {
        hashlib.sha256(b"%d" % number).digest(): source.randbytes(
            source.choice([0, 40, 700, 5000])
        )
        for number in range(count)
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with BottleneckCache(folder) as cache:
        for entry in entries().items():
            cache.put([entry])
    return (folder / FILE_NAME).read_bytes()


def check(folder, least=0):
    """No entry is wrong, and after one run all are there; return what was lost."""
    expected = entries()
    with BottleneckCache(folder) as cache:
        lost = 0
        for key, content in expected.items():
            found = cache.get(key)
            assert found in (None, content)
            if found is None:
                lost += 1
                cache.put([(key, content)])
        assert all(cache.get(key) == content for key, content in expected.items())
    assert lost <= COUNT - least
    return lost


def test_damage_anywhere_gives_no_wrong_entry_and_is_mended(tmp_path, whole, caplog):
    silent = 0
    for seed in range(MUTANTS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(mutated(whole, seed))
        caplog.clear()
        lost = check(folder)
        silent += bool(lost and not caplog.messages)
        assert len(caplog.messages) <= 2  # once of entries, once of the file
        caplog.clear()
        assert check(folder) == 0
        assert not caplog.messages
        shutil.rmtree(folder)
    assert silent <= SILENT * MUTANTS


def damaged_page(whole, number, seed):
    """The file with one page of rubbish."""
    page = random.Random(seed).randbytes(4096)
    return whole[: 4096 * number] + page + whole[4096 * (number + 1) :]


def test_the_good_entries_of_a_damaged_file_are_kept(tmp_path, whole, caplog):
    pages = len(whole) // 4096
    losses = []
    for number in range(2, pages, max(1, pages // (4 * KILLS))):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(damaged_page(whole, number, number))
        losses.append(check(folder))
    assert "mended, with 1" in caplog.text  # hundred and some good entries
    assert sorted(losses)[len(losses) // 2] < COUNT / 10
    assert max(losses) < COUNT / 2


def test_rows_with_swapped_contents_count_as_none(tmp_path, whole, caplog):
    (tmp_path / FILE_NAME).write_bytes(whole)
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    (one, *first), (two, *second) = connection.execute(
        "SELECT key, checksum, content FROM entries LIMIT 2"
    ).fetchall()
    with connection:
        for key, row in ((one, second), (two, first)):
            connection.execute(
                "UPDATE entries SET checksum = ?, content = ? WHERE key = ?",
                (*row, key),
            )
    connection.close()
    assert check(tmp_path) == 2
    assert [text.count("holds damaged entries") for text in caplog.messages] == [1]


def test_a_damaged_schema_is_mended(tmp_path, whole, caplog):
    """What SQLite calls an operational error, like a full disk, is damage too."""
    (tmp_path / FILE_NAME).write_bytes(whole.replace(b"content BLOB", b"contenz BLOB"))
    with BottleneckCache(tmp_path) as cache:
        assert cache.get(b"k" * 32) is None
    assert "was damaged (no such column: content)" in caplog.text
    check(tmp_path)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_journal_left_by_a_kill_is_played_back(tmp_path, whole, mode, caplog):
    (tmp_path / FILE_NAME).write_bytes(whole)
    program = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA journal_mode = " + sys.argv[2])
connection.execute("PRAGMA cache_size = 2")  # so that it is written before the end
connection.execute("BEGIN")
connection.execute("UPDATE entries SET content = randomblob(3000), checksum = 7")
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", program, str(tmp_path / FILE_NAME), mode]
    assert finished(command).was_killed
    ending = {"DELETE": "-journal", "WAL": "-wal"}[mode]
    assert (tmp_path / f"{FILE_NAME}{ending}").stat().st_size > 10_000
    assert check(tmp_path) == 0
    assert not caplog.messages


def test_a_journal_is_not_played_back_into_the_mended_file(tmp_path, whole):
    """A hot journal beside a file that is damaged behind its header."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / FILE_NAME
    journal = folder / f"{FILE_NAME}-journal"
    path.write_bytes(b"rubbish" * 999)
    journal.write_bytes(hot_journal(tmp_path, whole))
    check(folder)
    assert check(folder) == 0
    assert not journal.exists()


def hot_journal(folder, whole):
    path = folder / "other.sqlite"
    path.write_bytes(whole)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA cache_size = 2")
    connection.execute("BEGIN")
    connection.execute("UPDATE entries SET content = randomblob(3000), checksum = 7")
    content = (folder / "other.sqlite-journal").read_bytes()
    connection.close()
    return content


def test_a_cache_of_an_earlier_version_is_kept(tmp_path, caplog):
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    with connection:
        connection.execute(
            "CREATE TABLE entries (key BLOB PRIMARY KEY, "
            "checksum INTEGER NOT NULL, content BLOB NOT NULL) WITHOUT ROWID"
        )
        connection.executemany(
            "INSERT INTO entries VALUES (?, ?, ?)",
            [(key, zlib.crc32(text), text) for key, text in entries().items()],
        )
        connection.execute("UPDATE entries SET checksum = 1 WHERE checksum % 7 = 0")
        (wrong,) = connection.execute(
            "SELECT COUNT(*) FROM entries WHERE checksum = 1"
        ).fetchone()
    connection.close()
    assert check(tmp_path) == wrong
    assert "holds damaged entries" in caplog.text
    assert check(tmp_path) == 0


USER = """
import hashlib, sys
from edgeclf.training.cache import BottleneckCache
number = 0
with BottleneckCache(sys.argv[1]) as cache:
    print("open", flush=True)
    {body}
"""


def test_a_damaged_file_that_another_uses_is_left_alone(tmp_path, whole, caplog):
    (tmp_path / FILE_NAME).write_bytes(whole)
    with BottleneckCache(tmp_path) as other:
        (tmp_path / FILE_NAME).write_bytes(b"rubbish" * 999)
        body = "cache.put([(b'k', b'')]); print(cache.get(b'k'))"
        ended = finished([sys.executable, "-c", USER.format(body=body), str(tmp_path)])
        assert ended.stdout.split() == ["open", "None"]
        assert ended.stderr.count("in use by another process") == 1
        assert (tmp_path / FILE_NAME).read_bytes() == b"rubbish" * 999
        other.put([(b"k", b"")])  # ... nor by this one while that one was there
    check(tmp_path)
    assert check(tmp_path) == 0


def test_two_writers_that_are_killed_leave_no_wrong_entry(tmp_path, caplog):
    body = """
    while True:
        keys = [hashlib.sha256(b"%d" % each).digest() for each in range(number, number + 64)]
        for key in keys:
            assert cache.get(key) in (None, key * 90), "wrong"
        cache.put([(key, key * 90) for key in keys])
        number = (number + 64) % 1500
"""
    command = [sys.executable, "-c", USER.format(body=body), str(tmp_path)]
    other = started(command)
    try:
        for ended in killed_runs(command, 2 * KILLS, 3, 1.5):
            assert ended.was_killed, ended.stderr
            assert not ended.stderr
        assert other.poll() is None
    finally:
        other.kill()
        _, said = other.communicate()
    assert not said
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = connection.execute("SELECT key, content FROM entries").fetchall()
    connection.close()
    assert len(rows) > 64
    assert all(content == key * 90 for key, content in rows)
    with BottleneckCache(tmp_path) as cache:
        assert all(cache.get(key) == content for key, content in rows)
    assert not caplog.messages
