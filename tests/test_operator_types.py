"""Operators of every type of numbers end in labels or a `ModelError`, not in a signal.

Interpreters trust the types, scales and parameters that a file gives an operator.
`EDGECLF_OPERATORS=10000` tries all of them, in minutes.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator

import model_files as models
import pytest
import test_hostile_models
from test_model_memory import Growing

from edgeclf import ModelError
from edgeclf.tflite import operators
from edgeclf.tflite.verify import check_model
from edgeclf.zoo import graph

NUM_TRIED = int(os.environ.get("EDGECLF_OPERATORS", "60"))
TYPES = {
    "float32": 0,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
}
SHAPE = (1, 4, 4, 3)


def with_operator(code: int, kind: str, output: str) -> bytes:
    """A classifier with one operator beside it, on tensors without a scale."""
    least, _, num_outputs = operators.ARITY[code]
    model = Growing(input_type="uint8")
    tensors = model.model.subgraphs[0].tensors
    inputs = []
    for number in range(least):
        name = f"variable {number}"
        inputs.append(
            graph.add_tensor(model.model, name, SHAPE, tensor_type=TYPES[kind])
        )
        tensors[inputs[-1]].isVariable = True  # has values without an operator
    results = [
        graph.add_tensor(model.model, f"r {number}", SHAPE, tensor_type=TYPES[output])
        for number in range(num_outputs or 1)
    ]
    graph.add_operator(model.model, code, inputs, results)
    return model.content()


def all_operators() -> Iterator[tuple[int, str, str]]:
    """All operators, with all types in and out."""
    for code, (least, _, _) in operators.ARITY.items():
        if least:
            for kind in TYPES:
                for output in TYPES:
                    yield code, kind, output


def main(count: str) -> None:
    test_hostile_models.result(models.build())  # loads what all children need
    chosen = [*all_operators()]
    random.Random(7).shuffle(chosen)  # noqa: S311 - no secret
    tried = 0
    for code, kind, output in chosen:
        content = with_operator(code, kind, output)
        try:
            check_model(content)
        except ModelError:
            continue
        ended = test_hostile_models.outcome(content)
        if ended is not None:
            sys.stdout.write(f"operator {code} of {kind}, {output}: {ended}\n")
        tried += 1
        if tried == int(count):
            break
    sys.stdout.write(f"tried {tried}\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, to survive crashes")
def test_operator_of_any_type_ends_in_labels_or_an_error() -> None:
    done = subprocess.run(
        [sys.executable, __file__, str(NUM_TRIED)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    *failed, last = done.stdout.splitlines()
    assert failed == []
    assert int(last.removeprefix("tried ")) >= min(NUM_TRIED, 60)


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        (operators.ADD, "uint8", "tensors of integers that have a scale"),
        (operators.LESS, "int8", "tensors of integers that have a scale"),
        (operators.RSQRT, "int16", "tensors of integers that have a scale"),
        (operators.SPLIT, "float32", "an axis that is a constant"),
    ],
)
def test_operator_that_ends_the_process_is_refused(
    code: int, kind: str, sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        check_model(with_operator(code, kind, kind))


if __name__ == "__main__":
    main(*sys.argv[1:])
