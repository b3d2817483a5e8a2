"""What people get from the bot, which runs as a process against a local Bot API."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("telegram", reason="needs the extra [bot]")

import bot_faults as faults
from bot_api import BotApi
from bot_chats import BOT, Message
from bot_process import jpeg, running, tag_model

MEBIBYTE = 1 << 20
_chats = itertools.count(1000)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BotApi]:
    """The server of a bot that tells red, green and blue apart."""
    folder = tmp_path_factory.mktemp("classes")
    with running(folder, "--rate", 1000) as (api, _):
        yield api


@pytest.fixture(scope="module")
def tags(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BotApi]:
    """The server of a bot that gives the tags red, green and blue."""
    folder = tmp_path_factory.mktemp("tags")
    with running(folder, model=tag_model()) as (api, _):
        yield api


@pytest.fixture
def chat() -> int:
    """A private chat that nobody has used."""
    return next(_chats)


@pytest.fixture
def group() -> int:
    """A group that nobody has used."""
    return -next(_chats)


def settled(api: BotApi, chat: int) -> list[Message]:
    """Return the bot's messages once a later question has been answered.

    Chats are answered in order, so nothing can come after that but an extra answer.
    """
    last = api.send_text(chat, f"/help@{BOT['username']}")
    end = api.reply(last)["message_id"]
    return [message for message in api.messages(chat) if message["message_id"] != end]


def words(message: Message) -> list[str]:
    return str(message["text"]).split()


def test_tags_are_answered_as_hashtags(tags: BotApi, chat: int) -> None:
    photo = tags.send_photo(chat, jpeg("magenta"))
    answer = tags.reply(photo)
    hashtags = [word for word in words(answer) if word.startswith("#")]
    assert sorted(hashtags) == ["#blue", "#red"]
    assert settled(tags, chat) == [answer]


def test_no_tag_above_its_threshold_is_said_kindly(tags: BotApi, chat: int) -> None:
    answer = tags.reply(tags.send_photo(chat, jpeg("black")))
    assert "#" not in answer["text"]
    assert len(words(answer)) >= 3


def test_classes_are_answered_with_bars(classes: BotApi, chat: int) -> None:
    photo = classes.send_photo(chat, jpeg("green"), caption="what is it?")
    answer = classes.reply(photo)
    lines = answer["text"].splitlines()
    (green,) = [line for line in lines if line.startswith("green")]
    (red,) = [line for line in lines if line.startswith("red")]
    assert green.count("▇") > red.count("▇")
    assert lines.index(green) < lines.index(red)
    assert "99" in green
    assert "%" in green
    assert settled(classes, chat) == [answer]


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [("a.jpg", "image/jpeg"), ("a.png", "image/png"), ("scan.JPG", None)],
)
def test_documents_are_labelled_by_type_or_content(
    classes: BotApi, chat: int, name: str, mime_type: str | None
) -> None:
    content = jpeg("blue")
    if name.endswith("png"):
        file = io.BytesIO()
        Image.open(io.BytesIO(content)).save(file, "PNG")
        content = file.getvalue()
    sent = classes.send_document(chat, content, name=name, mime_type=mime_type)
    assert classes.reply(sent)["text"].splitlines()[0].startswith("blue")


@pytest.mark.parametrize("pause_s", [0, 0.15])
def test_an_album_gets_one_numbered_answer(
    classes: BotApi, chat: int, pause_s: float
) -> None:
    colors = ["red", "blue", "green"]
    contents = [jpeg(color, number) for number, color in enumerate(colors)]
    album = classes.send_album(chat, contents, pause_s=pause_s)
    answer = classes.wait_for(lambda: classes.messages(chat), 10, "no answer")[0]
    numbered = [line for line in answer["text"].splitlines() if line[0].isdigit()]
    for number, (line, color) in enumerate(zip(numbered, colors, strict=True), 1):
        assert line.startswith(f"{number}. {color} ")
    assert answer["reply_to_message"]["message_id"] in {
        message["message_id"] for message in album
    }
    assert settled(classes, chat) == [answer]


def test_albums_of_two_chats_do_not_mix(tags: BotApi, chat: int, group: int) -> None:
    for place, color in ((chat, "red"), (group, "blue")):
        tags.send_album(place, [jpeg(color, 1), jpeg(color, 2)])
    for place, color, other in ((chat, "red", "blue"), (group, "blue", "red")):
        (answer,) = tags.wait_for(lambda place=place: tags.messages(place))
        assert answer["text"].count(f"#{color}") == 2
        assert other not in answer["text"]


def test_start_and_help_say_what_the_bot_does(classes: BotApi, chat: int) -> None:
    for command in ("/start", "/help"):
        sent = classes.send_text(chat, command)
        answer = classes.wait_for(lambda: classes.messages(chat))[-1]
        assert "photo" in answer["text"].lower() or "picture" in answer["text"].lower()
        classes.delete(answer)
        assert sent["text"] == command
    listed = {entry["command"] for entry in classes.commands}
    assert {"start", "help", "model", "top"} <= listed


def test_model_tells_about_the_file(classes: BotApi, chat: int) -> None:
    classes.send_text(chat, "/model")
    (answer,) = classes.wait_for(lambda: classes.messages(chat))
    assert all(label in answer["text"] for label in ("red", "green", "blue"))


def test_top_changes_how_many_labels_a_chat_gets(
    classes: BotApi, chat: int, group: int
) -> None:
    for wanted in (1, 2):
        classes.send_text(chat, f"/top {wanted}")
        answer = classes.reply(classes.send_photo(chat, jpeg("red", wanted)))
        assert answer["text"].count("%") == wanted
    other = classes.reply(classes.send_photo(group, jpeg("red", 3)))
    assert other["text"].count("%") == 3


@pytest.mark.parametrize(
    "text", ["/top", "/top x", "/top 0", "/top -3", "/top 9999999"]
)
def test_a_wrong_top_is_explained(classes: BotApi, chat: int, text: str) -> None:
    classes.send_text(chat, text)
    (answer,) = classes.wait_for(lambda: classes.messages(chat))
    assert "/top" in answer["text"] or "label" in answer["text"]
    photo = classes.send_photo(chat, jpeg())
    assert "red" in classes.reply(photo)["text"]


@pytest.mark.parametrize(
    "content",
    [
        {"text": "hello there"},
        {"text": "/unknown"},
        {"voice": {"file_id": "v", "file_unique_id": "v", "duration": 1}},
        {"contact": {"phone_number": "1", "first_name": "Person"}},
        {"location": {"longitude": 1.0, "latitude": 2.0}},
        {"dice": {"emoji": "🎲", "value": 3}},
        {
            "video": {
                "file_id": "f",
                "file_unique_id": "f",
                "width": 9,
                "height": 9,
                "duration": 1,
            }
        },
        {
            "animation": {
                "file_id": "g",
                "file_unique_id": "g",
                "width": 9,
                "height": 9,
                "duration": 1,
            },
            "document": {"file_id": "g", "file_unique_id": "g"},
        },
    ],
    ids=lambda content: next(iter(content)),
)
def test_other_messages_get_one_kind_answer(
    classes: BotApi, chat: int, content: dict[str, object]
) -> None:
    classes.send(chat, **content)
    (answer,) = settled(classes, chat)
    assert "%" not in answer["text"]
    assert any(word in answer["text"] for word in ("photo", "picture", "/help"))


def test_stickers_get_one_kind_answer(classes: BotApi, chat: int) -> None:
    classes.send_sticker(chat)
    (answer,) = settled(classes, chat)
    assert "%" not in answer["text"]


def test_in_groups_only_pictures_and_own_commands_are_answered(
    classes: BotApi, group: int
) -> None:
    for text in ("hello", "/help@other_bot", "/unknown"):
        classes.send_text(group, text)
    classes.send_sticker(group)
    classes.send(group, new_chat_members=[BOT])
    assert settled(classes, group) == []
    photo = classes.send_photo(group, jpeg("green"))
    assert classes.reply(photo)["text"].startswith("green")


def test_other_bots_are_not_answered(classes: BotApi, group: int) -> None:
    other = {"id": 999, "is_bot": True, "first_name": "Other"}
    classes.send_photo(group, jpeg(), **{"from": other})
    assert settled(classes, group) == []


def test_an_edited_photo_edits_the_answer(classes: BotApi, chat: int) -> None:
    photo = classes.send_photo(chat, jpeg("red"))
    first = classes.reply(photo)
    assert first["text"].startswith("red")
    classes.edit_photo(photo, jpeg("blue", 1))
    classes.wait_for(lambda: classes.replies(photo)[0]["text"].startswith("blue"))
    (answer,) = settled(classes, chat)
    assert answer["message_id"] == first["message_id"]


def test_an_edited_caption_is_not_answered_again(classes: BotApi, chat: int) -> None:
    photo = classes.send_photo(chat, jpeg("red"))
    answer = classes.reply(photo)
    classes.edit_caption(photo, "look")
    assert settled(classes, chat) == [answer]


def test_a_deleted_picture_is_answered_all_the_same(classes: BotApi, chat: int) -> None:
    classes.faults.add("getFile", faults.slow(0.3), times=1)
    photo = classes.send_photo(chat, jpeg("red"))
    classes.delete(photo)
    (answer,) = classes.wait_for(lambda: classes.messages(chat))
    assert answer["text"].startswith("red")


def wrong_files() -> dict[str, bytes]:
    whole = jpeg("red")
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    return {
        "half.jpg": whole[: len(whole) // 4],
        "empty.jpg": b"",
        "text.jpg": b"hello" * 50,
        "page.html": b"<html><body>not a picture</body></html>",
        "bomb.png": bomb.getvalue(),
    }


def test_wrong_files_are_answered_kindly(classes: BotApi, chat: int) -> None:
    for name, content in wrong_files().items():
        sent = classes.send_document(chat, content, name=name, mime_type="image/jpeg")
        answer = classes.reply(sent)
        assert len(classes.replies(sent)) == 1, name
        assert "Traceback" not in answer["text"], name
        if name != "half.jpg":  # of which something can be seen
            assert "%" not in answer["text"], name
    assert "red" in classes.reply(classes.send_photo(chat, jpeg()))["text"]


def test_documents_that_are_no_pictures_are_not_downloaded(
    classes: BotApi, chat: int
) -> None:
    before = downloads(classes)
    sent = classes.send_document(
        chat, b"%PDF-1.7", name="a.pdf", mime_type="application/pdf"
    )
    large = classes.send_document(chat, jpeg(), size_bytes=21 * MEBIBYTE)
    for message in (sent, large):
        classes.reply(message)
        assert len(classes.replies(message)) == 1
    assert "20" in classes.reply(large)["text"]
    assert downloads(classes) == before


def downloads(api: BotApi) -> int:
    return sum(call.method == "download" for call in api.calls)


def test_a_file_that_is_gone_is_answered(classes: BotApi, chat: int) -> None:
    content = {"photo": classes.photo(chat, jpeg())}
    classes.forget(content)
    photo = classes.send(chat, **content)
    assert "%" not in classes.reply(photo)["text"]
    assert len(settled(classes, chat)) == 1


def test_the_awkward_files_each_get_an_answer(
    classes: BotApi, chat: int, shared: Path
) -> None:
    files = sorted(path for path in (shared / "data" / "messy").rglob("*.*"))
    files = [path for path in files if path.is_file() and path.stat().st_size < 10**6]
    sent = [
        classes.send_document(chat, path.read_bytes(), name=path.name)
        for path in files[:18]
    ]
    for message in sent:
        classes.reply(message, 20)
    assert [len(classes.replies(message)) for message in sent] == [1] * len(sent)


def test_only_a_small_size_of_a_photo_is_downloaded(classes: BotApi, chat: int) -> None:
    photo = classes.send_photo(chat, jpeg("red", 5, (1280, 960)))
    classes.reply(photo)
    smallest = photo["photo"][0]["file_id"]
    assert any(
        smallest in call.parameters["path"]
        for call in classes.calls
        if call.method == "download"
    )


def test_a_blocked_chat_stops_nothing(classes: BotApi, chat: int) -> None:
    other = next(_chats)
    classes.send_photo(chat, jpeg("red"))
    classes.blocked.add(chat)
    classes.send_photo(chat, jpeg("red", 1))
    assert "red" in classes.reply(classes.send_photo(other, jpeg("red", 2)))["text"]
