"""What comes twice, late, or is taken away, on the pages in a real browser."""

from __future__ import annotations

import json

import httpx
import model_files as models
import pytest
import tiny
from bot_process import jpeg
from web_browser import (
    PHONE,
    Visit,
    browser,  # noqa: F401 - a fixture
    sync_api,
)
from web_server import serving

pytest.importorskip("ai_edge_quantizer", reason="training is not installed")
expect = sync_api.expect

# Keeps all streams of the camera that the page was given.
KEEP_STREAMS = """() => {
  window.streams = [];
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async options => {
    const stream = await open(options);
    await new Promise(resolve => setTimeout(resolve, 200)); // somebody is asked
    streams.push(stream);
    return stream;
  };
}"""
RUNNING = "streams.filter(stream => stream.active).length"
TAKE_AWAY = """() => {
  const [track] = streams.at(-1).getVideoTracks();
  track.stop();
  track.dispatchEvent(new Event("ended"));
}"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    photos = tiny.write_folder(tmp_path_factory.mktemp("photos"), 8)
    workshop = tmp_path_factory.mktemp("workshop")
    photos.rename(workshop / "colors")
    return workshop


@pytest.fixture(scope="module")
def server(workshop, tmp_path_factory):
    """A server with every page, and a project that was trained."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "tiny.tflite").write_bytes(tiny.backbone_file())
    (folder / "colors.tflite").write_bytes(models.own())
    options = ("--model", folder / "colors.tflite", "--teach", workshop)
    chat = ("--chat_url", "http://127.0.0.1:9/v1")
    with serving(*options, "--architecture", folder / "tiny.tflite", *chat) as server:
        url = f"{server.url}/v1/teach/projects/colors/training"
        httpx.post(url, json={}).raise_for_status()
        with httpx.stream("GET", f"{url}/events", timeout=60) as events:
            assert '"done"' in list(events.iter_lines())[-2]
        yield server


@pytest.fixture
def predict(browser, server):  # noqa: F811
    with Visit(browser, server.url) as visit:
        yield visit.page


@pytest.fixture
def project(browser, server):  # noqa: F811
    with Visit(browser, f"{server.url}/teach/colors") as visit:
        expect(visit.page.locator("#try-camera")).to_be_visible()
        yield visit.page


def double_click(page, element, after) -> None:
    """Press twice at a place; the second time when the first has had its effect."""
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    after()
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)


def test_a_double_click_takes_one_photograph(predict):
    predict.get_by_role("button", name="Photograph").click()
    shoot = predict.locator("#shoot")
    expect(shoot).to_be_enabled()
    shoot.evaluate("button => { button.click(); button.click(); }")
    expect(predict.locator("#camera")).to_be_hidden()
    expect(predict.locator(".picture .bars li").first).to_be_visible()
    predict.wait_for_timeout(300)
    expect(predict.locator(".picture")).to_have_count(1)


def test_a_window_opened_again_leaves_one_camera_on(predict):
    predict.evaluate(KEEP_STREAMS)
    photograph = predict.get_by_role("button", name="Photograph")
    for _ in range(2):
        photograph.click()
        predict.keyboard.press("Escape")
    photograph.click()
    expect(predict.locator("#shoot")).to_be_enabled()
    predict.wait_for_function("() => streams.length === 3")
    assert predict.evaluate(RUNNING) == 1
    predict.keyboard.press("Escape")
    predict.wait_for_function(f"() => {RUNNING} === 0")


def test_a_camera_that_is_taken_away_is_said(predict, project):
    predict.evaluate(KEEP_STREAMS)
    predict.get_by_role("button", name="Photograph").click()
    expect(predict.locator("#shoot")).to_be_enabled()
    predict.evaluate(TAKE_AWAY)
    expect(predict.locator("#camera-error")).to_contain_text("The camera has gone.")
    expect(predict.locator("#shoot")).to_be_disabled()

    project.evaluate(KEEP_STREAMS)
    project.get_by_role("button", name="Camera for red").click()
    expect(project.get_by_role("button", name="Hold to record red")).to_be_enabled()
    project.evaluate(TAKE_AWAY)
    expect(project.locator("#trouble")).to_contain_text("The camera has gone.")
    expect(project.locator('[data-name="red"] .recorder')).to_be_hidden()
    project.locator("#try-camera").click()
    expect(project.locator("#try-bars li")).to_have_count(3)
    project.evaluate(TAKE_AWAY)
    expect(project.locator("#try-problem")).to_contain_text("The camera has gone.")
    expect(project.locator("#try-camera")).to_have_attribute("aria-pressed", "false")


def test_a_class_camera_opened_again_leaves_one_on(project):
    project.evaluate(KEEP_STREAMS)
    camera = project.get_by_role("button", name="Camera for red")
    for _ in range(3):
        camera.click()
    project.wait_for_function("() => streams.length === 2")
    button = project.get_by_role("button", name="Hold to record red")
    expect(button).to_be_enabled()
    assert project.evaluate(RUNNING) == 1
    camera.click()
    assert project.evaluate(RUNNING) == 0


