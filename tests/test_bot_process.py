"""The bot as a process: how it starts and stops, its logs, rates and webhook."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("telegram", reason="needs the extra [bot]")

import bot_faults as faults
from bot_api import BotApi
from bot_chats import TOKEN
from bot_process import ROOT, BotProcess, class_model, jpeg, refused, running

CHAT, OTHER = 42, 43
VARIABLE = "EDGECLF_TELEGRAM_TOKEN"
HEADER = "X-Telegram-Bot-Api-Secret-Token"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(class_model())
    return path


def sentence(text: str) -> str:
    """Return the only line of an error, and check that it is one."""
    *before, line = [line for line in text.splitlines() if line.strip()]
    # How to use it, and what the interpreter says.
    assert all(line.startswith(("usage:", " ", "INFO:")) for line in before), text
    assert "Traceback" not in text
    assert TOKEN not in text
    return line


def test_a_token_is_needed_and_never_an_argument(model: Path, tmp_path: Path) -> None:
    nothing = {"EDGECLF_TELEGRAM_TOKEN": ""}
    done = refused("--model", model, "--state_dir", tmp_path / "s", **nothing)
    assert done.returncode in (1, 2)
    assert "EDGECLF_TELEGRAM_TOKEN" in sentence(done.stderr)
    done = refused("--model", model, "--token", TOKEN, **nothing)
    assert done.returncode == 2
    assert TOKEN not in done.stdout


def test_a_token_that_cannot_be_one_is_refused_unsaid(model: Path) -> None:
    done = refused("--model", model, **{VARIABLE: "secret words"})
    assert done.returncode in (1, 2)
    assert "secret words" not in sentence(done.stderr)


def test_a_wrong_token_ends_with_a_sentence(model: Path, tmp_path: Path) -> None:
    wrong = "987654321:" + "w" * 35
    token_file = tmp_path / "token"
    token_file.write_text(wrong + "\n")
    token_file.chmod(0o600)
    with BotApi() as api:
        done = refused(
            *("--model", model, "--api_url", api.url),
            *("--token_file", token_file, "--state_dir", tmp_path / "s"),
            EDGECLF_TELEGRAM_TOKEN="",
        )
    assert done.returncode == 1
    assert "token" in sentence(done.stderr)
    assert wrong not in done.stderr


def test_a_model_that_is_none_ends_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    for content in (None, b"nothing"):
        if content:
            path.write_bytes(content)
        done = refused("--model", path, EDGECLF_TELEGRAM_TOKEN=TOKEN)
        assert done.returncode == 1
        assert str(path) in sentence(done.stderr)


def test_no_server_ends_or_waits_with_a_sentence(model: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with BotApi() as api:
        api.url = f"http://127.0.0.1:{port}"
        bot = BotProcess(api, tmp_path / "bot")
        process = subprocess.Popen(
            bot.command,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: TOKEN},
        )
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            while line.startswith("INFO:"):  # the interpreter's
                line = process.stderr.readline()
        finally:
            process.kill()
            process.communicate()
    assert "Traceback" not in line
    assert TOKEN not in line
    assert str(port) in line or "connect" in line.lower()


def test_a_second_bot_on_the_same_state_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as (api, bot):
        second = BotProcess(api, tmp_path).start()
        assert second.wait() == 1
        assert str(bot.state_dir) in second.log()
        assert "Traceback" not in second.log()
        photo = api.send_photo(CHAT, jpeg())
        assert "red" in api.reply(photo)["text"]


def test_a_rival_elsewhere_is_named_and_outlived(tmp_path: Path) -> None:
    with running(tmp_path) as (api, bot):
        urllib.request.urlopen(f"{api.url}/bot{TOKEN}/getUpdates").close()
        api.wait_for(lambda: "another" in bot.log().lower(), 10, bot.log())
        if bot.has_ended:
            assert bot.wait() == 1
        else:
            photo = api.send_photo(CHAT, jpeg())
            assert "red" in api.reply(photo, 20)["text"]
        assert "Traceback" not in bot.log()


def test_a_webhook_that_is_set_is_named_and_removed_when_told(tmp_path: Path) -> None:
    with BotApi() as api:
        api.set_webhook({"url": "https://example.org/other"})
        with BotProcess(api, tmp_path) as bot:
            assert bot.wait() == 1
            assert "--delete_webhook, which removes it" in bot.log()
            assert "Traceback" not in bot.log()
        with BotProcess(api, tmp_path, "--delete_webhook") as bot:
            api.reply(api.send_photo(CHAT, jpeg()))
            assert "answers with" in bot.log()


@pytest.mark.parametrize(("by", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_cleanly(
    tmp_path: Path, by: signal.Signals, status: int
) -> None:
    with running(tmp_path) as (api, bot):
        photos = [api.send_photo(chat, jpeg()) for chat in range(1, 9)]
        api.reply(photos[0])
        assert bot.end(by) == status, bot.log()
        assert "Traceback" not in bot.log()
        bot.start()
        for photo in photos:
            api.reply(photo)
        assert [len(api.replies(photo)) for photo in photos] == [1] * len(photos)


def test_logs_keep_secrets(tmp_path: Path) -> None:
    with running(tmp_path, "-v") as (api, bot):
        person = {
            "id": 31337,
            "is_bot": False,
            "first_name": "Wilhelmina",
            "username": "wilhelmina_private",
        }
        api.send_text(CHAT, "my password is swordfish", **{"from": person})
        photo = api.send_photo(
            CHAT, jpeg(), caption="a confidential caption", **{"from": person}
        )
        api.reply(photo)
        wrong = api.send_document(CHAT, b"broken", name="diary.jpg", **{"from": person})
        api.reply(wrong)
        api.faults.add("sendMessage", faults.status(500), times=1)
        api.reply(api.send_photo(CHAT, jpeg("blue")), 20)
        assert bot.end() == 0
        log = bot.log()
    secret = TOKEN.partition(":")[2]
    for word in (secret, "swordfish", "confidential", "ilhelmina", "diary"):
        assert word not in log, log


def test_a_chat_that_sends_too_much_is_told_once(tmp_path: Path) -> None:
    with running(tmp_path, "--rate", 3) as (api, _):
        photos = [api.send_photo(CHAT, jpeg("red", seed)) for seed in range(6)]
        calm = api.send_photo(OTHER, jpeg("blue"))
        assert "blue" in api.reply(calm)["text"]
        for photo in photos[:3]:
            assert "red" in api.reply(photo)["text"]
        api.send_text(CHAT, "/help")
        told = api.wait_for(
            lambda: [
                message
                for message in api.messages(CHAT)
                if "minute" in message["text"] or "second" in message["text"]
            ]
        )
        assert len(told) == 1
        assert "%" not in told[0]["text"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_webhook_is_answered_only_with_its_secret(tmp_path: Path) -> None:
    port = free_port()
    secret = "s3cret_" + "x" * 20
    secret_file = tmp_path / "secret"
    secret_file.write_text(secret + "\n")
    secret_file.chmod(0o600)
    options = (
        *("--webhook_url", "https://bot.example.org/hook"),
        *("--webhook_port", port, "--webhook_secret_file", secret_file),
    )
    with BotApi() as api:
        api.reverse_proxy = f"http://127.0.0.1:{port}"
        waiting = api.send_photo(CHAT, jpeg("green"))
        with BotProcess(api, tmp_path, *options) as bot:
            assert "green" in api.reply(waiting)["text"]
            assert api.webhook is not None
            assert api.webhook.secret == secret
            assert api.polls == 0
            update = {"update_id": 5, "message": api.send_photo(CHAT, jpeg("red"))}
            api.reply(update["message"])
            before = len(api.messages(CHAT))
            url = api.reverse_proxy + "/hook"
            for header in (None, "wrong", secret + "x"):
                assert post(url, update, header) in (401, 403, 404)
            assert post(api.reverse_proxy + "/else", update, secret) == 404
            assert post(url, "not an update", secret) < 500
            photos = [api.send_photo(chat, jpeg("blue")) for chat in range(100, 120)]
            for photo in photos:
                assert "blue" in api.reply(photo)["text"]
            # Telegram repeats what it thinks was not received.
            (identifier, _) = api.deliveries[-1]
            repeated = {"update_id": identifier, "message": photos[-1]}
            assert post(url, repeated, secret) == 200
            assert bot.end() == 0
            assert secret not in bot.log()
            bot.start()
            api.reply(api.send_photo(CHAT, jpeg("red", 9)))
    assert len(api.messages(CHAT)) == before + 1
    assert all(len(api.replies(photo)) == 1 for photo in photos)


def post(url: str, update: object, secret: str | None) -> int:
    headers = {"Content-Type": "application/json"}
    if secret is not None:
        headers[HEADER] = secret
    body = json.dumps(update).encode()
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def test_webhook_options_that_do_not_fit_are_wrong_usage(model: Path) -> None:
    for options in (
        ["--webhook_url", "http://example.org/hook"],
        ["--webhook_port", "8081"],
    ):
        address = "http://127.0.0.1:9"  # the discard port: nobody is there
        done = refused(
            *("--model", model, "--api_url", address, *options), **{VARIABLE: TOKEN}
        )
        assert done.returncode == 2, options
        assert re.search("webhook", done.stderr)
