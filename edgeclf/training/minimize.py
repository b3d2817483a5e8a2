"""Find the minimum of a smooth convex function: L-BFGS without a package.

`scipy.optimize` does the same and takes a quarter of a second to import, which is more
than a head takes to be fitted.

Source: J. Nocedal, S. J. Wright, Numerical Optimization, 2nd ed., algorithms 3.1
(backtracking), 7.4 (two-loop recursion) and 7.5 (L-BFGS).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MEMORY = 20  # steps that are remembered
LEAST_DECREASE = 1e-4  # share of what the slope promises that a step has to gain
MAX_HALVINGS = 60

_Vector = NDArray[np.float64]


def minimize(
    function: Callable[[_Vector], tuple[float, _Vector]],
    start: _Vector,
    *,
    max_iterations: int,
    tolerance: float,
) -> _Vector:
    """Return where a convex function is least.

    Args:
        function: Returns the value and the gradient at a point `(n,)`.
        start: Where to begin, `(n,)`; stays as it is.
        max_iterations: Steps at most.
        tolerance: Done when a step gains less than this share of the value, or no
            entry of the gradient is larger than this.
    """
    point, (value, gradient) = start, function(start)
    remembered: deque[tuple[_Vector, _Vector]] = deque(maxlen=MEMORY)
    for _ in range(max_iterations):
        if np.abs(gradient).max() <= tolerance:
            break
        direction = -_preconditioned(gradient, remembered)
        slope = float(gradient @ direction)
        # Of the first step only the direction is known, not the length.
        size = 1.0 if remembered else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        for _ in range(MAX_HALVINGS):
            candidate = point + size * direction
            new_value, new_gradient = function(candidate)
            if new_value <= value + LEAST_DECREASE * size * slope:
                break
            size /= 2
        else:
            break  # nothing is left to gain but rounding
        change, turn = candidate - point, new_gradient - gradient
        if float(change @ turn) > 0:
            remembered.append((change, turn))
        gained = value - new_value
        point, value, gradient = candidate, new_value, new_gradient
        if gained <= tolerance * max(abs(value), 1.0):
            break
    return point


def _preconditioned(
    gradient: _Vector, remembered: deque[tuple[_Vector, _Vector]]
) -> _Vector:
    """Return the gradient times what is known of the inverse Hessian."""
    result = gradient.copy()
    shares = []
    for change, turn in reversed(remembered):
        share = float(change @ result) / float(change @ turn)
        result -= share * turn
        shares.append(share)
    if remembered:
        change, turn = remembered[-1]
        result *= float(change @ turn) / float(turn @ turn)
    for (change, turn), share in zip(remembered, reversed(shares), strict=True):
        result += (share - float(turn @ result) / float(change @ turn)) * change
    return np.asarray(result)
