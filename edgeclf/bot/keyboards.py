"""The buttons below an answer, and what a tapped one says.

A button carries at most 64 bytes: an action's letter, the answer's token and numbers.
What they stand for is in the state, so that they work after a restart too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from edgeclf.bot import texts
from edgeclf.bot.outcomes import Answer, Outcome

PER_PAGE = 8
MAX_TEXT = 40  # characters on a button

Action = Literal["open", "label", "tag", "done", "back"]
_LETTERS: dict[Action, str] = {
    "open": "o",
    "label": "l",
    "tag": "t",
    "done": "d",
    "back": "b",
}
_ACTIONS = {letter: action for action, letter in _LETTERS.items()}
_DATA = re.compile(r"([oltdb]):([\w-]{1,32}):(\d{1,3}):(\d{1,6}):(\d{1,6}):([01])")


class Press(NamedTuple):
    """A tapped button.

    Attributes:
        action: "open" the list of labels, choose a "label", switch a "tag" on or off,
            be "done" with tags, or go "back".
        token: Of the answer.
        position: Of the picture in it.
        page: Of the list of labels.
        label: By its index.
        on: Whether the tag is to be on: a tap that is worked on twice changes nothing.
    """

    action: Action
    token: str
    position: int = 0
    page: int = 0
    label: int = 0
    on: bool = False

    @property
    def data(self) -> str:
        """What the button carries."""
        letter = _LETTERS[self.action]
        return ":".join(
            map(
                str,
                (
                    letter,
                    self.token,
                    self.position,
                    self.page,
                    self.label,
                    int(self.on),
                ),
            )
        )


def pressed(data: str | None) -> Press | None:
    """Return what a tapped button says; None if it is none of ours."""
    match = _DATA.fullmatch(data or "")
    if match is None:
        return None
    letter, token, *numbers, on = match.groups()
    position, page, index = map(int, numbers)
    action = _ACTIONS[letter]
    return Press(action, token, position, page, index, on == "1")


def closed(
    answer: Answer, labels: Sequence[str], *, multi_label: bool
) -> InlineKeyboardMarkup | None:
    """Return one button for each picture that can be corrected; None for none."""
    several = len(answer.outcomes) > 1
    buttons = [
        _button(
            _closed_text(outcome, labels, position if several else None, multi_label),
            Press("open", answer.token, position),
        )
        for position, outcome in enumerate(answer.outcomes)
        if outcome.found is not None
    ]
    if not buttons:
        return None
    wide = any(outcome.stored for outcome in answer.outcomes) or not several
    return InlineKeyboardMarkup(_rows(buttons, 1 if wide else 5))


def _closed_text(
    outcome: Outcome,
    labels: Sequence[str],
    position: int | None,
    multi_label: bool,
) -> str:
    if outcome.stored:
        text = texts.STORED_BUTTON.format(label=chosen_text(outcome, labels))
        return text if position is None else f"{position + 1}. {text}"
    if position is not None:
        return texts.WHICH_BUTTON.format(number=position + 1)
    return texts.WRONG_TAGS_BUTTON if multi_label else texts.WRONG_BUTTON


def chosen_text(outcome: Outcome, labels: Sequence[str]) -> str:
    """Return the labels that were tapped, with commas."""
    names = [labels[index] for index in outcome.chosen or ()]
    return ", ".join(names) or texts.STORED_NONE


def opened(
    answer: Answer,
    position: int,
    labels: Sequence[str],
    page: int,
    *,
    multi_label: bool,
) -> InlineKeyboardMarkup:
    """Return a page of the labels to choose from, with ways to the other pages."""
    token, outcome = answer.token, answer.outcomes[position]
    last = (len(labels) - 1) // PER_PAGE
    page = min(page, last)
    chosen = set(outcome.chosen or ())
    rows = []
    for index in range(page * PER_PAGE, min(len(labels), (page + 1) * PER_PAGE)):
        on = index in chosen
        action: Action = "tag" if multi_label else "label"
        press = Press(action, token, position, page, index, not on)
        rows.append(_button(("✓ " if on else "") + labels[index], press))
    below = [_button(texts.BACK_BUTTON, Press("back", token, position))]
    if multi_label:
        below.append(_button(texts.DONE_BUTTON, Press("done", token, position)))
    turns = [
        _button(sign, Press("open", token, position, other))
        for sign, other in (("◀", page - 1), (f"{page + 1}/{last + 1} ▶", page + 1))
        if 0 <= other <= last
    ]
    return InlineKeyboardMarkup([*_rows(rows, 2), *_rows(turns, 2), below])


def _button(text: str, press: Press) -> InlineKeyboardButton:
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    return InlineKeyboardButton(text, callback_data=press.data)


def _rows(
    buttons: Sequence[InlineKeyboardButton], width: int
) -> list[list[InlineKeyboardButton]]:
    return [
        list(buttons[start : start + width]) for start in range(0, len(buttons), width)
    ]
