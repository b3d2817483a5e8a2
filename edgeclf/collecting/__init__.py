"""Collect pictures from addresses, tables and image searches, with their licences.

```python
from edgeclf.collecting import Source, Web, collect, read_urls

result = collect(
    [Source("my list", read_urls("urls.txt", label="Gzhel"))],
    "photos",
    Web(allow_private=False),
    limit=100,
)
print(result.num_stored, dict(result.outcomes))
```
"""

from importlib.util import find_spec

from edgeclf.errors import MissingExtraError

if find_spec("tqdm") is None:
    raise MissingExtraError(
        "Collecting needs the package tqdm. "
        'Install it with: pip install "edgeclf[train]"'
    )

from edgeclf.collecting.collect import Collected, Source, collect
from edgeclf.collecting.found import Found
from edgeclf.collecting.url_list import read_urls
from edgeclf.collecting.web import Manners, Web

__all__ = ["Collected", "Found", "Manners", "Source", "Web", "collect", "read_urls"]
