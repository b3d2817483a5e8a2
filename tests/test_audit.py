import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import tiny
from PIL import Image

from edgeclf.audit.audit import NEED_A_MODEL, OF_CLASSES
from edgeclf.audit.command import ERRORS, QUARANTINED, main
from edgeclf.data.findings import KINDS
from edgeclf.data.splits import SPLITS, Shares, split_class, write_split_file


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Class folders with one of each fault."""
    folder = tiny.write_folder(tmp_path_factory.mktemp("planted") / "photos", 14)
    red, blue, green = (folder / color for color in ("red", "blue", "green"))
    shutil.move(blue / "004.png", red / "blue one.png")
    shutil.copy(red / "002.png", red / "002 copy.png")
    shutil.copy(red / "006.png", green / "a red one.png")
    near = Image.fromarray(tiny.pixels("green", 8, (80, 60))).resize((40, 30))
    near.save(blue / "near.jpg", quality=92)
    near.save(green / "near.jpg", quality=80)
    (green / "broken.jpg").write_bytes(b"?")
    Image.new("RGB", (5, 5)).save(green / "tiny.png")
    (red / ".hidden").touch()
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Options that look through a real backbone of one convolution."""
    folder = tmp_path_factory.mktemp("backbone")
    (folder / "tiny.tflite").write_bytes(tiny.backbone_file())
    architecture = ["--architecture", str(folder / "tiny.tflite")]
    return [*architecture, "--bottleneck_dir", str(folder / "cache")]


@pytest.fixture
def photos(planted, tmp_path):
    """The same folder, to be changed."""
    return shutil.copytree(planted, tmp_path / "photos")


def run(capsys, *arguments):
    """Run the command; return its status, its object, and the rest."""
    status = main([*map(str, arguments), "--json"])
    printed = capsys.readouterr()
    return status, json.loads(printed.out), printed.err


def files(found, kind):
    return [each["file"] for each in found["findings"] if each["kind"] == kind]


def test_every_planted_fault_is_found(planted, model, capsys):
    status, found, _ = run(capsys, planted, *model)
    assert status == 1
    assert files(found, "unreadable") == ["green/broken.jpg"]
    assert files(found, "conflicting") == ["green/a red one.png", "red/006.png"]
    assert files(found, "duplicate") == ["red/002 copy.png"]
    assert files(found, "tiny") == ["green/tiny.png"]
    assert files(found, "hidden") == ["red/.hidden"]
    assert "red/blue one.png" in files(found, "mislabelled")
    assert len(files(found, "mislabelled")) < 5
    assert {"blue/near.jpg", "green/near.jpg"} <= set(files(found, "near_conflicting"))
    assert found["counts"] == Counter(each["kind"] for each in found["findings"])
    assert found["num_pictures"] == 48
    assert found["classes"][0] == {"label": "blue", "pictures": 14}
    assert found["imbalance"] == pytest.approx(18 / 14)
    assert found["architecture"] == "tiny"
    assert found["not_checked"] == []
    for each in found["findings"]:
        assert each["severity"] == KINDS[each["kind"]].severity
        assert set(each) >= {"file", "kind", "severity", "detail"}


def test_a_suspect_says_what_it_seems_to_be(planted, model, capsys):
    _, found, _ = run(capsys, planted, *model, "--views", "3")
    suspects = [each for each in found["findings"] if each["kind"] == "mislabelled"]
    (suspect,) = (each for each in suspects if each["file"] == "red/blue one.png")
    assert suspect["suggested"] == "blue"
    assert 0.9 <= suspect["confidence"] <= 1
    assert suspect["detail"].startswith("more like blue, ")


def test_text_groups_counts_and_says_what_to_do(planted, capsys):
    assert main([str(planted), "--no_model", "--examples", "1"]) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == f"{planted}: 48 pictures in 3 classes, 14 to 18 a class"
    place = lines.index("error conflicting: 2 (the same picture in several classes)")
    assert lines[place + 1 : place + 4] == [
        "    green/a red one.png: the same picture as red/006.png",
        "    ... and 1 more (--json lists all)",
        "  Keep the copy that is right; of the same bytes retrain leaves out all.",
    ]
    assert "Not looked for: near-duplicates and wrong classes" in printed.err


def test_without_a_model_it_says_what_it_left_out(planted, capsys):
    _, found, told = run(capsys, planted, "--no_model")
    assert found["architecture"] is None
    assert found["not_checked"] == list(NEED_A_MODEL)
    assert not set(found["counts"]) & set(NEED_A_MODEL)
    assert "(--no_model)" in told


