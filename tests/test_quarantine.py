import errno
import io
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import quarantine_crashes
from quarantine_crashes import NAMES, plant, tree

from edgeclf.audit.journal import FILE_NAME, Journal
from edgeclf.audit.quarantine import quarantine, undo
from edgeclf.data.findings import Finding
from edgeclf.errors import DatasetError

IN_MEMORY = Path("/dev", "shm")
PROTECTED = Path("/proc/sys/fs/protected_hardlinks")
FINDINGS = [Finding("unreadable", name, "is damaged") for name in NAMES]


@pytest.fixture
def root(tmp_path):
    plant(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def in_memory():
    """A folder in a file system in memory, where nothing waits for a disk."""
    if not os.access(IN_MEMORY, os.W_OK):
        pytest.skip(f"no file system in memory at {IN_MEMORY}")
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def elsewhere(tmp_path, in_memory):
    """A folder in another file system than the pictures'."""
    if in_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("the tests' folder is in memory too")
    return in_memory / "bad"


def crashes(root, folder, count):
    done = subprocess.run(
        [sys.executable, quarantine_crashes.__file__, root, folder, str(count)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return [int(count) for count in done.stdout.split()]


def test_nothing_is_lost_wherever_it_is_killed(in_memory):
    there, back = crashes(in_memory / "photos", in_memory / "bad", 3)
    assert min(there, back) > 2 * 3  # named anew, and the old name removed


def test_nothing_is_lost_on_the_way_to_another_file_system(tmp_path, elsewhere):
    there, back = crashes(tmp_path / "photos", elsewhere, 2)
    assert min(there, back) > 2 * 4  # copied, named, and removed twice


def test_files_keep_their_relative_paths_and_come_back(root, tmp_path):
    before, folder = tree(root), tmp_path / "bad"
    assert quarantine(root, folder, FINDINGS[:2]) == (list(NAMES[:2]), [])
    moved = tree(folder)
    journal = moved.pop(FILE_NAME)
    assert moved == {name: before[name] for name in NAMES[:2]}
    assert tree(root) == {NAMES[2]: before[NAMES[2]]}
    lines = [json.loads(line) for line in journal.splitlines()]
    assert lines[0] == {"root": str(root.resolve())}
    assert lines[1]["kind"] == "unreadable"
    assert lines[1]["detail"] == "is damaged"
    assert set(undo(root, folder).moved) == set(NAMES[:2])
    assert tree(root) == before
    assert list(tree(folder)) == [FILE_NAME]
    assert undo(root, folder) == ([], [])
    assert tree(root) == before


def test_a_copy_keeps_its_time_and_permissions(root, elsewhere):
    path = root / NAMES[0]
    path.chmod(0o640)
    os.utime(path, (1, 1_000_000_000))
    quarantine(root, elsewhere, FINDINGS[:1])
    status = (elsewhere / NAMES[0]).stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o640, 1_000_000_000)


def test_a_link_moves_and_not_what_it_leads_to(root, tmp_path):
    link, target = root / "b" / "link.jpg", root / "a" / "plain.jpg"
    link.unlink()
    link.symlink_to(target)
    quarantine(root, tmp_path / "bad", [Finding("duplicate", "b/link.jpg", "")])
    assert (tmp_path / "bad" / "b" / "link.jpg").is_symlink()
    assert not os.path.lexists(link)
    assert target.read_text() == ascii("a/plain.jpg")


def test_nothing_in_quarantine_is_overwritten(root, tmp_path):
    folder = tmp_path / "bad"
    quarantine(root, folder, FINDINGS[:1])
    (root / NAMES[0]).write_text("another")
    quarantine(root, folder, FINDINGS[:1])
    assert (folder / "a" / "plain.jpg").read_text() == ascii(NAMES[0])
    assert (folder / "a" / "plain.2.jpg").read_text() == "another"


def test_undo_leaves_alone_what_is_there_by_now(root, tmp_path, caplog):
    folder = tmp_path / "bad"
    quarantine(root, folder, FINDINGS[:2])
    (root / NAMES[0]).write_text("new")
    assert undo(root, folder) == ([NAMES[1]], [NAMES[0]])
    assert (root / NAMES[0]).read_text() == "new"
    assert (folder / NAMES[0]).read_text() == ascii(NAMES[0])
    assert f"there is a file at {root / NAMES[0]}" in caplog.text
    (root / NAMES[0]).unlink()
    assert undo(root, folder) == ([NAMES[0]], [])


def test_what_was_put_back_by_hand_stays(root, tmp_path):
    folder = tmp_path / "bad"
    quarantine(root, folder, FINDINGS[:1])
    (folder / NAMES[0]).rename(root / NAMES[0])
    assert quarantine(root, folder, FINDINGS[2:]) == ([NAMES[2]], [])
    assert (root / NAMES[0]).exists()


def test_a_missing_file_does_not_stop_the_others(root, tmp_path, caplog):
    findings = [Finding("unreadable", "a/none.jpg", ""), *FINDINGS]
    outcome = quarantine(root, tmp_path / "bad", findings)
    assert outcome == (list(NAMES), ["a/none.jpg"])
    assert "none.jpg: No such file" in caplog.text


@contextmanager
def as_nobody():
    """Be somebody whom permissions stop: not root."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.fixture
def public():
    """A folder that others may enter, with pictures and an empty folder for all."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        plant(place / "photos")
        (place / "bad").mkdir()
        place.chmod(0o755)
        (place / "bad").chmod(0o777)
        yield place


def test_what_cannot_leave_its_folder_stays_there(public, caplog):
    before = tree(public / "photos")
    (public / "photos" / "a").chmod(0o555)
    with as_nobody():
        outcome = quarantine(public / "photos", public / "bad", FINDINGS[:1])
    (public / "photos" / "a").chmod(0o755)
    assert outcome == ([], [NAMES[0]])
    assert tree(public / "photos") == before
    assert list(tree(public / "bad")) == [FILE_NAME]
    assert "plain.jpg: Permission denied" in caplog.text


def test_a_file_that_may_have_no_second_name_is_renamed(public):
    if os.geteuid() != 0 or not PROTECTED.exists() or PROTECTED.read_text()[0] != "1":
        pytest.skip("wants root, and a kernel that protects hard links")
    (public / "photos" / "a").chmod(0o777)
    (public / "photos" / NAMES[0]).chmod(0o600)  # root's: nobody may not link to it
    with as_nobody():
        with pytest.raises(PermissionError):
            (public / "bad" / "link").hardlink_to(public / "photos" / NAMES[0])
        outcome = quarantine(public / "photos", public / "bad", FINDINGS[:1])
    assert outcome == ([NAMES[0]], [])
    assert tree(public / "bad")[NAMES[0]] == ascii(NAMES[0])
    assert NAMES[0] not in tree(public / "photos")


@pytest.mark.parametrize("place", ["", "a", "a/bad", "new", "..", "b/.bad"])
def test_a_quarantine_lies_apart_from_the_pictures(root, place):
    with pytest.raises(DatasetError, match=r"apart from the pictures.*Received"):
        quarantine(root, root / place, FINDINGS)
    assert len(tree(root)) == len(NAMES)


def test_a_hidden_folder_beside_the_classes_will_do(root):
    assert quarantine(root, root / ".bad", FINDINGS).failed == []


def test_a_folder_with_other_files_is_refused(root, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").touch()
    with pytest.raises(DatasetError, match=r"Expected an empty folder.*other files"):
        quarantine(root, tmp_path / "home", FINDINGS)
    with pytest.raises(NotADirectoryError, match=r"letter\.txt, a file"):
        quarantine(root, tmp_path / "home" / "letter.txt", FINDINGS)


def test_nothing_is_made_for_nothing(root, tmp_path):
    assert quarantine(root, tmp_path / "bad", []) == ([], [])
    assert not (tmp_path / "bad").exists()


def test_undo_wants_the_journal_of_the_same_pictures(root, tmp_path):
    with pytest.raises(DatasetError, match=r"with quarantine\.jsonl. Received"):
        undo(root, tmp_path)
    quarantine(root, tmp_path / "bad", FINDINGS)
    (tmp_path / "other").mkdir()
    with pytest.raises(DatasetError, match=r"is about, .*photos. Received: .*other"):
        undo(tmp_path / "other", tmp_path / "bad")
    root.rename(tmp_path / "moved")
    assert len(undo(tmp_path / "moved", tmp_path / "bad").moved) == len(NAMES)


def test_a_line_that_was_cut_short_is_dropped(root, tmp_path):
    folder = tmp_path / "bad"
    quarantine(root, folder, FINDINGS[:1])
    whole = (folder / FILE_NAME).read_bytes()
    (folder / FILE_NAME).write_bytes(whole + b'{"root": "/x"}\n{"file": "a/p')
    assert quarantine(root, folder, FINDINGS[1:2]).failed == []


@pytest.mark.parametrize(
    "line", ["[]]", "[]", "5", '{"file": "a"}', '{"root": 1, "a": 1}']
)
def test_a_journal_with_other_lines_is_refused(root, tmp_path, line):
    (tmp_path / FILE_NAME).write_text(f"{line}\n")
    with pytest.raises(DatasetError, match=r"one JSON object a line.*Mend it by hand"):
        undo(root, tmp_path)


@pytest.mark.parametrize("takes", [0, 10])
def test_a_full_disk_does_not_keep_files_in_quarantine(
    root, tmp_path, monkeypatch, caplog, takes
):
    class Full(io.FileIO):
        """A file that takes a few bytes and then no more."""

        def write(self, data):
            if self.tell() > size or not takes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data[:takes])

    folder = tmp_path / "bad"
    quarantine(root, folder, FINDINGS)
    size = (folder / FILE_NAME).stat().st_size
    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Full(path, "a+b"))
    outcome = undo(root, folder)
    monkeypatch.undo()
    assert sorted(outcome.moved) == sorted(NAMES)
    assert f"{FILE_NAME}: No space left on device." in caplog.text
    assert (folder / FILE_NAME).stat().st_size == size  # no half line
    assert undo(root, folder).moved == []


def test_one_process_at_a_time(root, tmp_path):
    quarantine(root, tmp_path / "bad", FINDINGS)
    with (
        Journal(tmp_path / "bad"),
        pytest.raises(DatasetError, match=r"process has quarantine\.jsonl open"),
    ):
        undo(root, tmp_path / "bad")
