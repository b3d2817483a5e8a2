#!/bin/sh
# An int8 file of the bundled backbone, labelled with LiteRT and with tflite-runtime
# 2.14, the last one for 32-bit Arm: the wheel alone, NumPy 1, nothing of training. Then
# packages are broken and taken away, and the doctor must name the line that mends it.
#   sh tests/old_runtime.sh .venv/bin/python dist/edgeclf-VERSION.whl
set -eu
python=$(realpath -s "$1")
wheel=$(realpath "$2")
root=$(realpath "$(dirname "$0")/..")
if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] > (3, 11))'; then
    echo "tflite-runtime 2.14 has no wheel for this Python: skipped."
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$root/tests"
"$python" -c 'import sys, pathlib, tiny; tiny.write_folder(pathlib.Path(sys.argv[1]), 12)' \
    "$work/photos"
cd "$work"
"$python" -m edgeclf retrain --image_dir photos --output_graph model.tflite \
    --architecture mobilenet_v2_1.00_224_torchvision --bottleneck_dir bottlenecks
"$python" -m venv old
old/bin/pip install --quiet --disable-pip-version-check \
    tflite-runtime==2.14.0 'numpy<2' pillow
old/bin/pip install --quiet --disable-pip-version-check --no-deps "$wheel"
label="-m edgeclf label_image --model model.tflite --image photos --json"
"$python" $label > litert.jsonl
old/bin/python -c 'import tflite_runtime'
old/bin/python $label > old.jsonl
"$python" - litert.jsonl old.jsonl <<'END'
import json
import sys

first, second = (
    [json.loads(line)["categories"] for line in open(name)] for name in sys.argv[1:]
)
assert len(first) == len(second) == 36
largest = 0.0
for ours, theirs in zip(first, second):
    scores = {entry["label"]: entry["score"] for entry in theirs}
    assert ours[0]["label"] == theirs[0]["label"], (ours, theirs)
    for entry in ours:
        largest = max(largest, abs(entry["score"] - scores[entry["label"]]))
assert largest <= 0.1, largest
print(f"tflite-runtime 2.14: 36 of 36 labels the same, scores within {largest:.3f}")
END

doctor() { # the exit status and the words that are expected
    status=0
    old/bin/python -m edgeclf doctor > report.txt || status=$?
    if [ "$status" != "$1" ] || ! grep -qF -- "$2" report.txt; then
        cat report.txt
        echo "error: Expected exit status $1 and: $2. Received: $status" >&2
        exit 1
    fi
    echo "doctor: $2"
}
pip() {
    old/bin/pip --quiet --disable-pip-version-check "$@"
}
doctor 0 "tflite-runtime 2.14.0"
pip install 'numpy>=2' 2> conflict.txt
doctor 1 'pip install "numpy<2"'
pip uninstall --yes tflite-runtime
doctor 1 "pip install ai-edge-litert"
pip uninstall --yes numpy
doctor 1 'pip install "numpy>=1.24"'
pip install 'numpy<2' ai-edge-litert
doctor 0 "ai-edge-litert"
