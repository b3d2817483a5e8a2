import base64
import copy
import json
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import reports

from edgeclf.report import charts, matrix
from edgeclf.report.axes import Axis, spanning
from edgeclf.report.card import command
from edgeclf.report.confusion import HIT, MISS, confusion_matrix
from edgeclf.report.curves import COLORS, HEIGHT, WIDTH, learning_curve, training_curves
from edgeclf.report.figures import file_size, percent
from edgeclf.report.markup import Markup, element, join, text
from edgeclf.report.page import Thumbnails, render
from edgeclf.report.style import STYLE

VOID = {"meta", "img", "br", "col"}
SECTIONS = [
    "classes",
    "confusion",
    "pictures",
    "mislabelled",
    "learning",
    "calibration",
    "reject",
    "training",
    "data",
    "limits",
    "model",
    "reproduce",
]


class Page(HTMLParser):
    """Elements with their attributes and text; fails where tags do not match."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.elements = [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"twice the same attribute: {names}"
        item = {"tag": tag, "text": "", **dict(attributes)}
        self.elements.append(item)
        if tag not in VOID:
            self.open.append(item)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for item in self.open:
            item["text"] += data

    def all(self, tag, **attributes):
        return [
            item
            for item in self.elements
            if item["tag"] == tag
            and all(item.get(name) == value for name, value in attributes.items())
        ]

    def sections(self):
        return [item["id"] for item in self.all("section")]

    def section(self, key):
        (found,) = self.all("section", id=key)
        return found["text"]


@pytest.fixture(scope="module")
def described():
    return reports.report()


@pytest.fixture(scope="module")
def html(described):
    return render(described, reports.thumbnails(described))


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def without(described, *keys):
    described = copy.deepcopy(described)
    part = described
    for key in keys[:-1]:
        part = part[key]
    del part[keys[-1]]
    return described


def test_every_section_is_there_and_in_the_contents(page):
    assert page.sections() == SECTIONS
    links = [item["href"] for item in page.all("a") if item["href"] != "#figures"]
    assert links == [f"#{key}" for key in SECTIONS]
    ids = [item["id"] for item in page.elements if "id" in item]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("key", "section"),
    [
        ("per_class", "classes"),
        ("confusion_matrix", "confusion"),
        ("pictures", "pictures"),
        ("mislabelled", "mislabelled"),
        ("learning_curve", "learning"),
        ("calibration", "calibration"),
        ("reject", "reject"),
        ("training_curves", "training"),
        ("data", "data"),
        ("model", "model"),
    ],
)
def test_sections_that_are_not_known_are_left_out(described, key, section):
    missing = Page(render(without(described, key), {}))
    empty = Page(render({**described, key: None}, {}))
    assert missing.sections() == empty.sections()
    assert section not in missing.sections()
    assert set(SECTIONS) - set(missing.sections()) <= {section, "confusion"}


def test_a_report_of_nothing_is_a_page_with_its_title():
    page = Page(render({"title": "Nothing yet"}, {}))
    assert page.all("h1")[0]["text"] == "Nothing yet"
    assert page.sections() == []
    assert page.all("svg") == []


def test_parts_without_their_figures_are_still_pages(described):
    for keys in (
        ("accuracy", "float"),
        ("accuracy", "device"),
        ("latency",),
        ("settings",),
        ("versions",),
        ("data", "image_dir"),
        ("reject", "rule"),
        ("learning_curve", "verdict"),
        ("calibration", "ece_before"),
    ):
        Page(render(without(described, *keys), {}))
    described = copy.deepcopy(described)
    for entry in described["per_class"]:
        entry.update(recall=None, precision=None, f1=None, recall_interval_95=None)
    described["accuracy"]["device"].update(interval_95=None, num=None)
    Page(render(described, {}))
    described["accuracy"]["device"]["accuracy"] = None
    assert "nan%" not in render(described, {})


def test_a_report_of_another_format_is_refused(described):
    with pytest.raises(ValueError, match=r"format_version 1. Received: 2.*again"):
        render({**described, "format_version": 2}, {})


def test_headline_says_what_was_measured(described, page):
    device = described["accuracy"]["device"]
    low, high = device["interval_95"]
    (header,) = page.all("header")
    hits = round(device["accuracy"] * device["num"])
    assert f"{100 * device['accuracy']:.1f}%" in header["text"]
    assert f"{hits} of {device['num']} test pictures" in header["text"]
    assert "on the int8 file" in header["text"]
    assert f"{100 * low:.1f}% to {100 * high:.1f}%" in header["text"]
    assert "quantization costs 1.2 points" in header["text"]
    assert "1.00 MB" in header["text"]
    assert "1.43 ms" in header["text"]


def test_tables_hold_the_figures_of_each_class(described, page):
    words = page.section("classes")
    for entry in described["per_class"]:
        assert entry["label"] in words
        assert percent(entry["recall"]) in words
    heads = [item for item in page.all("th") if item.get("scope") == "col"]
    rows = [item for item in page.all("th") if item.get("scope") == "row"]
    assert len(heads) + len(rows) == len(page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))


def test_headings_are_in_order(page):
    levels = [int(e["tag"][1]) for e in page.elements if re.match("h[1-6]$", e["tag"])]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in zip(levels, levels[1:]))  # noqa: B905, RUF007


def test_page_loads_nothing(html, page):
    addresses = [
        item[name]
        for item in page.elements
        for name in ("src", "href", "data", "srcset", "action", "poster")
        if name in item
    ]
    assert all(address.startswith(("data:image/jpeg", "#")) for address in addresses)
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy["content"]
    assert "style" not in {name for item in page.elements for name in item}
    assert "url(" not in html
    assert "@import" not in html
    assert page.all("link") == []


def test_pictures_are_inside_with_words_for_those_who_cannot_see_them(described, page):
    thumbnails = reports.thumbnails(described)
    images = page.all("img")
    contents = [base64.b64decode(item["src"].partition(",")[2]) for item in images]
    for thumbnail in thumbnails.values():
        assert thumbnail.picture in contents
        assert thumbnail.heat_map is None or thumbnail.heat_map in contents
    assert all(item["alt"] for item in images)
    for drawing in page.all("svg"):
        is_named = drawing.get("role") == "img" and drawing["text"]
        assert is_named or drawing.get("aria-hidden") == "true"


def test_pictures_without_thumbnails_are_named(described):
    page = Page(render(described, {}))
    assert page.all("img") == []
    for entry in described["pictures"]["worst"]:
        assert entry["file"] in page.section("pictures")


def test_names_cannot_break_out_of_the_page():
    described = reports.report(reports.HOSTILE)
    described["title"] = '<b>&"'
    described["settings"]["<i>"] = "</code><script>"
    described["model"]["solver"] = "<u>'\""
    html = render(described, reports.thumbnails(described))
    page = Page(html)
    plain = Page(render(reports.report(), reports.thumbnails(reports.report())))
    allowed = {item["tag"] for item in plain.elements}
    assert {item["tag"] for item in page.elements} <= allowed
    assert len(page.all("script")) == 1
    assert len(page.all("h1")) == 1
    assert not any(name.startswith("on") for item in page.elements for name in item)
    words = page.section("classes")
    for label in reports.HOSTILE[:-1]:
        assert label in words
    assert "a\ufffdb\ufffd[31m\ufffd & &amp; %s {0} \\" in words
    html.encode()  # no surrogates


def test_markup_escapes_all_but_markup():
    assert text("<&>\"'") == "&lt;&amp;&gt;&quot;&#x27;"
    cell = element("td", "<b>", class_='a"b', hidden=True, title=None, open=False)
    assert cell == '<td class="a&quot;b" hidden>&lt;b&gt;</td>'
    assert element("tr", [cell, None, 3]) == f"<tr>{cell}3</tr>"
    assert join(cell + "<b>") == text(str(cell) + "<b>")  # a sum is text again
    assert 'title="&lt;br&gt;"' in element("p", title=Markup("<br>"))
    assert element("br") == "<br>"
    assert element("rect", x=1.0, y=0.125) == '<rect x="1" y="0.12"/>'


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "0.0%"),
        (1.0, "100.0%"),
        (0.96428, "96.4%"),
        (0.9996, "99.96%"),
        (0.99999, "over 99.99%"),
        (0.9999999998, "100.0%"),
        (1e-17, "0.0%"),
        (0.0001, "0.01%"),
        (0.00001, "under 0.01%"),
        (None, "\u2013"),
        (float("nan"), "\u2013"),
    ],
)
def test_percentages_do_not_round_to_all_or_nothing(share, words):
    assert percent(share) == words


def test_sizes_have_the_unit_that_fits():
    sizes = (999, 99_949, 100_000, 1_001_213, 250_000_000)
    words = ["1.0 kB", "99.9 kB", "0.10 MB", "1.00 MB", "250.00 MB"]
    assert [file_size(size) for size in sizes] == words


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([0.83, 0.97], {"is_percent": True}),
        ([0.5, 0.5], {"is_percent": True}),
        ([1.0, 1.0], {"is_percent": True}),
        ([0.9981, 0.9993], {"is_percent": True}),
        ([0, 224], {}),
        ([7, 7], {}),
        ([-3.2, 1e6], {}),
        ([1e-9, 2e-9], {}),
        ([0.7, 130.0], {"is_log": True}),
        ([0.0, 130.0], {"is_log": True}),
        ([2.6, 3.1], {"is_log": True}),
        ([1.2, 9.0], {"is_log": True}),
    ],
)
def test_axes_hold_their_values_and_have_a_few_ticks(values, options):
    axis = spanning("x", values, **options)
    ticks = axis.ticks()
    assert axis.low <= min(values)
    assert axis.high >= max(values)
    assert 2 <= len(ticks) <= 9
    assert len({words for _, words in ticks}) == len(ticks)
    places = [axis.share(value) for value, _ in ticks]
    assert places == sorted(places)
    assert 0 <= places[0] < places[-1] <= 1


def test_ticks_say_where_they_are():
    axis = Axis("x", 0.8, 1.0, is_percent=True)
    assert axis.ticks() == [
        (pytest.approx(value / 100), f"{value}%") for value in (80, 85, 90, 95, 100)
    ]
    axis = Axis("x", 1, 100, is_log=True)
    assert [words for _, words in axis.ticks()] == [
        "1",
        "2",
        "5",
        "10",
        "20",
        "50",
        "100",
    ]
    assert axis.share(10) == pytest.approx(0.5)


def test_charts_draw_the_values_where_they_are(page, described):
    points = described["learning_curve"]["points"]
    titles = {item["text"]: index for index, item in enumerate(page.elements)
              if item["tag"] == "title"}  # fmt: skip
    axis = spanning("", [point[k] for point in points for k in ("low", "high")],
                    is_percent=True)  # fmt: skip
    for point in points:
        words = f"{point['num_train']:,} pictures: {percent(point['accuracy'])}"
        dot = page.elements[titles[words] - 1]
        assert dot["tag"] == "circle"
        share = (charts.BOTTOM - float(dot["cy"])) / (charts.BOTTOM - charts.TOP)
        drawn = axis.low + share * (axis.high - axis.low)
        assert drawn == pytest.approx(point["accuracy"], abs=1e-4)
        share = (float(dot["cx"]) - charts.LEFT) / (charts.RIGHT - charts.LEFT)
        assert 250 * share == pytest.approx(point["num_train"], abs=0.02)


def test_calibration_shows_the_bins_that_hold_pictures(described, page):
    words = page.section("calibration")
    for entry in described["calibration"]["bins"]:
        line = f"{percent(entry['low'])} to {percent(entry['high'])}: "
        assert (line in words) == (entry["count"] > 0)
    assert "error is 3.1%; before calibration it was 17.9%" in words


def test_reject_rule_is_in_words(described, page):
    assert "answers 87.0%, of these 95.1% right" in page.section("reject")
    assert "answered 87.0%" in page.section("limits")
    described = copy.deepcopy(described)
    described["reject"]["rule"] = None
    page = Page(render(described, {}))
    assert "no rule" in page.section("reject")
    assert "always gives one of its classes" in page.section("limits")
    described["reject"]["rule"] = {"coverage": 0.0, "accuracy": None}
    page = Page(render(described, {}))
    assert "takes every picture for unknown" in page.section("reject")
    assert "takes every test picture for unknown" in page.section("limits")
    described["reject"]["rule"] = {"coverage": 0.9, "accuracy": 1.0}
    described["reject"]["background"] = {"num": 15, "rejected": 0.8}
    words = Page(render(described, {})).section("limits")
    assert "Of 15 pictures of no class that it had not seen, it took 80.0%" in words
    described["command"] = "evaluate"
    words = Page(render(described, {})).section("limits")
    assert "Of 15 pictures of no class, it took 80.0%" in words


def test_matrix_fills_the_cells_that_count():
    counts = [[3, 1, 0], [0, 0, 2], [0, 0, 0]]
    assert matrix.cells(counts) == [
        (0, 0, 3, 0.75),
        (0, 1, 1, 0.25),
        (1, 1, 0, 0.0),
        (1, 2, 2, 1.0),
    ]
    pairs = matrix.most_confused(counts, ["a", "b", "c"])
    assert pairs == [("b", "c", 2, 1.0), ("a", "b", 1, 0.25)]
    drawn = Page(matrix.draw(counts, ["a", "b", "c"]))
    side = matrix.Grid(3).side
    cells = [item for item in drawn.all("rect") if "fill-opacity" in item]
    left = float(drawn.all("rect", **{"class": "sheet"})[0]["x"])
    columns = [round((float(cell["x"]) - left) / side) for cell in cells]
    assert columns == [0, 1, 1, 2]
    assert [cell["class"] for cell in cells] == ["hit", "miss", "hit", "miss"]
    opacities = [float(cell["fill-opacity"]) for cell in cells]
    assert opacities[2] < opacities[1] < opacities[0] < opacities[3]
    texts = [item["text"] for item in drawn.all("text", **{"class": "count"})]
    assert texts == ["3", "1", "0", "2"]


@pytest.mark.parametrize("num_classes", [2, 8, 9, 30, 31, 60, 130, 131, 1000])
def test_matrices_of_any_size_have_their_room(num_classes):
    grid = matrix.Grid(num_classes)
    assert 100 <= grid.side * num_classes <= 2100
    assert grid.has_names == (num_classes <= 130)
    assert grid.has_counts == (num_classes <= 30)


def test_many_classes_show_the_weakest_first():
    described = reports.report([f"class {index}" for index in range(120)])
    page = Page(render(described, {}))
    tables = page.all("table")
    recalls = [entry["recall"] for entry in described["per_class"]]
    weakest = f"class {recalls.index(min(recalls))}"
    first = tables[0]["text"]
    assert first.startswith("Weakest classes")
    assert weakest in first
    assert "All 120 classes" in page.section("classes")
    assert page.section("classes").count("class 7") >= 11  # 7 and 70 to 79


def test_scatter_draws_and_names_every_point():
    points = [
        charts.Point(1, 1.4, 0.91, "small", 0.88, 0.93, is_best=True),
        charts.Point(2, 1.4, 0.91, "<small>"),
        charts.Point(4, 55.0, 0.96, "large"),
    ]
    page = Page(charts.scatter(points, "latency, ms", "accuracy"))
    numbers = page.all("text", **{"class": "number"})
    assert [item["text"] for item in numbers] == ["1", "2", "4"]
    dots = page.all("circle")
    assert [dot["class"] for dot in dots] == ["dot one best", "dot one", "dot one"]
    assert [dot["cx"] for dot in dots] == [number["x"] for number in numbers]
    assert "<small>: latency, ms 1.4, accuracy 91.0%" in dots[1]["text"]
    assert float(dots[2]["cx"]) > float(dots[0]["cx"]) + 200
    assert float(dots[2]["cy"]) < float(dots[0]["cy"])
    assert len(page.all("line", **{"class": "whisker"})) == 1


@pytest.mark.parametrize("width", [20.0, 60.0, 400.0])
@pytest.mark.parametrize("label", ["Wycinanki łowickie", "m" * 200, "花" * 50, ""])
def test_names_are_shortened_to_their_room(label, width):
    short = charts.shortened(label, width)
    assert charts.text_width(short) <= width
    assert short == label or (short.endswith("…") and label.startswith(short[:-1]))


def test_command_can_be_run_again(described):
    words = shlex.split(command(described).replace("\\\n", ""))
    assert words == [
        "edgeclf", "retrain", "--image_dir", "my photos", "--seed", "0",
        "--views", "8", "--reject", "--title", "two words",
    ]  # fmt: skip
    described = {**described, "command": "evaluate", "settings": {"labels": ["a", "b"]}}
    described["model"] = {**described["model"], "path": "old models/model.tflite"}
    words = shlex.split(command(described).replace("\\\n", ""))
    assert words == ["edgeclf", "evaluate", "old models/model.tflite", "my photos",
                     "--labels", "a,b"]  # fmt: skip
    assert command({"command": "retrain"}) is None
    assert command({"command": "evaluate"}) is None


def test_card_tells_the_limits_that_were_measured(described, page):
    words = page.section("limits")
    weakest = min(described["per_class"], key=lambda entry: entry["recall"])
    assert "It tells 7 classes of pictures apart: Gorodets, " in words
    assert f"weakest class is {weakest['label']}: {percent(weakest['recall'])}" in words
    assert "It learned from 224 pictures" in words
    assert "that it had not seen" in words
    evaluated = Page(render({**described, "command": "evaluate"}, {}))
    assert "had not seen" not in evaluated.section("limits")
    assert "trained with make the figures too good" in evaluated.section("limits")
    few = Page(render(reports.report(num_test=4), {}))
    assert "7 classes have fewer than 10 test pictures" in few.section("limits")


def test_labels_without_pictures_are_no_finding(described):
    described = copy.deepcopy(described)
    for entry in described["per_class"][1:]:
        entry |= {"num_test": 0, "recall": None}
    described["per_class"][0]["num_test"] = 9
    described["data"]["classes"][0] |= {"train": 0, "validation": 0, "test": 0}
    html = render(described, {})
    assert "1 class has fewer than 10 test pictures" in Page(html).section("limits")
    assert "Always the commonest class" not in html
    assert "no picture." not in html


def test_a_curve_of_one_point_is_not_drawn(described):
    described = copy.deepcopy(described)
    del described["reject"]["curve"][1:]
    page = Page(render(described, {}))
    assert "answers 87.0%, of these 95.1% right" in page.section("reject")
    assert "From right to left" not in page.section("reject")
    html = render({**described, "calibration": None, "learning_curve": None,
                   "training_curves": None}, {})  # fmt: skip
    assert 'class="chart"' not in html


def test_same_report_gives_the_same_page(described, html):
    thumbnails = reports.thumbnails(described)
    again = json.loads(json.dumps(described))
    assert render(again, thumbnails) == html
    code = (
        "import sys; sys.path.insert(0, 'tests'); import reports\n"
        "from hashlib import sha256; from edgeclf.report.page import render\n"
        "described = reports.report()\n"
        "html = render(described, reports.thumbnails(described))\n"
        "print(sha256(html.encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True, capture_output=True, text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1


def luminance(color):
    """Source: WCAG 2.2, relative luminance."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in color
    ]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colors_stand_out_in_light_and_dark():
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    assert len(blocks) == 3  # light, dark, print
    for block in blocks:
        colors = {}
        for name, written in re.findall(r"--(\w+): #([0-9a-f]{3,6})\b", block):
            whole = (
                "".join(2 * part for part in written) if len(written) == 3 else written
            )
            colors[name] = np.array(
                [int(whole[i : i + 2], 16) / 255 for i in (0, 2, 4)]
            )
        for ground in ("paper", "ground"):
            for ink in ("ink", "soft", "link"):
                assert contrast(colors[ink], colors[ground]) >= 4.5
        for mark in ("blue", "orange"):
            assert contrast(colors[mark], colors["paper"]) >= 3
        grid = matrix.Grid(7)
        for fill in ("hit", "miss"):
            for share in (0.0, 0.5, 1.0):
                opacity = grid.strength(share)
                cell = opacity * colors[fill] + (1 - opacity) * colors["paper"]
                assert contrast(colors["ink"], cell) >= 4.5


