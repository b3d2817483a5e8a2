from __future__ import annotations

import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import model_files as models
import numpy as np
import pytest

from edgeclf import ModelError
from edgeclf.familiarity import RejectRule
from edgeclf.metadata import read_model_info
from edgeclf.model_info import ModelInfo
from edgeclf.tflite.attached_files import MAX_FILE_BYTES

AXIS_LABELS, VALUE_LABELS, SCORE_CALIBRATION = 2, 3, 4  # AssociatedFileType


def test_own_file_says_everything_in_its_record() -> None:
    info = read_model_info(models.own(("Gzhel", "Wycinanki łowickie", "Iznik")))
    assert info.labels == ("Gzhel", "Wycinanki łowickie", "Iznik")
    assert info.input_mean == info.input_std == (127.5,)
    assert info.record == models.record()


def test_file_without_metadata_says_nothing() -> None:
    assert read_model_info(models.build()) == ModelInfo()


def test_other_makers_metadata_are_read() -> None:
    content = models.with_metadata(
        models.build(),
        mean=[1.5, 0.0, 3.0],
        std=[58.0, 57.0, 56.0],
        files=[
            ("values.txt", VALUE_LABELS, None),
            ("german.txt", AXIS_LABELS, "de"),
            ("names.txt", AXIS_LABELS, None),
        ],
    )
    files = {"names.txt": "a\nb\nc\n", "german.txt": "ä\nb\nc\n", "labels.txt": "x\n"}
    info = read_model_info(models.with_files(content, files))
    assert info == ModelInfo(
        ("a", "b", "c"), (1.5, 0.0, 3.0), (58.0, 57.0, 56.0), scores_output=0
    )


def test_labels_file_is_found_without_being_named() -> None:
    content = models.with_metadata(models.build(), mean=[0.0], std=[255.0])
    info = read_model_info(models.with_files(content, {"labels.txt": "a\nb\nc"}))
    assert info == ModelInfo(("a", "b", "c"), (0.0,), (255.0,))
    content = models.with_files(models.build(), {"a.txt": "a"})
    assert read_model_info(content).labels is None


def test_named_labels_that_are_not_there_are_no_labels(
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = models.with_metadata(models.build(), files=[("l.txt", AXIS_LABELS, None)])
    for model in (content, models.with_labels(content)):
        caplog.clear()
        with caplog.at_level(logging.INFO, "edgeclf"):
            assert read_model_info(model) == ModelInfo(scores_output=0)
        assert caplog.messages == [
            "The model's metadata name the labels file l.txt, which is not attached to "
            "it: give one with labels=."
        ]


def test_files_that_other_tensors_name_are_no_labels() -> None:
    names = [("labels.txt", AXIS_LABELS, None)]
    content = models.with_metadata(models.build(), input_files=names)
    assert read_model_info(models.with_labels(content)) == ModelInfo()
    heads = [models.OutputMetadata(), models.OutputMetadata(names)]
    info = read_model_info(
        models.with_labels(models.with_metadata(models.build(), outputs=heads))
    )
    assert info == ModelInfo(models.COLORS, scores_output=1)


def test_labels_of_one_language_only_are_used() -> None:
    names = [("pl.txt", AXIS_LABELS, "pl"), ("de.txt", AXIS_LABELS, "de")]
    content = models.with_metadata(models.build(), files=names)
    content = models.with_files(content, {"de.txt": "rot\n", "pl.txt": "czerwień\r\n"})
    assert read_model_info(content).labels == ("czerwień",)


def test_two_heads_with_labels_are_not_told_apart() -> None:
    heads = [models.OutputMetadata([(f"{n}.txt", AXIS_LABELS, None)]) for n in "ab"]
    content = models.with_metadata(models.build(), outputs=heads)
    info = read_model_info(models.with_files(content, {"a.txt": "a", "b.txt": "b"}))
    assert info.scores_output is None


def test_size_threshold_and_calibration_are_read() -> None:
    head = models.OutputMetadata(
        [("sigmoids.csv", SCORE_CALIBRATION, None)],
        calibration=(2, 0.25),
        threshold=0.5,
    )
    content = models.with_metadata(
        models.build(), outputs=[head], default_size=(120, 90)
    )
    info = read_model_info(models.with_files(content, {"sigmoids.csv": "1,2,3\n\n"}))
    assert info.input_size == (120, 90)
    assert info.score_threshold == 0.5
    calibration = info.score_calibration
    assert calibration is not None
    assert calibration.transformation == 2
    assert calibration.default_score == 0.25
    np.testing.assert_array_equal(calibration.parameters[0], [1, 2, 3, -np.inf])


def test_calibration_that_is_not_there_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for files in ([], [("sigmoids.csv", SCORE_CALIBRATION, None)]):
        caplog.clear()
        head = models.OutputMetadata(files, calibration=(0, 0.0))
        content = models.with_metadata(models.build(), outputs=[head])
        assert read_model_info(content).score_calibration is None
        assert len(caplog.messages) == 1
        assert "scores are not calibrated" in caplog.text
    head = models.OutputMetadata(threshold=float("nan"))
    with pytest.raises(ModelError, match="Expected finite numbers in the metadata"):
        read_model_info(models.with_metadata(models.build(), outputs=[head]))


def test_google_model_with_metadata(shared: Path) -> None:
    path = shared / "models" / "mobilenet_v1_0.25_224_1_metadata_1.tflite"
    info = read_model_info(path.read_bytes())
    assert info.labels is not None
    assert len(info.labels) == 1001
    assert info.labels[:3] == ("background", "tench", "goldfish")
    assert (info.input_mean, info.input_std) == ((127.5,), (127.5,))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_with_offsets_from_either_end(compression: int, tmp_path: Path) -> None:
    files = {"labels.txt": "red\ngreen\nblue\n", "x/other.bin": b"0" * 70_000}
    joined = models.with_files(models.build(), files, compression)
    path = tmp_path / "appended.tflite"
    path.write_bytes(models.build())
    with zipfile.ZipFile(path, "a", compression) as archive:  # offsets from byte 0
        archive.comment = b"a comment"
        for name, text in files.items():
            archive.writestr(name, text)
    for content in (joined, path.read_bytes()):
        assert read_model_info(content).labels == models.COLORS


def test_weights_that_look_like_a_zip_are_none() -> None:
    assert read_model_info(models.build() + b"PK\5\6" + bytes(30)) == ModelInfo()
    assert read_model_info(models.build() + b"PK\5\6") == ModelInfo()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"Expected a TFLite model .* Received: 0 bytes that begin with b''"),
        (b"version https://git-lfs", r"Received: 23 bytes that begin with b'version '"),
    ],
)
def test_other_files_are_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        read_model_info(content)