def without_the_extra(*arguments):
    """Run the command in a process that lacks the packages of `[train]`."""
    program = (
        "import sys\n"
        "for name in ('scipy', 'tqdm', 'threadpoolctl', 'ai_edge_quantizer'):\n"
        "    sys.modules[name] = None\n"
        "from edgeclf.audit.command import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_without_the_extra_files_are_checked_all_the_same(planted):
    done = without_the_extra(planted)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["counts"]["duplicate"] == 1
    assert 'Install it with: pip install "edgeclf[train]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "options",
    [["--fail_on", "near_conflicting"], ["--architecture", "mobilenet_v1_0.50_224"]],
)
def test_without_the_extra_what_was_asked_for_is_an_error(tmp_path, options):
    tiny.write_folder(tmp_path, 10)
    done = without_the_extra(tmp_path, *options)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert 'Install it with: pip install "edgeclf[train]"' in done.stderr


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ([], 1),
        (["--fail_on", "none"], 0),
        (["--fail_on", "any"], 1),
        (["--fail_on", "tiny"], 1),
        (["--fail_on", "leak,outside"], 0),
    ],
)
def test_the_status_is_for_continuous_integration(planted, capsys, options, status):
    assert run(capsys, planted, "--no_model", *options)[0] == status


def test_a_good_folder_is_no_failure(tmp_path, model, capsys):
    folder = tiny.write_folder(tmp_path / "photos", 12)
    assert main([str(folder), *model]) == 0
    assert "error" not in capsys.readouterr().out
    large = tmp_path / "large"
    for color in tiny.COLORS:
        (large / color).mkdir(parents=True)
        for number in range(10):
            pixels = tiny.pixels(color, number, (240, 240))
            Image.fromarray(pixels).save(large / color / f"{number}.png")
    assert main([str(large), "--no_model", "--fail_on", "any"]) == 0
    assert capsys.readouterr().out.endswith("\n\nNothing is wrong with them.\n")


def test_pictures_alike_in_several_splits_are_leaks(planted, model, tmp_path, capsys):
    names = {
        path.relative_to(planted).as_posix(): "train"
        for path in planted.rglob("*.*")
        if path.is_file()
    }
    names |= {"red/002 copy.png": "test", "green/near.jpg": "validation"}
    write_split_file(tmp_path / "split.csv", names)
    split = ["--split_file", tmp_path / "split.csv"]
    _, found, _ = run(capsys, planted, *split, "--no_model")
    assert files(found, "leak") == ["red/002 copy.png", "red/002.png"]
    _, found, _ = run(capsys, planted, *split, *model)
    assert {"blue/near.jpg", "green/near.jpg"} <= set(files(found, "leak"))


def test_quarantine_takes_the_bad_ones_and_undo_brings_them_back(
    photos, tmp_path, capsys
):
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    bad = tmp_path / "bad"
    status, found, told = run(capsys, photos, "--no_model", "--quarantine", bad)
    assert status == 0  # nothing serious is left
    assert found["quarantined"] == [
        "green/a red one.png",
        "green/broken.jpg",
        "red/002 copy.png",
        "red/006.png",
    ]
    assert f"Back: edgeclf audit {photos} --undo {bad}" in told
    assert all((bad / name).is_file() for name in found["quarantined"])
    status, found, _ = run(capsys, photos, "--no_model")
    assert status == 0
    assert not set(found["counts"]) & set(QUARANTINED)
    for count in (4, 0):
        assert main([str(photos), "--undo", str(bad)]) == 0
        assert f"{count} files put back" in capsys.readouterr().out
    after = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    assert after == before


def test_quarantine_takes_the_kinds_that_are_named(photos, model, tmp_path, capsys):
    kinds = ["--quarantine_kinds", "mislabelled,tiny"]
    bad = tmp_path / "bad"
    status, found, _ = run(capsys, photos, *model, "--quarantine", bad, *kinds)
    assert status == 1  # the rest is as it was
    assert {"red/blue one.png", "green/tiny.png"} <= set(found["quarantined"])
    assert (photos / "green" / "broken.jpg").exists()


def test_a_file_that_two_links_lead_to_moves_once(photos, tmp_path, capsys):
    (photos / "green" / "up").symlink_to(photos / "red")
    (photos / "red" / "bad one.jpg").write_bytes(b"?")
    before = sorted(path for path in photos.rglob("*") if path.is_file())
    bad = ["--quarantine", tmp_path / "bad"]
    status, found, told = run(capsys, photos, "--no_model", *bad)
    assert status == 0
    assert "Not moved" not in told
    assert "green/up/bad one.jpg" in found["quarantined"]
    assert "red/bad one.jpg" not in found["quarantined"]
    main([str(photos), "--undo", str(tmp_path / "bad")])
    assert sorted(path for path in photos.rglob("*") if path.is_file()) == before