def colours(picture, colour, within=0):
    difference = np.abs(np.asarray(picture).astype(int) - colour).max(axis=2)
    return difference <= within


def test_confusion_picture_is_blue_where_right_and_orange_where_wrong():
    picture = confusion_matrix([[4, 0], [4, 0]], ["a", "b"])
    side = 2 * matrix.Grid(2).side
    strength = matrix.Grid(2).strength(1.0)
    full = [tuple(round(255 + strength * (part - 255)) for part in colour)
            for colour in (HIT, MISS)]  # fmt: skip
    blue, orange = (colours(picture, colour) for colour in full)
    for cell in (blue, orange):
        assert 0.7 * side**2 < cell.sum() <= side**2
    below = np.argwhere(orange).mean(axis=0) - np.argwhere(blue).mean(axis=0)
    assert below == pytest.approx((side, 0), abs=3)


@pytest.mark.parametrize("num_classes", [1, 7, 25, 120, 300])
def test_confusion_pictures_of_any_size(num_classes):
    counts = np.eye(num_classes, dtype=np.int64) * 5
    labels = [f"Wycinanki {index}" for index in range(num_classes)]
    picture = confusion_matrix(counts, labels)
    scale = 2 if num_classes <= 130 else 1
    span = scale * matrix.Grid(num_classes).side * num_classes
    assert span < picture.height < span + 600
    assert span < picture.width < span + 1000
    assert picture.mode == "RGB"


