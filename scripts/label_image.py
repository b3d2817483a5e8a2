"""`python -m scripts.label_image`: the command `edgeclf label_image`, old name."""

import sys

from edgeclf.label_image import main

if __name__ == "__main__":
    sys.exit(main())