def test_a_quarantine_of_nothing_says_no_way_back(tmp_path, capsys):
    tiny.write_folder(tmp_path / "p", 10)
    bad = tmp_path / "bad"
    status, _, told = run(capsys, tmp_path / "p", "--no_model", "--quarantine", bad)
    assert (status, bad.exists()) == (0, False)
    assert f"Moved to {bad}: 0 files." in told
    assert "Back:" not in told


def test_pictures_of_no_class_are_counted_apart(tmp_path, capsys):
    tiny.write_folder(tmp_path, 10)
    shutil.copytree(tmp_path / "red", tmp_path / "_background")
    main([str(tmp_path), "--no_model"])
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith(
        "30 pictures in 3 classes, 10 to 10 a class, 10 more of no class (_background)"
    )


def test_a_name_that_is_not_utf_8_goes_through_everything(tmp_path, capsys):
    folder = tiny.write_folder(tmp_path / "photos", 10)
    name = os.fsdecode(b"caf\xe9.jpg")
    (folder / "red" / name).write_bytes(b"?")
    bad = tmp_path / "bad"
    _, found, _ = run(capsys, folder, "--no_model", "--quarantine", bad)
    assert found["quarantined"] == [f"red/{name}"]
    assert (bad / "red" / name).exists()
    main([str(folder), "--undo", str(bad)])
    assert (folder / "red" / name).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--views", "0"], "Expected views of at least 1. Received: 0."),
        (["--fail_on", "none,tiny"], "Expected kinds, or none, or any"),
        (["--fail_on", "bad"], "received 'bad'"),
        (["--quarantine_kinds", "tiny"], "Expected --quarantine DIR"),
        (["--quarantine", "x", "--undo", "x"], "not allowed with"),
        (["--quarantine", "x", "--quarantine_kinds", "few"], "received 'few'"),
        (["--examples", "-1"], "expected a whole number of 1 or more"),
        (["--no_model", "--fail_on", "tiny,mislabelled"], "it with mislabelled,"),
        (["--no_model", "--architecture", "x.tflite"], "it with --architecture,"),
    ],
)
def test_wrong_usage_is_status_2(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path), *options])
    assert message in capsys.readouterr().err


def test_what_fails_is_a_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "none"), "--no_model"]) == 1
    assert "error: Expected a folder with one folder" in capsys.readouterr().err
    assert main([str(tmp_path), "--quarantine", str(tmp_path)]) == 1
    assert "apart from the pictures" in capsys.readouterr().err
    assert main([str(tmp_path), "--no_model"]) == 1
    printed = capsys.readouterr().out
    assert "0 pictures in 0 classes" in printed
    assert "error too_few_classes: 1" in printed


def test_kinds_that_are_quarantined_are_errors():
    assert set(QUARANTINED) <= set(ERRORS)


