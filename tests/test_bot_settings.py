"""Tokens, addresses, and what the log keeps to itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from pathlib import Path

import pytest

from edgeclf.bot.command import _check_top_k, main
from edgeclf.bot.errors import BotError
from edgeclf.bot.logs import HIDDEN, discreet
from edgeclf.bot.settings import (
    TOKEN_VARIABLE,
    BotSettings,
    Webhook,
    default_state_dir,
    read_token,
    read_webhook_secret,
)

TOKEN = "123456:AA-token_" + "x" * 26


def secret_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_goes_before_the_environment(tmp_path: Path) -> None:
    file = secret_file(tmp_path, f"{TOKEN}\n")
    assert read_token(file, {TOKEN_VARIABLE: "1:other"}) == TOKEN
    assert read_token(None, {TOKEN_VARIABLE: "1:other"}) == "1:other"
    assert read_token(None, {TOKEN_VARIABLE: " "}) is read_token(None, {}) is None


@pytest.mark.parametrize("text", ["", "t0ken", "1:a b", "x:abc", f"{TOKEN}\n{TOKEN}"])
def test_what_is_no_token_is_refused_and_not_repeated(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(BotError, match="Expected a token as @BotFather") as caught:
        read_token(secret_file(tmp_path, text), {})
    assert not text or text not in str(caught.value)


def test_a_file_for_everybody_gets_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_token(secret_file(tmp_path, TOKEN, 0o644), {}) == TOKEN
    assert "can be read by everybody" in caplog.text
    caplog.clear()
    read_token(secret_file(tmp_path, TOKEN, 0o640), {})
    assert not caplog.text


def test_a_webhooks_secret_fits_into_a_header(tmp_path: Path) -> None:
    assert read_webhook_secret(secret_file(tmp_path, "se-cret_1\n")) == "se-cret_1"
    for text in ("", "with space", "x" * 257):
        with pytest.raises(BotError, match="Expected 1 to 256 letters"):
            read_webhook_secret(secret_file(tmp_path, text))


@pytest.mark.parametrize("url", ["http://x.org/hook", "https://", "x.org/hook"])
def test_a_webhook_needs_https(url: str) -> None:
    with pytest.raises(ValueError, match="Expected --webhook_url https"):
        Webhook(url)
    assert Webhook("https://x.org").path == "/"
    assert Webhook("https://x.org/a/b").path == "/a/b"


@pytest.mark.parametrize("url", ["127.0.0.1:8081", "ftp://x", "http://x/?a=b"])
def test_the_servers_address_is_checked(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match="Expected --api_url http"):
        BotSettings(TOKEN, tmp_path, url)


def test_each_bot_has_a_folder_of_its_own() -> None:
    home = {"EDGECLF_HOME": "/data", "XDG_STATE_HOME": "/state"}
    assert default_state_dir(TOKEN, home) == Path("/data/bots/123456")
    home["EDGECLF_HOME"] = ""
    assert default_state_dir("7:x", home) == Path("/state/edgeclf/bots/7")
    home["XDG_STATE_HOME"] = "relative"
    state = Path.home() / ".local/state"
    assert default_state_dir("7:x", home) == state / "edgeclf/bots/7"


def test_settings_do_not_show_secrets(tmp_path: Path) -> None:
    webhook = Webhook("https://x.org", secret="hidden-secret")  # noqa: S106
    shown = repr(BotSettings(TOKEN, tmp_path, webhook=webhook))
    assert TOKEN not in shown
    assert "hidden-secret" not in shown


def test_no_logger_says_the_token(caplog: pytest.LogCaptureFixture) -> None:
    with discreet(TOKEN, verbose=True):
        for name in ("edgeclf", "httpx", "telegram", "other"):
            logger = logging.getLogger(name)
            logger.error("GET https://x/bot%s/getMe %s", TOKEN, "fine")
            try:
                raise ValueError(TOKEN)
            except ValueError:
                logger.exception("failed")
        logging.getLogger("httpx").info("an address")
    assert TOKEN not in caplog.text
    assert f"GET https://x/bot{HIDDEN}/getMe fine" in caplog.text
    assert "an address" not in caplog.text
    logging.getLogger("other").error("plain %s", "again")
    assert "plain again" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--token", TOKEN], "others can read the arguments"),
        (["--webhook_port", "80"], "--webhook_port only with --webhook_url"),
        (
            ["--delete_webhook", "--webhook_url", "https://a.b/c"],
            "--delete_webhook only without --webhook_url",
        ),
        (["--rate", "0"], "whole number of 1 or more"),
        (["--workers", "999"], "expected 64 at most"),
    ],
)
def test_wrong_options_are_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--model", "m.tflite", *arguments])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert TOKEN not in error


def test_without_a_token_a_sentence_says_where_it_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("telegram")
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert main(["--model", "m.tflite"]) == 1
    assert capsys.readouterr().err.startswith(
        "error: Expected the bot's token in EDGECLF_TELEGRAM_TOKEN"
    )


def test_as_many_labels_as_the_model_has_are_the_most() -> None:
    _check_top_k(None, 7)
    _check_top_k(7, 7)
    with pytest.raises(ValueError, match=r"--top_k of at most 7, .* Received: 99"):
        _check_top_k(99, 7)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_port_in_use_is_named() -> None:
    pytest.importorskip("telegram")
    from edgeclf.bot.webhook import serving

    async def take(_: object) -> None: ...

    async def serve(port: int) -> None:
        async with serving(Webhook("https://a.b/c", port), "secret", take):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BotError, match=f"port {port} of 127.0.0.1 .*in use"):
            asyncio.run(serve(port))
    gc.collect()  # tornado leaves the socket that it could not bind open


def test_a_missing_model_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    pytest.importorskip("telegram")
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert main(["--model", "none.tflite", "--state_dir", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "none.tflite" in error
    assert TOKEN not in error
