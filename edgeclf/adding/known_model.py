"""A model file with what it carries besides the graph, and one with a class more."""

from __future__ import annotations

import bisect
import copy
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeclf import __version__
from edgeclf.adding.familiar import known_before, with_class
from edgeclf.adding.last_layer import LastLayer
from edgeclf.adding.new_row import LeftOut, Row
from edgeclf.adding.pictures import Pictures
from edgeclf.adding.rounding import LEVELS, rounded
from edgeclf.errors import DatasetError, ModelError
from edgeclf.familiarity import RejectRule
from edgeclf.image import DEFAULT_RESIZE
from edgeclf.metadata import RECORD_NAME, read_model_info
from edgeclf.statistics import STATISTICS_NAME, pack, read_statistics
from edgeclf.tflite.attached_files import LABELS_NAME, AttachedFiles, packed_files
from edgeclf.tflite.memory import MAX_MODEL_BYTES
from edgeclf.tflite.verify import check_model
from edgeclf.training.views import DEFAULT_VIEWS
from edgeclf.zoo import graph

MOST_VIEWS = 100  # no larger number is taken from a record
MOST_NOISE = 0.3  # nats that rounding may add to a logit
NEGLIGIBLE = 10.0  # nats below the best, a class has no score to speak of

_MEASURED = (
    "accuracy",
    "cross_entropy",
    "calibration",
    "macro_f1",
)  # in names of figures

_Matrix = NDArray[np.float64]


