import json

import numpy as np
import tiny

from edgeclf.interpreter import create_interpreter
from edgeclf.metadata import read_model_info
from edgeclf.training.assemble import assemble
from edgeclf.training.head import Head
from edgeclf.training.write_metadata import attach

LABELS = ("Gzhel", "Wycinanki łowickie", "Iznik")
HEAD = Head(np.zeros((3, tiny.DEPTH), np.float32), np.zeros(3, np.float32))
RECORD = {"format_version": 1, "preprocessing": {"version": 1, "resize": "antialias"}}


def written(**changes):
    content = assemble(tiny.backbone(), HEAD, "final_result")
    preprocessing = {**RECORD["preprocessing"], "input_mean": 10.0, "input_std": 50.0}
    record = {**RECORD, "preprocessing": preprocessing, **changes}
    return attach(content, LABELS, 10.0, 50.0, record)


def test_own_reader_gets_everything_back():
    info = read_model_info(written(bottleneck="features"))
    assert info.labels == LABELS
    assert (info.input_mean, info.input_std) == ((10.0,), (50.0,))
    assert info.record["bottleneck"] == "features"


def test_readers_of_tflite_metadata_get_labels_and_normalisation():
    """Without edgeclf.json, the same reader goes by the metadata flatbuffer."""
    content = written()
    foreign = content.replace(b"edgeclf.json", b"edgeclf.jsox")
    info = read_model_info(foreign)
    assert not info.record
    assert info.labels == LABELS
    assert (info.input_mean, info.input_std) == ((10.0,), (50.0,))


def test_file_still_runs_and_is_the_same_each_time():
    assert written() == written()
    create_interpreter(written()).invoke()


def test_record_is_plain_utf8_json():
    content = written(note="ł")
    start = content.rindex(b'{"crc32"')
    text = content[start : content.index(b"PK\x01\x02", start)].decode()
    assert json.loads(text)["note"] == "ł"
    assert "ł" in text
