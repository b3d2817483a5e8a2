"""A class is added to a file; the file's other classes stay what they were."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import tiny
from PIL import Image

from edgeclf import Classifier, DatasetError, Embedder, LabelError, ModelError, files
from edgeclf.adding import add_class
from edgeclf.adding.command import main
from edgeclf.adding.last_layer import LastLayer
from edgeclf.metadata import read_model_info
from edgeclf.statistics import read_statistics
from edgeclf.tflite.attached_files import AttachedFiles, packed_files
from edgeclf.training import RetrainConfig, retrain
from edgeclf.zoo import graph

KNOWN = {"blue": 20, "red": 20}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Write a model of blue and red for each way to store the last layer."""
    folder = tmp_path_factory.mktemp("trained")
    backbone = folder / "tiny.tflite"
    backbone.write_bytes(tiny.backbone_file())
    photos = tiny.write_folder(folder / "photos", KNOWN)
    models = {}

    def model(**settings):
        key = tuple(settings.values())
        if key not in models:
            path = folder / f"{'_'.join(key) or 'int8'}.tflite"
            retrain(
                RetrainConfig(
                    image_dir=photos,
                    output_graph=path,
                    architecture=str(backbone),
                    bottleneck_dir=folder / "bottlenecks",
                    **settings,
                )
            )
            models[key] = path
        return models[key]

    return model


@pytest.fixture
def model(trained, tmp_path):
    return shutil.copy(trained(), tmp_path / "model.tflite")


@pytest.fixture(scope="module")
def green(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("green"), {"green": 8}) / "green"


def share_right(path, color, label=None, seeds=range(100, 130)):
    with Classifier(path) as classifier:
        found = [classifier.classify(tiny.pixels(color, s))[0].label for s in seeds]
    return np.mean([name == (label or color) for name in found])


def layer_of(path):
    return LastLayer(graph.read_model(path.read_bytes()))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"quantize": "none"},
        {"quantize": "float16"},
        {"head": "float"},
        {"solver": "regression"},
    ],
    ids=lambda settings: "_".join(settings.values()) or "int8",
)
def test_a_new_class_is_told_from_the_others(trained, green, tmp_path, settings):
    before = trained(**settings)
    result = add_class(before, green, "green", tmp_path / "more.tflite")
    assert result.labels == ("blue", "green", "red")
    assert (result.extended, result.num_pictures) == (False, 8)
    assert result.num_recognised >= 7
    assert share_right(result.model_path, "green") >= 0.9
    for color in KNOWN:
        lost = share_right(before, color) - share_right(result.model_path, color)
        assert lost <= 0.1
    with Classifier(result.model_path) as classifier:
        assert classifier.scores(tiny.pixels("green", 1)).sum() == pytest.approx(
            1, abs=0.02
        )
    old, new = layer_of(before), layer_of(result.model_path)
    if old.steps is None or old.steps[0] == new.steps[0]:
        np.testing.assert_array_equal(old.weights, new.weights[[0, 2]])
        np.testing.assert_array_equal(old.bias, new.bias[[0, 2]])
    with Embedder(before) as first, Embedder(result.model_path) as second:
        picture = tiny.pixels("red", 5)
        np.testing.assert_array_equal(first.embed(picture), second.embed(picture))


