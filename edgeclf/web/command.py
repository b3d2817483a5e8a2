r"""Serve a model to browsers and programs.

```
edgeclf serve --model model.tflite
```
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from edgeclf.console import Parser, run
from edgeclf.web.web_extra import require


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = Parser(prog="edgeclf serve", description="Serve a model.")
    parser.parse_args(argv)

    def command() -> int:
        require()
        return 1

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
