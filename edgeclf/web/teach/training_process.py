"""The process that trains: so the server stays small, and outlives what goes wrong.

It reads commands, one JSON a line, and writes events likewise:

```
{"do": "warm", "folder": …, "bottlenecks": …, "architecture": …}
{"do": "train", "run": …, "pictures": …, "folder": …, "bottlenecks": …,
 "architecture": …}

{"event": "backbone", "name": …}                a default that had to be replaced
{"event": "progress", "stage": …, "done": …, "total": …}
{"event": "warning", "message": …, "is_of_pictures": …}
{"event": "done", "result": …}  or  {"event": "failed", "message": …}
```

It ends when the server closes its input, or ends in whatever way; and after some
minutes without a command.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

IDLE_S = 180.0  # then the memory is given back
NICE = 2  # answers to people come before training
OOM_SCORE = 500  # of -1000 to 1000: rather this process than the server
_AHEAD = ("edgeclf.training.report", "ai_edge_quantizer.quantizer")  # to import
# Modules that warn of pictures, which who teaches can change.
_OF_PICTURES = frozenset({"background", "dataset", "extracted", "folders", "labels"})
_PROGRESS_S = 0.1  # between two events of one stage
_STAGES = {"evaluation": "evaluate", "scanning": "pictures"}
# Of each picture, for people wait: `retrain` looks at 8, which takes half as long again
# and is no better beyond chance.
VIEWS = 4
BUNDLED_VIEWS = 2  # of the bundled backbone, which takes four times as long for each

_events = sys.stdout
_lock = threading.Lock()


def main() -> int:
    """Do what the server wants until it goes."""
    commands: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(commands,), daemon=True).start()
    _be_modest()
    worker = _Worker(commands)
    with contextlib.suppress(queue.Empty, KeyboardInterrupt):
        while True:
            command = commands.get(timeout=IDLE_S)
            if command["do"] == "train":
                worker.train(command)
            elif commands.empty():  # else there is something newer
                worker.warm(command)
    return 0


def _read(commands: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        commands.put(json.loads(line))
    os._exit(0)  # the server is gone: nobody needs what is half done


def _be_modest() -> None:
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(f"{OOM_SCORE}\n")


def _tell(event: str, **values: Any) -> None:
    with _lock:
        _events.write(json.dumps({"event": event, **values}) + "\n")
        _events.flush()


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        is_of_pictures = record.module in _OF_PICTURES
        _tell("warning", message=record.getMessage(), is_of_pictures=is_of_pictures)


class _Worker:
    """Trains, and prepares for it while pictures are still being added.

    Args:
        commands: What comes next; preparing stops when there is something.
    """

    def __init__(self, commands: queue.Queue[dict[str, Any]]) -> None:
        self._commands = commands
        self._default: str | None = None  # what the default backbone has turned out
        self._warmed: set[tuple[str, int, int]] = set()

    def train(self, command: Mapping[str, Any]) -> None:
        """Train a project; tell how that goes and what it has come to."""
        from edgeclf.errors import EdgeclfError

        handler = _Warnings(logging.WARNING)
        logger = logging.getLogger("edgeclf")
        logger.addHandler(handler)
        logger.propagate = False
        try:
            _tell("progress", stage="pictures", done=0, total=None)
            # So the report names the folder as who teaches does.
            os.chdir(Path(command["run"], command["pictures"]))
            _tell("done", result=self._trained(command))
        except MemoryError:
            _tell("failed", message="There is not enough memory to train on so much.")
        except (EdgeclfError, OSError, ValueError) as error:
            from edgeclf.console import sentence

            _tell("failed", message=sentence(error))
        finally:
            os.chdir("/")  # the run may be removed
            logger.removeHandler(handler)

    def _trained(self, command: Mapping[str, Any]) -> dict[str, Any]:
        from edgeclf.data import progress
        from edgeclf.training import retrain
        from edgeclf.web.teach.trained import LABELS, MODEL

        project = command["folder"]
        config = self._config(command, project)
        with progress.observed(_Throttled()):
            result = retrain(
                dataclasses.replace(
                    config,
                    output_graph=Path("..", MODEL),
                    output_labels=Path("..", LABELS),
                ),
                _as_shown(config, project),
            )
        test = result.metrics["test"] or {}
        low, high = test.get("accuracy_interval_95") or (None, None)
        return {
            "accuracy": result.metrics["accuracy"],
            "accuracy_low": low,
            "accuracy_high": high,
            "labels": result.metrics["labels"],
            "confusion_matrix": test.get("confusion_matrix"),
            "num_test": result.metrics["num_test"],
            "num_left_out": len(result.metrics["unreadable"])
            + len(result.metrics["conflicting"]),
            "size_bytes": result.metrics["size_bytes"],
            "architecture": result.metrics["architecture"],
            "misclassified": [vars(entry) for entry in result.misclassified],
        }

    def warm(self, command: Mapping[str, Any]) -> None:
        """Compute bottlenecks of a project's pictures until something else comes."""
        from concurrent.futures import ThreadPoolExecutor

        from edgeclf.data.folders import read_background, read_folder
        from edgeclf.errors import EdgeclfError
        from edgeclf.interpreter import num_processors
        from edgeclf.training.backbone import backbone_of
        from edgeclf.training.bottlenecks import BottleneckExtractor
        from edgeclf.training.cache import BottleneckCache
        from edgeclf.training.views import PLAIN

        with (
            contextlib.suppress(EdgeclfError, OSError, ValueError),
            _quiet(),
        ):
            folder = command["folder"]
            found = [*read_folder(folder, at_least=1), *read_background(folder)]
            paths = [example.path for example in found]
            fresh = [path for path in paths if _key(path) not in self._warmed]
            if not fresh:
                return
            config = self._config(command, folder)
            # To find the backbone may take seconds: the project may be deleted by now.
            if not self._commands.empty() or not Path(folder).is_dir():
                return
            with BottleneckCache(Path(command["bottlenecks"])) as cache:
                extractor = BottleneckExtractor(
                    backbone_of(config), cache, resize=config.resize
                )

                def keep(path: Path) -> None:
                    if not self._commands.empty():
                        return
                    key = _key(path)
                    with contextlib.suppress(EdgeclfError, OSError):
                        content = path.read_bytes()
                        views = config.draw_views(hashlib.sha256(content).digest())
                        extractor.keep(content, [PLAIN, *views])
                        self._warmed.add(key)

                with ThreadPoolExecutor(num_processors()) as executor:
                    list(executor.map(keep, fresh))
            for module in _AHEAD:
                with contextlib.suppress(ImportError):  # who needs it says so
                    importlib.import_module(module)

    def _config(self, command: Mapping[str, Any], folder: str) -> Any:
        from edgeclf.training import RetrainConfig
        from edgeclf.zoo.hosted import BUNDLED_ARCHITECTURE

        architecture = self._architecture(command["architecture"])
        return RetrainConfig(
            image_dir=folder,
            architecture=architecture,
            bottleneck_dir=command["bottlenecks"],
            views=BUNDLED_VIEWS if architecture == BUNDLED_ARCHITECTURE else VIEWS,
        )

    def _architecture(self, asked: str | None) -> str | None:
        """Return what to train on: the bundled backbone where no default is to be had.

        To find that out may take seconds, so it is done once.
        """
        if asked is not None:
            return asked
        if self._default is None:
            from edgeclf.zoo import load_backbone

            self._default = load_backbone(None).name
            _tell("backbone", name=self._default)
        return self._default


