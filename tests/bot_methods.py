"""The methods of the Bot API, with the rules and sentences that it is documented with.

Source: https://core.telegram.org/bots/api and, for the sentences of refusals,
https://github.com/tdlib/telegram-bot-api, telegram-bot-api/Client.cpp.
"""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from bot_chats import BOT, Chats, Message

TEXT_LIMIT = 4096  # characters, after the entities are parsed
DATA_LIMIT_BYTES = 64
BUTTON_LIMIT = 100
NOTICE_LIMIT = 200
FILE_LIMIT_BYTES = 20 * 1024 * 1024  # of getFile
QUERY_LIFETIME_S = 30.0
TAGS = "b|strong|i|em|u|ins|s|strike|del|code|pre|a|tg-spoiler|blockquote|span"


class RefusalError(Exception):
    """A call that is answered with ok: false."""

    def __init__(self, error_code: int, description: str) -> None:
        super().__init__(description)
        self.error_code = error_code
        self.description = description


def bad_request(description: str) -> RefusalError:
    return RefusalError(400, f"Bad Request: {description}")


class Methods(Chats):
    """Chats, and what a bot may do to them.

    A method of the Bot API is a method here; it takes the parameters of the call, as
    text or parsed, and returns the answer's `result`.
    """

    query_lifetime_s = QUERY_LIFETIME_S

    def get_me(self, _: Mapping[str, Any]) -> Any:
        return BOT

    def set_my_commands(self, parameters: Mapping[str, Any]) -> Any:
        commands = parsed(parameters, "commands") or []
        for entry in commands:
            if not re.fullmatch("[a-z0-9_]{1,32}", entry["command"]):
                raise bad_request("BOT_COMMAND_INVALID")
            if not 1 <= len(entry["description"]) <= 256:
                raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
        self.commands = commands
        return True

    def send_chat_action(self, parameters: Mapping[str, Any]) -> Any:
        self._chat(parameters)
        return True

    def send_message(self, parameters: Mapping[str, Any]) -> Any:
        with self.changed:
            chat = self._chat(parameters)
            content: dict[str, Any] = {"text": text_of(parameters)}
            if markup := markup_of(parameters):
                content["reply_markup"] = markup
            if original := self._replied(chat, parameters):
                content["reply_to_message"] = {
                    key: value
                    for key, value in original.items()
                    if key != "reply_to_message"
                }
            message = self._message(chat, BOT, content)
            self.answered_at[chat, message["message_id"]] = time.monotonic()
            return message

    def edit_message_text(self, parameters: Mapping[str, Any]) -> Any:
        changes = {"text": text_of(parameters)}
        return self._edited(parameters, changes, markup_of(parameters))

    def edit_message_reply_markup(self, parameters: Mapping[str, Any]) -> Any:
        return self._edited(parameters, {}, markup_of(parameters))

    def delete_message(self, parameters: Mapping[str, Any]) -> Any:
        with self.changed:
            chat = self._chat(parameters)
            try:
                del self.seen[chat][number_of(parameters, "message_id")]
            except KeyError:
                raise bad_request("message to delete not found") from None
            self.changed.notify_all()
        return True

    def answer_callback_query(self, parameters: Mapping[str, Any]) -> Any:
        with self.changed:
            query = self.queries.get(str(parameters.get("callback_query_id")))
            age_s = time.monotonic() - query.created if query else 0
            if query is None or query.answer or age_s > self.query_lifetime_s:
                raise bad_request(
                    "query is too old and response timeout expired or query ID is "
                    "invalid"
                )
            if len(parameters.get("text", "")) > NOTICE_LIMIT:
                raise bad_request("MESSAGE_TOO_LONG")
            query.answer = dict(parameters)
            self.changed.notify_all()
        return True

    def get_file(self, parameters: Mapping[str, Any]) -> Any:
        identifier = str(parameters.get("file_id"))
        file = self.files.get(identifier)
        if file is None:
            raise bad_request("wrong file_id or the file is temporarily unavailable")
        if file.size_bytes > FILE_LIMIT_BYTES:
            raise bad_request("file is too big")
        return {
            "file_id": identifier,
            "file_unique_id": identifier[-15:],
            "file_size": file.size_bytes,
            "file_path": f"documents/{identifier}/{file.name}",
        }

    def _chat(self, parameters: Mapping[str, Any]) -> int:
        chat = number_of(parameters, "chat_id")
        if chat not in self.seen:
            raise bad_request("chat not found")
        if chat in self.blocked:
            raise RefusalError(403, "Forbidden: bot was blocked by the user")
        return chat

    def _replied(self, chat: int, parameters: Mapping[str, Any]) -> Message | None:
        wanted = parsed(parameters, "reply_parameters") or {}
        number = wanted.get("message_id") or parameters.get("reply_to_message_id")
        original = self.seen[chat].get(int(number)) if number else None
        is_needed = number and not wanted.get("allow_sending_without_reply")
        if original is None and is_needed:
            raise bad_request("message to be replied not found")
        return original

    def _edited(
        self, parameters: Mapping[str, Any], changes: Message, markup: Any
    ) -> Any:
        with self.changed:
            chat = self._chat(parameters)
            before = self.seen[chat].get(number_of(parameters, "message_id"))
            if before is None:
                raise bad_request("message to edit not found")
            if before.get("from") != BOT:
                raise bad_request("message can't be edited")
            after = {**before, **changes}
            after.pop("reply_markup", None)  # an edit without a keyboard removes it
            if markup:
                after["reply_markup"] = markup
            if after == before:
                raise bad_request(
                    "message is not modified: specified new message content and reply "
                    "markup are exactly the same as a current content and reply markup "
                    "of the message"
                )
            after["edit_date"] = int(time.time())
            # `after == before` must not see the date of this edit next time.
            before.clear()
            before.update({k: v for k, v in after.items() if k != "edit_date"})
            self.changed.notify_all()
            return after


