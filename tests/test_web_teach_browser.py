"""Teaching in a real browser, on the real server: from zero to a model that labels."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import contextmanager
from urllib.parse import quote

import httpx
import pytest
import tiny
import web_server
from PIL import Image
from web_browser import DESK, PHONE, Visit, axe_serious, browser, sync_api  # noqa: F401
from web_server import serving

pytest.importorskip("ai_edge_quantizer", reason="training is not installed")

expect = sync_api.expect
expect.set_options(timeout=20_000)
LONG_MS = 60_000  # of a training, on a machine that does much else


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("backbone") / "tiny.tflite"
    path.write_bytes(tiny.backbone_file())
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("photos"), 12)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return tmp_path_factory.mktemp("workshop")


@pytest.fixture(scope="module")
def server(workshop, backbone):
    with serving("--teach", workshop, "--architecture", backbone) as running:
        yield running


@contextmanager
def project(browser, server, name, **options):  # noqa: F811
    with Visit(browser, f"{server.url}/teach/{quote(name)}", **options) as visit:
        expect(visit.page.locator("#new-class")).to_be_visible()
        yield visit


def card(page, name):
    return page.locator(f'.class-card[data-name="{name}"]')


def pictures(folder, color):
    return sorted((folder / color).iterdir())


def copied(photos, workshop, name, counts=None):
    """Make a project of folders, as somebody who copies them there."""
    for color in tiny.COLORS:
        target = workshop / name / color
        target.mkdir(parents=True)
        for path in pictures(photos, color)[: (counts or {}).get(color, 12)]:
            (target / path.name).write_bytes(path.read_bytes())
    return workshop / name


def add_class(page, name):
    page.get_by_label("New class").fill(name)
    page.get_by_label("New class").press("Enter")
    expect(card(page, name)).to_be_visible()


def count(page, name, number):
    noun = "picture" if number == 1 else "pictures"
    expect(card(page, name).locator(".count")).to_have_text(f"{number} {noun}")


def test_a_model_is_taught_from_zero(browser, server, photos, tmp_path):  # noqa: F811
    with Visit(browser, f"{server.url}/teach", accept_downloads=True) as visit:
        page = visit.page
        page.get_by_label("New project").fill("My colours")
        page.get_by_role("button", name="Create").click()
        page.wait_for_url("**/teach/My%20colours")
        train = page.get_by_role("button", name="Train")
        expect(page.locator("#missing")).to_contain_text("2 classes with 2 pictures")
        expect(train).to_have_attribute("aria-disabled", "true")
        for color in ("red", "blue"):
            add_class(page, color)
            card(page, color).locator(".choose").set_input_files(
                pictures(photos, color)
            )
            count(page, color, 12)
        assert card(page, "red").locator(".thumbs img").count() == 12
        expect(train).to_have_attribute("aria-disabled", "false")
        train.click()
        expect(page.locator("#accuracy")).to_have_text(
            re.compile(r"100% of \d pictures right: too few to say"), timeout=LONG_MS
        )
        download = page.get_by_role("link", name="Download .tflite")
        assert download.get_attribute("download") == "My colours.tflite"
        table = page.get_by_role("table")
        assert table.locator("thead th").all_inner_texts() == ["Shows", "blue", "red"]
        hits = [int(text) for text in table.locator("td.hit").all_inner_texts()]
        assert len(hits) == 2
        assert min(hits) >= 1
        assert table.locator("td.miss").all_inner_texts() == ["0", "0"]
        page.locator("#try-file").set_input_files(pictures(photos, "red")[0])
        first = page.locator("#try-bars li").first
        expect(first.locator(".label")).to_have_text("red")
        page.locator("#try-camera").click()
        expect(page.locator("#try-latency")).to_contain_text("Answered in")
        expect(page.locator("#try-bars li")).to_have_count(2)
        page.locator("#try-camera").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the model").click()
        assert download.value.suggested_filename == "My colours.tflite"
        model = tmp_path / "downloaded.tflite"
        download.value.save_as(model)
        assert page.locator("#command").inner_text() == (
            "edgeclf label_image --model 'My colours.tflite' --image picture.jpg"
        )
        said = subprocess.run(
            [
                *(sys.executable, "-m", "edgeclf", "label_image", "--json"),
                *("--model", model, "--image", pictures(photos, "blue")[1]),
            ],
            env={**os.environ, "PYTHONPATH": str(web_server.ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(said.stdout)["categories"][0]["label"] == "blue"


def test_pictures_are_recorded_while_the_button_is_held(browser, server, workshop):  # noqa: F811
    (workshop / "recorded" / "red").mkdir(parents=True)
    with project(browser, server, "recorded") as visit:
        page = visit.page
        page.get_by_role("button", name="Camera for red").click()
        button = page.get_by_role("button", name="Hold to record red")
        expect(button).to_be_enabled()
        button.hover()
        began = time.monotonic()
        page.mouse.down()
        expect(button).to_have_text("Recording …")
        page.wait_for_timeout(1200)
        page.mouse.up()
        held_s = time.monotonic() - began
        expect(button).to_have_text("Hold to record")
        expect(page.locator("#said")).to_contain_text("added to red")
        by_pointer = len(list((workshop / "recorded" / "red").iterdir()))
        # 8 a second, fewer on a slow machine.
        assert 3 <= by_pointer <= 8 * held_s + 2
        count(page, "red", by_pointer)
        button.focus()
        page.keyboard.down(" ")
        page.wait_for_timeout(1000)
        page.keyboard.up(" ")
        expect(page.locator("#said")).to_contain_text("recorded for red")
        expect(
            card(page, "red").locator(".thumbs img").nth(by_pointer + 2)
        ).to_be_visible()
        # A short press starts, and the next one ends: nobody need hold anything.
        before = card(page, "red").locator(".thumbs img").count()
        button.press("Enter")
        expect(button).to_have_text("Recording … press to stop")
        page.wait_for_timeout(500)
        button.press("Enter")
        expect(button).to_have_text("Hold to record")
        expect(card(page, "red").locator(".thumbs img").nth(before)).to_be_visible()
    for path in (workshop / "recorded" / "red").glob("*.*"):
        with Image.open(path) as opened:
            assert opened.format == "JPEG"
            assert max(opened.size) <= 640


DROP = """
    ([selector, files]) => {
      const transfer = new DataTransfer();
      for (const [name, content] of files) {
        const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name));
      }
      const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
      const target = document.querySelector(selector);
      target.dispatchEvent(new DragEvent("dragover", options));
      target.dispatchEvent(new DragEvent("drop", options));
    }
