"""Keep a model loaded in LiteRT's CompiledModel; every picture decoded in full."""

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from PIL import Image
from serving import serve


class _Peer:
    def __init__(self, path):
        self.model = CompiledModel.from_file(path)
        self.inputs = self.model.create_input_buffers(0)
        self.outputs = self.model.create_output_buffers(0)
        (key,) = self.model.get_signature_list()
        (self.input,) = self.model.get_input_tensor_details(key).values()
        (self.output,) = self.model.get_output_tensor_details(key).values()

    def invoke(self):
        self.model.run_by_index(0, self.inputs, self.outputs)

    def label(self, path):
        _, height, width, _ = self.input["shape"]
        image = Image.open(path).convert("RGB")
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
        dtype = np.dtype(self.input["dtype"])
        if dtype == np.float32:
            pixels = (pixels - np.float32(127.5)) / np.float32(127.5)
        self.inputs[0].write(pixels)
        self.invoke()
        count, dtype = int(np.prod(self.output["shape"])), self.output["dtype"]
        values = self.outputs[0].read(count, dtype)
        return values / 256 if values.dtype == np.uint8 else values


serve(_Peer)
