from __future__ import annotations

import numpy as np
import pytest

from edgeclf import ModelError
from edgeclf.quantization import dequantize, quantized_levels


@pytest.mark.parametrize(
    ("values", "scale"), [(np.uint8([1]), 0.0), (np.bool_([True]), 1.0)]
)
def test_output_without_real_values_is_refused(
    values: np.ndarray, scale: float
) -> None:
    with pytest.raises(ModelError, match=f"Received: {values.dtype}, scale {scale}"):
        dequantize(values, {"quantization": (scale, 0)})


def test_dequantized_values_keep_their_shape() -> None:
    values = np.int8([[[-128, 127]]])
    real = dequantize(values, {"quantization": (0.5, -128)})
    np.testing.assert_array_equal(real, np.float32([[[0, 127.5]]]))
    half = dequantize(np.float16([0.25]), {"quantization": (0.0, 0)})
    assert half.dtype == np.float32
    assert half == 0.25


def test_levels_are_normalised_quantized_and_clipped() -> None:
    mean, std = np.float32([0, 100, 200]), np.float32([255, 50, 100])
    levels = quantized_levels(mean, std, 0.01, -10, np.dtype(np.int8))
    assert levels.shape == (3, 256)
    real = (np.arange(256) - mean[:, np.newaxis]) / std[:, np.newaxis]
    expected = np.clip(np.rint(real / 0.01) - 10, -128, 127)
    np.testing.assert_allclose(levels, expected, atol=1)
    assert levels[1, 0] == -128
