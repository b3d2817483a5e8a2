"""Label one picture with NumPy, Pillow and LiteRT, as anybody would in ten lines."""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

model, labels, picture = sys.argv[1:]
interpreter = Interpreter(model)
interpreter.allocate_tensors()
model_input = interpreter.get_input_details()[0]
output = interpreter.get_output_details()[0]
_, height, width, _ = model_input["shape"]
image = Image.open(picture).convert("RGB")
image = image.resize((width, height), Image.Resampling.BILINEAR)
interpreter.set_tensor(model_input["index"], np.asarray(image)[None])
interpreter.invoke()
scale, zero_point = output["quantization"]
scores = (interpreter.get_tensor(output["index"])[0].astype(int) - zero_point) * scale
names = Path(labels).read_text(encoding="utf-8").splitlines()
for index in np.argsort(-scores)[:5]:
    print(names[index], f"{scores[index]:.4f}")
