"""Which subgraphs of a model run which: no circle, no tower, nothing that grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgeclf.errors import ModelError
from edgeclf.tflite.model_file import Model, Operator, SubGraph
from edgeclf.tflite.operators import CALLS, COMPOSITE, IF, WHILE

MAX_DEPTH = 16  # of calls in calls; each takes some of the interpreter's stack

Shapes = Callable[[int, int], "tuple[int, ...]"]  # of a subgraph's tensor


def called_by(operator: Operator) -> list[int]:
    """Return the subgraphs that an operator runs."""
    slots = CALLS.get(operator.code, ())
    options = operator.options_2 if operator.code == COMPOSITE else operator.options
    return [options.number(slot) if options else 0 for slot in slots]


def check_depth(model: Model) -> None:
    """Check that the subgraphs exist, and that none runs itself or too many others.

    Raises:
        ModelError: One does.
    """
    calls = {
        index: called
        for index, graph in enumerate(model.subgraphs)
        if (called := [*_called(graph)])
    }
    if not calls:
        return
    from graphlib import CycleError, TopologicalSorter  # only control flow needs it

    count = len(model.subgraphs)
    for called in calls.values():
        for index in called:
            if not 0 <= index < count:
                raise ModelError(
                    f"Expected one of {count} subgraphs. Received: {index}"
                )
    try:
        order = [*TopologicalSorter(calls).static_order()]
    except CycleError as error:
        raise ModelError("Expected no subgraph that runs itself.") from error
    depths: dict[int, int] = {}
    for index in order:  # those that are run come first
        below = (depths[called] for called in calls.get(index, ()))
        depths[index] = 1 + max(below, default=0)
    if max(depths.values()) > MAX_DEPTH:
        raise ModelError(
            f"Expected at most {MAX_DEPTH} subgraphs in one another. "
            f"Received: {max(depths.values())}"
        )


def check_passed(model: Model, shape: Shapes) -> None:
    """Check that subgraphs are run with what they are made for.

    Interpreters let them grow with what they are given; a loop whose body gives more
    than it takes would do so in each round.

    Args:
        model: Checked by `check_depth`.
        shape: Tells the shape that a tensor has, by subgraph and index.

    Raises:
        ModelError: A shape is another than the subgraph's.
    """
    for place, graph in enumerate(model.subgraphs):
        for operator in graph.operators:
            inputs = operator.inputs[1 if operator.code == IF else 0 :]
            given = [shape(place, index) for index in inputs]
            for called in called_by(operator):
                taken = [shape(called, each) for each in model.subgraphs[called].inputs]
                if given != taken:
                    raise ModelError(
                        f"Subgraph {place} is damaged: it runs subgraph {called}, made "
                        f"for the shapes {taken[:4]}, with {given[:4]}."
                    )
            if operator.code == WHILE:
                body = called_by(operator)[1]
                results = [shape(body, each) for each in model.subgraphs[body].outputs]
                if results != given:
                    raise ModelError(
                        f"Subgraph {body} is damaged: a loop runs it with the shapes "
                        f"{given[:4]}, and it gives {results[:4]}."
                    )


def _called(graph: SubGraph) -> Iterator[int]:
    for operator in graph.operators:
        yield from called_by(operator)
