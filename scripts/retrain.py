"""`python -m scripts.retrain`: the command `edgeclf retrain` under its old name."""

import sys

from edgeclf.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["retrain", *sys.argv[1:]]))