def test_a_double_click_deletes_one_picture(project, workshop):
    thumbs = project.locator('[data-name="green"] .thumbs li')
    expect(thumbs).to_have_count(8)
    double_click(
        project,
        thumbs.first.get_by_role("button"),
        lambda: expect(thumbs).to_have_count(7),
    )
    project.wait_for_timeout(300)
    assert len(list((workshop / "colors" / "green").iterdir())) == 7


def test_a_double_click_on_a_card_removes_one(predict):
    files = [
        {"name": f"{name}.jpg", "mimeType": "image/jpeg", "buffer": jpeg(name)}
        for name in models.COLORS
    ]
    predict.set_input_files("#files", files)
    expect(predict.locator("#progress")).to_be_hidden()
    cards = predict.locator(".picture")
    remove = cards.first.get_by_role("button", name="Remove")
    double_click(predict, remove, lambda: expect(cards).to_have_count(2))
    predict.wait_for_timeout(300)
    expect(cards).to_have_count(2)


def test_a_double_click_on_train_does_not_cancel(project):
    asked = []
    project.on("request", lambda request: asked.append(request.method))
    # A status that stays: the training itself may end before the second click.
    status = {
        "state": "running",
        "stage": "head",
        "done": 0,
        "total": 0,
        "seconds": 0.1,
        "message": "",
        "result": None,
    }
    project.route(
        "**/training*",
        lambda route: route.fulfill(status=202, body=json.dumps(status)),
    )
    project.route("**/events", lambda route: route.abort())
    double_click(
        project,
        project.locator("#train"),
        lambda: expect(project.locator("#cancel")).to_be_visible(),
    )
    project.wait_for_timeout(300)
    assert "DELETE" not in asked
    with project.expect_request(lambda request: request.method == "DELETE"):
        project.locator("#cancel").click()


def test_a_class_is_added_once(project):
    posts = []
    project.on("request", lambda asked: asked.method == "POST" and posts.append(asked))
    project.get_by_label("New class").fill("grey")
    project.locator("#new-class").evaluate(
        "form => { form.requestSubmit(); form.requestSubmit(); }"
    )
    expect(project.locator('[data-name="grey"]')).to_be_visible()
    expect(project.get_by_label("New class")).to_have_value("")
    expect(project.locator("#class-problem")).to_be_empty()
    assert len(posts) == 1
    project.get_by_role("button", name="Delete the class grey").click()
    expect(project.locator('[data-name="grey"]')).to_have_count(0)


def test_labels_of_an_older_picture_are_not_shown(project, workshop):
    held = []
    project.route("**/classify*", lambda route: held.append(route))
    for number, color in enumerate(("red", "blue")):
        files = sorted((workshop / "colors" / color).iterdir())
        project.locator("#try-file").set_input_files(files[0])
        while len(held) <= number:
            project.wait_for_timeout(20)
    held[1].continue_()
    best = project.locator("#try-bars li:first-child .label")
    expect(best).to_have_text("blue")
    held[0].continue_()
    project.wait_for_timeout(300)
    expect(best).to_have_text("blue")


def test_an_older_answer_does_not_undo_a_newer_one(project):
    held = []
    wanted = "**/projects/colors?all=1"
    project.route(
        wanted, lambda route: route.continue_() if held else held.append(route)
    )
    count = project.locator('[data-name="blue"] .count')
    expect(count).to_have_text("8 pictures")
    show_all = project.locator('[data-name="blue"] .show-all')
    # What is asked for first is answered last.
    show_all.evaluate("button => button.click()")
    while not held:
        project.wait_for_timeout(20)
    with project.expect_response(wanted):
        show_all.evaluate("button => button.click()")
    old = {"classes": [], "training": None, "model": None}
    held[0].fulfill(status=200, body=json.dumps(old))
    project.wait_for_timeout(300)
    assert project.locator(".class-card").count() == 3


def test_labelling_a_camera_leaves_no_listeners(browser, server):  # noqa: F811
    with Visit(browser, f"{server.url}/live") as visit:
        page = visit.page
        page.evaluate(
            """() => {
              window.left = 0;
              const { prototype } = AbortSignal;
              const { addEventListener: add, removeEventListener: remove } = prototype;
              prototype.addEventListener = function (...given) {
                window.left += 1;
                return add.apply(this, given);
              };
              prototype.removeEventListener = function (...given) {
                window.left -= 1;
                return remove.apply(this, given);
              };
            }"""
        )
        page.click("#start")
        with page.expect_response("**/classify*"):
            pass
        for _ in range(8):
            with page.expect_response("**/classify*"):
                pass
        assert page.evaluate("window.left") <= 1


@pytest.mark.parametrize("path", ["/", "/about"])
def test_all_pages_can_be_reached_on_a_telephone(browser, server, path):  # noqa: F811
    with Visit(browser, server.url + path, PHONE) as visit:
        right = "link => link.getBoundingClientRect().right"
        links = visit.page.locator("nav[aria-label=Pages] a")
        assert links.count() == 6
        assert links.last.evaluate(right) <= PHONE[0]