def test_the_rows_are_those_of_a_discriminant_of_all_classes():
    """Against NumPy: logits of a discriminant, up to what all classes share."""
    from edgeclf.adding.new_row import Discriminant, new_row
    from edgeclf.statistics import Statistics

    source = np.random.default_rng(0)
    means = source.normal(size=(4, 30))
    variances = source.uniform(0.5, 2, 30)
    factors = source.normal(size=(5, 30))
    covariance = np.diag(variances) + factors.T @ factors
    inverse, sharpness = np.linalg.inv(covariance), 0.3
    exact = sharpness * means @ inverse
    bias = -0.5 * np.sum(exact * means, axis=1)
    common = source.normal(size=30)  # that softmax does not see
    statistics = Statistics(means[:3], np.array([5.0, 6, 7]), variances, factors)
    known = Discriminant(exact[:3] + common, bias[:3] + 2, statistics)
    assert known.sharpness == pytest.approx(sharpness)
    weights, level = known.rows(means[3:])
    points = source.normal(size=(20, 30))
    expected = points @ exact.T + bias
    found = points @ np.concatenate([exact[:3] + common, weights]).T
    found += np.append(bias[:3] + 2, level)
    np.testing.assert_allclose(
        found - found[:, :1], expected - expected[:, :1], atol=1e-9
    )
    # Pictures of class 0, as the model believes them, and who wins them.
    drawn = source.multivariate_normal(means[0], covariance / sharpness, 20_000)
    taken = np.mean(drawn @ (exact[3] - exact[0]) + bias[3] - bias[0] > 0)
    losses = known.losses(weights[0], float(level[0]), known.variances(weights[0]))
    assert losses[0] == pytest.approx(taken, abs=0.01)
    # Pictures that vary a third as much as the formula has it show that they do.
    pictures = source.multivariate_normal(means[3], covariance / sharpness / 9, 500)
    row = new_row(known, pictures[:, np.newaxis])
    ahead = np.sum(means[:3] * (row.weights - known.weights), axis=1)
    ahead += row.bias - known.bias
    sigmas = [NormalDist().inv_cdf(share) for share in row.losses.tolist()]
    expected = 3 * ahead / np.sqrt(known.variances(row.weights))
    np.testing.assert_allclose(sigmas, expected, rtol=0.1)
    # Nobody gains by a bias that is raised further.
    far = new_row(known, 30 * pictures[:20, np.newaxis])
    ((_, level),) = [known.rows(far.mean[np.newaxis])]
    assert far.bias == pytest.approx(float(level[0]))
    # One picture says nothing of how they vary.
    row = new_row(known, pictures[:1, np.newaxis])
    formula = known.losses(row.weights, row.bias, known.variances(row.weights))
    np.testing.assert_allclose(row.losses, formula)


def test_rounding_lets_errors_cancel():
    from edgeclf.adding.rounding import rounded
    from edgeclf.statistics import Statistics

    source = np.random.default_rng(1)
    factors = source.normal(size=(4, 40))
    variances = np.full(40, 0.01)
    statistics = Statistics(source.normal(size=(2, 40)), np.ones(2), variances, factors)
    weights = source.normal(size=40)
    step = float(np.abs(weights).max()) / 20
    result, bias, noise = rounded(weights, 1.5, step, statistics)
    np.testing.assert_allclose(result / step, np.rint(result / step), atol=1e-9)
    covariance = np.diag(variances) + factors.T @ factors

    def spread(values):
        error = weights - values
        return np.sqrt(error @ covariance @ error)

    assert noise == pytest.approx(spread(result))
    assert noise < 0.5 * spread(step * np.rint(weights / step))
    centre = statistics.means.mean(axis=0)
    assert bias + result @ centre == pytest.approx(1.5 + weights @ centre)


def test_a_class_that_needs_longer_weights_gets_them(trained, green, tmp_path):
    """The step of all rows grows; what the others answer stays nearly the same."""
    from edgeclf.adding.known_model import KnownModel
    from edgeclf.adding.new_row import Discriminant, new_row
    from edgeclf.adding.pictures import find_pictures, read_pictures

    content = trained().read_bytes()
    known = KnownModel(content)
    pictures = read_pictures(
        find_pictures(green), content, views=known.views, seed=0, resize=known.resize
    )
    discriminant = Discriminant(known.weights, known.bias, known.statistics)
    row = new_row(discriminant, pictures.bottlenecks)
    long = row._replace(weights=8 * row.weights, bias=8 * row.bias)
    changed = tmp_path / "changed.tflite"
    changed.write_bytes(known.with_row("green", long, pictures)[0])
    layer = layer_of(changed)
    step = np.abs(long.weights).max() / 127
    assert layer.steps == pytest.approx([step], rel=1e-6)
    assert layer.steps[0] > layer_of(trained()).steps[0]
    points = known.statistics.means
    np.testing.assert_allclose(
        points @ layer.weights.T + layer.bias,
        np.insert(
            points @ known.weights.T + known.bias,
            1,
            points @ long.weights + long.bias,
            axis=1,
        ),
        atol=4 * step,
    )
    with Classifier(changed) as classifier:
        assert classifier.classify(tiny.pixels("green", 1))[0].label == "green"


