#!/bin/sh
# Prepare the decor pictures for retraining: data/decor.csv and data/decor/*.png become
# data/decor-jpg/*.jpg (all of them) and tf_files/decor_images/CLASS/*.jpg (products).
#
#   sh prepare_data.sh                            seven decors
#   sh prepare_data.sh --label_column country --output tf_files/country_images
#                                                 four countries
#
# Options are those of `edgeclf prepare_data`; a repeated one overrides the one below.
# Paths are relative to this file's folder.
set -eu
cd -- "$(dirname -- "$0")"

if [ -x .venv/bin/python ]; then
    python=.venv/bin/python
else
    python=python3
fi
if ! "$python" -c 'import numpy, PIL' 2>/dev/null; then
    echo "error: Expected NumPy and Pillow in $python, which has not both. Run" \
        "'python3 -m venv .venv && .venv/bin/python -m pip install -e .' first." >&2
    exit 1
fi

exec "$python" -m scripts.prepare_data \
    --csv data/decor.csv --images data/decor --type product \
    --jpg_dir data/decor-jpg --output tf_files/decor_images "$@"
