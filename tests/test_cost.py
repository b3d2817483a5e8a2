"""Multiplications and parameters, against what is published and what can be counted."""

import pytest
import tiny

from edgeclf.errors import ModelError
from edgeclf.tflite.cost import read_cost


def test_cost_of_one_convolution_can_be_counted():
    cost = read_cost(tiny.backbone_file())
    assert cost.macs == 16 * 16 * 8 * (3 * 3 * 3)  # places, filters, numbers in each
    assert cost.parameters == 8 * (3 * 3 * 3) + 8


# Source: tensorflow/models, research/slim/nets/mobilenet_v1.md (million MACs and
# million parameters of the classifier of 1001 classes); mobilenet/README.md for V2.
@pytest.mark.parametrize(
    ("name", "macs", "parameters", "depth"),
    [
        ("mobilenet_v1_0.25_224_1_metadata_1", 41, 0.47, None),
        ("mobilenet_v1_0.5_160_quant", 77, 1.34, None),
        ("mobilenet_v1_0.50_224_features_f32", 150, 1.34, 512),
    ],
)
def test_cost_is_the_published_one(shared, name, macs, parameters, depth):
    cost = read_cost((shared / "models" / f"{name}.tflite").read_bytes())
    layer = depth * 1001 if depth else 0  # the classifier that was cut off
    assert (cost.macs + layer) / 1e6 == pytest.approx(macs, abs=0.6)
    assert (cost.parameters + layer) / 1e6 == pytest.approx(parameters, rel=0.02)


def test_cost_of_the_bundled_backbone_is_that_of_mobilenet_v2():
    from edgeclf.zoo import BUNDLED_ARCHITECTURE, load_backbone

    cost = read_cost(load_backbone(BUNDLED_ARCHITECTURE).content)
    assert cost.macs / 1e6 == pytest.approx(300, abs=1)
    assert cost.parameters / 1e6 == pytest.approx(3.5 - 1.28, rel=0.02)


def test_cost_of_a_cut_file_is_a_sentence():
    with pytest.raises(ModelError):
        read_cost(tiny.backbone_file()[:200])