"""


def drop(page, selector, paths):
    files = [(path.name, b64encode(path.read_bytes()).decode()) for path in paths]
    page.evaluate(DROP, [selector, files])


def test_files_are_dropped_onto_a_class(browser, server, workshop, photos, tmp_path):  # noqa: F811
    (workshop / "dropped" / "red").mkdir(parents=True)
    broken = tmp_path / "notes.jpg"
    broken.write_text("no picture")
    with project(browser, server, "dropped") as visit:
        page = visit.page
        drop(page, '[data-name="red"]', [*pictures(photos, "red")[:3], broken])
        count(page, "red", 3)
        refused = card(page, "red").locator(".refused")
        expect(refused).to_contain_text("1 file could not be used.")
        expect(refused.get_by_role("listitem")).to_contain_text("notes.jpg")
        drop(page, '[data-name="red"]', pictures(photos, "red")[:4])
        count(page, "red", 4)
        expect(refused).to_contain_text("3 pictures were there already.")
        drop(page, "h1", pictures(photos, "red")[:1])
        expect(page.locator("#trouble")).to_contain_text("Expected folders of pictures")


def test_a_folder_of_folders_becomes_classes(browser, server, photos, workshop):  # noqa: F811
    (workshop / "folders").mkdir(parents=True)
    with project(browser, server, "folders") as visit:
        page = visit.page
        page.get_by_label("Choose a folder").set_input_files(photos)
        for color in tiny.COLORS:
            count(page, color, 12)
        expect(page.locator("#totals")).to_have_text("3 classes, 36 pictures")
    for color in tiny.COLORS:
        assert len(list((workshop / "folders" / color).iterdir())) == 12


def test_a_dropped_folder_of_folders_becomes_classes(
    browser,  # noqa: F811
    server,
    photos,
    workshop,
):
    (workshop / "thrown").mkdir(parents=True)
    with project(browser, server, "thrown") as visit:
        page = visit.page
        throw(visit, page.locator("#drop-folders"), photos)
        for color in tiny.COLORS:
            count(page, color, 12)
        throw(visit, card(page, "red"), photos / "blue")
        count(page, "red", 24)
        expect(card(page, "red").locator(".refused")).to_contain_text(
            "12 pictures are in another class too."
        )


def folder_of(folder, photos, names):
    """Make a folder of class folders, with two pictures each."""
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for path in pictures(photos, "red")[2 * number : 2 * number + 2]:
            (folder / name / path.name).write_bytes(path.read_bytes())
    return folder


def test_no_folder_is_left_out_without_a_word(
    browser,  # noqa: F811
    server,
    photos,
    workshop,
    tmp_path,
):
    (workshop / "odd" / "dog").mkdir(parents=True)
    names = ("A etc.", "Dog", "_x", "fine", "unknown")
    folder = folder_of(tmp_path / "odd", photos, names)
    with project(browser, server, "odd") as visit:
        page = visit.page
        page.get_by_label("Choose a folder").set_input_files(folder)
        for name in ("A etc", "x", "fine"):
            count(page, name, 2)
        lines = page.locator("#notes li")
        expect(lines).to_have_count(4)
        for said in (
            "“A etc.” went to the class “A etc”",
            "“_x” went to the class “x”",
            "“Dog” with 2 pictures. Expected a name that is free. Received: dog",
            "“unknown” with 2 pictures. Expected another name than unknown",
        ):
            expect(lines.filter(has_text=said)).to_have_count(1)
        assert axe_serious(page) == []
        count(page, "dog", 0)
        page.locator("#notes").get_by_role("button", name="Hide").click()
        expect(page.locator("#notes")).to_be_hidden()


def test_pictures_for_a_class_that_is_no_more_are_told_of(
    browser,  # noqa: F811
    server,
    photos,
    workshop,
):
    (workshop / "renamed" / "red").mkdir(parents=True)
    with project(browser, server, "renamed") as visit:
        page = visit.page
        # This page does not learn of it before it sends.
        page.route("**/v1/teach/projects/renamed", lambda route: route.abort())
        url = f"{server.url}/v1/teach/projects/renamed/classes/red"
        httpx.patch(url, json={"name": "scarlet"}).raise_for_status()
        expect(card(page, "red")).to_be_visible()
        page.unroute("**/v1/teach/projects/renamed")
        card(page, "red").locator(".choose").set_input_files(pictures(photos, "red"))
        expect(card(page, "scarlet")).to_be_visible()
        expect(page.locator("#notes")).to_contain_text(
            "“red” is no more: it was renamed or deleted elsewhere. 12 pictures for it "
            "were not added"
        )
        visit.complaints.clear()  # of the answers that were held back


def test_all_refused_files_are_named(browser, server, workshop):  # noqa: F811
    (workshop / "refused" / "red").mkdir(parents=True)
    broken = [
        {"name": f"{number}.jpg", "mimeType": "image/jpeg", "buffer": b"none"}
        for number in range(21)
    ]
    with project(browser, server, "refused") as visit:
        refused = card(visit.page, "red").locator(".refused")
        card(visit.page, "red").locator(".choose").set_input_files(broken)
        expect(refused).to_contain_text("21 files could not be used.")
        refused.get_by_text("and 13 more").click()
        expect(refused.get_by_role("listitem")).to_have_count(21)
        expect(refused.get_by_text("20.jpg")).to_be_visible()


def throw(visit, target, path):
    """Drop a file or folder of the disk, as the desktop does."""
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    place = {"x": box["x"] + 30, "y": box["y"] + 10}
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    desktop = visit.context.new_cdp_session(visit.page)
    for kind in ("dragEnter", "dragOver", "drop"):
        desktop.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def test_a_busy_server_is_asked_again(browser, tmp_path, backbone):  # noqa: F811
    (tmp_path / "workshop" / "colors" / "red").mkdir(parents=True)
    # Two requests at a time of pictures that take a while: one finds the queue full.
    large = []
    for number in range(24):
        large.append(tmp_path / f"{number}.png")
        Image.new("RGB", (1200, 900), (255, 3 * number, 0)).save(large[-1])
    options = ("--teach", tmp_path / "workshop", "--architecture", backbone)
    with (
        serving(*options, "--workers", 1, "--queue", 12) as server,
        project(browser, server, "colors") as visit,
    ):
        card(visit.page, "red").locator(".choose").set_input_files(large)
        count(visit.page, "red", 24)
        assert {status for status, _ in visit.failures} == {503}


def test_classes_and_pictures_are_changed(browser, server, photos, workshop):  # noqa: F811
    folder = copied(photos, workshop, "changed", counts=dict.fromkeys(tiny.COLORS, 3))
    with project(browser, server, "changed") as visit:
        page = visit.page
        title = page.get_by_label("Name of the class red")
        title.fill("scarlet")
        title.press("Enter")
        expect(card(page, "scarlet")).to_be_visible()
        assert (folder / "scarlet").is_dir()
        title = page.get_by_label("Name of the class scarlet")
        title.fill("green")
        title.press("Enter")
        expect(card(page, "scarlet").locator(".name-problem")).not_to_be_empty()
        expect(title).to_have_value("scarlet")
        first = card(page, "scarlet").get_by_role("button", name="Delete 0").first
        first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        count(page, "scarlet", 2)
        assert len(list((folder / "scarlet").iterdir())) == 2
        assert page.evaluate("document.activeElement.className") == "delete-picture"
        remove = page.get_by_role("button", name="Delete the class blue")
        remove.click()
        page.get_by_role("button", name="Keep").click()
        expect(card(page, "blue")).to_be_visible()
        remove.click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(card(page, "blue")).to_have_count(0)
        assert not (folder / "blue").exists()
        page.get_by_role("button", name="Add “None of these” (optional)").click()
        expect(card(page, "_background")).to_be_visible()
        assert (folder / "_background").is_dir()


def test_two_tabs_show_the_same(browser, server, photos, workshop):  # noqa: F811
    copied(photos, workshop, "tabs")
    with (
        project(browser, server, "tabs") as one,
        project(browser, server, "tabs") as other,
    ):
        add_class(one.page, "grey")
        expect(card(other.page, "grey")).to_be_visible()
        other.page.get_by_role("button", name="Delete the class grey").click()
        expect(card(one.page, "grey")).to_have_count(0)
        one.page.locator("#train").click()
        expect(other.page.locator("#accuracy")).to_contain_text(
            "right", timeout=LONG_MS
        )
        expect(one.page.locator("#accuracy")).to_contain_text("right", timeout=LONG_MS)
        expect(one.page.locator("#training-said")).to_have_text("Training is done.")
        # A reload loses nothing; and what changes afterwards is said.
        one.page.reload()
        expect(one.page.get_by_role("table")).to_be_visible()
        expect(one.page.locator("#stale")).to_be_hidden()
        card(other.page, "red").locator(".choose").set_input_files(
            {
                "name": "other.png",
                "mimeType": "image/png",
                "buffer": png(tiny.pixels("red", 99)),
            }
        )
        expect(one.page.locator("#stale")).to_be_visible()


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_training_is_watched_and_cancelled(browser, server, photos, workshop):  # noqa: F811
    copied(photos, workshop, "cancelled")
    with project(browser, server, "cancelled") as visit:
        page = visit.page
        # The first start of the process that trains takes long enough for a look.
        page.locator("#train").click()
        expect(page.locator("#stages li[aria-current=step]")).to_be_visible()
        page.locator("#cancel").click()
        expect(page.locator("#training-message")).to_contain_text("Cancelled")
        expect(page.locator("#train")).to_be_focused()
        page.locator("#train").click()
        expect(page.locator("#accuracy")).to_contain_text("right", timeout=LONG_MS)


@contextmanager
def told(page, path, change):
    """Let the page see a changed answer."""

    def answer(route):
        response = route.fetch()
        content = response.json()
        change(content)
        route.fulfill(response=response, json=content)

    page.route(path, answer)
    yield
    page.unroute_all(behavior="wait")


def test_a_training_that_fails_leaves_the_results_of_the_model(
    browser,  # noqa: F811
    server,
    trained,
):
    path = f"/v1/teach/projects/{trained}"
    result = httpx.get(f"{server.url}{path}/training").json()["result"]

    def fail(details):
        details["model"]["result"] = result
        details["training"] = {
            **details["training"],
            "state": "failed",
            "message": "It failed.",
            "result": None,
        }

    with (
        project(browser, server, trained) as visit,
        told(visit.page, f"**{path}", fail),
    ):
        visit.page.reload()
        expect(visit.page.locator("#training-message")).to_have_text("It failed.")
        expect(visit.page.get_by_role("table")).to_be_visible()


LONG_NAMES = [f"Number {number} of the very long names" for number in range(20)]


@pytest.mark.parametrize("number", [7, 20])
def test_nothing_of_a_large_matrix_is_cut_off(browser, server, trained, number):  # noqa: F811
    def grow(details):
        details["model"]["result"] = {
            "labels": LONG_NAMES[:number],
            "confusion_matrix": [[3] * number] * number,
            "num_test": 3 * number * number,
            "misclassified": [],
        }

    path = f"**/v1/teach/projects/{trained}"
    with project(browser, server, trained) as visit, told(visit.page, path, grow):
        page = visit.page
        page.set_viewport_size({"width": 1280, "height": 850})
        page.reload()
        expect(page.locator(".confusion td")).to_have_count(number**2)
        assert visit.width() <= 1280
        hidden = "box => box.scrollWidth - box.clientWidth"
        room = page.get_by_role("region", name="Confusion matrix").evaluate(hidden)
        assert (room > 0) == (number == 20)
        heads = page.locator(".confusion thead th").all()
        assert max(head.bounding_box()["height"] for head in heads) < 160
        assert max(head.bounding_box()["width"] for head in heads[1:]) < 40
        # The page itself scrolls, and no part of it besides.
        assert (
            page.locator(".outcome").evaluate("box => getComputedStyle(box).overflowY")
            == "visible"
        )
        page.locator("#command").scroll_into_view_if_needed()
        expect(page.locator("#train")).to_be_in_viewport()


def test_the_only_project_cannot_be_deleted(browser, photos, backbone):  # noqa: F811
    def single(content):
        content["is_single"] = True

    options = ("--teach", photos, "--architecture", backbone)
    with serving(*options) as server, Visit(browser, f"{server.url}/teach") as visit:
        page = visit.page
        with told(page, "**/v1/teach/projects", single):
            page.reload()
            expect(page.locator(".project-card")).to_be_visible()
            expect(page.locator("#new-project")).to_be_hidden()
            expect(page.locator(".project-card .delete")).to_be_hidden()


def test_training_is_asked_for_where_events_do_not_come(
    browser,  # noqa: F811
    server,
    photos,
    workshop,
):
    copied(photos, workshop, "polled")
    with project(browser, server, "polled") as visit:
        visit.page.route("**/events", lambda route: route.abort())
        visit.page.locator("#train").click()
        accuracy = visit.page.locator("#accuracy")
        expect(accuracy).to_contain_text("right", timeout=LONG_MS)


def test_a_restart_of_the_server_loses_nothing(browser, tmp_path, backbone, photos):  # noqa: F811
    workshop = tmp_path / "workshop"
    copied(photos, workshop, "colors")
    options = ("--teach", workshop, "--architecture", backbone)
    with serving(*options) as server, project(browser, server, "colors") as visit:
        page = visit.page
        server.end()
        expect(page.locator("#trouble")).to_contain_text("cannot be reached")
        add = card(page, "red").locator(".choose")
        add.set_input_files(
            {
                "name": "late.png",
                "mimeType": "image/png",
                "buffer": png(tiny.pixels("red", 99)),
            }
        )
        expect(card(page, "red").locator(".sending")).to_contain_text("Trying again")
        leaving = "new Event('beforeunload', { cancelable: true })"
        assert not page.evaluate(f"window.dispatchEvent({leaving})")  # it asks
        port = server.url.rsplit(":", 1)[1]
        with serving(*options, "--port", port):
            count(page, "red", 13)
            expect(page.locator("#trouble")).to_be_hidden()
            assert page.evaluate(f"window.dispatchEvent({leaving})")
            page.locator("#train").click()
            expect(page.locator("#accuracy")).to_contain_text("right", timeout=LONG_MS)
        # While nobody answered the browser complained of the network alone.
        visit.complaints[:] = [
            line for line in visit.complaints if "ERR_CONNECTION_REFUSED" not in line
        ]


NAME = "fruit & <b>veg"


def test_projects_are_listed_and_deleted(browser, tmp_path, backbone, photos):  # noqa: F811
    workshop = tmp_path / "workshop"
    copied(photos, workshop, NAME, {"red": 1, "blue": 2, "green": 0})
    options = ("--teach", workshop, "--architecture", backbone)
    with serving(*options) as server, Visit(browser, f"{server.url}/teach") as visit:
        page = visit.page
        only = page.locator(".project-card")
        expect(only).to_contain_text("3 classes, 3 pictures")
        expect(only).to_contain_text("Not trained yet")
        only.get_by_role("link").click()
        expect(page.locator("h1")).to_have_text(NAME)
        expect(page.locator("#missing")).to_have_text(
            "Needs 2 classes with 2 pictures each at least. "
            "Too few: “green” (none), “red” (1)."
        )
        page.go_back()
        page.get_by_label("New project").fill(NAME)
        page.get_by_role("button", name="Create").click()
        expect(page.locator("#project-problem")).to_contain_text("there is already")
        only.get_by_role("button").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_text("No project yet")).to_be_visible()
        assert not (workshop / NAME).exists()
        page.goto(f"{server.url}/teach/none")
        assert visit.failures[-1] == (404, "/teach/none")


def test_of_many_pictures_the_newest_are_shown(browser, server, workshop):  # noqa: F811
    folder = workshop / "many" / "red"
    folder.mkdir(parents=True)
    for number in range(70):
        (folder / f"{number}.png").write_bytes(png(tiny.pixels("red", number)))
    with project(browser, server, "many") as visit:
        images = card(visit.page, "red").locator(".thumbs img")
        expect(images).to_have_count(60)
        visit.page.get_by_role("button", name="Show all 70 pictures").click()
        expect(images).to_have_count(70)


@pytest.fixture(scope="module")
def trained(server, workshop, photos):
    """The name of a project that was trained."""
    copied(photos, workshop, "trained")
    url = f"{server.url}/v1/teach/projects/trained/training"
    httpx.post(url, json={}).raise_for_status()
    with httpx.stream("GET", f"{url}/events", timeout=60) as events:
        assert '"done"' in list(events.iter_lines())[-2]
    return "trained"


@pytest.mark.parametrize(
    ("size", "scheme"), [(PHONE, "dark"), (DESK, "light")], ids=["phone", "desk"]
)
def test_axe_finds_nothing_serious(browser, server, trained, size, scheme):  # noqa: F811
    with Visit(browser, f"{server.url}/teach", size, scheme) as visit:
        row = visit.page.locator(
            ".project-card", has=visit.page.get_by_text("trained", exact=True)
        )
        expect(row).to_contain_text("right")
        assert axe_serious(visit.page) == []
        assert visit.width() <= size[0]
    with project(browser, server, trained, size=size, scheme=scheme) as visit:
        page = visit.page
        expect(page.get_by_role("table")).to_be_visible()
        page.get_by_role("button", name="Camera for red").click()
        page.locator("#try-camera").click()
        expect(page.locator("#try-bars li")).to_have_count(3)
        assert axe_serious(page) == []
        assert visit.width() <= size[0]
        assert page.locator("#train").is_visible()
        page.get_by_role("button", name="Delete the class red").click()
        assert axe_serious(page) == []