def test_more_pictures_of_a_known_class_move_its_row_alone(model, tmp_path):
    folder = tmp_path / "photos"
    for number in range(6):  # a darker red than it was trained on
        pixels = tiny.pixels("red", 200 + number) // 2
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    before = read_statistics(model.read_bytes())
    old = layer_of(model)
    result = add_class(model, folder, "red")
    after, new = read_statistics(model.read_bytes()), layer_of(model)
    assert result.extended
    assert result.labels == ("blue", "red")
    assert result.losses == {}
    assert after.counts.tolist() == [before.counts[0], before.counts[1] + 6]
    np.testing.assert_allclose(after.means[0], before.means[0], rtol=0.02, atol=0.02)
    if old.steps[0] == new.steps[0]:
        np.testing.assert_array_equal(old.weights[0], new.weights[0])
    assert not np.array_equal(old.weights[1], new.weights[1])
    assert share_right(model, "red") >= 0.9
    assert share_right(model, "blue") >= 0.9


def test_the_model_is_replaced_and_kept_beside(model, green):
    before = model.read_bytes()
    result = add_class(model, green, "green")
    assert result.model_path == model
    assert result.backup_path.read_bytes() == before
    assert model.read_bytes() != before


def test_a_power_cut_finds_the_old_model_or_the_new_one(model, green, monkeypatch):
    """What is renamed was synced before; the copy is safe before the model goes."""
    steps = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append(kind)
        fsync(descriptor)

    def replaced(source, target):
        steps.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr("os.fsync", synced)
    monkeypatch.setattr("os.replace", replaced)
    add_class(model, green, "green")
    backup = ["file", "model.tflite.bak", "folder"]
    assert steps == [*backup, "file", "model.tflite", "folder"]


def test_the_model_named_as_output_is_kept_beside_too(model, green):
    before = model.read_bytes()
    output = model.parent / "." / "x" / ".." / model.name
    (model.parent / "x").mkdir()
    result = add_class(model, green, "green", output)
    assert result.backup_path.read_bytes() == before


def test_with_an_output_the_model_stays(model, green, tmp_path):
    before = model.read_bytes()
    result = add_class(str(model), str(green), "green", tmp_path / "deep" / "b.tflite")
    assert model.read_bytes() == before
    assert result.backup_path is None
    assert sorted(p.name for p in model.parent.iterdir()) == ["deep", "model.tflite"]


def test_a_full_disk_leaves_the_model_as_it_was(model, green, monkeypatch):
    before = model.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        add_class(model, green, "green")
    assert model.read_bytes() == before
    assert [p.name for p in model.parent.iterdir()] == ["model.tflite"]


def test_the_record_tells_what_was_added(model, green):
    old = read_model_info(model.read_bytes()).record["provenance"]
    add_class(model, green, "green")
    info = read_model_info(model.read_bytes())  # checks the checksum too
    assert info.labels == ("blue", "green", "red")
    provenance = info.record["provenance"]
    (entry,) = provenance["added"]
    assert (entry["label"], entry["num_pictures"]) == ("green", 8)
    assert "accuracy_int8" not in provenance
    measured = provenance["measured_before_adding"]
    assert measured["train_accuracy"] == old["train_accuracy"]
    assert len(read_statistics(model.read_bytes()).means) == 3


def test_the_same_file_in_every_run(model, green, tmp_path):
    first = add_class(model, green, "green", tmp_path / "a.tflite", num_workers=1)
    second = add_class(model, green, "green", tmp_path / "b.tflite", num_workers=2)
    assert first.model_path.read_bytes() == second.model_path.read_bytes()


def test_the_same_pictures_are_not_added_twice(model, green):
    add_class(model, green, "green")
    before = model.read_bytes()
    with pytest.raises(DatasetError, match="those that were added to it before"):
        add_class(model, green, "green")
    assert model.read_bytes() == before


