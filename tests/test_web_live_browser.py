"""The pages Live and Model in a real browser, with its green, moving camera."""

from __future__ import annotations

import hashlib
import json
import math
import time
from contextlib import contextmanager

import model_files as models
import pytest
from reports import HOSTILE, report
from web_browser import ARGUMENTS, CHROMIUM, PHONE, Visit, axe_serious, browser
from web_server import serving

from edgeclf.web.live import watched

__all__ = ["browser"]

LABELS = HOSTILE[:3]
GREEN = "() => document.getElementById('top').textContent === 'green'"
# Playwright's pages are always seen: here somebody looks at another tab.
LOOK_AWAY = """
Object.defineProperty(document, "visibilityState", {value: "%s", configurable: true});
document.dispatchEvent(new Event("visibilitychange"));
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of a model that tells colours apart."""
    path = tmp_path_factory.mktemp("model") / "colors.tflite"
    path.write_bytes(models.own())
    with serving("--model", path) as started:
        yield started


@pytest.fixture(scope="module")
def tag_server(tmp_path_factory):
    """A server of tags with odd names, with a report beside its model."""
    path = tmp_path_factory.mktemp("tags") / "tags.tflite"
    entry = models.record(multi_label=True, thresholds=[0.9, 0.5, 0.1])
    path.write_bytes(models.own(LABELS, entry, activation="logistic"))
    with serving("--model", path) as started:
        yield started


@contextmanager
def posts(page):
    """Yield a list that grows with each picture that is sent."""
    sent = []

    def hear(request):
        if request.method == "POST":
            sent.append(request.url)

    page.on("request", hear)
    yield sent
    page.remove_listener("request", hear)


