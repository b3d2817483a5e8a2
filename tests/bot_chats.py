"""What Telegram remembers: chats, messages, files, and the updates for one bot.

People's side are the methods that tests call (`send_photo`, `press`); the bot's side
are the methods of `edgeclf.bot`'s counterpart, the Bot API, in `bot_methods.py`.

Source: https://core.telegram.org/bots/api
"""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

Message = dict[str, Any]
BOT = {
    "id": 123456789,
    "is_bot": True,
    "first_name": "Decors",
    "username": "decors_test_bot",
    "can_join_groups": True,
    "can_read_all_group_messages": False,
    "supports_inline_queries": False,
}
TOKEN = f"{BOT['id']}:AAtests_only-{'x' * 22}"
# Longer side of the sizes of a photo, in pixels, and the letters that they have.
SIZES = {"s": 90, "m": 320, "x": 800, "y": 1280}
FIRST_UPDATE = 700_000_001


@dataclass(frozen=True)
class File:
    """A file on the server, for one chat."""

    content: bytes
    name: str
    chat: int
    size_bytes: int


@dataclass
class Query:
    """A pressed button, and what the bot answered: its parameters."""

    created: float
    answer: dict[str, Any] | None = None


@dataclass
class Chats:
    """Everything that is remembered; `changed` guards it and tells of changes.

    Attributes:
        pending: Updates that the bot has not confirmed, oldest first.
        files: By `file_id`.
        queries: Pressed buttons by their id.
        blocked: Chats that have blocked the bot.
        seen: All messages by chat and id, people's and the bot's.
        allowed: Kinds of updates that are made; None for all.
        answered_at: When the bot's messages came, by chat and id (monotonic seconds).
    """

    pending: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, File] = field(default_factory=dict)
    queries: dict[str, Query] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)
    seen: dict[int, dict[int, Message]] = field(default_factory=dict)
    allowed: list[str] | None = None
    answered_at: dict[tuple[int, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._message_ids = itertools.count(1)
        self._update_ids = itertools.count(FIRST_UPDATE)
        self._others = itertools.count(1)
        self._photos: dict[bytes, list[tuple[str, bytes, tuple[int, int]]]] = {}

    # What people do.

    def send(self, chat: int, *, by: int | None = None, **content: Any) -> Message:
        """Send a message with any content, from person `by`; return it."""
        with self.changed:
            message = self._message(chat, self._person(chat, by), content)
            kind = "channel_post" if self.kind(chat) == "channel" else "message"
            self._update(kind, message)
        return message

    def send_text(self, chat: int, text: str, **content: Any) -> Message:
        """Send a text; commands in it are marked as Telegram marks them."""
        entities = [
            {
                "type": "bot_command",
                "offset": found.start(),
                "length": len(found.group()),
            }
            for found in re.finditer(r"(?<!\S)/\w+(@\w+)?", text)
        ]
        if entities:
            content["entities"] = entities
        return self.send(chat, text=text, **content)

    def send_photo(self, chat: int, content: bytes, **more: Any) -> Message:
        """Send a picture as a photo; the server makes smaller sizes of it."""
        return self.send(chat, photo=self.photo(chat, content), **more)

    def send_album(
        self, chat: int, contents: Sequence[bytes], *, pause_s: float = 0, **more: Any
    ) -> list[Message]:
        """Send photos as one album; each is a message, `pause_s` apart."""
        group = str(next(self._others))
        messages = []
        for content in contents:
            if messages:
                time.sleep(pause_s)
            more["media_group_id"] = group
            messages.append(self.send_photo(chat, content, **more))
        return messages

    def send_document(
        self,
        chat: int,
        content: bytes,
        *,
        name: str = "picture.jpg",
        mime_type: str | None = "image/jpeg",
        size_bytes: int | None = None,
        **more: Any,
    ) -> Message:
        """Send a file; `size_bytes` says another size than `content` has."""
        document = self._file(chat, content, name, size_bytes)
        document["file_name"] = name
        if mime_type:
            document["mime_type"] = mime_type
        return self.send(chat, document=document, **more)

    def send_sticker(self, chat: int) -> Message:
        """Send a sticker, which is a picture but not one to be labelled."""
        sticker = self._file(chat, b"RIFF....WEBP", "sticker.webp")
        sticker |= {"width": 512, "height": 512, "type": "regular", "emoji": "🙂"}
        sticker |= {"is_animated": False, "is_video": False}
        return self.send(chat, sticker=sticker)

    def edit_photo(self, message: Message, content: bytes) -> Message:
        """Replace the photo of a message."""
        return self._edit(message, photo=self.photo(message["chat"]["id"], content))

    def edit_caption(self, message: Message, caption: str) -> Message:
        """Change what a photo says."""
        return self._edit(message, caption=caption)

    def press(
        self, message: Message, text: str, *, by: int | None = None, data: str = ""
    ) -> str:
        """Press the button with this text; return the query's id.

        Args:
            message: The bot's, as `messages` returned it.
            text: What the button says, or how that begins.
            by: Who presses.
            data: Pressed instead of what such a button has, as an old one would.
        """
        with self.changed:
            chat = message["chat"]["id"]
            current = self.seen[chat][message["message_id"]]
            if not data:
                said = [button for row in buttons(current) for button in row]
                fitting = [one for one in said if one["text"].startswith(text)]
                assert fitting, f"no button {text!r} among {said}"
                data = fitting[0]["callback_data"]
            identifier = str(4_000_000_000 + next(self._others))
            self.queries[identifier] = Query(time.monotonic())
            self._update(
                "callback_query",
                {
                    "id": identifier,
                    "from": self._person(chat, by),
                    "message": dict(current),
                    "chat_instance": str(chat),
                    "data": data,
                },
            )
        return identifier

    def delete(self, message: Message) -> None:
        """Delete a message, a person's or the bot's."""
        with self.changed:
            del self.seen[message["chat"]["id"]][message["message_id"]]

    def forget(self, message: Message) -> None:
        """Let the files of a message be gone from the server."""
        with self.changed:
            for size in message.get("photo") or [message["document"]]:
                del self.files[size["file_id"]]

    def start_numbers_at(self, update_id: int) -> None:
        """Number updates anew, as after a week without any."""
        self._update_ids = itertools.count(update_id)

    # What tests look at.

    def messages(self, chat: int) -> list[Message]:
        """Return the bot's messages in a chat, as they read now, oldest first."""
        with self.changed:
            return [
                dict(message)
                for message in self.seen.get(chat, {}).values()
                if message.get("from") == BOT
            ]

    def replies(self, message: Message) -> list[Message]:
        """Return the bot's messages that reply to a person's."""
        return [
            answer
            for answer in self.messages(message["chat"]["id"])
            if answer.get("reply_to_message", {}).get("message_id")
            == message["message_id"]
        ]

    def wait_for(
        self, wanted: Callable[[], Any], timeout_s: float = 10, what: str = ""
    ) -> Any:
        """Wait until `wanted` returns something that is true, and return that."""
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while not (found := wanted()):
                left = deadline - time.monotonic()
                assert left > 0, what or "it did not happen in time"
                self.changed.wait(min(left, 0.2))
            return found

    def reply(self, message: Message, timeout_s: float = 10) -> Message:
        """Wait for the bot's first reply to a message, and return it."""
        what = f"no reply to message {message['message_id']}"
        return self.wait_for(lambda: self.replies(message), timeout_s, what)[0]

    @staticmethod
    def kind(chat: int) -> str:
        """Return the type that a chat of this number has here."""
        if chat > 0:
            return "private"
        return "channel" if chat < -(10**12) else "supergroup"

    # How they are made.

    def _message(self, chat: int, sender: Any, content: dict[str, Any]) -> Message:
        kind = self.kind(chat)
        about = {"id": chat, "type": kind}
        about |= {"first_name": "Person"} if kind == "private" else {"title": "Friends"}
        message = {
            "message_id": next(self._message_ids),
            "date": int(time.time()),
            "chat": about,
            **content,
        }
        if kind != "channel":
            message.setdefault("from", sender)
        self.seen.setdefault(chat, {})[message["message_id"]] = message
        self.changed.notify_all()
        return message

    def _edit(self, message: Message, **content: Any) -> Message:
        with self.changed:
            chat = message["chat"]["id"]
            edited = {**message, **content, "edit_date": int(time.time())}
            self.seen[chat][message["message_id"]] = edited
            self._update("edited_message", edited)
        return edited

    def _update(self, kind: str, content: dict[str, Any]) -> None:
        if self.allowed is None or kind in self.allowed:
            self.pending.append({"update_id": next(self._update_ids), kind: content})
        self.changed.notify_all()
        self.wake()

    def wake(self) -> None:
        """Tell the server that there is an update."""

    def _person(self, chat: int, by: int | None) -> dict[str, Any]:
        number = by or (chat if chat > 0 else 77)
        return {"id": number, "is_bot": False, "first_name": "Person"}

    def _file(
        self, chat: int, content: bytes, name: str, size_bytes: int | None = None
    ) -> dict[str, Any]:
        with self.changed:
            number = next(self._others)
            size_bytes = len(content) if size_bytes is None else size_bytes
            identifier = f"AgACAgIAAxk{number:053d}"  # ids are long; they vary
            self.files[identifier] = File(content, name, chat, size_bytes)
        return {
            "file_id": identifier,
            "file_unique_id": hashlib.sha256(content).hexdigest()[:15],
            "file_size": size_bytes,
        }

    def photo(self, chat: int, content: bytes) -> list[dict[str, Any]]:
        """Store a picture in the sizes that a message with a photo has."""
        if content not in self._photos:
            self._photos[content] = list(_sizes(content))
        return [
            self._file(chat, jpeg, f"{letter}.jpg") | {"width": width, "height": height}
            for letter, jpeg, (width, height) in self._photos[content]
        ]


def buttons(message: Message) -> list[list[dict[str, Any]]]:
    """Return the rows of a message's inline keyboard."""
    return message.get("reply_markup", {}).get("inline_keyboard", [])


def _sizes(content: bytes) -> Any:
    with Image.open(io.BytesIO(content)) as opened:
        image = opened.convert("RGB")
    for letter, side in SIZES.items():
        smaller = image.copy()
        smaller.thumbnail((side, side))
        file = io.BytesIO()
        smaller.save(file, "JPEG", quality=87)
        yield letter, file.getvalue(), smaller.size
        if max(image.size) <= side:
            break