def test_a_record_with_nonsense_in_it_is_no_obstacle(trained, green, tmp_path):
    content = trained().read_bytes()
    attached = AttachedFiles(content)
    contents = {name: attached.read(name) for name in attached.names}
    record = json.loads(contents["edgeclf.json"])
    odd = tmp_path / "odd.tflite"
    for provenance in (None, ["x"], {"views": "many", "seed": -1, "added": [3]}):
        record["provenance"] = provenance
        contents["edgeclf.json"] = json.dumps(record).encode()
        odd.write_bytes(content[: attached.flatbuffer_size()] + packed_files(contents))
        result = add_class(odd, green, "green", tmp_path / "more.tflite")
        info = read_model_info(result.model_path.read_bytes())
        assert [e["label"] for e in info.record["provenance"]["added"]] == ["green"]


def test_labels_in_another_order_get_the_new_one_at_the_end():
    from edgeclf.adding.known_model import _place

    assert _place(["Gzhel", "Iznik", "\u0141owicz"], "Khokhloma") == 2
    assert _place(["b", "a"], "aa") == 2


def test_what_cannot_be_read_is_named_and_left_out(model, tmp_path, caplog):
    folder = tiny.write_folder(tmp_path, {"green": 2}) / "green"
    (folder / "broken.jpg").write_bytes(b"no picture")
    shutil.copy(folder / "000.png", folder / "copy.png")
    result = add_class(model, folder, "green")
    assert result.num_pictures == 2
    assert [entry.path.name for entry in result.unreadable] == ["broken.jpg"]
    assert f"Left out {folder / 'broken.jpg'}: " in caplog.text
    assert "green is learned from 2 pictures only" in caplog.text


def test_nothing_readable_changes_nothing(model, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    before = model.read_bytes()
    with pytest.raises(DatasetError, match=r"Expected pictures in .*Received: none"):
        add_class(model, folder, "green")
    (folder / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"Expected readable pictures .* 1 files"):
        add_class(model, folder, "green")
    assert model.read_bytes() == before


@pytest.mark.parametrize("label", ["", "a\nb", " ", "\udcff", "a\u2028b"])
def test_a_label_that_no_line_can_hold_is_refused(model, green, label):
    with pytest.raises(LabelError, match="one line of UTF-8"):
        add_class(model, green, label)


def test_models_without_statistics_are_to_be_retrained(trained, green, tmp_path):
    import model_files as models

    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(models.build())
    with pytest.raises(ModelError, match=r"foreign\.tflite: .*without a record"):
        add_class(foreign, green, "green")
    own = tmp_path / "own.tflite"
    own.write_bytes(models.own())
    with pytest.raises(ModelError, match=r"without class statistics\. Retrain it"):
        add_class(own, green, "green")


def test_an_end_that_is_no_linear_layer_is_refused():
    import model_files as models

    with pytest.raises(ModelError, match="ends in FULLY_CONNECTED and SOFTMAX"):
        LastLayer(graph.read_model(models.build(activation="logistic")))


def test_logits_get_room_for_the_new_class(trained):
    layer = layer_of(trained())
    tensor = layer._tensors[layer.logits]
    before = (tensor.quantization.scale[0], tensor.quantization.zeroPoint[0])
    low = (-128 - before[1]) * before[0]
    high = (127 - before[1]) * before[0]
    layer.widen_logits(low / 2, high / 2)  # there is room
    assert tensor.quantization.scale[0] == before[0]
    layer.widen_logits(low, 2 * high)
    scale, zero = tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]
    assert (-128 - zero) * scale <= low + scale
    assert (127 - zero) * scale >= 2 * high - scale


def share_unknown(path, pictures):
    with Classifier(path) as classifier:
        return np.mean([classifier.examine(picture).is_unknown for picture in pictures])


def test_a_class_that_was_added_is_not_unknown(model, green):
    new = [tiny.pixels("green", seed) for seed in range(100, 120)]
    old = [tiny.pixels(c, seed) for c in KNOWN for seed in range(100, 120)]
    noise = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    assert share_unknown(model, new) == 1
    before = share_unknown(model, old)
    result = add_class(model, green, "green")
    assert share_unknown(model, new) <= 0.1
    assert share_unknown(model, sorted(green.iterdir())) == 0
    assert share_unknown(model, old) <= before
    assert result.num_unknown == 0
    scales = read_model_info(model.read_bytes()).record["reject"]["scales"]
    assert scales[1] > 1
    assert scales[::2] == [1, 1]
    assert share_unknown(result.backup_path, noise) == 1