def test_confusion_picture_takes_any_name():
    counts = np.eye(len(reports.HOSTILE), dtype=np.int64)
    picture = confusion_matrix(counts, [*reports.HOSTILE[:-1], "two\nlines\t"])
    assert picture.width < 1600


@pytest.mark.parametrize(
    ("counts", "labels"), [([[1, 2]], ["a"]), ([[1]], ["a", "b"]), ([], [])]
)
def test_confusion_picture_refuses_what_does_not_fit(counts, labels):
    with pytest.raises(ValueError, match=r"Expected a matrix of shape.*Received"):
        confusion_matrix(counts, labels)


def test_training_curves_show_both_splits(described):
    picture = training_curves(described["training_curves"])
    assert picture.size == (2 * WIDTH, HEIGHT)
    for colour in COLORS.values():
        for left in (0, WIDTH):
            chart = picture.crop((left, 60, left + WIDTH, HEIGHT))
            columns = colours(chart, colour, 8).any(axis=0)
            assert columns.sum() > 0.4 * WIDTH
    solid, dashed = (
        colours(picture.crop((0, 60, WIDTH, HEIGHT)), COLORS[kind], 8).any(axis=0).sum()
        for kind in ("one", "two")
    )
    assert dashed < 0.8 * solid


def test_training_curves_leave_out_what_was_not_taken(described):
    steps = [
        {"step": point["step"], "train_accuracy": point["train_accuracy"],
         "validation_accuracy": None} for point in described["training_curves"]
    ]  # fmt: skip
    picture = training_curves(steps)
    assert picture.size == (WIDTH, HEIGHT)
    assert not colours(picture, COLORS["two"], 8).any()
    assert training_curves(steps[:1]).size == (WIDTH, HEIGHT)
    with pytest.raises(ValueError, match=r"Expected steps with.*Received: 1 steps"):
        training_curves([{"step": 1, "train_accuracy": None}])


