"""A model behind FastAPI as its documentation has one write it; uvicorn, one process.

`python plain_fastapi.py MODEL.tflite LABELS.txt PORT`: POST /classify, field `image`.
"""

import sys
import threading

import numpy as np
import uvicorn
from ai_edge_litert.interpreter import Interpreter
from fastapi import FastAPI, UploadFile
from PIL import Image

app = FastAPI()
interpreter = Interpreter(sys.argv[1])
interpreter.allocate_tensors()
input_details = interpreter.get_input_details()[0]
output_details = interpreter.get_output_details()[0]
with open(sys.argv[2], encoding="utf-8") as lines:  # noqa: PTH123
    labels = lines.read().splitlines()
lock = threading.Lock()


@app.post("/classify")
def classify(image: UploadFile):
    """Return the five best labels of a picture."""
    _, height, width, _ = input_details["shape"]
    picture = Image.open(image.file).convert("RGB").resize((width, height))
    pixels = np.asarray(picture)
    if input_details["dtype"] == np.float32:
        pixels = (pixels - np.float32(127.5)) / np.float32(127.5)
    with lock:
        interpreter.set_tensor(input_details["index"], pixels[None])
        interpreter.invoke()
        values = interpreter.get_tensor(output_details["index"])[0]
    if values.dtype != np.float32:
        scale, zero_point = output_details["quantization"]
        values = (values.astype(int) - zero_point) * scale
    best = np.argsort(-values)[:5]
    return [{"label": labels[i], "score": float(values[i])} for i in best]


uvicorn.run(
    app,
    port=int(sys.argv[3]),
    loop="asyncio",  # both as edgeclf serve has them, whatever else is installed
    http="h11",
    log_level="warning",
    access_log=False,
)
