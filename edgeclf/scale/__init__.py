"""Label millions of pictures into a Parquet dataset; see `edgeclf.engines`.

```python
from edgeclf.scale import LabelConfig, label

result = label(LabelConfig(source="photos", output="labels", model="m.tflite"))
```
"""

from edgeclf.scale.config import LabelConfig, LabelResult
from edgeclf.scale.run import label

__all__ = ["LabelConfig", "LabelResult", "label"]
