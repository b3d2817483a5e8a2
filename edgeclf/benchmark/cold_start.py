"""Label one picture in a process of its own, and say what each step took.

```
python -m edgeclf.benchmark.cold_start model.tflite a.jpg '{"num_threads": 1}'
```
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()  # before the imports that are measured


def main() -> None:
    """Print one line of JSON: milliseconds of each step, and the peak memory.

    The three arguments are a model, a picture and the other arguments of
    `Classifier` as a JSON object.
    """
    import edgeclf.label_image  # noqa: F401 - what the command imports
    from edgeclf.classifier import Classifier

    imported = time.perf_counter()
    import json
    import sys

    model, picture, text = sys.argv[1:]
    arguments = json.loads(text)
    if arguments.get("input_size"):
        arguments["input_size"] = tuple(arguments["input_size"])
    began = time.perf_counter()
    with Classifier(model, **arguments) as classifier:
        loaded = time.perf_counter()
        classifier.classify(picture)
        labelled = time.perf_counter()
    content = {
        "import_ms": (imported - STARTED) * 1e3,
        "load_ms": (loaded - began) * 1e3,
        "first_ms": (labelled - loaded) * 1e3,
        "peak_bytes": peak_bytes(),
    }
    sys.stdout.write(json.dumps(content) + "\n")


def peak_bytes() -> int | None:
    """Return the largest resident set of this process; None where it is not known."""
    try:
        # Not getrusage: on Linux a process starts with the peak of its parent.
        with open("/proc/self/status") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # no Linux
    return None


if __name__ == "__main__":
    main()
