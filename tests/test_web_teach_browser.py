"""Teaching in a real browser, on the real server: from zero to a model that labels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import tiny
import web_server
from PIL import Image
from web_browser import PHONE, Visit, axe_serious, browser, sync_api  # noqa: F401
from web_server import serving

pytest.importorskip("ai_edge_quantizer", reason="training is not installed")

expect = sync_api.expect
LONG_MS = 60_000  # of a training, on a machine that does much else


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("backbone") / "tiny.tflite"
    path.write_bytes(tiny.backbone_file())
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("photos"), 12)


@pytest.fixture
def workshop(tmp_path):
    return tmp_path / "workshop"


@pytest.fixture
def server(workshop, backbone):
    with serving("--teach", workshop, "--architecture", backbone) as running:
        yield running


@contextmanager
def project(browser, server, name="colors", **options):  # noqa: F811
    with Visit(browser, f"{server.url}/teach/{quote(name)}", **options) as visit:
        expect(visit.page.locator("#new-class")).to_be_visible()
        yield visit


def card(page, name):
    return page.locator(f'.class-card[data-name="{name}"]')


def pictures(folder, color):
    return sorted((folder / color).iterdir())


def copied(photos, workshop, name="colors", counts=None):
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
        expect(page.get_by_text("No project yet")).to_be_visible()
        page.get_by_label("New project").fill("My colours")
        page.get_by_role("button", name="Create").click()
        page.wait_for_url("**/teach/My%20colours")
        train = page.get_by_role("button", name="Train")
        expect(page.locator("#missing")).to_contain_text("2 classes with 2 pictures")
        expect(train).to_have_attribute("aria-disabled", "true")
        for color in ("red", "blue"):
            add_class(page, color)
            card(page, color).locator(".choose").set_input_files(pictures(photos, color))
            count(page, color, 12)
        assert card(page, "red").locator(".thumbs img").count() == 12
        expect(train).to_have_attribute("aria-disabled", "false")
        train.click()
        expect(page.locator("#accuracy")).to_have_text("100.0 % right", timeout=LONG_MS)
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