def test_learning_curve_is_as_high_as_its_points():
    points = [{"num_train": 50, "accuracy": 0.5}, {"num_train": 100, "accuracy": 1.0}]
    rows, columns = np.nonzero(colours(learning_curve(points), COLORS["one"], 8))
    assert rows.min() == pytest.approx(64, abs=8)  # 100% is at the top
    assert columns.max() == pytest.approx(616, abs=8)
    assert columns.min() == pytest.approx((76 + 616) / 2, abs=8)
    with pytest.raises(ValueError, match="Expected one point or more"):
        learning_curve([])


def test_facts_are_said_once_and_splits_only_where_there_are_pictures():
    described = reports.report()
    described["model"].update(seed=0, dataset_sha256="43" * 32, backbone_sha256="ab")
    for entry in described["data"]["classes"]:
        entry.update(train=0, validation=0)
    described["data"].update(num_train=0, num_validation=0)
    page = Page(render(described, {}))
    names = [item["text"] for item in page.all("dt")]
    assert len(names) == len(set(names))
    assert "Backbone SHA-256" in names
    heads = [item["text"] for item in page.all("th", scope="col")]
    assert "Train" not in heads
    assert "Test" in heads
    assert "0 training" not in page.section("data")


def test_long_lists_open_when_they_are_pressed():
    entries = [{"file": f"{index}.jpg", "label": "a", "suggested": "b",
                "confidence": 0.9} for index in range(30)]  # fmt: skip
    groups = [[f"{index}.jpg", f"{index}b.jpg"] for index in range(15)]
    described = {"mislabelled": entries, "data": {"near_duplicates": groups}}
    page = Page(render(described, {}))
    assert len(page.all("li", **{"class": "card"})) == 30
    summaries = [item["text"] for item in page.all("summary")]
    assert summaries == ["6 more", "3 more"]
    assert "14.jpg, 14b.jpg" in page.section("data")


