"""Corrections by button: stored beside their picture, and enough to train with."""

from __future__ import annotations

import csv
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny

pytest.importorskip("telegram", reason="needs the extra [bot]")

import model_files as models
from bot_api import BotApi
from bot_chats import Message, buttons
from bot_process import ROOT, BotProcess, jpeg, running, tag_model

CHAT = 42


@pytest.fixture
def feedback(tmp_path: Path) -> Path:
    return tmp_path / "feedback"


@pytest.fixture
def classes(tmp_path: Path, feedback: Path) -> Iterator[tuple[BotApi, BotProcess]]:
    with running(tmp_path, "--feedback", feedback, "--rate", 1000) as both:
        yield both


@pytest.fixture
def tags(tmp_path: Path, feedback: Path) -> Iterator[tuple[BotApi, BotProcess]]:
    with running(tmp_path, "--feedback", feedback, model=tag_model()) as both:
        yield both


def now(api: BotApi, message: Message) -> Message:
    """Return the bot's message as it reads now."""
    (current,) = [
        one
        for one in api.messages(message["chat"]["id"])
        if one["message_id"] == message["message_id"]
    ]
    return current


def texts(message: Message) -> list[str]:
    return [button["text"] for row in buttons(message) for button in row]


def press(api: BotApi, message: Message, wanted: str) -> str:
    """Press the button that says this, wait for its answer, and return that."""
    current = now(api, message)
    fitting = [text for text in texts(current) if re.search(rf"\b{wanted}\b", text)]
    assert fitting, f"no {wanted!r} among {texts(current)}"
    query = api.press(current, fitting[0])
    answer = api.wait_for(lambda: api.queries[query].answer, 10, "unanswered query")
    return str(answer.get("text", ""))


def correct(api: BotApi, answer: Message, label: str) -> str:
    """Open the list of labels below an answer, and tap the right one."""
    press(api, answer, "Wrong")
    api.wait_for(lambda: any(label in text for text in texts(now(api, answer))))
    return press(api, answer, label)


