"""Prepare class folders from a table of pictures: `python -m scripts.prepare_data`."""

import sys

from edgeclf.data.prepare import main

if __name__ == "__main__":
    sys.exit(main())
