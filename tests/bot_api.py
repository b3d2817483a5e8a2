"""A local server that speaks Telegram's Bot API over HTTP, and misbehaves when told to.

    with BotApi() as api:
        ...  # the bot runs with api.url and bot_chats.TOKEN
        photo = api.send_photo(chat=1, content=jpeg)
        assert "#blue" in api.reply(photo)["text"]

Updates leave by getUpdates, or by a webhook, as documented: what is below `offset` is
confirmed, a webhook is repeated until it answers 2xx. One bot, with one token.

Source: https://core.telegram.org/bots/api#making-requests
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tornado.httpclient
import tornado.httpserver
import tornado.iostream
import tornado.netutil
import tornado.web
from bot_chats import TOKEN
from bot_faults import Fault, Faults
from bot_methods import Methods, RefusalError, bad_request, parsed

REASONS = {
    429: "Too Many Requests: retry after",
    500: "Internal Server Error",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}
RIVAL = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot "
    "instance is running"
)
WEBHOOK_IS_SET = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook "
    "to delete the webhook first"
)
KINDS = ("message", "edited_message", "channel_post", "callback_query")


@dataclass(frozen=True)
class Call:
    """A call of the bot, and how it was answered: 0 for a cut connection."""

    method: str
    parameters: dict[str, Any]
    status: int
    seconds: float


@dataclass
class Webhook:
    """Where updates go.

    Attributes:
        url: As the bot said, with https.
        secret: Sent in a header of every delivery.
        max_connections: Deliveries at a time.
    """

    url: str
    secret: str | None
    max_connections: int


class BotApi(Methods):
    """The server, for the length of a `with` block.

    Attributes:
        url: For the bot's `--api_url`.
        token: The only one that is accepted.
        polls: How many getUpdates have come.
        calls: Every call of a method and download so far.
        deliveries: `(update_id, status)` of every delivery to the webhook.
        faults: What goes wrong; add rules to it.
        reverse_proxy: What webhooks reach in place of their host: `http://host:port`.
        webhook_pause_s: Between a delivery that failed and the next.
        longest_poll_s: Cuts the `timeout` of getUpdates.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.token = TOKEN
        self.polls = 0
        self.calls: list[Call] = []
        self.deliveries: list[tuple[int, int]] = []
        self.faults = Faults(seed)
        self.reverse_proxy = ""
        self.webhook_pause_s = 0.1
        self.longest_poll_s = 50.0
        self.webhook: Webhook | None = None
        self.commands: list[dict[str, str]] = []
        self._poll: asyncio.Future[None] | None = None
        self._delivering: set[int] = set()  # queues: chats
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()

    def __enter__(self) -> BotApi:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        self.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        application = tornado.web.Application(
            [
                (r"/file/bot([^/]+)/(.+)", Download, {"api": self}),
                (r"/bot([^/]+)/(\w+)", Method, {"api": self}),
            ],
            log_function=lambda _: None,
        )
        server = tornado.httpserver.HTTPServer(application)
        server.add_sockets(sockets)
        self._ready.set()
        await self._stopped.wait()
        self._interrupt()
        server.stop()
        await server.close_all_connections()

    # Calls.

    def wake(self) -> None:
        if self._loop is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._on_update)

    def _on_update(self) -> None:
        if self._poll and not self._poll.done() and self.pending:
            self._poll.set_result(None)
        self._deliver()

    def _interrupt(self, refusal: RefusalError | None = None) -> None:
        """End the poll that waits."""
        if self._poll and not self._poll.done():
            if refusal:
                self._poll.set_exception(refusal)
            else:
                self._poll.set_result(None)
        self._poll = None

    async def call(self, method: str, parameters: Mapping[str, Any]) -> Any:
        """Do what a call asks for, and return its `result`."""
        name = re.sub("([A-Z])", lambda found: f"_{found[0].lower()}", method)
        if name.startswith("_") or name not in METHODS:
            raise RefusalError(404, "Not Found: method not found")
        if name == "get_updates":
            return await self.get_updates(parameters)
        return getattr(self, name)(parameters)

    async def get_updates(self, parameters: Mapping[str, Any]) -> Any:
        if self.webhook:
            raise RefusalError(409, WEBHOOK_IS_SET)
        self._allow(parameters)
        offset = int(parameters.get("offset") or 0)
        limit = min(max(int(parameters.get("limit") or 100), 1), 100)
        wait_s = min(float(parameters.get("timeout") or 0), self.longest_poll_s)
        self._interrupt(RefusalError(409, RIVAL))
        with self.changed:
            self.polls += 1
            if offset < 0:  # the last ones; what is older is forgotten
                del self.pending[:offset]
            else:
                self.pending[:] = [
                    update for update in self.pending if update["update_id"] >= offset
                ]
            self.changed.notify_all()
        if not self.pending and wait_s > 0:
            waiting = self._poll = asyncio.get_running_loop().create_future()
            # Another poll, or a webhook, ends this with its refusal.
            await asyncio.wait([waiting], timeout=wait_s)
            if waiting.done():
                waiting.result()
            if self._poll is waiting:
                self._poll = None
        with self.changed:
            return self.pending[:limit]

    def _allow(self, parameters: Mapping[str, Any]) -> None:
        kinds = parsed(parameters, "allowed_updates")
        if kinds is not None:
            self.allowed = kinds or None

    def set_webhook(self, parameters: Mapping[str, Any]) -> Any:
        url = str(parameters.get("url", ""))
        if not url:
            return self.delete_webhook(parameters)
        if not url.startswith("https://"):
            raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
        secret = parameters.get("secret_token")
        if secret is not None and not re.fullmatch("[A-Za-z0-9_-]{1,256}", secret):
            raise bad_request("secret token contains unallowed characters")
        connections = int(parameters.get("max_connections") or 40)
        self._allow(parameters)
        self._drop(parameters)
        self.webhook = Webhook(url, secret, connections)
        self._interrupt(RefusalError(409, "Conflict: terminated by setWebhook request"))
        self._deliver()
        return True

    def delete_webhook(self, parameters: Mapping[str, Any]) -> Any:
        self.webhook = None
        self._drop(parameters)
        return True

    def get_webhook_info(self, _: Mapping[str, Any]) -> Any:
        return {
            "url": self.webhook.url if self.webhook else "",
            "has_custom_certificate": False,
            "pending_update_count": len(self.pending),
        }

    def _drop(self, parameters: Mapping[str, Any]) -> None:
        if str(parameters.get("drop_pending_updates", "")).lower() == "true":
            with self.changed:
                self.pending.clear()

    # Deliveries: those of a chat one after the other, chats at the same time.

    def _deliver(self) -> None:
        if self.webhook is None:
            return
        with self.changed:
            for update in self.pending:
                queue = queue_of(update)
                full = len(self._delivering) >= self.webhook.max_connections
                if queue not in self._delivering and not full:
                    self._delivering.add(queue)
                    task = asyncio.ensure_future(self._post(self.webhook, update))
                    task.add_done_callback(lambda task: task.exception())

    async def _post(self, webhook: Webhook, update: dict[str, Any]) -> None:
        place = urllib.parse.urlsplit(webhook.url)
        url = (self.reverse_proxy or f"{place.scheme}://{place.netloc}") + place.path
        status = await post(url, update, webhook.secret)
        with self.changed:
            self.deliveries.append((update["update_id"], status))
            if 200 <= status < 300 and update in self.pending:
                self.pending.remove(update)
            self.changed.notify_all()
        if not 200 <= status < 300:
            await asyncio.sleep(self.webhook_pause_s)
        self._delivering.discard(queue_of(update))
        self._deliver()


