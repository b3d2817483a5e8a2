from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import model_files as models
import numpy as np
import pytest
import tiny
from ai_edge_litert import schema_py_generated as schema
from test_class_activation_map import HEAD, PICTURES

from edgeclf import Classifier
from edgeclf.export.c_array import RESOLVER_METHODS, c_header, c_string
from edgeclf.export.command import export_c_array, main
from edgeclf.export.micro_model import micro_model
from edgeclf.training.assemble import assemble
from edgeclf.training.quantize import activation_names, quantize, with_uint8_ends

LABELS = ("red", 'Wycinanki "łowickie"', "a\\b 1??/ %s\t.")


@pytest.fixture(scope="module")
def int8() -> bytes:
    floating = assemble(tiny.backbone(), HEAD, "scores")
    ranges = dict(
        zip(activation_names(floating), [(-1, 1), (0, 6), (0, 3)], strict=False)
    )
    logits = np.array([[-9, 9, 0]], np.float32)
    return models.with_files(
        with_uint8_ends(quantize(floating, ranges, logits)),
        {
            "labels.txt": "a\nb\nc\n",
            "edgeclf.json": json.dumps(models.record(bottleneck="features")),
        },
    )


def constants(header: Path) -> dict[str, str]:
    found = re.findall(r"#define G_MODEL_(\w+) (\S+)", header.read_text())
    return dict(found)


def compile_library(source: Path, *options: str) -> ctypes.CDLL:
    library = source.with_suffix(".so")
    compiler = "g++" if source.suffix == ".cc" else "gcc"
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    warnings = ("-Wall", "-Wextra", "-Werror", "-pedantic")
    subprocess.run(
        [compiler, *options, *warnings, "-shared", "-fPIC", "-o", library, source],
        check=True,
    )
    return ctypes.CDLL(str(library))


@pytest.mark.parametrize(
    ("ending", "standard"),
    [(".cc", "c++11"), (".cc", "c++20"), (".c", "c11"), (".c", "gnu17")],
)
def test_compiled_array_is_the_model(
    tmp_path: Path, model_file: Callable[..., Path], ending: str, standard: str
) -> None:
    path = model_file(models.own(labels=LABELS))
    _, source = export_c_array(path, tmp_path / f"out{ending}", "my_model")
    library = compile_library(source, f"-std={standard}")
    length = ctypes.c_uint.in_dll(library, "my_model_len").value
    array = (ctypes.c_ubyte * length).in_dll(library, "my_model")
    assert bytes(array) == models.build()  # what lies before the zip
    assert ctypes.addressof(array) % 16 == 0
    strings = (ctypes.c_char_p * len(LABELS)).in_dll(library, "my_model_labels")
    assert tuple(string.decode() for string in strings) == LABELS


def test_thresholds_of_tags_are_those_of_the_output(
    tmp_path: Path, model_file: Callable[..., Path], int8: bytes
) -> None:
    thresholds = [0.3, 0.998, 129 / 256]
    record = models.record(multi_label=True, thresholds=thresholds)
    content = models.with_files(
        micro_model(int8).content,
        {"labels.txt": "a\nb\nc\n", "edgeclf.json": json.dumps(record)},
    )
    _, source = export_c_array(model_file(content), tmp_path / "tags.cc", "tags")
    library = compile_library(source)
    least = (ctypes.c_ubyte * 3).in_dll(library, "tags_thresholds")
    # 77 / 256 is the first of 0.3 or more, and none is of 0.998: the last one there is.
    assert list(least) == [77, 255, 129]
    record = models.record(multi_label=True)
    _, source = export_c_array(
        model_file(models.own(entry=record)), tmp_path / "float.cc", "floats"
    )
    library = compile_library(source)
    least = (ctypes.c_float * 3).in_dll(library, "floats_thresholds")
    assert list(least) == [0.5, 0.5, 0.5]