def parsed(parameters: Mapping[str, Any], name: str) -> Any:
    """Return a parameter that is an object: in JSON in forms, as it is in JSON."""
    value = parameters.get(name)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise bad_request(f"can't parse {name.replace('_', ' ')} JSON object") from None


def number_of(parameters: Mapping[str, Any], name: str) -> int:
    """Return a whole number that must be there."""
    try:
        return int(parameters[name])
    except (KeyError, ValueError):
        raise bad_request(f"{name.replace('_', ' ')} is empty") from None


def text_of(parameters: Mapping[str, Any]) -> str:
    """Return the text as people read it, or refuse it."""
    text = str(parameters.get("text", ""))
    if (mode := parameters.get("parse_mode")) == "HTML":
        text = _without_tags(text)
    elif mode:
        raise NotImplementedError(f"parse_mode {mode}")
    text = text.strip()
    if not text:
        raise bad_request("message text is empty")
    if len(text) > TEXT_LIMIT:
        raise bad_request("message is too long")
    return text


def _without_tags(text: str) -> str:
    opened: list[str] = []
    for closing, name in re.findall(r"<(/?)([^\s>]*)[^>]*>?", text):
        if not re.fullmatch(TAGS, name):
            raise bad_request(f'can\'t parse entities: unsupported start tag "{name}"')
        if closing and (not opened or opened.pop() != name):
            raise bad_request(f'can\'t parse entities: unexpected end tag "{name}"')
        if not closing:
            opened.append(name)
    if opened:
        raise bad_request(f"can't parse entities: can't find end tag of {opened[-1]}")
    return html.unescape(re.sub("<[^>]*>", "", text))


def markup_of(parameters: Mapping[str, Any]) -> Any:
    """Return the keyboard below a message, or refuse it."""
    markup = parsed(parameters, "reply_markup")
    rows = (markup or {}).get("inline_keyboard", [])
    for button in (button for row in rows for button in row):
        if not str(button.get("text", "")).strip():
            raise bad_request("text buttons are unallowed in the inline keyboard")
        size_bytes = len(button.get("callback_data", "").encode())
        if "url" not in button and not 1 <= size_bytes <= DATA_LIMIT_BYTES:
            raise bad_request("BUTTON_DATA_INVALID")
    if sum(map(len, rows)) > BUTTON_LIMIT:
        raise bad_request("REPLY_MARKUP_TOO_LONG")
    return markup if rows else None
