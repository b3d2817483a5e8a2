"""Label a folder with LiteRT and Pillow in a loop, in one process for each core.

The least that has to be done, without checks of anything: the JPEG is scaled while it
is decoded, as far as twice the input allows, and memory is kept for the next one, whose
return to the system takes as long as inference otherwise. Each process writes the index
of the best label of its pictures into files of its own, PART pictures in each.

    python plain_loop.py MODEL FOLDER OUTPUT PROCESSES PART
"""

import ctypes
import os
import sys
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # Source: mallopt(3)

model, folder, output, count, part = *sys.argv[1:4], *map(int, sys.argv[4:])
children = []
for number in range(count):
    child = os.fork()
    if not child:
        first = number
        break
    children.append(child)
else:
    sys.exit(
        max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    )

import numpy as np  # noqa: E402 - each process imports for itself, as workers do
from ai_edge_litert.interpreter import Interpreter  # noqa: E402
from PIL import Image  # noqa: E402

for setting in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
    ctypes.CDLL(None).mallopt(setting, 1 << 25)
interpreter = Interpreter(model, num_threads=1)
interpreter.allocate_tensors()
model_input = interpreter.get_input_details()[0]
model_output = interpreter.get_output_details()[0]
_, height, width, _ = model_input["shape"]
Path(output).mkdir(parents=True, exist_ok=True)
paths = sorted(Path(folder).rglob("*.jpg"))[first::count]
for start in range(0, len(paths), part):
    rows = []
    for path in paths[start : start + part]:
        image = Image.open(path)
        image.draft("RGB", (2 * width, 2 * height))
        image = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
        if model_input["dtype"] == np.float32:
            pixels = (pixels - np.float32(127.5)) / np.float32(127.5)
        interpreter.set_tensor(model_input["index"], pixels[None])
        interpreter.invoke()
        scores = interpreter.get_tensor(model_output["index"])[0]
        rows.append(f"{path},{scores.argmax()}\n")
    Path(output, f"part-{first}-{start:07}.csv").write_text("".join(rows))