METHODS = {
    name
    for name in vars(Methods) | vars(BotApi)
    if re.match("(get|set|send|edit|delete|answer)_", name)
}


def queue_of(update: Mapping[str, Any]) -> int:
    """Return the chat that an update is of."""
    (content,) = (value for key, value in update.items() if key != "update_id")
    return int(content.get("message", content)["chat"]["id"])


async def post(url: str, update: Any, secret: str | None) -> int:
    """Deliver an update to a webhook and return the status, 0 without an answer."""
    headers = {"Content-Type": "application/json"}
    if secret is not None:
        headers["X-Telegram-Bot-Api-Secret-Token"] = secret
    client = tornado.httpclient.AsyncHTTPClient(force_instance=True)
    try:
        answer = await client.fetch(
            url,
            method="POST",
            headers=headers,
            body=json.dumps(update),
            raise_error=False,
            request_timeout=10,
        )
    except (OSError, tornado.iostream.StreamClosedError):
        return 0
    finally:
        client.close()
    return 0 if answer.code == 599 else answer.code


class Handler(tornado.web.RequestHandler):
    """What calls and downloads have in common: the token, and faults."""

    def initialize(self, api: BotApi) -> None:
        self.api = api
        self.started = time.monotonic()

    def refuse(self, code: int, description: str, **parameters: Any) -> None:
        answer = {"ok": False, "error_code": code, "description": description}
        if parameters:
            answer["parameters"] = parameters
        self.set_status(code)
        self.finish(answer)

    def is_stranger(self, token: str) -> bool:
        if urllib.parse.unquote(token) == self.api.token:
            return False
        self.refuse(401, "Unauthorized")
        return True

    def disturb(self, fault: Fault | None) -> bool:
        """Refuse the call or cut the connection, if it shall have no effect."""
        if fault is None:
            return False
        if fault.error_code == 429:
            reason = f"{REASONS[429]} {fault.retry_after}"
            self.refuse(429, reason, retry_after=fault.retry_after)
        elif fault.error_code:
            self.refuse(fault.error_code, REASONS.get(fault.error_code, "Error"))
        elif fault.drop == "before":
            self.hang_up()
        return self.is_over

    @property
    def is_over(self) -> bool:
        return self._finished

    def hang_up(self) -> None:
        self.request.connection.stream.close()
        self._finished = True
        self.set_status(500)
        self.cut = True

    def note(self, method: str, parameters: Mapping[str, Any]) -> None:
        status = 0 if getattr(self, "cut", False) else self.get_status()
        seconds = time.monotonic() - self.started
        with self.api.changed:
            self.api.calls.append(Call(method, dict(parameters), status, seconds))
            self.api.changed.notify_all()