def test_program_sees_the_constants(tmp_path: Path, int8: bytes) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(int8)
    export_c_array(model, tmp_path / "g_model.c")
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "g_model.h"\nint main(void) {\n'
        '  printf("%d %d %d %d\\n", G_MODEL_INPUT_HEIGHT, G_MODEL_INPUT_WIDTH,'
        " G_MODEL_INPUT_CHANNELS, G_MODEL_NUM_CLASSES);\n"
        '  printf("%.9g %d %.9g %d\\n", G_MODEL_INPUT_SCALE,'
        " G_MODEL_INPUT_ZERO_POINT, G_MODEL_OUTPUT_SCALE,"
        " G_MODEL_OUTPUT_ZERO_POINT);\n"
        '  printf("%u %s\\n", g_model_len, g_model_labels[2]);\n  return 0;\n}\n'
    )
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    files = [str(tmp_path / name) for name in ("main.c", "g_model.c")]
    program = tmp_path / "main"
    subprocess.run(["gcc", "-std=c11", "-o", str(program), *files], check=True)
    lines = subprocess.run(
        [str(program)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    exported = micro_model(int8)
    scale, zero_point = exported.input.scales[0], exported.input.zero_points[0]
    assert lines[0] == "32 32 3 3"
    assert lines[1] == f"{scale:.9g} {zero_point} 0.00390625 0"
    assert lines[2] == f"{len(exported.content)} c"


def test_exported_model_answers_as_before(int8: bytes) -> None:
    exported = micro_model(int8)
    assert len(exported.content) < len(int8)
    assert not exported.problems
    with Classifier(int8) as whole, Classifier(exported.content) as bare:
        assert bare.labels is None
        for image in PICTURES:
            np.testing.assert_array_equal(bare.scores(image), whole.scores(image))


def test_operators_are_named_for_the_resolver(tmp_path: Path, int8: bytes) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(int8)
    header, _ = export_c_array(model, tmp_path / "g_model.cc")
    text = header.read_text()
    methods = re.findall(r"resolver\.(\w+)\(\);", text)
    assert sorted(methods) == [
        "AddConv2D",
        "AddFullyConnected",
        "AddMean",
        "AddQuantize",
        "AddSoftmax",
    ]
    assert "MicroMutableOpResolver<5>" in text


def test_resolver_methods_have_the_numbers_of_the_schema() -> None:
    numbers = {
        name.replace("_", ""): number
        for name, number in vars(schema.BuiltinOperator).items()
        if isinstance(number, int)
    }
    for number, method in RESOLVER_METHODS.items():
        assert numbers[method.removeprefix("Add").upper()] == number


def test_operator_without_a_known_method_is_numbered() -> None:
    model = schema.ModelT.InitFromPackedBuf(models.build(activation=None), 0)
    code = model.operatorCodes[1]  # FULLY_CONNECTED becomes one nobody knows here
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SELECT
    exported = micro_model(models.pack(model))
    assert schema.BuiltinOperator.SELECT in exported.operators
    assert "BuiltinOperator 64 of schema.fbs" in c_header(exported, None, "x")


def test_arena_holds_at_least_what_is_needed_at_one_time(int8: bytes) -> None:
    # The worst moment is the convolution: 32 x 32 x 3 bytes in, 16 x 16 x 8 out.
    assert micro_model(int8).arena_bytes == 32 * 32 * 3 * 2
    floating = micro_model(assemble(tiny.backbone(), HEAD, "scores"))
    assert floating.arena_bytes == 4 * (32 * 32 * 3 + 16 * 16 * 8)


def test_reshaped_tensor_needs_no_memory_of_its_own() -> None:
    wide, flat = (
        micro_model(models.build(output_shape=shape, activation=None))
        for shape in (None, (1, 1, 1, 3))
    )
    assert wide.arena_bytes == flat.arena_bytes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"input_type": "uint8"}, "Write the pixel, 0-255, as it is: the model takes"),
        (
            {"input_type": "int8", "input_quantization": (1 / 127.5, 0)},
            "Write pixel - 128: the model takes",
        ),
        (
            {"input_type": "uint8", "input_quantization": (1 / 64, 128)},
            "/ 127.5 / scale + zero point, rounded and within uint8.",
        ),
        ({}, r"Write (pixel - 127.5) / 127.5 for pixels 0-255."),
    ],
)
def test_header_says_what_a_pixel_becomes(
    tmp_path: Path, model_file: Callable[..., Path], change: dict, words: str
) -> None:
    header, _ = export_c_array(model_file(models.own(**change)), tmp_path / "x.cc")
    assert words in header.read_text()


def test_header_admits_unknown_normalisation(
    tmp_path: Path, model_file: Callable[..., Path]
) -> None:
    header, source = export_c_array(model_file(models.build()), tmp_path / "x.cc")
    assert "does not say how pixels" in header.read_text()
    assert "labels" not in header.read_text() + source.read_text()


