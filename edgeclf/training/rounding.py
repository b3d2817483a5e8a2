"""Round the head's weights to 8 bits so that the errors cancel in the logits.

Numbers of a bottleneck rise and fall together. What rounding one weight does to the
logits can therefore be taken back by the weights that are still to be rounded.

Source: E. Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative
Pre-trained Transformers" (ICLR 2023), 3 (the order of columns, the inverse Hessian's
Cholesky factor).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from edgeclf.training.head import Head

LEVELS = 127  # of a symmetric int8, on either side of 0
DAMPING = 0.03  # of the mean variance, added to each: int8 features are noisy, too


def rounded(head: Head, bottlenecks: NDArray[np.float32]) -> Head:
    """Return a head whose weights are multiples of their largest size / 127.

    One step for all weights, as the int8 layer has it; its quantization then changes
    nothing any more. The bias takes up the mean of what is left of the errors.

    Args:
        head: Stays as it is.
        bottlenecks: Of representative pictures, float32 `(n, depth)`.
    """
    # Imported here: it takes longer than all else in this module.
    from scipy.linalg.lapack import dtrtri

    largest = float(np.abs(head.weights).max())
    if not largest:
        return head
    step = largest / LEVELS
    # One thread adds in one order: the same weights in every run.
    with threadpool_limits(1, user_api="blas"):
        points = bottlenecks.astype(np.float64)
        mean = points.mean(axis=0)
        points -= mean
        covariance = points.T @ points / len(points)
        damping = DAMPING * float(np.trace(covariance)) / len(mean)
        covariance[np.diag_indices(len(mean))] += damping or 1.0
        order = np.argsort(-np.diag(covariance), kind="stable")
        # The upper factor of the inverse, U'U, is the inverse of the lower one of the
        # matrix itself when both are read from the end.
        backwards = covariance[np.ix_(order[::-1], order[::-1])]
        passed_on = dtrtri(np.linalg.cholesky(backwards), lower=1)[0][::-1, ::-1]
        weights = head.weights[:, order].T.astype(np.float64)  # (depth, classes)
        for column in range(len(weights)):
            exact = weights[column].copy()
            weights[column] = step * np.clip(np.rint(exact / step), -LEVELS, LEVELS)
            error = (exact - weights[column]) / passed_on[column, column]
            following = passed_on[column, column + 1 :]
            weights[column + 1 :] -= np.multiply.outer(following, error)
    result = np.empty_like(head.weights)
    result[:, order] = weights.T
    # The largest weight sets the step of the layer: it has to stay.
    place = np.unravel_index(np.abs(head.weights).argmax(), result.shape)
    result[place] = head.weights[place]
    bias = head.bias + (head.weights - result) @ mean
    return Head(result, bias.astype(np.float32))
