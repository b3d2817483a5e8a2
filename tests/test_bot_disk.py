"""The bot on a disk that is full or read-only: it waits, says so, and loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("telegram", reason="needs the extra [bot]")

from bot_process import BotApi, BotProcess, jpeg
from disks import mounted

CHAT = 42


def test_a_full_disk_makes_it_wait_and_loses_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 4 << 20) as disk, BotApi() as api:
        bot = BotProcess(api, tmp_path / "bot", "--state_dir", disk.folder / "state")
        with bot:
            api.reply(api.send_photo(CHAT, jpeg()))
            disk.fill()
            photos = [api.send_photo(CHAT, jpeg("blue", seed)) for seed in range(3)]
            api.wait_for(lambda: "full" in bot.log(), 20, bot.log())
            assert not bot.has_ended
            disk.make_room()
            for photo in photos:
                api.reply(photo)
            assert bot.end() == 0
            assert "Traceback" not in bot.log()
        assert [len(api.replies(photo)) for photo in photos] == [1, 1, 1]


def test_corrections_on_a_full_disk_are_refused_in_words(tmp_path: Path) -> None:
    from test_bot_feedback import correct, stored

    with mounted(tmp_path / "disk", 1 << 20) as disk, BotApi() as api:
        folder = disk.folder / "feedback"
        with BotProcess(api, tmp_path / "bot", "--feedback", folder) as bot:
            answer = api.reply(api.send_document(CHAT, jpeg("red")))
            disk.fill()
            correct(api, answer, "blue")
            api.wait_for(lambda: "No space left" in bot.log(), 20, bot.log())
            assert stored(folder) == set()
            disk.make_room()
            again = api.reply(api.send_document(CHAT, jpeg("red", 2)))
            correct(api, again, "blue")
            api.wait_for(lambda: len(stored(folder)) == 1, 10, bot.log())
            assert "Traceback" not in bot.log()


@pytest.mark.parametrize("option", ["--state_dir", "--feedback"])
def test_a_read_only_disk_is_a_sentence(tmp_path: Path, option: str) -> None:
    with mounted(tmp_path / "disk") as disk, BotApi() as api:
        disk.be_read_only()
        bot = BotProcess(api, tmp_path / "bot", option, disk.folder / "kept")
        with bot:
            assert bot.wait() == 1
        assert "Read-only file system" in bot.log()
        assert "Traceback" not in bot.log()