def stored(feedback: Path) -> set[str]:
    return {
        path.relative_to(feedback).as_posix()
        for path in feedback.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_without_a_folder_there_are_no_buttons(tmp_path: Path) -> None:
    with running(tmp_path) as (api, _):
        assert buttons(api.reply(api.send_photo(CHAT, jpeg()))) == []


def test_people_are_told_that_corrections_are_stored(
    classes: tuple[BotApi, BotProcess],
) -> None:
    api, _ = classes
    api.send_text(CHAT, "/start")
    (start,) = api.wait_for(lambda: api.messages(CHAT))
    assert "store" in start["text"] or "kept" in start["text"]
    answer = api.reply(api.send_photo(CHAT, jpeg()))
    assert any("Wrong" in text for text in texts(answer))


def test_a_correction_stores_the_picture_under_its_label(
    classes: tuple[BotApi, BotProcess], feedback: Path
) -> None:
    api, _ = classes
    content = jpeg("red")
    document = api.send_document(CHAT, content)
    answer = api.reply(document)
    correct(api, answer, "blue")
    name = f"blue/{hashlib.sha256(content).hexdigest()[:16]}.jpg"
    api.wait_for(lambda: stored(feedback) == {name}, 10, f"{stored(feedback)}")
    assert (feedback / name).read_bytes() == content
    assert str(CHAT) not in "".join(stored(feedback))


def test_a_second_correction_replaces_the_first(
    classes: tuple[BotApi, BotProcess], feedback: Path
) -> None:
    api, _ = classes
    content = jpeg("red")
    answer = api.reply(api.send_document(CHAT, content))
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.jpg"
    correct(api, answer, "blue")
    api.wait_for(lambda: stored(feedback) == {f"blue/{name}"})
    again = api.reply(api.send_document(CHAT, content))
    correct(api, again, "green")
    api.wait_for(
        lambda: stored(feedback) == {f"green/{name}"}, 10, f"{stored(feedback)}"
    )


def test_tags_are_toggled_and_stored_in_a_table(
    tags: tuple[BotApi, BotProcess], feedback: Path
) -> None:
    api, _ = tags
    content = jpeg("magenta")
    answer = api.reply(api.send_document(CHAT, content))
    press(api, answer, "Wrong")
    api.wait_for(lambda: any("green" in text for text in texts(now(api, answer))))
    press(api, answer, "green")
    press(api, answer, "red")
    press(api, answer, "Done")
    table = feedback / "tags.csv"
    api.wait_for(table.is_file, 10, "no table")
    with table.open(encoding="utf-8", newline="") as file:
        header, row = csv.reader(file)
    assert header == ["file", "tags"]
    assert sorted(row[1].split(";")) == ["blue", "green"]
    assert (feedback / "images" / row[0]).read_bytes() == content


def test_old_buttons_work_after_a_restart_and_say_when_they_cannot(
    classes: tuple[BotApi, BotProcess], feedback: Path
) -> None:
    api, bot = classes
    document = api.send_document(CHAT, jpeg("red"))
    answer = api.reply(document)
    bot.end()
    bot.start()
    correct(api, answer, "green")
    api.wait_for(lambda: len(stored(feedback)) == 1)
    other = api.reply(api.send_document(CHAT, jpeg("blue")))
    query = api.press(other, "", data="nonsense:1:2")
    api.wait_for(lambda: api.queries[query].answer, 10, "unanswered query")
    gone = api.send_document(CHAT, jpeg("blue", 2))
    last = api.reply(gone)
    api.forget(gone)
    said = correct(api, last, "green")
    assert len(stored(feedback)) == 1
    told = [message["text"] for message in api.messages(CHAT)]
    assert said or any("again" in text for text in told)


def test_many_labels_are_paged_within_the_limits(tmp_path: Path) -> None:
    labels = [f"a label with a long name, number {n:03} 🌷" for n in range(150)]
    weights = np.zeros((150, 3), np.float32)
    weights[:, 0] = np.linspace(0, 1, 150)
    model = models.own(labels, weights=weights)
    with running(tmp_path, "--feedback", tmp_path / "f", model=model) as (api, _):
        answer = api.reply(api.send_photo(CHAT, jpeg()))
        press(api, answer, "Wrong")
        api.wait_for(lambda: len(texts(now(api, answer))) > 3)
        first = texts(now(api, answer))
        assert any("number 0" in text for text in first)
        following = first[-1] if ">" in first[-1] else None
        forward = next(
            text for text in first if re.search("[▶→»›>]|[Nn]ext|[Mm]ore", text)
        )
        api.press(now(api, answer), following or forward)
        api.wait_for(lambda: texts(now(api, answer)) != first, 10, "the same page")
        refused = [call for call in api.calls if call.status == 400]
        assert refused == []


@pytest.mark.slow
def test_a_model_is_trained_on_what_people_corrected(
    classes: tuple[BotApi, BotProcess], feedback: Path, tmp_path: Path
) -> None:
    api, _ = classes
    for color in models.COLORS:
        for seed in range(6):
            photo = api.send_photo(CHAT, jpeg(color, seed, (90, 70)))
            correct(api, api.reply(photo), color)
    api.wait_for(lambda: len(stored(feedback)) == 18, 10, f"{stored(feedback)}")
    backbone = tmp_path / "tiny.tflite"
    backbone.write_bytes(tiny.backbone_file())
    model = tmp_path / "new.tflite"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgeclf", "retrain"),
            *("--image_dir", str(feedback), "--output_graph", str(model)),
            *("--architecture", str(backbone)),
            *("--bottleneck_dir", str(tmp_path / "bottlenecks")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with BotProcess(api, tmp_path / "next", model=model.read_bytes()):
        for color in models.COLORS:
            photo = api.send_photo(CHAT, jpeg(color, 99))
            assert api.reply(photo)["text"].startswith(color)
