"""What the bot says, and the buttons below it."""

from __future__ import annotations

import pytest

pytest.importorskip("telegram")

from edgeclf.bot import texts
from edgeclf.bot.answers import answer_text, bar, shortened
from edgeclf.bot.commands import command_in
from edgeclf.bot.keyboards import Press, closed, opened, pressed
from edgeclf.bot.outcomes import Answer, Outcome

LABELS = [f"label {number}" for number in range(20)]


def outcome(*found: tuple[int | None, str, float], message: int = 1) -> Outcome:
    return Outcome(message, "u", "f", found)


def test_classes_have_bars() -> None:
    found = outcome((0, "Khokhloma", 0.963), (1, "Gzhel", 0.03))
    text = answer_text([found], multi_label=False, feedback=False)
    assert text == "Khokhloma ▇▇▇▇▇▇▇▇ 96 %\nGzhel ▇ 3 %"
    assert [len(bar(score)) for score in (-1, 0, 0.5, 1, 7)] == [1, 1, 4, 8, 8]


def test_tags_are_hashtags_and_none_is_said() -> None:
    found = outcome((0, "blue sky", 0.9), (3, "human", 0.6))
    assert answer_text([found], multi_label=True, feedback=False) == "#blue_sky #human"
    assert answer_text([outcome()], multi_label=True, feedback=False) == texts.NO_TAG


def test_unlike_all_classes_is_said() -> None:
    found = outcome((None, "unknown", 0.4))
    assert answer_text([found], multi_label=False, feedback=False) == texts.UNKNOWN


def test_an_album_is_numbered_and_tells_of_each_failure() -> None:
    failed = Outcome(2, "u", "f", problem="Damaged.")
    found = outcome((0, "a", 1.0), (1, "b", 0.0))
    text = answer_text([found, failed], multi_label=False, feedback=False)
    assert text.splitlines() == ["1. a ▇▇▇▇▇▇▇▇ 100 %", "    b ▇ 0 %", "2. Damaged."]


def test_people_are_told_of_feedback_where_it_can_be_given() -> None:
    hint = texts.FEEDBACK_HINT
    failed = Outcome(2, "u", "f", problem="Damaged.")
    assert hint in answer_text([outcome()], multi_label=True, feedback=True)
    assert hint not in answer_text([failed], multi_label=True, feedback=True)
    assert "the picture is kept" in texts.start("tags", feedback=True)
    assert "I keep no pictures" in texts.start("tags", feedback=False)


def test_a_long_answer_fits_into_a_message() -> None:
    assert shortened("x" * 4000) == "x" * 4000
    for letter in ("x", "𝓍"):
        assert len(shortened(letter * 5000).encode("utf-16-le")) // 2 <= 4000
    assert shortened("x𝓍" * 5000).endswith("…")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/top 3", ("top", "", "3")),
        ("/TOP@Some_Bot  3 ", ("top", "some_bot", "3")),
        ("/start", ("start", "", "")),
        ("/help\nme", ("help", "", "me")),
        ("top 3", None),
        ("/", None),
        ("/to-p", None),
        ("", None),
    ],
)
def test_commands_are_read(text: str, command: tuple[str, str, str] | None) -> None:
    assert command_in(text) == command


def test_the_model_is_described_by_its_record() -> None:
    record = {"architecture": "mobilenet", "accuracy_int8": 0.9876, "num_test": 80}
    text = texts.model("m.tflite", LABELS[:2], "labels", 1_234_567, record)
    assert text.splitlines() == [
        "m.tflite, 1.2 MB",
        "Network: mobilenet",
        "Measured on 80 pictures it had not seen: 98.8 % right",
        "2 labels: label 0, label 1",
    ]
    record |= {"mean_average_precision": 0.81, "micro_f1": 0.77}
    text = texts.model("m", ["x"] * 61, "tags", 1, record)
    assert "mean average precision 0.81, micro F1 0.77" in text
    assert text.endswith("and 1 more")
    assert texts.model("m", ["x"], "labels", 1, {}).splitlines()[1] == "1 label: x"


def answer(*outcomes: Outcome) -> Answer:
    return Answer("a-token_x", 1, 2, "labels", outcomes)


def test_a_button_says_in_64_bytes_what_it_means() -> None:
    press = Press("tag", "x" * 12, 9, 99999, 999999, on=True)
    assert len(press.data.encode()) <= 64
    assert pressed(press.data) == press
    for data in (None, "", "x:t:0:0:0:0", "o:t:0:0:0", "o:a b:0:0:0:0"):
        assert pressed(data) is None


def test_labels_are_paged() -> None:
    shown = answer(outcome((0, "label 0", 1.0)))
    keyboard = opened(shown, 0, LABELS, 1, multi_label=False).inline_keyboard
    names = [button.text for row in keyboard for button in row]
    assert names == [*LABELS[8:16], "◀", "2/3 ▶", texts.BACK_BUTTON]
    press = pressed(keyboard[0][1].callback_data)
    assert press == Press("label", "a-token_x", 0, 1, 9, on=True)
    last = opened(shown, 0, LABELS, 99, multi_label=False).inline_keyboard
    assert [button.text for row in last for button in row][:5] == [*LABELS[16:], "◀"]


def test_tags_are_switched_and_done() -> None:
    shown = answer(Outcome(1, "u", "f", (), chosen=(1,)))
    keyboard = opened(shown, 0, LABELS[:2], 0, multi_label=True).inline_keyboard
    texts_and_presses = [
        (button.text, pressed(button.callback_data))
        for row in keyboard
        for button in row
    ]
    assert texts_and_presses == [
        ("label 0", Press("tag", "a-token_x", 0, 0, 0, on=True)),
        ("✓ label 1", Press("tag", "a-token_x", 0, 0, 1, on=False)),
        (texts.BACK_BUTTON, Press("back", "a-token_x")),
        (texts.DONE_BUTTON, Press("done", "a-token_x")),
    ]


def test_an_album_has_a_button_for_each_picture_that_has_labels() -> None:
    failed = Outcome(2, "u", "f", problem="Damaged.")
    shown = answer(outcome(), failed, outcome(message=3))
    keyboard = closed(shown, LABELS, multi_label=True)
    assert keyboard is not None
    assert [button.text for button in keyboard.inline_keyboard[0]] == [
        "Wrong? 1",
        "Wrong? 3",
    ]
    assert closed(answer(failed), LABELS, multi_label=True) is None


def test_a_stored_correction_is_shown_on_the_button() -> None:
    shown = answer(Outcome(1, "u", "f", (), chosen=(4,), stored=True))
    keyboard = closed(shown, LABELS, multi_label=False)
    assert keyboard is not None
    assert keyboard.inline_keyboard[0][0].text == "Stored: label 4. Change"
