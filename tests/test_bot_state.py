"""What the bot keeps on the disk."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

pytest.importorskip("telegram")

from bot_process import BotApi, BotProcess, jpeg

from edgeclf.bot import texts
from edgeclf.bot.chats import Chats
from edgeclf.bot.errors import BotError, StateError
from edgeclf.bot.inbox import REMEMBERED_S, Inbox
from edgeclf.bot.outcomes import Answer, Answers, Outcome
from edgeclf.bot.responder import MOST_ATTEMPTS
from edgeclf.bot.state import FILE_NAME, State

TEXT = "a caption that nobody else is to read"


def update(number: int) -> dict[str, object]:
    return {"update_id": number, "message": {"caption": TEXT}}


@pytest.fixture
def connection() -> sqlite3.Connection:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        yield connection


def test_an_update_is_new_once_whether_answered_or_not(
    connection: sqlite3.Connection,
) -> None:
    inbox = Inbox(connection)
    assert [entry.id for entry in inbox.add([update(7), update(8), update(7)])] == [
        7,
        8,
    ]
    inbox.mark_answered([7])
    assert inbox.add([update(7), update(8)]) == []
    assert [entry.update for entry in inbox.unanswered()] == [update(8)]


def test_what_is_left_comes_in_the_order_of_arrival(
    connection: sqlite3.Connection,
) -> None:
    inbox = Inbox(connection)
    inbox.add([update(900)])
    inbox.add([update(5), update(6)])  # Telegram may begin anew after a quiet week
    assert [entry.id for entry in inbox.unanswered()] == [900, 5, 6]


def test_attempts_count_until_an_end_in_peace(connection: sqlite3.Connection) -> None:
    inbox = Inbox(connection)
    inbox.add([update(1)])
    inbox.begin(1)
    inbox.begin(1)
    (entry,) = inbox.unanswered()
    assert entry.attempts == 2
    assert entry.is_old
    inbox.leave([1])
    assert inbox.unanswered()[0].attempts == 0


def test_only_what_is_answered_and_old_is_forgotten(
    connection: sqlite3.Connection,
) -> None:
    now = [0.0]
    inbox = Inbox(connection, lambda: now[0])
    inbox.add([update(1), update(2)])
    inbox.mark_answered([1])
    now[0] = REMEMBERED_S
    inbox.add([update(3)])
    inbox.prune()
    assert inbox.add([update(1), update(2), update(3)]) == []
    now[0] += 1
    inbox.prune()
    assert [entry.id for entry in inbox.add([update(1), update(2)])] == [1]


def test_a_clock_that_was_ahead_keeps_nothing_for_ever(
    connection: sqlite3.Connection,
) -> None:
    now = [50.0 * 365 * 24 * 3600]  # ahead by decades
    inbox, answers = (kind(connection, lambda: now[0]) for kind in (Inbox, Answers))
    inbox.add([update(1), update(2)])
    inbox.mark_answered([1])
    answers.remember(answer())
    now[0] = 1000.0  # set right
    inbox.prune()
    answers.prune()
    assert inbox.add([update(1), update(2)]) == []
    assert answers.by_token("t") is not None
    now[0] += 31 * 24 * 3600
    inbox.prune()
    answers.prune()
    assert [entry.id for entry in inbox.add([update(1), update(2)])] == [1]
    assert answers.by_token("t") is None


def test_answered_updates_leave_no_content_in_the_files(tmp_path: Path) -> None:
    with contextlib.closing(State(tmp_path)) as state:
        inbox = state.now(lambda: Inbox(state.connection))
        state.now(lambda: inbox.add([update(1)]))
        state.now(lambda: inbox.mark_answered([1]))
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert TEXT.encode() not in content


def test_a_transaction_that_fails_changes_nothing(tmp_path: Path) -> None:
    with contextlib.closing(State(tmp_path)) as state:
        inbox = state.now(lambda: Inbox(state.connection))

        def fail() -> None:
            inbox.add([update(1)])
            state.connection.execute("SELECT 1 FROM nowhere")

        with pytest.raises(StateError, match=r"state\.sqlite3: no such table: nowhere"):
            state.now(fail)
        assert state.now(inbox.unanswered) == []


def test_a_folder_belongs_to_one_bot(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    with contextlib.closing(State(folder)):
        assert folder.stat().st_mode & 0o077 == 0
        with pytest.raises(BotError, match="to be the only bot that uses"):
            State(folder)
    State(folder).close()


def test_nobody_else_reads_the_files_in_a_folder_that_was_there(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o755)
    with contextlib.closing(State(tmp_path)) as state:
        state.now(lambda: Inbox(state.connection).add([update(1)]))
        modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()}
    assert len(modes) == 3  # with those of the log
    assert set(modes.values()) == {0}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 100)
    with pytest.raises(StateError, match=r"file is not a database\. Make room"):
        State(tmp_path)


def test_a_picture_that_has_ended_the_bot_again_and_again_is_left_out(
    tmp_path: Path,
) -> None:
    with BotApi() as api:
        bot = BotProcess(api, tmp_path)
        photos = [api.send_photo(1, jpeg()), api.send_photo(1, jpeg("blue"))]
        with contextlib.closing(State(bot.state_dir)) as state:
            inbox = state.now(lambda: Inbox(state.connection))
            first, _ = state.now(lambda: inbox.add(api.pending))
            for _ in range(MOST_ATTEMPTS):
                state.now(lambda: inbox.begin(first.id))
        with bot:
            assert api.reply(photos[0])["text"] == texts.FAILED
            assert api.reply(photos[1])["text"].startswith("blue")
            assert f"Update {first.id}: the bot has ended" in bot.log()


def answer(token: str = "t", message: int = 50) -> Answer:  # noqa: S107
    outcomes = (
        Outcome(11, "u1", "f1", ((0, "red", 0.5), (None, "unknown", 0.1))),
        Outcome(12, "u2", "f2", problem="damaged"),
    )
    return Answer(token, -100, message, "abc", outcomes)


def test_answers_are_found_by_token_and_by_each_picture(
    connection: sqlite3.Connection,
) -> None:
    answers = Answers(connection)
    answers.remember(answer())
    assert answers.by_token("t") == answers.to(-100, 11) == answers.to(-100, 12)
    assert answers.by_token("t") == answer()
    assert answers.by_token("x") is answers.to(-100, 50) is answers.to(1, 11) is None


def test_an_answer_remembers_what_was_tapped(connection: sqlite3.Connection) -> None:
    answers = Answers(connection)
    tapped = Outcome(11, "u1", "f1", (), chosen=(0, 2), stored=True)
    answers.remember(answer().changed(0, tapped))
    found = answers.by_token("t")
    assert found is not None
    assert found.outcomes == (tapped, answer().outcomes[1])


def test_old_answers_are_forgotten(connection: sqlite3.Connection) -> None:
    now = [0.0]
    answers = Answers(connection, lambda: now[0])
    answers.remember(answer())
    now[0] = 31 * 24 * 3600
    answers.remember(Answer("new", 1, 2, "abc", (Outcome(3, "u", "f", ()),)))
    answers.prune()
    assert answers.by_token("t") is answers.to(-100, 11) is None
    assert answers.to(1, 3) is not None


def test_chats_remember_their_number(connection: sqlite3.Connection) -> None:
    chats = Chats(connection)
    assert chats.top(1) is None
    chats.set_top(1, 3)
    chats.set_top(1, 5)
    chats.set_top(-2, 1)
    assert (chats.top(1), chats.top(-2)) == (5, 1)
