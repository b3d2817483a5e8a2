"""The page in a real browser; `make test-browser` installs what this needs."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
import reports

from edgeclf.choosing.candidates import Candidate
from edgeclf.choosing.outcome import Outcome
from edgeclf.choosing.page import render as render_comparison
from edgeclf.report.page import render

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: make test-browser"
)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
PHONE, DESK = (375, 740), (1280, 900)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: make test-browser"
)

REPORTS = {
    "decors": reports.report(),
    "many": reports.report([f"class number {index}" for index in range(120)]),
    "hostile": reports.report(reports.HOSTILE),
    "two": reports.report(("cat", "dog")),
    "tags": reports.tag_report(),
    "many-tags": reports.tag_report([f"tag number {index}" for index in range(60)]),
    "hostile-tags": reports.tag_report(reports.HOSTILE),
    "nothing": {"title": "Nothing yet"},
    "untested": {**reports.report(), "accuracy": None, "pictures": None},
}
COMPARED = "compared"  # a page of `edgeclf compare`


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox needs rights that containers do not have.
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name, described in REPORTS.items():
        thumbnails = reports.thumbnails(described) if described.get("pictures") else {}
        html = render(described, thumbnails)
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    (folder / f"{COMPARED}.html").write_text(comparison(), encoding="utf-8")
    return folder


def comparison():
    outcomes = []
    for number, name in enumerate(reports.HOSTILE):
        candidate = Candidate(name, name, name, number, "regression", "int8")
        figures = {
            "accuracy": 0.9,
            "latency_ms": 3.0**number,
            "size_bytes": 10**6,
        }
        error = f"Expected. Received: {name}" if number == 2 else None
        outcomes.append(Outcome(candidate, error, **figures))
    return render_comparison(outcomes, outcomes[0], "8 candidates", ["word" * 100])


class Visit:
    """An opened page, and everything it asked for or complained about."""

    def __init__(self, browser, path, size=DESK, scheme="light", **options):
        width, height = size
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **options
        )
        self.page = self.context.new_page()
        self.complaints, self.requests = [], []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        own = path.as_uri()

        def look(route):
            address = route.request.url
            if address == own:
                route.continue_()
            else:
                self.requests.append(address)
                route.abort()

        self.page.route(lambda address: not address.startswith("data:"), look)
        self.page.goto(own)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@pytest.mark.parametrize("name", [*REPORTS, COMPARED])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_page_is_quiet_and_fits(browser, folder, name, size):
    with Visit(browser, folder / f"{name}.html", size) as visit:
        page = visit.page
        for details in page.query_selector_all("details"):
            details.evaluate("element => element.open = true")
        assert visit.complaints == []
        assert visit.requests == []
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
        assert page.evaluate("window.hacked") is None
        assert page.evaluate(
            "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
        )
        # Nothing is cut off either: what is too wide is in a box that scrolls.
        outside = """
            [...document.querySelectorAll("main *, header *")].filter(element => {
              const box = element.getBoundingClientRect();
              const isCut = getComputedStyle(element).clipPath !== "none";
              return box.right > innerWidth + 1 && !isCut && !element.closest(".scroll")
                && !element.closest("svg");
            }).map(element => element.outerHTML.slice(0, 200))
        """
        assert page.evaluate(outside) == []


def test_a_comparison_shows_every_column_at_once(browser, tmp_path):
    outcomes = [
        Outcome(
            Candidate(
                f"candidate-{number}",
                f"mobilenet_v{number}_1.00_224_torchvision",
                "",
                8 * number,
                ("regression", "discriminant")[number % 2],
                ("int8", "float16")[number % 2],
            ),
            model="model.tflite",
            accuracy=0.995,
            accuracy_interval_95=(0.9234, 0.9987),
            accuracy_float=0.995,
            macro_f1=0.995,
            cross_entropy=0.123,
            parameters_trained=11_655,
            parameters_frozen=23_561_152,
            macs=5_678_900_000,
            size_bytes=23_560_000,
            training_s=1234.5,
            latency_ms=112.34,
            latency_p90_ms=123.45,
        )
        for number in range(2)
    ]
    path = tmp_path / "wide.html"
    html = render_comparison(outcomes, outcomes[0], "2 candidates", [])
    path.write_text(html, encoding="utf-8")
    with Visit(browser, path) as visit:
        assert visit.page.locator("thead th").count() == 16
        code = "box => [box.scrollWidth, box.clientWidth]"
        content, room = visit.page.locator(".scroll").evaluate(code)
        assert content <= room


def test_images_are_there(browser, folder):
    with Visit(browser, folder / "decors.html") as visit:
        described = REPORTS["decors"]
        entries = sum(map(len, described["pictures"].values()))
        entries += len(described["mislabelled"])
        assert visit.page.locator("li.card").count() == entries
        assert visit.page.evaluate("document.images.length") > entries


def test_names_of_a_matrix_are_inside_its_picture(browser, folder):
    code = """
        [...document.querySelectorAll("svg.matrix text")].filter(text => {
          const box = text.getBoundingClientRect();
          const edge = text.ownerSVGElement.getBoundingClientRect();
          return box.left < edge.left - 1 || box.right > edge.right + 1
            || box.top < edge.top - 1 || box.bottom > edge.bottom + 1;
        }).map(text => text.textContent)
    """
    for name in ("decors", "many", "two", "tags", "many-tags"):
        with Visit(browser, folder / f"{name}.html") as visit:
            assert visit.page.evaluate(code) == []


def test_tables_are_sorted_when_their_headings_are_pressed(browser, folder):
    described = REPORTS["decors"]
    with Visit(browser, folder / "decors.html") as visit:
        table = visit.page.locator("#classes table")
        table.get_by_role("button", name="Recall").click()
        recalls = table.locator("tbody tr td:nth-of-type(2) .figure").all_inner_texts()
        expected = sorted(entry["recall"] for entry in described["per_class"])
        assert recalls == [f"{100 * recall:.1f}%" for recall in reversed(expected)]
        head = table.locator("th[aria-sort]")
        assert head.get_attribute("aria-sort") == "descending"
        table.get_by_role("button", name="Class").click()
        names = table.locator("tbody th").all_inner_texts()
        assert names == sorted(entry["label"] for entry in described["per_class"])


def test_page_reads_as_well_without_scripts(browser, folder):
    path = folder / "decors.html"
    with Visit(browser, path) as visit:
        words = visit.page.locator("main").inner_text()
    with Visit(browser, path, java_script_enabled=False) as visit:
        assert visit.page.locator("main").inner_text() == words


def test_page_prints_without_cut_tables(browser, folder):
    with Visit(browser, folder / "decors.html", scheme="dark") as visit:
        visit.page.emulate_media(media="print", color_scheme="dark")
        ground = "getComputedStyle(document.body).backgroundColor"
        assert visit.page.evaluate(ground) == "rgb(255, 255, 255)"
        assert not visit.page.locator("nav").is_visible()
        assert visit.page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("decors", "light"),
        ("decors", "dark"),
        ("hostile", "light"),
        ("tags", "light"),
        ("tags", "dark"),
        ("nothing", "dark"),
        (COMPARED, "light"),
    ],
)
def test_axe_finds_nothing(browser, folder, name, scheme):
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-core is not installed: make test-browser")
    axe = Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")
    with Visit(browser, folder / f"{name}.html", DESK, scheme) as visit:
        for details in visit.page.query_selector_all("details"):
            details.evaluate("element => element.open = true")
        visit.page.evaluate(axe)
        result = visit.page.evaluate("axe.run({resultTypes: ['violations']})")
    violations = [
        (violation["id"], node["html"][:200], node["failureSummary"])
        for violation in result["violations"]
        for node in violation["nodes"][:3]
    ]
    assert violations == []
