from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from edgeclf import zoo
from edgeclf.zoo import BUNDLED_ARCHITECTURE, DEFAULT_ARCHITECTURE, architectures
from edgeclf.zoo.hosted import HostedModel, canonical_name, hosted_models


def test_table_has_every_row_with_its_facts() -> None:
    models = hosted_models()
    assert len(models) == 61
    assert models["mobilenet_v1_0.50_224"] == HostedModel(
        name="mobilenet_v1_0.50_224",
        dtype="float32",
        input_size=(224, 224),
        url="https://storage.googleapis.com/download.tensorflow.org/models/"
        "mobilenet_v1_2018_02_22/mobilenet_v1_0.5_224.tgz",
        sha256=models["mobilenet_v1_0.50_224"].sha256,
    )
    assert models["inception_v3"].input_size == (299, 299)


def test_table_checksums_and_addresses_are_all_different() -> None:
    models = hosted_models().values()
    assert len({model.sha256 for model in models}) == len(models)
    assert len({model.url for model in models}) == len(models)
    assert all(model.url.startswith("https://") for model in models)


def test_table_quantized_rows_say_so_in_their_names() -> None:
    for model in hosted_models().values():
        assert model.name.endswith("_quant") == (model.dtype == "uint8")


def test_table_is_the_published_one(shared: Path) -> None:
    carried = Path(zoo.__file__).with_name("hosted_models.csv")
    published = shared / "models" / "hosted_models.csv"
    assert carried.read_bytes() == published.read_bytes()


def test_architectures_has_the_bundled_one_first_and_no_duplicates() -> None:
    names = architectures()
    assert names[0] == BUNDLED_ARCHITECTURE
    assert DEFAULT_ARCHITECTURE in names
    assert len(names) == len(set(names)) == 65


def test_canonical_name_keeps_every_name() -> None:
    assert [canonical_name(name) for name in architectures()] == architectures()


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("mobilenet_0.50_224", "mobilenet_v1_0.50_224"),
        ("mobilenet_1.0_224", "mobilenet_v1_1.00_224"),
        ("mobilenet_0.75_160", "mobilenet_v1_0.75_160"),
        ("mobilenet_0.25_128_quantized", "mobilenet_v1_0.25_128_quant"),
        ("mobilenet_1.0_192_quantized", "mobilenet_v1_1.00_192_quant"),
        ("mobilenet_v1_0.5_224", "mobilenet_v1_0.50_224"),
        ("mobilenet_v2_1.4_224", "mobilenet_v2_1.40_224"),
        ("mobilenet_v3_large_1.0_224", "mobilenet_v3_large_1.00_224"),
        (" inception_v3\n", "inception_v3"),
    ],
)
def test_canonical_name_understands_other_spellings(spelling: str, name: str) -> None:
    assert canonical_name(spelling) == name


def test_canonical_name_knows_all_names_of_tensorflow_for_poets() -> None:
    for alpha in ("1.0", "0.75", "0.50", "0.25"):
        for size in (224, 192, 160, 128):
            for ending in ("", "_quantized"):
                canonical_name(f"mobilenet_{alpha}_{size}{ending}")


def test_canonical_name_refuses_unknown_and_lists_close_names() -> None:
    with pytest.raises(ValueError, match=r"mobilenet_0\.50_225") as caught:
        canonical_name("mobilenet_0.50_225")
    assert "Close names: mobilenet_v1_0.50_224" in str(caught.value)
    assert all(name in str(caught.value) for name in architectures())


@pytest.mark.parametrize("name", ["", "resnet", "mobilenet_0.504_224"])
def test_canonical_name_refuses_whatever_is_not_a_name(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"Received: {name!r}.")):
        canonical_name(name)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../evil"),
        ("name", ""),
        ("dtype", "int8"),
        ("url", "file:///etc/passwd"),
        ("url", "https://host"),
        ("sha256", "abc"),
        ("input_size", (0, 224)),
    ],
)
def test_hosted_model_refuses_a_wrong_field(field: str, value: object) -> None:
    model = hosted_models()[DEFAULT_ARCHITECTURE]
    with pytest.raises(ValueError, match=f"Received: {field}="):
        dataclasses.replace(model, **{field: value})