def test_metadata_of_another_identifier_are_refused() -> None:
    content = models.with_metadata(models.build(), identifier=b"M999")
    with pytest.raises(ModelError, match=r"identifier M001. Received: b'M999'"):
        read_model_info(content)


RULE = RejectRule(0.5, 0.95, 0.1, 30.0, 5.0, 1.0, 6.0)


def own_with(**changes: Any) -> bytes:
    return models.own(entry=models.record(**changes))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (own_with(format_version=2), "record of version 1. Received: 2. Upgrade edgec"),
        (
            own_with(preprocessing={"version": 9}),
            "record of version 1. Received: 9. Upgrade edgeclf: pip install",
        ),
        (own_with(preprocessing=None), "to have the entry preprocessing"),
        (models.own(entry=[]), "edgeclf.json to be an object"),  # type: ignore[arg-type]
        (own_with(thresholds=[0.1]), "to have a threshold for each label"),
        (own_with(thresholds=[0.1, None, "x"]), "The TFLite model is damaged"),
        (own_with(reject={}), "reject in edgeclf.json to hold min_score, alone or"),
        (own_with(reject=[0.5]), r"to hold min_score.*Received: \[0\.5\]\. A newer"),
        (own_with(reject={"min_score": 0.5, "new": 1}), "to hold min_score, alone or"),
        (
            own_with(reject=RULE._replace(min_score=True).entry()),
            "min_score in edgeclf.json to be a number. Received: True",
        ),
        (
            own_with(reject=RULE._replace(score_weight=float("nan")).entry()),
            "score_weight in edgeclf.json to be a number. Received: nan",
        ),
        (
            own_with(reject=RULE._replace(mean_distance=10**40).entry()),
            "mean_distance in edgeclf.json to be a number. Received: 1000",
        ),
        (
            own_with(reject=RULE._replace(distance_spread=0).entry()),
            "distance_spread in edgeclf.json to be a number above 0. Received: 0",
        ),
        (
            own_with(reject=RULE._replace(mean_surprise=-1.0).entry()),
            "mean_surprise in edgeclf.json to be a number above 0. Received: -1.0",
        ),
        *(
            (
                own_with(reject=RULE._replace(scales=scales).entry()),
                "scales in edgeclf.json to be a number of at least 1 for each label",
            )
            for scales in ([1, 2], [1, 1, 0.5], "111", 3, [])
        ),
        (own_with(reject={"min_score": "x", "scales": [1, 1, 1]}), "to hold min_score"),
        (own_with(reject={"min_score": "x"}), "min_score in edgeclf.json to be a num"),
        (own_with(bottleneck=3), "bottleneck in edgeclf.json to name a tensor"),
        (
            own_with(
                preprocessing={"version": 1, "input_mean": 0, "input_std": 0},
            ),
            "Expected finite numbers in the metadata. Received: 0",
        ),
        (
            own_with(preprocessing={"version": 1, "input_mean": [float("nan")]}),
            "Expected finite numbers in the metadata",
        ),
        (
            models.with_files(models.build(), {"edgeclf.json": "{"}),
            "The TFLite model is damaged: Expecting property name",
        ),
        (
            models.with_files(models.build(), {"edgeclf.json": "[" * 10**6}),
            "The TFLite model is damaged: maximum recursion|damaged: Expecting value",
        ),
        (
            models.with_files(models.build(), {"labels.txt": b"\xff\n"}),
            "The TFLite model is damaged: 'utf-8' codec",
        ),
    ],
)
def test_damaged_records_are_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        read_model_info(content)


