import dataclasses

import numpy as np
import pytest
import tiny

from edgeclf.interpreter import create_interpreter
from edgeclf.zoo import depths, graph, load_backbone
from edgeclf.zoo.depths import with_depths
from edgeclf.zoo.hosted import BUNDLED_ARCHITECTURE

PICTURE = tiny.pixels("green", 0, (32, 32))


def run(backbone, *names):
    """Return the output, or the named activations, for the picture."""
    interpreter = create_interpreter(backbone.content, preserve_all_tensors=True)
    value = backbone.normalise(PICTURE)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    by_name = {e["name"]: e["index"] for e in interpreter.get_tensor_details()}
    if not names:
        output = interpreter.get_output_details()[0]["index"]
        return interpreter.get_tensor(output)
    return [interpreter.get_tensor(by_name[name]) for name in names]


def test_the_means_of_small_maps_come_before_the_bottleneck():
    backbone = tiny.deep_backbone()
    deep = with_depths(backbone)
    assert deep.widths == (10, 12, 16)
    assert (deep.depth, deep.final_depth) == (38, 16)
    maps = run(backbone, "maps2", "maps3", "maps4")
    expected = np.concatenate([part[0].mean(axis=(0, 1)) for part in maps])
    np.testing.assert_allclose(run(deep)[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(run(deep)[:, -16:], run(backbone))


def test_all_tensor_names_differ_and_operators_stay_in_order():
    model = graph.read_model(with_depths(tiny.deep_backbone()).content)
    names = [tensor.name for tensor in model.subgraphs[0].tensors]
    assert len(set(names)) == len(names)


def test_a_backbone_without_such_maps_stays_as_it_is():
    backbone = tiny.backbone()
    assert with_depths(backbone) is backbone
    assert backbone.final_depth == backbone.depth


def test_a_concatenation_stays_as_it_is():
    deep = with_depths(tiny.deep_backbone())
    assert with_depths(dataclasses.replace(deep, widths=())) == deep


def test_no_more_maps_are_taken_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(depths, "MAX_DEPTH", 16 + 12)
    assert with_depths(tiny.deep_backbone()).widths == (12, 16)
    monkeypatch.setattr(depths, "MAX_DEPTH", 16)
    backbone = tiny.deep_backbone()
    assert with_depths(backbone) is backbone


def test_signatures_name_the_new_output():
    backbone = tiny.deep_backbone()
    model = graph.read_model(backbone.content)
    signature, entry = graph.schema.SignatureDefT(), graph.schema.TensorMapT()
    entry.name, entry.tensorIndex = b"features", model.subgraphs[0].outputs[0]
    signature.inputs, signature.outputs = [], [entry]
    signature.signatureKey = b"serving_default"
    model.signatureDefs = [signature]
    backbone = dataclasses.replace(backbone, content=graph.pack_model(model))
    deep = graph.read_model(with_depths(backbone).content)
    named = deep.signatureDefs[0].outputs[0].tensorIndex
    assert named == deep.subgraphs[0].outputs[0]


@pytest.mark.parametrize(
    ("file", "widths"),
    [
        ("mobilenet_v1_0.50_224_features_f32.tflite", (128, 256, 256, 256, 512)),
        ("mobilenet_v1_0.25_224_1_metadata_1.tflite", (64, 128, 128, 128, 256)),
        ("mobilenet_v1_0.5_160_quant.tflite", (128, 256, 256, 256, 512)),
    ],
)
def test_depths_of_mobilenet_v1(shared, file, widths):
    assert with_depths(load_backbone(shared / "models" / file)).widths == widths


def test_depths_of_mobilenet_v2_are_ends_of_blocks():
    deep = with_depths(load_backbone(BUNDLED_ARCHITECTURE))
    assert deep.widths == (64, 64, 96, 160, 1280)
