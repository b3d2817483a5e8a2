#!/bin/sh
# Install edgeclf below a folder: the very steps of the Dockerfile, which also run
# where no container engine exists.
#   sh container/install.sh PREFIX SOURCE [EXTRAS]
# PREFIX    folder that is made: an environment with bin/edgeclf, and nothing else
# SOURCE    folder of a checkout
# EXTRAS    such as web,train; default: web
# PYTHON    variable: the Python to install for; default: python3
set -eu
prefix=$1
source=$(cd "$2" && pwd)
extras=${3:-web}

"${PYTHON:-python3}" -m venv "$prefix"
# Wheels only: nothing is compiled, so the same steps do for amd64 and arm64.
"$prefix/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-cache-dir --only-binary :all: --no-binary edgeclf "edgeclf[$extras] @ file://$source"

# What a server never runs. Compiled files stay: its file system is read-only.
"$prefix/bin/python" -m pip --quiet --disable-pip-version-check uninstall --yes \
    pip setuptools 2> /dev/null
find "$prefix/lib" -type d \( -name tests -o -name test \) -prune \
    ! -path '*/edgeclf/*' -exec rm -rf {} +
find "$prefix/lib" -name '*.pyi' -delete
find "$prefix" -exec chmod a+rX {} +