class KnownModel:
    """A file of edgeclf's own, open for one more class.

    Attributes:
        labels: Of the classes, in the order of the output.
        statistics: Of the classes.
        weights: Of the last layer, real values, `(num_classes, depth)`.
        bias: Of it, `(num_classes,)`.
        views: How many of each picture the classes were learned from.
        seed: Of the views.
        resize: The filter that pictures are resized with.

    Args:
        content: The whole file.
        max_bytes: Most memory that it may take.

    Raises:
        ModelError: It is damaged, too large, or has not what this takes.
    """

    def __init__(self, content: bytes, max_bytes: int = MAX_MODEL_BYTES) -> None:
        self._content = content
        info = read_model_info(content)
        check_model(content, max_bytes)
        if info.record.get("multi_label"):
            raise ModelError(
                "Expected a model with one label for each picture. Received: one with "
                "several, which has no place for another class. Retrain it."
            )
        statistics = read_statistics(content)
        if not info.record or info.labels is None or statistics is None:
            lacking = "class statistics" if info.record else "a record of edgeclf"
            raise ModelError(
                "Expected a model that this version of edgeclf retrain wrote. "
                f"Received: one without {lacking}. Retrain it."
            )
        layer = LastLayer(graph.read_model(content))
        self.weights, self.bias = layer.weights, layer.bias
        self.labels, self.statistics = info.labels, statistics
        shapes = (len(self.labels), statistics.means.shape)
        if shapes != (len(self.weights), self.weights.shape):
            raise ModelError(
                f"Expected labels and class statistics for weights of shape "
                f"{self.weights.shape}. Received: {shapes[0]} labels, means of shape "
                f"{shapes[1]}. Retrain the model."
            )
        if not statistics.counts.any():
            raise ModelError("Expected class statistics. Received: of no picture.")
        self._record = copy.deepcopy(dict(info.record))
        entry = self._record.get("reject") or {}
        self._rule = RejectRule.from_entry(entry) if "mean_distance" in entry else None
        if not isinstance(self._record.get("provenance"), dict):
            self._record["provenance"] = {}
        self._provenance: dict[str, Any] = self._record["provenance"]
        views, seed = self._provenance.get("views"), self._provenance.get("seed")
        self.views = _whole(views, range(1, MOST_VIEWS + 1), DEFAULT_VIEWS)
        self.seed = _whole(seed, range(2**63), 0)
        preprocessing = self._record["preprocessing"]
        self.resize = str(preprocessing.get("resize", DEFAULT_RESIZE))

    def check_new(self, label: str, pictures: Pictures) -> None:
        """Refuse pictures that were added to the class before.

        Raises:
            DatasetError: They were.
            ModelError: The bottleneck that the record names is not the layer's.
        """
        depth = pictures.bottlenecks.shape[-1]
        if depth != self.weights.shape[1]:
            raise ModelError(
                f"Expected a bottleneck of {self.weights.shape[1]} numbers, as the "
                f"last layer takes. Received: {depth}. Retrain the model."
            )
        for entry in self._added():
            if (entry.get("label"), entry.get("pictures_sha256")) == (
                label,
                pictures.sha256,
            ):
                raise DatasetError(
                    f"Expected pictures of {label} that the model does not know. "
                    "Received: those that were added to it before."
                )

    def rival(self, left_out: LeftOut) -> tuple[str, int] | None:
        """Return the class that most new pictures belong to already, and how many.

        None: there is no such class, or the file has no rule that could tell.
        """
        if self._rule is None:
            return None
        is_known = known_before(self._rule, self.statistics, left_out)
        counts = np.bincount(left_out.rivals[is_known], minlength=len(self.labels))
        place = int(counts.argmax())
        if 2 * counts[place] <= len(is_known):
            return None
        return self.labels[place], int(counts[place])

    def _added(self) -> list[dict[str, Any]]:
        """Return what was added so far."""
        entries = self._provenance.get("added")
        entries = entries if isinstance(entries, list) else []
        return [entry for entry in entries if isinstance(entry, dict)]

    def with_row(
        self, label: str, row: Row, pictures: Pictures
    ) -> tuple[bytes, int | None]:
        """Return the file with a row for a new class, or another for a known one.

        Also how many of the pictures its reject rule takes for unknown when each is
        left out; None without a rule.

        Args:
            label: Of the class. A new one goes where it stands by code point, or to
                the end where labels are not in that order.
            row: Of the class.
            pictures: What it comes from.
        """
        extended = label in self.labels
        place = self.labels.index(label) if extended else _place(self.labels, label)
        count = float(len(pictures.bottlenecks))
        if extended:
            count += float(self.statistics.counts[place])

        def put(rows: NDArray[Any], new: Any) -> NDArray[Any]:
            rest = np.delete(rows, place, axis=0) if extended else rows
            return np.insert(rest, place, new, axis=0)

        statistics = self.statistics._replace(
            means=put(self.statistics.means, row.mean).astype(np.float32),
            counts=put(self.statistics.counts, count).astype(np.float32),
        )
        rule, num_unknown = self._rule, None
        if rule is not None:
            old_mean = self.statistics.means[place] if extended else None
            statistics, rule, num_unknown = with_class(
                rule, statistics, place, row.left_out, old_mean
            )
        labels = list(self.labels)
        if not extended:
            labels.insert(place, label)
        model = graph.read_model(self._content)
        layer = LastLayer(model)
        weights, bias, steps = self._rounded(
            put(self.weights, row.weights), put(self.bias, row.bias), place, layer.steps
        )
        layer.write(weights, bias, steps)
        logits = np.concatenate([pictures.bottlenecks[:, 0], statistics.means])
        layer.widen_logits(*_range(logits @ weights.T + bias))
        packed = graph.pack_model(model)
        record = self._changed_record(label, place, pictures, extended=extended)
        if rule is not None:
            record["reject"] = rule.entry()
        record["crc32"] = zlib.crc32(packed)
        attached = AttachedFiles(self._content)
        contents = {name: attached.read(name) for name in attached.names}
        text = json.dumps(record, ensure_ascii=False, sort_keys=True)
        contents[RECORD_NAME] = text.encode(errors="backslashreplace")
        contents[LABELS_NAME] = "".join(f"{name}\n" for name in labels).encode()
        contents[STATISTICS_NAME] = pack(statistics)
        return packed + packed_files(contents), num_unknown

    def _rounded(
        self, weights: _Matrix, bias: _Matrix, place: int, steps: _Matrix | None
    ) -> tuple[_Matrix, _Matrix, _Matrix | None]:
        """Round one row to the steps of the others; all if that does not do."""
        if steps is None:
            return weights, bias, None
        weights, bias = weights.copy(), bias.copy()
        own = float(np.abs(weights[place]).max()) / LEVELS or float(steps[0])
        if len(steps) > 1:  # one for each class
            rest = np.delete(steps, place) if len(steps) == len(weights) else steps
            steps = np.insert(rest, place, own)
            step = own
        else:
            step = float(steps[0])
        result = rounded(weights[place], float(bias[place]), step, self.statistics)
        weights_of_row, bias_of_row, noise = result
        if noise > MOST_NOISE and own > step:
            # The row does not fit: a longer step for all.
            for number in range(len(weights)):
                weights[number], bias[number], _ = rounded(
                    weights[number], float(bias[number]), own, self.statistics
                )
            return weights, bias, np.array([own])
        weights[place], bias[place] = weights_of_row, bias_of_row
        return weights, bias, steps

    def _changed_record(
        self, label: str, place: int, pictures: Pictures, *, extended: bool
    ) -> dict[str, Any]:
        """Return the record of the changed file, without its checksum."""
        record = copy.deepcopy(self._record)
        thresholds = record.get("thresholds")
        if isinstance(thresholds, list) and not extended:
            thresholds.insert(place, float(np.median(thresholds)))
        provenance = record["provenance"]
        # Figures of the model as it was trained say nothing of this one.
        measured = {
            key: provenance.pop(key)
            for key in sorted(provenance)
            if any(word in key for word in _MEASURED)
        }
        provenance.setdefault("measured_before_adding", measured)
        provenance["added"] = [
            *self._added(),
            {
                "label": label,
                "extended": extended,
                "num_pictures": len(pictures.bottlenecks),
                "pictures_sha256": pictures.sha256,
                "edgeclf": __version__,
            },
        ]
        return record


def _whole(value: Any, allowed: range, default: int) -> int:
    """Return a whole number of a record, the default where it is none."""
    return value if isinstance(value, int) and value in allowed else default


def _place(labels: Sequence[str], label: str) -> int:
    """Return where a new label goes."""
    in_order = list(labels) == sorted(labels)
    return bisect.bisect(labels, label) if in_order else len(labels)


def _range(logits: _Matrix) -> tuple[float, float]:
    """Return the range that logits need so that scores tell them apart."""
    second, best = np.sort(logits, axis=1)[:, -2:].T
    low = float(best.min()) - NEGLIGIBLE
    high = max(float(second.max()), float(best.min())) + NEGLIGIBLE
    return max(low, float(logits.min())), min(high, float(logits.max()))