def test_very_long_lists_end_and_say_so():
    entries = [{"file": f"{index}.jpg", "label": "a", "suggested": "b",
                "confidence": 0.9} for index in range(130)]  # fmt: skip
    groups = [[f"{index}.jpg", f"{index}b.jpg"] for index in range(1_240)]
    described = {"mislabelled": entries, "data": {"near_duplicates": groups}}
    page = Page(render(described, {}))
    assert len(page.all("li", **{"class": "card"})) == 100
    assert page.section("mislabelled").startswith("Probably in the wrong class130 ")
    assert "And 30 more, which the JSON file" in page.section("mislabelled")
    words = page.section("data")
    assert "1,240 groups of pictures that look alike, 2,480 in all" in words
    assert "And 1,140 more, which the JSON file" in words
    assert "99b.jpg" in words
    assert "100b.jpg" not in words


def test_copies_in_two_classes_are_left_out_of_training_only(described, page):
    assert "Left out, since nobody knows" in page.section("data")
    evaluated = Page(render({**described, "command": "evaluate"}, {}))
    assert "They count here" in evaluated.section("data")


def test_nothing_held_out_is_said(described):
    page = Page(render({**described, "accuracy": None}, {}))
    assert "there was no test picture" in page.all("p", **{"class": "lead"})[0]["text"]
    evaluated = {"command": "evaluate", "title": "x"}
    assert "no test picture" not in render(evaluated, {})


def test_thumbnails_may_lack_a_heat_map():
    described = {"pictures": {"worst": [
        {"file": "a.jpg", "label": "a", "predicted": "b", "score": 0.9,
         "label_score": None}]}}  # fmt: skip
    page = Page(render(described, {"a.jpg": Thumbnails(reports.jpeg(1))}))
    assert len(page.all("img")) == 1
    assert "evidence" not in page.section("pictures")