def test_retrain_keeps_near_duplicates_together_by_default():
    source = np.random.default_rng(0)
    digests = [source.bytes(32) for _ in range(60)]
    groups = [number // 3 for number in range(60)]
    splits = split_class("red", digests, groups, Shares(), 0)
    assert set(splits) == set(SPLITS)
    for group in range(20):
        assert len(set(splits[3 * group : 3 * group + 3])) == 1


def test_messy_files_are_what_their_manifest_says(shared, tmp_path, capsys):
    messy = shared / "data" / "messy"
    shutil.copytree(messy, tmp_path / "photos" / "messy")
    shutil.copytree(
        messy, tmp_path / "photos" / "same", ignore=lambda *_: {"photo.jpg"}
    )
    _, found, _ = run(capsys, tmp_path / "photos", "--no_model")
    unreadable = {name.rpartition("/")[2] for name in files(found, "unreadable")}
    with (messy / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["expected"] == "ok":
            assert row["file"] not in unreadable
        elif row["expected"] == "rejected" and not row["file"].endswith(".svg"):
            assert row["file"] in {*unreadable, ".DS_Store", "Thumbs.db"}, row
    kinds = {each["file"]: each["kind"] for each in found["findings"]}
    assert kinds["messy/no_ending"] == "unnamed"
    assert kinds["messy/Thumbs.db"] == "hidden"
    for name in ("jpeg_named.png", "png_named.jpg", "webp_named.jpg"):
        assert f"messy/{name}" in files(found, "misnamed")
    assert len(files(found, "rotated")) == 2 * 7
    # Every readable file is there twice, in two classes.
    assert "messy/photo.jpg" in files(found, "conflicting")


def test_a_split_file_of_another_folder_is_refused(planted, tmp_path, capsys):
    write_split_file(tmp_path / "split.csv", {"roses/1.jpg": "train"})
    arguments = [planted, "--no_model", "--split_file", tmp_path / "split.csv"]
    assert main([*map(str, arguments)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "in the table of splits, named like blue/000.png." in printed.err
    assert "Received: roses/1.jpg." in printed.err


@pytest.mark.parametrize("content", [None, b"not a picture"])
def test_a_folder_without_a_usable_picture_needs_no_backbone(tmp_path, capsys, content):
    (tmp_path / "photos" / "red").mkdir(parents=True)
    if content is not None:
        (tmp_path / "photos" / "red" / "1.jpg").write_bytes(content)
    nowhere = tmp_path / "no model.tflite"
    nowhere.write_bytes(b"not a model")
    status, found, told = run(capsys, tmp_path / "photos", "--architecture", nowhere)
    assert status == 1
    assert found["architecture"] is None
    assert "(there is no picture that can be read)" in told


def test_a_picture_may_lie_in_several_folders_of_tags(planted, model, capsys):
    status, found, told = run(capsys, planted, *model, "--tags")
    assert status == 1
    assert files(found, "unreadable") == ["green/broken.jpg"]
    assert files(found, "duplicate") == ["red/002 copy.png"]
    for kind in OF_CLASSES:
        assert files(found, kind) == []
    assert found["not_checked"] == [*OF_CLASSES]
    assert "Not looked for: wrong tags." in told


def test_the_text_calls_tags_by_their_name(planted, capsys):
    main([str(planted), "--no_model", "--tags"])
    summary = capsys.readouterr().out.splitlines()[0]
    assert summary == f"{planted}: 48 pictures in 3 tags, 14 to 18 a tag"


def test_near_copies_in_one_folder_of_tags_are_noted(photos, model, capsys):
    near = Image.open(photos / "green" / "near.jpg")
    near.save(photos / "green" / "nearer.jpg", quality=60)
    _, found, _ = run(capsys, photos, *model, "--tags")
    assert "green/nearer.jpg" in files(found, "near_duplicate")
    assert "blue/near.jpg" not in files(found, "near_duplicate")
    splits = {"green/near.jpg": "train", "blue/near.jpg": "test"}
    write_split_file(photos.parent / "split.csv", splits)
    table = f"--split_file={photos.parent / 'split.csv'}"
    _, found, _ = run(capsys, photos, *model, "--tags", table)
    assert files(found, "leak") == ["blue/near.jpg", "green/near.jpg"]


def test_one_folder_of_tags_will_do_if_it_is_filled(tmp_path, capsys):
    (tmp_path / "red").mkdir()
    given = (tmp_path, "--tags", "--no_model")
    assert files(run(capsys, *given)[1], "too_few_classes") == ["./"]
    Image.new("RGB", (300, 300)).save(tmp_path / "red" / "a.png")
    assert files(run(capsys, *given)[1], "too_few_classes") == []


def test_folders_that_seem_to_be_tags_are_noticed(photos, tmp_path, capsys):
    hint = "folders of tags need --tags"
    assert hint not in run(capsys, photos, "--no_model")[2]
    for path in (photos / "red").glob("0*"):
        shutil.copy(path, photos / "blue" / f"red {path.name}")
    _, found, told = run(capsys, photos, "--no_model")
    assert len(files(found, "conflicting")) > found["num_pictures"] / 3
    assert hint in told
    before = sorted(photos.rglob("*"))
    bad = tmp_path / "bad"
    kinds = ("--quarantine_kinds", "conflicting")
    given = ("--no_model", "--tags", "--quarantine", bad, *kinds)
    _, found, told = run(capsys, photos, *given)
    assert found["quarantined"] == []
    assert hint not in told
    assert sorted(photos.rglob("*")) == before


def test_what_is_of_classes_is_no_kind_of_tags(planted, capsys):
    with pytest.raises(SystemExit) as stop:
        main([str(planted), "--tags", "--fail_on", "mislabelled"])
    assert stop.value.code == 2
    assert "Expected no --tags with mislabelled" in capsys.readouterr().err