def _as_shown(config: Any, project: str) -> Any:
    """Return settings that make the same model where the projects lie.

    They name no folder of the server: the backbone's file goes by its name alone.
    """
    architecture = config.architecture
    if architecture is not None and Path(architecture).is_file():
        architecture = f"./{Path(architecture).name}"
    taken = architecture == f"./{project}.tflite"
    return dataclasses.replace(
        config,
        architecture=architecture,
        bottleneck_dir=None,
        output_graph=f"{project}.{'model.' if taken else ''}tflite",
    )


class _Throttled:
    """Tells of progress, of one stage no more than some times a second."""

    def __init__(self) -> None:
        self._stage, self._told_s = "", 0.0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """See `edgeclf.data.progress.Observer`."""
        now_s = time.monotonic()
        is_end = done == total
        if stage == self._stage and now_s - self._told_s < _PROGRESS_S and not is_end:
            return
        self._stage, self._told_s = stage, now_s
        named = _STAGES.get(stage, stage)
        _tell("progress", stage=named, done=done, total=total)


def _key(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def _quiet() -> Any:
    """What is wrong with pictures is said when they are trained on."""
    logger = logging.getLogger("edgeclf")
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(logging.INFO)


if __name__ == "__main__":
    # What libraries print must not stand between the events.
    _events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.exit(main())