def test_more_pictures_of_another_kind_are_not_unknown(model, green):
    new = [tiny.pixels("green", seed) for seed in range(100, 120)]
    old = [tiny.pixels("red", seed) for seed in range(100, 120)]
    before = share_unknown(model, old)
    assert share_unknown(model, new) == 1
    result = add_class(model, green, "red")
    assert result.num_unknown <= 1
    assert share_unknown(model, new) <= 0.1
    assert share_unknown(model, old) <= before


def test_one_picture_widens_its_class_by_what_two_differ(model, tmp_path):
    folder = tiny.write_folder(tmp_path, {"green": 1}) / "green"
    result = add_class(model, folder, "green")
    assert result.num_unknown is None
    scales = read_model_info(model.read_bytes()).record["reject"]["scales"]
    assert scales == pytest.approx([1, 2**0.5, 1])


def test_a_background_that_is_now_a_class_is_dropped():
    from edgeclf.adding.familiar import with_class
    from edgeclf.adding.new_row import LeftOut
    from edgeclf.familiarity import RejectRule
    from edgeclf.statistics import Statistics

    source = np.random.default_rng(0)
    means = np.zeros((3, 20))
    means[1, 0], means[2, 1] = 30, 30
    points = means[2] + source.normal(size=(30, 20))
    ones, none = np.ones(20), np.zeros((0, 20))
    known = Statistics(means, np.ones(3), ones, none, means[2])
    others = np.full(30, 2.0)
    left_out = LeftOut(points, np.tile(means[2], (30, 1)), 20 * others, None, others)
    rule = RejectRule(0.5, 0.95, 0.1, 4.4, 0.7, 1.0, 6.3, -900.0, 30.0)
    result = with_class(rule, known, 2, left_out, None)
    assert result.statistics.background is None
    assert (result.rule.mean_lean, result.rule.lean_spread) == (None, None)
    assert result.num_unknown <= 3
    # Quantiles of gamma distributions of shape 3 and 2, by SciPy.
    gamma = pytest.importorskip("scipy.stats").gamma
    expected = gamma.isf(gamma.sf(6.3, 3), 2)
    assert result.rule.max_unfamiliarity == pytest.approx(expected)
    away = known._replace(background=np.full(20, 50.0))
    kept = with_class(rule._replace(mean_lean=-2e4), away, 2, left_out, None)
    assert kept.statistics.background is away.background
    assert kept.rule.lean_spread == 30


def test_pictures_of_a_known_class_under_another_label_are_named(
    model, tmp_path, caplog
):
    folder = tiny.write_folder(tmp_path, {"red": 8}) / "red"
    add_class(model, folder, "crimson")
    assert "The model knows 8 of 8 pictures as red already" in caplog.text


def test_a_class_that_is_new_is_not_said_to_be_known(model, green, caplog):
    add_class(model, green, "green")
    assert caplog.text == ""


def test_labels_that_mean_something_else(model, green, caplog):
    with pytest.raises(LabelError, match=r"label of a class\. Received: _background"):
        add_class(model, green, "_background")
    add_class(model, green, "unknown")
    assert caplog.text.count("named unknown cannot be told from a rejection") == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mediapipe_reads_the_file(model, green):
    mediapipe = pytest.importorskip(
        "mediapipe", reason="needs mediapipe", exc_type=ImportError
    )
    add_class(model, green, "green")
    vision = mediapipe.tasks.vision
    options = vision.ImageClassifierOptions(
        base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(model))
    )
    pixels = tiny.pixels("green", 300, (tiny.SIDE, tiny.SIDE))
    shown = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
    with vision.ImageClassifier.create_from_options(options) as peer:
        (head,) = peer.classify(shown).classifications
    theirs = {entry.category_name: entry.score for entry in head.categories}
    with Classifier(model) as classifier:
        ours = {c.label: c.score for c in classifier.classify(pixels, top_k=3)}
    assert theirs == pytest.approx(ours, abs=0.01)
    assert max(theirs, key=theirs.get) == "green"