def test_record_of_zero_thresholds_and_reject_rule_is_read() -> None:
    info = read_model_info(own_with(thresholds=[0, 0.5, 1], reject={"min_score": 0}))
    assert info.record["thresholds"] == [0, 0.5, 1]
    assert info.record["reject"] == {"min_score": 0}
    wide = RULE._replace(scales=(1.0, 2.5, 1.0))
    info = read_model_info(own_with(reject=wide.entry()))
    assert RejectRule.from_entry(info.record["reject"]) == wide
    info = read_model_info(own_with(reject=RULE.entry()))
    assert RejectRule(**info.record["reject"]) == RULE


def test_zip_bomb_is_refused() -> None:
    bomb = models.with_files(
        models.build(),
        {"labels.txt": bytes(MAX_FILE_BYTES + 1)},
        zipfile.ZIP_DEFLATED,
    )
    assert len(bomb) < 20_000
    with pytest.raises(
        ModelError, match=r"file labels.txt is too large: 8388609 bytes"
    ):
        read_model_info(bomb)
    lying = bytearray(bomb)  # a directory that says 10 bytes
    entry = lying.rfind(b"PK\1\2")
    lying[entry + 24 : entry + 28] = (10).to_bytes(4, "little")
    with pytest.raises(ModelError, match="wrong size or checksum"):
        read_model_info(bytes(lying))


@pytest.mark.parametrize(
    ("offset", "value", "sentence"),
    [
        (8, 1, "wrong size or checksum"),  # flags: encrypted
        (10, 99, "compression method 99"),
        (16, 0, "wrong size or checksum"),  # crc
        (0, 0, "The zip attached to the model is damaged"),
    ],
)
def test_damaged_zip_is_refused(offset: int, value: int, sentence: str) -> None:
    content = bytearray(models.own())
    entry = content.find(b"PK\1\2")
    content[entry + offset] = value
    with pytest.raises(ModelError, match=sentence):
        read_model_info(bytes(content[: len(content)]))


def test_external_metadata_buffer_is_read() -> None:
    from ai_edge_litert import schema_py_generated as schema

    content = models.with_metadata(models.build(), mean=[5.0], std=[7.0])
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    buffer = model.buffers[model.metadata[0].buffer]
    data = np.asarray(buffer.data, np.uint8).tobytes()
    buffer.data, buffer.offset, buffer.size = None, models.PLACEHOLDER, len(data)
    packed = models.pack(model)
    placeholder = models.PLACEHOLDER.to_bytes(8, "little")
    content = packed.replace(placeholder, len(packed).to_bytes(8, "little"))
    assert read_model_info(content + data).input_mean == (5.0,)
    with pytest.raises(ModelError, match="is cut short: a buffer is missing"):
        read_model_info(content + data[:-1])


def test_mutated_files_are_read_or_refused() -> None:
    random = np.random.default_rng(5)
    foreign = models.with_metadata(
        models.build(),
        mean=[1.0],
        std=[2.0],
        files=[("labels.txt", AXIS_LABELS, None)],
    )
    foreign = models.with_files(foreign, {"labels.txt": "a\nb\nc\n"})
    for content in (foreign, models.own()):
        for _ in range(300):
            damaged = bytearray(content)
            for position in random.integers(0, len(content), 6):
                damaged[position] = random.integers(256)
            cut = bytes(damaged[: random.integers(len(content) // 2, len(content) + 1)])
            try:
                assert isinstance(read_model_info(cut), ModelInfo)
            except ModelError as error:
                assert str(error)


def test_own_file_needs_no_flatbuffers() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from edgeclf.metadata import read_model_info;"
        "info = read_model_info(sys.stdin.buffer.read());"
        "assert info.labels, info; assert 'flatbuffers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], input=models.own(), check=True)


def test_record_is_json_of_the_file() -> None:
    content = models.own(entry=models.record(provenance={"dataset": "ł"}))
    assert json.dumps(read_model_info(content).record["provenance"]) == (
        '{"dataset": "\\u0142"}'
    )
