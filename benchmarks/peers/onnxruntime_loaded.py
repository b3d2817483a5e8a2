"""Keep an `.onnx` file loaded in ONNX Runtime; every picture decoded in full."""

import numpy as np
import onnxruntime
from PIL import Image
from serving import serve


class _Peer:
    def __init__(self, model):
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(model, providers=providers)
        self.input = self.session.get_inputs()[0]
        self.invoke_on(np.zeros(self.input.shape, np.float32))

    def invoke(self):
        return self.invoke_on(self.pixels)

    def invoke_on(self, pixels):
        self.pixels = pixels
        return self.session.run(None, {self.input.name: pixels})[0][0]

    def label(self, path):
        _, _, height, width = self.input.shape
        image = Image.open(path).convert("RGB")
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = (np.asarray(image) - np.float32(127.5)) / np.float32(127.5)
        return self.invoke_on(pixels.transpose(2, 0, 1)[None])


serve(_Peer)
