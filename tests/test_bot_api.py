"""The local Bot API, asked by a client that nobody here wrote: python-telegram-bot."""

from __future__ import annotations

import asyncio
import http.server
import io
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ClassVar

import pytest
from PIL import Image

telegram = pytest.importorskip("telegram", reason="needs the extra [bot]")
pytest.importorskip("tornado", reason="needs the extra [bot]")

import bot_faults as faults  # noqa: E402
from bot_api import BotApi  # noqa: E402
from telegram import error  # noqa: E402
from telegram.request import HTTPXRequest  # noqa: E402

CHAT, GROUP = 42, -500
KEYBOARD = telegram.InlineKeyboardMarkup.from_button(
    telegram.InlineKeyboardButton("Yes", callback_data="y")
)


@pytest.fixture
def api() -> Iterator[BotApi]:
    with BotApi() as server:
        yield server


def jpeg(size: tuple[int, int] = (1280, 853)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(file, "JPEG")
    return file.getvalue()


def ask(api: BotApi, wanted: Callable[[Any], Awaitable[Any]], token: str = "") -> Any:
    """Run a coroutine with a client, and return what it returned."""

    async def run() -> Any:
        client = telegram.Bot(
            token or api.token,
            base_url=f"{api.url}/bot",
            base_file_url=f"{api.url}/file/bot",
            request=HTTPXRequest(read_timeout=1),
            get_updates_request=HTTPXRequest(read_timeout=5),
        )
        try:
            await client.initialize()
            return await wanted(client)
        finally:
            await client.shutdown()

    return asyncio.run(run())


def test_updates_come_until_they_are_confirmed(api: BotApi) -> None:
    sent = [api.send_text(CHAT, f"/top {number}") for number in range(3)]

    async def poll(bot: Any) -> list[list[int]]:
        first = await bot.get_updates(limit=2)
        again = await bot.get_updates(limit=2)
        rest = await bot.get_updates(offset=first[-1].update_id + 1)
        none = await bot.get_updates(offset=rest[-1].update_id + 1)
        polls = (first, again, rest, none)
        return [[update.message.message_id for update in x] for x in polls]

    ids = [message["message_id"] for message in sent]
    assert ask(api, poll) == [ids[:2], ids[:2], ids[2:], []]
    assert api.pending == []


def test_a_long_poll_returns_as_soon_as_there_is_something(api: BotApi) -> None:
    async def poll(bot: Any) -> tuple[Any, float]:
        waiting = asyncio.ensure_future(bot.get_updates(timeout=4))
        await asyncio.sleep(0.3)
        started = time.monotonic()
        api.send_photo(CHAT, jpeg(), caption="mine")
        (update,) = await waiting
        return update, time.monotonic() - started

    update, seconds = ask(api, poll)
    assert seconds < 1
    sizes = [(size.width, size.height) for size in update.message.photo]
    assert sizes == [(90, 60), (320, 213), (800, 533), (1280, 853)]
    assert update.message.caption == "mine"


def test_two_pollers_and_a_webhook_conflict(api: BotApi) -> None:
    async def poll(bot: Any) -> None:
        first = asyncio.ensure_future(bot.get_updates(timeout=4))
        await asyncio.sleep(0.2)
        await bot.get_updates(timeout=0)
        with pytest.raises(error.Conflict, match="terminated by other getUpdates"):
            await first
        with pytest.raises(error.BadRequest, match="an https url"):
            await bot.set_webhook("http://example.org/hook")
        await bot.set_webhook("https://example.org/hook", secret_token="s" * 9)
        with pytest.raises(error.Conflict, match="webhook is active"):
            await bot.get_updates()
        assert (await bot.get_webhook_info()).url == "https://example.org/hook"
        await bot.delete_webhook(drop_pending_updates=True)
        assert await bot.get_updates() == ()

    ask(api, poll)


def test_only_allowed_kinds_of_updates_are_made(api: BotApi) -> None:
    async def poll(bot: Any) -> Any:
        await bot.get_updates(allowed_updates=["edited_message"])
        photo = api.send_photo(CHAT, jpeg())
        api.edit_caption(photo, "new")
        return await bot.get_updates()

    (update,) = ask(api, poll)
    assert update.edited_message.caption == "new"


def test_a_wrong_token_and_unknown_methods_are_refused(api: BotApi) -> None:
    with pytest.raises(error.InvalidToken):
        ask(api, lambda bot: bot.get_me(), token="1:a")  # noqa: S106
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(f"{api.url}/bot{api.token}/callPeople")
    with caught.value as answer:
        assert json.load(answer) == {
            "ok": False,
            "error_code": 404,
            "description": "Not Found: method not found",
        }


@pytest.mark.parametrize("kind", ["query", "form", "json", "multipart"])
def test_parameters_come_in_four_ways(api: BotApi, kind: str) -> None:
    api.send_text(CHAT, "hello")
    url, body, header = f"{api.url}/bot{api.token}/sendMessage", None, ""
    if kind == "query":
        url += f"?chat_id={CHAT}&text=a%20b"
    elif kind == "form":
        body, header = f"chat_id={CHAT}&text=a+b", "application/x-www-form-urlencoded"
    elif kind == "json":
        body, header = json.dumps({"chat_id": CHAT, "text": "a b"}), "application/json"
    else:
        part = '--X\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
        body = part.format("chat_id", CHAT) + part.format("text", "a b") + "--X--\r\n"
        header = "multipart/form-data; boundary=X"
    request = urllib.request.Request(url, body and body.encode())
    request.add_header("Content-Type", header)
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["result"]["text"] == "a b"
    assert [message["text"] for message in api.messages(CHAT)] == ["a b"]


def test_messages_obey_the_documented_limits(api: BotApi) -> None:
    photo = api.send_photo(CHAT, jpeg())
    gone = api.send_text(CHAT, "gone")
    api.delete(gone)

    async def send(bot: Any) -> None:
        message = await bot.send_message(
            CHAT, "a", reply_markup=KEYBOARD, reply_to_message_id=photo["message_id"]
        )
        for text, data, reply, sentence in (
            ("a" * 4097, "y", None, "message is too long|Message is too long"),
            (" ", "y", None, "text is empty"),
            ("a", "ä" * 33, None, "Button_data_invalid"),
            ("a", "y", gone["message_id"], "to be replied not found"),
        ):
            button = telegram.InlineKeyboardButton("Yes", callback_data=data)
            with pytest.raises(error.BadRequest, match=sentence):
                await bot.send_message(
                    CHAT,
                    text,
                    reply_markup=telegram.InlineKeyboardMarkup([[button]]),
                    reply_to_message_id=reply,
                )
        await bot.send_message(
            CHAT,
            "b",
            reply_to_message_id=gone["message_id"],
            allow_sending_without_reply=True,
        )
        with pytest.raises(error.BadRequest, match="not modified"):
            await message.edit_text("a", reply_markup=KEYBOARD)
        await message.edit_text("c")
        with pytest.raises(error.BadRequest, match="not found"):
            await bot.edit_message_text("d", chat_id=CHAT, message_id=9999)
        with pytest.raises(error.BadRequest, match="hat not found"):
            await bot.send_message(43, "a")
        api.blocked.add(CHAT)
        with pytest.raises(error.Forbidden, match="blocked by the user"):
            await bot.send_message(CHAT, "a")

    ask(api, send)
    (answer,) = api.replies(photo)
    assert (answer["text"], answer.get("reply_markup")) == ("c", None)
    assert len(api.messages(CHAT)) == 2


def test_a_press_is_a_query_that_is_answered_once_and_in_time(api: BotApi) -> None:
    api.send_text(CHAT, "/start")

    async def send(bot: Any) -> None:
        await bot.send_message(CHAT, "a", reply_markup=KEYBOARD)
        identifier = api.press(api.messages(CHAT)[0], "Y")
        update = (await bot.get_updates())[-1]
        assert update.callback_query.data == "y"
        assert update.callback_query.message.text == "a"
        await update.callback_query.answer("Thanks")
        assert api.queries[identifier].answer["text"] == "Thanks"
        with pytest.raises(error.BadRequest, match="uery is too old"):
            await update.callback_query.answer()
        api.query_lifetime_s = 0
        late = api.press(api.messages(CHAT)[0], "Y")
        with pytest.raises(error.BadRequest, match="uery is too old"):
            await bot.answer_callback_query(late)

    ask(api, send)


def test_files_are_served_up_to_the_documented_size(api: BotApi) -> None:
    content = jpeg()
    document = api.send_document(CHAT, content)
    large = api.send_document(CHAT, content, size_bytes=21 * 1024 * 1024)

    async def download(bot: Any) -> bytes:
        with pytest.raises(error.BadRequest, match="ile is too big"):
            await bot.get_file(large["document"]["file_id"])
        file = await bot.get_file(document["document"]["file_id"])
        received = bytes(await file.download_as_bytearray())
        api.forget(document)
        with pytest.raises(error.InvalidToken):  # how that client reads a 404
            await file.download_as_bytearray()
        with pytest.raises(error.BadRequest, match="rong file_id"):
            await bot.get_file("AAA")
        return received

    assert ask(api, download) == content


def test_faults_happen_on_request(api: BotApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # what the next version will do
    api.send_text(CHAT, "hello")
    document = api.send_document(CHAT, jpeg())

    async def meet(bot: Any) -> None:
        for fault, kind, sent in (
            (faults.too_many(3), error.RetryAfter, 0),
            (faults.status(502), error.NetworkError, 0),
            (faults.status(500), error.NetworkError, 0),
            (faults.dropped("before"), error.NetworkError, 0),
            (faults.dropped("after"), error.NetworkError, 1),
            (faults.slow(1.5), error.TimedOut, 2),
        ):
            api.faults.add("sendMessage", fault, times=1)
            with pytest.raises(kind):
                await bot.send_message(CHAT, "a")
            assert len(api.messages(CHAT)) == sent, fault
        file = await bot.get_file(document["document"]["file_id"])
        api.faults.add("download", faults.cut(), times=1, chat=CHAT)
        with pytest.raises(error.NetworkError):
            await file.download_as_bytearray()
        await file.download_as_bytearray()

    ask(api, meet)
    assert len(api.faults.happened) == 7


def test_some_calls_fail_for_one_chat(api: BotApi) -> None:
    for chat in (CHAT, GROUP):
        api.send_text(chat, "hello")
    api.faults.add("sendMessage", faults.status(500), share=0.5, chat=GROUP)

    async def send(bot: Any) -> None:
        for chat in (CHAT, GROUP) * 20:
            try:
                await bot.send_message(chat, "a")
            except error.NetworkError:
                assert chat == GROUP

    ask(api, send)
    assert len(api.messages(CHAT)) == 20
    assert 4 <= len(api.messages(GROUP)) <= 16


class Receiver(http.server.BaseHTTPRequestHandler):
    """A webhook that notes what comes, and refuses each update once."""

    received: ClassVar[list[tuple[str, str | None, int]]] = []

    def do_POST(self) -> None:
        update = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        secret = self.headers["X-Telegram-Bot-Api-Secret-Token"]
        note = (self.path, secret, update["update_id"])
        self.send_response(200 if note in self.received else 500)
        self.received.append(note)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_a_webhook_gets_updates_in_order_until_it_takes_them(api: BotApi) -> None:
    api.webhook_pause_s = 0.01
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        api.reverse_proxy = f"http://127.0.0.1:{server.server_address[1]}"
        first = api.send_text(CHAT, "before")
        assert first["message_id"] == 1
        options = {"url": "https://a.example/hook", "secret_token": "s"}
        ask(api, lambda bot: bot.set_webhook(**options))
        for number in range(4):
            api.send_text(CHAT, f"{number}")
        api.wait_for(lambda: len(api.deliveries) == 10)
        server.shutdown()
    assert {note[:2] for note in Receiver.received} == {("/hook", "s")}
    numbers = [number for _, _, number in Receiver.received]
    assert numbers == sorted(numbers)
    assert [status for _, status in api.deliveries] == [500, 200] * 5
    assert api.pending == []