class Method(Handler):
    """`/bot<token>/<method>`, by GET or POST; parameters in any of the four ways."""

    def parameters(self) -> dict[str, Any]:
        if self.request.headers.get("Content-Type", "").startswith("application/json"):
            return dict(json.loads(self.request.body or b"{}"))
        return {name: self.get_argument(name) for name in self.request.arguments}

    async def get(self, token: str, method: str) -> None:
        await self.post(token, method)

    async def post(self, token: str, method: str) -> None:
        if self.is_stranger(token):
            return
        parameters = self.parameters()
        chat = parameters.get("chat_id")
        fault = self.api.faults.choose(method, int(chat) if chat else None)
        if not self.disturb(fault):
            await self.answer(method, parameters, fault or Fault())
        self.note(method, parameters)

    async def answer(
        self, method: str, parameters: dict[str, Any], fault: Fault
    ) -> None:
        try:
            result = await self.api.call(method, parameters)
        except RefusalError as refusal:
            self.refuse(refusal.error_code, refusal.description)
            return
        await asyncio.sleep(fault.delay_s)
        if fault.drop == "after":
            self.hang_up()
        elif not self.request.connection.stream.closed():
            self.finish({"ok": True, "result": result})

    def on_connection_close(self) -> None:
        self.cut = True


class Download(Handler):
    """`/file/bot<token>/<file_path>`."""

    async def get(self, token: str, path: str) -> None:
        if self.is_stranger(token):
            return
        file = self.api.files.get(path.split("/")[1])
        fault = self.api.faults.choose("download", file.chat if file else None)
        if not self.disturb(fault):
            await self.send(file, fault or Fault())
        self.note("download", {"path": path})

    async def send(self, file: Any, fault: Fault) -> None:
        if file is None:
            self.refuse(404, "Not Found")
            return
        await asyncio.sleep(fault.delay_s)
        if fault.kept is None:
            self.finish(file.content)
            return
        self.set_header("Content-Length", str(len(file.content)))
        self.write(file.content[: int(fault.kept * len(file.content))])
        await self.flush()
        self.hang_up()