class TestCommand:
    def test_says_what_is_to_be_expected(self, model, green, capsys):
        assert main([str(model), f"--images={green}", "--label=green"]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("green: learned from 8 pictures; 3 classes now\n")
        assert "Labelled green when not shown themselves: 8 of 8\n" in out
        assert f"{model}.bak: the model as it was\n" in out
        assert "Done in" in err

    def test_says_what_reject_does_and_what_the_report_describes(
        self, model, green, capsys
    ):
        report = model.with_suffix(".html")
        arguments = [str(model), f"--images={green}", "--label=green"]
        assert main([*arguments, f"--output={model.parent / 'other.tflite'}"]) == 0
        report.write_text("")
        assert main(arguments) == 0
        first, _, second = capsys.readouterr().out.partition("other.tflite: ")
        assert "Unknown with --reject when not shown themselves: 0 of 8\n" in first
        assert "describes" not in first
        assert f"{report}: describes the model as it was" in second

    def test_one_picture_tells_nothing_of_others(self, model, tmp_path, capsys):
        folder = tiny.write_folder(tmp_path, {"green": 1}) / "green"
        assert main([str(model), f"--images={folder}", "--label=green"]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("green: learned from 1 picture; 3 classes now\n")
        assert "when not shown" not in out
        assert "warning: green is learned from 1 picture only" in err

    def test_a_missing_model_is_one_sentence(self, green, tmp_path, capsys):
        status = main([f"{tmp_path}/no.tflite", f"--images={green}", "--label=x"])
        assert status == 1
        assert "no.tflite: No such file or directory." in capsys.readouterr().err

    def test_a_missing_folder_is_one_sentence(self, model, tmp_path, capsys):
        assert main([str(model), f"--images={tmp_path}/no", "--label=x"]) == 1
        assert "which does not exist" in capsys.readouterr().err
        assert main([str(model), f"--images={model}", "--label=x"]) == 1
        assert "which is a file" in capsys.readouterr().err

    @pytest.mark.parametrize("wrong", ["--label=", "--num-workers=0", "--views=3"])
    def test_wrong_usage_exits_with_2(self, model, green, wrong, capsys):
        with pytest.raises(SystemExit) as info:
            main([str(model), f"--images={green}", "--label=x", wrong])
        assert info.value.code == 2


def test_without_litert_one_sentence_says_what_is_missing(model, green):
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['ai_edge_litert', 'flatbuffers', 'tqdm']))\n"
        "from edgeclf.__main__ import main\n"
        "sys.exit(main(['add_class', *sys.argv[1:]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, model, f"--images={green}", "--label=green"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: Changing a model needs the package ai-edge")
    assert done.stderr.count("\n") == 1


def test_no_package_of_the_extra_is_loaded(model, green):
    program = (
        "import sys\n"
        "class Nothing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'scipy', 'ai_edge_quantizer', "
        "'tensorboardX', 'threadpoolctl'}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "import importlib.util as u; real = u.find_spec\n"
        "gone = {'scipy', 'ai_edge_quantizer', 'tensorboardX', 'threadpoolctl'}\n"
        "u.find_spec = lambda n, *a: None if n in gone else real(n, *a)\n"
        "sys.meta_path.insert(0, Nothing())\n"
        "from edgeclf.adding.command import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, model, f"--images={green}", "--label=green"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert files.encoded(done.stdout).startswith(b"green: learned from 8 pictures")


def test_two_at_once_lose_no_class(model, green):
    command = [sys.executable, "-m", "edgeclf", "add_class", str(model)]
    running = {
        label: subprocess.Popen(
            [*command, "--images", str(green), "--label", label],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for label in ("one", "two", "three")
    }
    added = {"blue", "red"}
    for label, process in running.items():
        _, said = process.communicate(timeout=60)
        if process.returncode == 0:
            added.add(label)
        else:
            assert "another process adds a class. Repeat the command" in said
    assert len(added) > 2
    assert set(read_model_info(Path(model).read_bytes()).labels) == added