def test_header_names_the_channels(
    tmp_path: Path, model_file: Callable[..., Path]
) -> None:
    grey = models.build(input_shape=(1, 8, 6, 1), weights=np.ones((3, 1), np.float32))
    for content, words in ((grey, "from the top, grey."), (models.build(), "R, G, B.")):
        header, _ = export_c_array(model_file(content), tmp_path / "x.cc")
        assert words in header.read_text()


def test_input_of_no_fixed_size_is_warned_of() -> None:
    signature = (1, -1, -1, 3)
    problems = micro_model(models.build(input_signature=signature)).problems
    assert f"Its input has no fixed size: {signature}" in problems[0]


def test_zip_of_a_kind_that_python_does_not_read_is_left_out() -> None:
    content = bytearray(models.own())
    for entry in re.finditer(b"PK\1\2", bytes(content)):
        content[entry.start() + 6] = 99  # version that is needed to unpack it
    assert micro_model(bytes(content)).content == models.build()


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("łódź", r'"\305\202\303\263d\305\272"'),
        ('a"b\\c', r'"a\042b\134c"'),
        ("??=1", r'"\077\077=1"'),
        ("1\n2", r'"1\0122"'),
    ],
)
def test_strings_are_escaped(text: str, literal: str) -> None:
    assert c_string(text) == literal


def test_command_writes_header_and_source(
    tmp_path: Path, model_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = model_file(), tmp_path / "firmware"
    labels = tmp_path / "names.txt"
    labels.write_text("x\ny\nz\n")
    arguments = ["--output", str(folder), "--name", "eye", "--labels", str(labels)]
    assert main([str(path), "--format", "c_array", *arguments]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{folder / 'eye.h'}\n{folder / 'eye.cc'}\n"
    assert f"warning: {path}: It has operators of float32" in printed.err
    assert '    "z",' in (folder / "eye.cc").read_text()
    assert '#include "eye.h"' in (folder / "eye.cc").read_text()


def test_old_quantization_is_warned_of(
    tmp_path: Path, shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = shared / "models" / "mobilenet_v1_0.5_160_quant.tflite"
    export_c_array(model, tmp_path / "x.cc")
    assert "It has operators of uint8, an older quantization" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "my-model"], "expected a C identifier, received my-model"),
        (["--name", "1st"], "expected a C identifier, received 1st"),
        (["--name", "class"], "expected a C identifier, received class"),
        (["--name", "restrict"], "expected a C identifier, received restrict"),
        (["--format", "onnx"], "invalid choice"),
        (["--output", "x.h"], "file ending in .cc, .cpp, .c; received x.h"),
    ],
)
def test_wrong_usage(
    arguments: list[str],
    message: str,
    model_file: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(model_file()), *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text", "model.tflite: Expected a TFLite model"),
        (
            models.build(outputs=("scores", "bottleneck")),
            "one input and one output. Received: 1 and 2",
        ),
        (models.own(labels=("a", "b")), "Expected 3 labels for"),
        (
            models.build(input_shape=(1, 4, 4, 2), weights=np.ones((3, 2), "f")),
            "with 1 or 3 channels. Received: (1, 4, 4, 2)",
        ),
        (
            models.build(outputs=("image",)),
            "Expected an image classifier: one output of shape (1, num_classes)",
        ),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path,
    model_file: Callable[..., Path],
    content: bytes,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    assert main([str(model_file(content)), "--output", str(output)]) == 1
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_missing_model_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none.tflite")]) == 1
    assert "none.tflite: No such file or directory." in capsys.readouterr().err


def test_tensorflow_lite_micro_runs_it(int8: bytes) -> None:
    """Its own interpreter for Python, where that is installed."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    exported = micro_model(int8)
    interpreter = runtime.Interpreter.from_bytes(exported.content, arena_size=1 << 16)
    with Classifier(int8) as classifier:
        for image in PICTURES:
            interpreter.set_input(image[np.newaxis], 0)
            interpreter.invoke()
            scores = interpreter.get_output(0)[0] * exported.output.scales[0]
            np.testing.assert_allclose(scores, classifier.scores(image), atol=2 / 256)
    with pytest.raises(Exception, match="TFLM"):
        runtime.Interpreter.from_bytes(
            exported.content, arena_size=exported.arena_bytes
        )
