"""Keep a model loaded in LiteRT; NumPy and Pillow around it, no checks of anything.

With `draft` as second argument it is the least that has to be done: the JPEG scaled
while it is decoded, as far as twice the input allows, a resize, one inference.
Without, it is `ten_lines.py` as a loop would have it: every picture decoded in full.
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
from serving import serve


class _Peer:
    def __init__(self, model):
        self.draft = sys.argv[2:] == ["draft"]
        self.interpreter = Interpreter(model)
        self.interpreter.allocate_tensors()
        self.invoke = self.interpreter.invoke
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]

    def label(self, path):
        _, height, width, _ = self.input["shape"]
        image = Image.open(path)
        if self.draft:
            image.draft("RGB", (2 * width, 2 * height))
        image = image.convert("RGB")
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
        if self.input["dtype"] == np.float32:
            pixels = (pixels - np.float32(127.5)) / np.float32(127.5)
        self.interpreter.set_tensor(self.input["index"], pixels[None])
        self.interpreter.invoke()
        values = self.interpreter.get_tensor(self.output["index"])[0]
        if values.dtype == np.float32:
            return values
        scale, zero_point = self.output["quantization"]
        return (values.astype(int) - zero_point) * scale


serve(_Peer)
