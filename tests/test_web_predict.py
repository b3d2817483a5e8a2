"""The page that labels pictures, in a real browser."""

from __future__ import annotations

import base64
import csv
import io
import json
import signal
from pathlib import Path

import hosting
import model_files as models
import pytest
from bot_process import jpeg, tag_model
from PIL import Image
from test_web_model import teach
from web_browser import PHONE, Visit, axe_serious, browser  # noqa: F401 - a fixture
from web_server import serving

NOT_A_PICTURE = {
    "name": "letter.txt",
    "mimeType": "text/plain",
    "buffer": b"Dear reader, this is a letter. " * 9,
}
COLORS = models.COLORS

# Hands a picture over as the system's clipboard or a drop does.
GIVE = """
    ([kind, name, content]) => {
      const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name, {type: "image/jpeg"}));
      const given = {bubbles: true, cancelable: true};
      document.body.dispatchEvent(kind === "paste"
        ? new ClipboardEvent(kind, {...given, clipboardData: transfer})
        : new DragEvent(kind, {...given, dataTransfer: transfer}));
    }
"""


def upload(color: str, name: str = "") -> dict[str, object]:
    return {
        "name": name or f"{color}.jpg",
        "mimeType": "image/jpeg",
        "buffer": jpeg(color),
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "colors.tflite"
    path.write_bytes(models.own())
    return path


@pytest.fixture(scope="module")
def server(model):
    with serving("--model", model, "--allow_private") as server:
        yield server


@pytest.fixture
def visit(browser, server):  # noqa: F811 - the fixture above
    with Visit(browser, server.url) as visit:
        yield visit


def best(page, number: int = 0) -> str:
    """Wait for a card's labels and return the best."""
    return (
        page.locator(".picture .bars li:first-child .label").nth(number).text_content()
    )


def wait_for_all(page) -> None:
    page.locator("#progress").wait_for(state="hidden")


def wait_for_picture(page) -> None:
    """Wait until the first card shows what is in its file."""
    page.locator(".picture .shown").first.wait_for()
    decoded = "image => image.decode().then(() => image.naturalWidth)"
    assert page.locator(".picture .shown").first.evaluate(decoded) > 0


def test_a_file_is_labelled(visit):
    page = visit.page
    page.set_input_files("#files", upload("green"))
    assert best(page) == "green"
    card = page.locator(".picture")
    assert card.locator(".bars li").count() == len(COLORS)
    assert card.locator(".name").inner_text() == "green.jpg"
    assert card.locator(".words").inner_text().startswith("Answered in ")
    assert page.locator("#count").inner_text() == "1 of 1 labelled"
    wait_for_picture(page)
    said = page.locator("#announcer").inner_text()
    assert said.startswith("green.jpg: green ")
    assert visit.failures == []


def test_many_files_are_labelled_each_by_itself(visit):
    page = visit.page
    given = [*COLORS] * 8
    files = [upload(color, f"{n}.jpg") for n, color in enumerate(given)]
    page.set_input_files("#files", [*files, NOT_A_PICTURE])
    wait_for_all(page)
    expected = f"{len(given)} of {len(given) + 1} labelled · 1 could not be"
    assert page.locator("#count").inner_text() == expected
    assert [best(page, number) for number in range(len(given))] == given
    sentence = page.locator(".picture[data-state=failed] .words").text_content()
    assert "letter.txt is not a picture" in sentence
    # What is heard at the end is one sentence, not one of each picture.
    assert page.locator("#announcer").inner_text() == f"{expected}."
    assert visit.failures == [(422, "/v1/classify")]


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_picture_is_pasted_and_dropped(visit, kind):
    content = base64.b64encode(jpeg("blue")).decode()
    visit.page.evaluate(GIVE, [kind, "blue.jpg", content])
    assert best(visit.page) == "blue"


def test_a_picture_is_fetched_from_its_address(visit):
    with hosting.running() as host:
        host.files["/pictures/red%20one.jpg"] = jpeg("red")
        host.files["/letter.html"] = NOT_A_PICTURE["buffer"]
        page = visit.page
        page.get_by_label("Address of a picture").fill(
            f"{host.address}/pictures/red%20one.jpg"
        )
        page.get_by_role("button", name="Fetch").click()
        assert best(page) == "red"
        assert page.locator(".name").inner_text() == "red one.jpg"
        wait_for_picture(page)
        for path, words in (("letter.html", "not a picture"), ("none.jpg", "404")):
            page.get_by_label("Address of a picture").fill(f"{host.address}/{path}")
            page.keyboard.press("Enter")
            error = page.locator(".picture .words.error-text").first
            error.wait_for()
            assert words in error.inner_text()
            page.locator(".picture .remove").first.click()
    # The browser itself asked nobody but our server: `Visit` looks.
    assert [status for status, _ in visit.failures] == [422, 422]


def test_an_address_is_pasted(visit):
    with hosting.running() as host:
        host.files["/green.jpg"] = jpeg("green")
        code = """
            text => {
              const transfer = new DataTransfer();
              transfer.setData("text/plain", text);
              document.body.dispatchEvent(new ClipboardEvent("paste",
                {bubbles: true, clipboardData: transfer}));
            }
        """
        visit.page.evaluate(code, f"{host.address}/green.jpg")
        assert best(visit.page) == "green"


def test_text_that_is_no_address_is_told(visit):
    code = """
        selector => {
          const dataTransfer = new DataTransfer();
          dataTransfer.setData("text/plain", "a plate");
          document.querySelector(selector).dispatchEvent(new DragEvent("drop",
            {bubbles: true, cancelable: true, dataTransfer}));
          return document.querySelector("#toast").textContent;
        }
    """
    assert visit.page.evaluate(code, "#url") == ""  # there it is written
    told = visit.page.evaluate(code, "#drop")
    assert told == "That is text. Give pictures, or the address of one."


def test_a_tall_picture_is_shown_whole(visit):
    content = io.BytesIO()
    Image.new("RGB", (30, 90), models.PIXELS["blue"]).save(content, "PNG")
    tall = {"name": "a.png", "mimeType": "image/png", "buffer": content.getvalue()}
    visit.page.set_input_files("#files", [tall, upload("red")])
    wait_for_picture(visit.page)
    for image in visit.page.locator(".picture .shown").all():
        assert image.evaluate("image => getComputedStyle(image).objectFit") == "contain"


def test_the_button_pastes_what_the_clipboard_holds(browser, server):  # noqa: F811
    copy = """
        async () => {
          const canvas = document.createElement("canvas");
          canvas.getContext("2d").fillStyle = "#00c800";
          canvas.getContext("2d").fillRect(0, 0, 300, 150);
          const blob = await new Promise(take => canvas.toBlob(take, "image/png"));
          await navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
        }
    """
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    with Visit(browser, server.url, **options) as visit:
        visit.page.evaluate(copy)
        visit.page.get_by_role("button", name="Paste").click()
        assert best(visit.page) == "green"
        assert visit.page.locator(".name").inner_text() == "pasted.png"


# What a browser gives for a dropped folder; only a hand can drop a real one. As in
# browsers, a reader gives some of the entries at a time.
DROP_FOLDER = """
    async () => {
      const {picturesOf} = await import("/static/dropped.js");
      const path = (folder, name) => `${folder}/${name}`;
      const file = (folder, name) => ({
        name, fullPath: path(folder, name), isDirectory: false,
        file: take => take(new File(["x"], name)),
      });
      const directory = (folder, name, entries) => ({
        name, fullPath: path(folder, name), isDirectory: true,
        createReader: () => {
          const left = [...entries];
          return {readEntries: take => take(left.splice(0, 2))};
        },
      });
      const top = directory("", "trip", [
        file("/trip", "b.HEIC"), file("/trip", "notes.txt"),
        file("/trip", ".hidden.jpg"), file("/trip", "a.jpg"),
        directory("/trip", "day 2", [file("/trip/day 2", "c.png")]),
      ]);
      const alone = new File(["x"], "alone.bin");
      const item = (entry, file) => (
        {kind: "file", webkitGetAsEntry: () => entry, getAsFile: () => file}
      );
      const items = [item(top, null), item({isDirectory: false}, alone)];
      const found = await picturesOf({items, files: [new File([], "trip"), alone]});
      return found.map(({name}) => name);
    }
"""


def test_a_folder_gives_its_pictures_alone(visit):
    names = visit.page.evaluate(DROP_FOLDER)
    assert names == ["trip/a.jpg", "trip/b.HEIC", "trip/day 2/c.png", "alone.bin"]


def test_a_kind_that_browsers_do_not_show_is_labelled_all_the_same(visit):
    content = io.BytesIO()
    Image.new("RGB", (40, 30), models.PIXELS["blue"]).save(content, "TIFF")
    scan = {"name": "scan.tif", "mimeType": "image/tiff", "buffer": content.getvalue()}
    visit.page.set_input_files("#files", scan)
    assert best(visit.page) == "blue"
    card = visit.page.locator(".picture")
    assert card.locator(".placeholder").inner_text() == "TIF"
    assert not card.locator(".shown").is_visible()


def test_the_camera_takes_a_picture(visit):
    page = visit.page
    page.get_by_role("button", name="Photograph").click()
    page.get_by_role("button", name="Take the picture").click()
    assert best(page) in COLORS
    assert page.locator(".name").inner_text() == "photograph-1.jpg"
    assert not page.locator("#camera").is_visible()
    assert page.evaluate("document.querySelector('#viewfinder').srcObject") is None


def test_the_heat_map_comes_and_goes(visit):
    page = visit.page
    page.set_input_files("#files", upload("red"))
    image = page.locator(".picture .shown")
    wait_for_picture(page)
    before = image.get_attribute("src")
    button = page.get_by_role("button", name="Heat map")
    button.click()
    page.locator(".heat[aria-pressed=true]").wait_for()
    assert image.get_attribute("src") != before
    assert image.get_attribute("alt") == "Heat map: what speaks for red"
    wait_for_picture(page)
    button.click()
    page.locator(".heat[aria-pressed=false]").wait_for()
    assert image.get_attribute("src") == before
    assert image.get_attribute("alt") == ""


def test_the_model_of_a_project_labels_and_draws(browser, tmp_path):  # noqa: F811
    teach(tmp_path, "my plates", models.own(["x", "y", "z"]), 1_000)
    with serving("--teach", tmp_path) as server, Visit(browser, server.url) as visit:
        page = visit.page
        page.set_input_files("#files", upload("red"))
        assert best(page) == "x"
        page.get_by_role("button", name="Heat map").click()
        page.locator(".heat[aria-pressed=true]").wait_for()
        page.get_by_role("link", name="Live").click()
        page.get_by_role("button", name="Start camera").click()
        page.locator("#bars .label").first.wait_for()
        labels = page.locator("#bars .label").all_inner_texts()
        assert sorted(labels) == ["x", "y", "z"]
        assert visit.failures == []


def test_results_are_kept_as_files(visit):
    page = visit.page
    named = upload("red", 'a "red", one.jpg')
    page.set_input_files("#files", [named, NOT_A_PICTURE])
    page.locator(".picture[data-state=failed]").wait_for()
    page.locator(".picture[data-state=labelled]").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    rows = [*csv.DictReader(io.StringIO(text))]
    assert [row["label"] for row in rows[:1]] == ["red"]
    assert {row["image"] for row in rows} == {named["name"], "letter.txt"}
    assert [row["rank"] for row in rows] == ["1", "2", "3", ""]
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON lines").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    first, second = map(json.loads, text.splitlines())
    assert first["categories"][0]["label"] == "red"
    assert [*first["categories"][0]] == ["index", "label", "score"]
    assert "not a picture" in second["error"]


def test_pictures_are_removed(visit):
    page = visit.page
    page.set_input_files("#files", [upload(color) for color in COLORS])
    page.get_by_role("button", name="Remove green.jpg").click()
    names = page.locator(".picture .name").all_inner_texts()
    assert names == ["red.jpg", "blue.jpg"]
    page.get_by_role("button", name="Clear all").click()
    assert page.locator(".picture").count() == 0
    assert not page.locator("#toolbar").is_visible()
    assert page.evaluate("document.activeElement.id") == "files"


def test_all_of_it_works_with_the_keyboard(visit):
    page = visit.page
    page.on("filechooser", lambda _: None)  # Playwright listens from now on

    def tab_to(selector: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"{selector} cannot be reached")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    tab_to("#files")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files([upload("red"), upload("blue")])
    best(page, 1)
    tab_to(".heat")
    page.keyboard.press("Enter")
    page.locator(".heat[aria-pressed=true]").wait_for()
    tab_to(".remove")
    page.keyboard.press("Enter")
    assert page.locator(".picture").count() == 1
    # The focus stays where the work is.
    assert page.evaluate("document.activeElement.matches('.remove')")


def test_a_server_that_is_gone_is_said_and_tried_again(browser, model):  # noqa: F811
    with serving("--model", model) as server, Visit(browser, server.url) as visit:
        page = visit.page
        page.set_input_files("#files", upload("red"))
        assert best(page) == "red"
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        page.set_input_files("#files", upload("blue"))
        error = page.locator(".picture .words.error-text")
        error.wait_for()
        assert error.inner_text() == "The server cannot be reached."
        page.get_by_role("button", name="Try again").wait_for()


def test_a_busy_server_is_waited_for(visit):
    page = visit.page
    answers = iter([503, 503])

    def refuse_at_first(route):
        status = next(answers, None)
        if status is None:
            route.continue_()
        else:
            headers = {"Retry-After": "1", "Content-Type": "application/problem+json"}
            route.fulfill(status=status, headers=headers, body='{"detail": "Busy."}')

    page.route("**/v1/classify", refuse_at_first)
    page.set_input_files("#files", [upload(color) for color in COLORS])
    page.get_by_text("the server is busy, going on in 1 s").wait_for()
    wait_for_all(page)
    assert [best(page, number) for number in range(3)] == [*COLORS]


def test_without_scripts_a_form_is_enough(browser, server):  # noqa: F811
    with Visit(browser, server.url, java_script_enabled=False) as visit:
        page = visit.page
        assert not page.get_by_role("button", name="Photograph").is_visible()
        page.set_input_files("#files", [upload("green"), NOT_A_PICTURE])
        page.get_by_role("button", name="Label them").click()
        assert best(page) == "green"
        assert "letter.txt is not a picture" in page.locator(".error-text").inner_text()
        assert visit.failures == []


def test_tags_are_copied_as_hashtags(browser, tmp_path):  # noqa: F811
    path = tmp_path / "tags.tflite"
    path.write_bytes(tag_model())
    with serving("--model", path) as server:
        options = {"permissions": ["clipboard-read", "clipboard-write"]}
        with Visit(browser, server.url, **options) as visit:
            page = visit.page
            page.set_input_files("#files", [upload("magenta"), upload("black")])
            page.locator(".picture[data-state=labelled]").nth(1).wait_for()
            tags = page.locator(".picture").first.locator(".label").all_inner_texts()
            assert sorted(tags) == ["blue", "red"]
            nothing = page.locator(".picture").nth(1)
            assert "No tag is above" in nothing.locator(".words").inner_text()
            assert not nothing.locator(".copy").is_visible()
            page.get_by_role("button", name="Copy hashtags").first.click()
            page.get_by_text("The hashtags are copied.").wait_for()
            copied = page.evaluate("navigator.clipboard.readText()")
            assert copied == " ".join(f"#{tag}" for tag in tags)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_results_fit_a_phone_and_axe_finds_nothing(
    browser,  # noqa: F811
    server,
    scheme,
):
    options = {"has_touch": True, "is_mobile": True}
    with Visit(browser, server.url, PHONE, scheme, **options) as visit:
        page = visit.page
        long = upload("red", f"{'a-very-long-name-' * 6}.jpg")
        page.set_input_files("#files", [long, upload("blue"), NOT_A_PICTURE])
        wait_for_all(page)
        assert visit.width() == PHONE[0]
        assert axe_serious(page) == []