def until(page, condition, seconds: float = 10) -> None:
    """Wait until something holds, and let the page's events come in meanwhile."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        page.wait_for_timeout(20)


def shown(page, element: str) -> str:
    return page.inner_text(f"#{element}")


def test_the_camera_is_labelled_until_it_is_stopped(browser, server):
    with Visit(browser, f"{server.url}/live") as visit, posts(visit.page) as sent:
        page = visit.page
        page.click("#start")
        page.wait_for_function(GREEN)
        page.wait_for_function(
            "() => parseFloat(document.getElementById('rate').textContent) > 0"
        )
        assert shown(page, "latency").endswith(" ms")
        assert shown(page, "rate").endswith(" / s")
        rows = page.locator("#bars li")
        assert rows.locator(".label").all_inner_texts() == ["red", "green", "blue"]
        assert rows.locator("meter").nth(1).evaluate("meter => meter.value") > 0.5
        assert page.locator("#bars li.given .label").all_inner_texts() == ["green"]
        assert shown(page, "spoken") == "green"
        assert page.evaluate("document.getElementById('video').srcObject.active")
        assert axe_serious(page) == []

        page.click("#start")
        page.wait_for_timeout(300)
        ended = len(sent)
        page.wait_for_timeout(500)
        assert len(sent) == ended
        assert page.evaluate("document.getElementById('video').srcObject") is None
        assert shown(page, "state") == "The camera is off."
        assert visit.failures == []


def test_without_scripts_the_page_says_that_it_needs_them(browser, server):
    with Visit(browser, f"{server.url}/live", java_script_enabled=False) as visit:
        page = visit.page
        assert "needs JavaScript" in page.locator("main .notice").first.inner_text()
        assert not page.locator("#start").is_visible()
        assert not page.locator("#video").is_visible()


def test_one_frame_at_a_time(browser, server):
    """However long the server takes, nothing is queued."""
    with Visit(browser, f"{server.url}/live") as visit:
        page, held = visit.page, []
        page.route("**/v1/classify*", lambda route: held.append(route))
        page.click("#start")
        for number in range(1, 4):
            until(page, lambda number=number: len(held) >= number)
            page.wait_for_timeout(300)
            assert len(held) == number
            held[-1].continue_()
        page.wait_for_function(GREEN)
        page.click("#start")


def test_nothing_is_sent_while_the_tab_is_hidden(browser, server):
    with Visit(browser, f"{server.url}/live") as visit, posts(visit.page) as sent:
        page = visit.page
        page.click("#start")
        page.wait_for_function(GREEN)
        page.evaluate(LOOK_AWAY % "hidden")
        until(page, lambda: "Resting" in shown(page, "state"))
        before = len(sent)
        page.wait_for_timeout(600)
        assert len(sent) == before
        page.evaluate(LOOK_AWAY % "visible")
        page.wait_for_function("() => document.getElementById('state').hidden")
        until(page, lambda: len(sent) > before)


def test_freezing_keeps_the_picture_and_sends_no_more(browser, server):
    with Visit(browser, f"{server.url}/live") as visit, posts(visit.page) as sent:
        page = visit.page
        page.click("#start")
        page.wait_for_function(GREEN)
        page.click("#freeze")
        page.wait_for_timeout(200)
        before = len(sent)
        page.wait_for_timeout(400)
        assert len(sent) == before
        assert (shown(page, "top"), shown(page, "state")) == ("green", "Frozen.")
        page.click("#freeze")
        until(page, lambda: len(sent) > before)


def test_a_busy_server_is_waited_for(browser, server):
    with Visit(browser, f"{server.url}/live") as visit:
        page = visit.page
        problem = {"title": "Busy", "status": 503, "detail": "Too many pictures."}
        page.route(
            "**/v1/classify*",
            lambda route: route.fulfill(
                status=503,
                headers={"Retry-After": "1"},
                content_type="application/problem+json",
                body=json.dumps(problem),
            ),
        )
        page.click("#start")
        page.wait_for_selector("#problem:visible")
        assert shown(page, "problem") == "Too many pictures."
        assert shown(page, "state") == "Waiting for the server."
        page.unroute("**/v1/classify*")
        page.wait_for_function(GREEN)
        assert not page.is_visible("#problem")


def test_what_the_server_refuses_ends_it_with_its_sentence(browser, server):
    with Visit(browser, f"{server.url}/live") as visit:
        page = visit.page
        page.route(
            "**/v1/classify*",
            lambda route: route.fulfill(
                status=401,
                content_type="application/problem+json",
                body=json.dumps({"detail": "Log in."}),
            ),
        )
        page.click("#start")
        page.wait_for_selector("#problem:visible")
        assert shown(page, "problem") == "Log in."
        assert page.evaluate("document.getElementById('video').srcObject") is None
        assert shown(page, "start") == "Start camera"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--use-fake-device-for-media-stream"], "The camera was refused."),
        (["--use-fake-ui-for-media-stream"], "No camera was found."),
    ],
)
def test_a_camera_refused_or_missing_is_said(server, browser, arguments, sentence):
    started = browser.browser_type.launch(
        executable_path=CHROMIUM, args=["--no-sandbox", *arguments]
    )
    try:
        with Visit(started, f"{server.url}/live") as visit:
            visit.page.click("#start")
            visit.page.wait_for_selector("#problem:visible")
            assert shown(visit.page, "problem").startswith(sentence)
            assert shown(visit.page, "start") == "Start camera"
    finally:
        started.close()
    assert "--use-fake-device-for-media-stream" in ARGUMENTS  # of all others here


RECORDED = """async () => {
  const stream = await navigator.mediaDevices.getUserMedia({video: true});
  const recorder = new MediaRecorder(stream, {mimeType: "video/webm"});
  const parts = [];
  recorder.ondataavailable = event => parts.push(event.data);
  const ended = new Promise(resolve => { recorder.onstop = resolve; });
  recorder.start();
  await new Promise(resolve => setTimeout(resolve, 700));
  recorder.stop();
  await ended;
  stream.getTracks().forEach(track => track.stop());
  return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
}"""


def test_a_video_is_labelled_too(browser, server):
    with Visit(browser, f"{server.url}/live") as visit:
        page = visit.page
        video = bytes(page.evaluate(RECORDED))
        page.set_input_files(
            "#file", {"name": "v.webm", "mimeType": "video/webm", "buffer": video}
        )
        page.wait_for_function(GREEN)
        assert shown(page, "start") == "Stop video"
        page.click("#start")
        assert page.get_attribute("#video", "src") is None
        page.set_input_files(
            "#file", {"name": "no.mp4", "mimeType": "video/mp4", "buffer": b"no"}
        )
        page.wait_for_selector("#problem:visible")
        assert "cannot play no.mp4" in shown(page, "problem")


def test_not_sure_below_the_threshold(browser, server):
    with Visit(browser, f"{server.url}/live") as visit:
        page = visit.page
        page.click("#start")
        page.wait_for_function(GREEN)
        page.click("summary")
        page.locator("#least").evaluate(
            "range => { range.value = 100; range.dispatchEvent(new Event('input')); }"
        )
        page.wait_for_function(
            "() => document.getElementById('top').textContent === 'Not sure'"
        )
        assert shown(page, "least-shown") == "100%"
        page.check("#mirror")
        assert "mirrored" in page.get_attribute("#video", "class")


def test_tags_from_their_thresholds_on(browser, tag_server):
    """The camera is green: the second tag; the third needs almost nothing."""
    with Visit(browser, f"{tag_server.url}/live", PHONE, "dark") as visit:
        page = visit.page
        page.click("#start")
        page.wait_for_function("() => document.querySelector('#bars li.given')")
        page.wait_for_timeout(300)
        given = page.locator("#bars li.given .label").all_text_contents()
        assert LABELS[1] in given
        assert LABELS[0] not in given
        assert page.evaluate("window.hacked") is None
        assert visit.width() <= PHONE[0]
        assert axe_serious(page) == []


def test_the_page_of_a_model(browser, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(models.own(LABELS))
    values = report(LABELS)
    values["model"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(values), encoding="utf-8")
    with serving("--model", path) as server:
        with Visit(browser, f"{server.url}/model") as visit:
            page = visit.page
            assert page.evaluate("window.hacked") is None
            assert page.locator("svg.matrix").count() == 1
            column = page.locator("#classes th:has-text('Test pictures') button")
            column.click()
            counts = page.locator("#classes tbody td:nth-child(2)").all_inner_texts()
            assert counts == sorted(counts, key=int, reverse=True)
            assert axe_serious(page) == []
            with page.expect_download() as download:
                page.click("text=Model (.tflite)")
            assert download.value.suggested_filename == "model.tflite"
            assert download.value.path().read_bytes() == path.read_bytes()
        with Visit(browser, f"{server.url}/model", PHONE, "dark") as visit:
            assert visit.width() <= PHONE[0]
            assert axe_serious(visit.page) == []


def test_smoothing_is_a_mean_that_forgets(browser, server):
    """A frame that is 0.5 s old counts exp(-1) of a new one, whatever the rate."""
    frames = [
        (0.0, {0: 0.9, 1: 0.1}), (0.2, {0: 0.5, 1: 0.5}), (0.7, {1: 0.8, 2: 0.2}),
    ]  # fmt: skip
    expected, last = {}, None
    for moment, scores in frames:
        kept = 0.0 if last is None else math.exp(-(moment - last) / 0.5)
        for index in {*expected, *scores}:
            old, new = expected.get(index, 0.0), scores.get(index, 0.0)
            expected[index] = kept * old + (1 - kept) * new
        last = moment
    with Visit(browser, f"{server.url}/live") as visit:
        means = visit.page.evaluate(
            """async frames => {
              const { Smoother } = await import("/static/smooth.js");
              const smoother = new Smoother(0.5);
              let means;
              for (const [time, scores] of frames) {
                const categories = Object.entries(scores).map(
                  ([index, score]) => ({ index: Number(index), label: null, score }));
                means = smoother.add(categories, time);
              }
              return means;
            }""",
            frames,
        )
    assert [mean["index"] for mean in means] == [1, 0, 2]
    for mean in means:
        assert mean["score"] == pytest.approx(expected[mean["index"]], abs=1e-9)


def test_bars_of_many_classes_do_not_jump(browser, server):
    """The order changes once in a while, the scores at once."""
    with Visit(browser, f"{server.url}/live") as visit:
        first, second, third = visit.page.evaluate(
            """async () => {
              const { SteadyBars } = await import("/static/steady.js");
              const list = document.createElement("ol");
              const bars = new SteadyBars(list);
              const scored = sign => Array.from({ length: 12 }, (_, index) => (
                { index, label: `c${index}`, score: 0.5 + sign * index / 100 }
              )).sort((a, b) => b.score - a.score);
              const said = () => [...list.children].map(row => row.textContent);
              bars.show(scored(-1), () => false);
              const first = said();
              bars.show(scored(1), () => false);
              const second = said();
              await new Promise(resolve => setTimeout(resolve, 800));
              bars.show(scored(1), () => false);
              return [first, second, said()];
            }"""
        )
    assert first == [f"c{index}{50 - index}%" for index in range(8)]
    assert second == [f"c{index}{50 + index}%" for index in range(8)]
    assert third == [f"c{index}{50 + index}%" for index in range(11, 3, -1)]


def test_frames_are_small_and_scores_many():
    class Wide:
        num_classes, input_size, multi_label = 1000, (64, 64), False

    class Model:
        classifier = Wide()

    assert watched(Model()) == {"top_k": 100, "side": 320, "thresholds": None}
