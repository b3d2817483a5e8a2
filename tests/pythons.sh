#!/bin/sh
# Install the wheel on every supported Python that is there, and run the tests away
# from the checkout: what is tested is what users get.
#   sh tests/pythons.sh dist/edgeclf-VERSION.whl
set -eu
wheel=$(realpath "$1")
root=$(realpath "$(dirname "$0")/..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

interpreter() { # of a version such as 3.12; empty if there is none
    prefix=$(pyenv prefix "$1" 2>/dev/null || true)
    for candidate in "$prefix/bin/python" "$(command -v "python$1" || true)"; do
        if [ -x "$candidate" ] && "$candidate" -c "import sys, venv
sys.exit(sys.version_info[:2] != tuple(map(int, '$1'.split('.'))))" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

pip_install() {
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}
tests() {
    (cd "$work/project" &&
        "$venv/bin/python" -m pytest --quiet -p no:cacheprovider "$@")
}

found=
mkdir "$work/project"
cp -r "$root/tests" "$root/scripts" "$root/setup.cfg" "$root/prepare_data.sh" \
    "$root/examples" "$root/fuzz" "$work/project"
if [ -d "$root/../shared" ]; then
    ln -s "$root/../shared" "$work/shared"
fi
# Python, the NumPy of all tests, extras, and another NumPy for those of the runtime. Of
# all else it is the newest, locked nowhere: what users get today. Python 3.10 is for
# tests/lowest.sh.
for row in "3.12 numpy==1.26.* [train] numpy==2.*" "3.13 numpy==2.* [train,camera,parquet]"; do
    set -f
    # shellcheck disable=SC2086 # words are meant
    set -- $row
    set +f
    version=$1
    numpy=$2
    extras=$3
    other=${4-}
    python=$(interpreter "$version")
    if [ -z "$python" ]; then
        echo "Python $version is not here: skipped."
        continue
    fi
    echo "== Python $version, $numpy, $extras"
    venv=$work/$version
    "$python" -m venv "$venv"
    pip_install "$wheel$extras" "$numpy" pytest
    "$venv/bin/python" -m edgeclf doctor --json > "$work/doctor.json" || {
        cat "$work/doctor.json"
        exit 1
    }
    tests -m "not slow" \
        --ignore tests/test_scripts.py --ignore tests/test_imports.py \
        --ignore tests/test_benchmarks.py --ignore tests/test_scale_benchmark.py \
        --ignore tests/test_soak.py \
        --ignore tests/test_zoo_convert.py --ignore tests/test_bundled_backbone.py \
        --deselect tests/test_prepare_data.py::test_shell_command
    if [ -n "$other" ]; then
        echo "== Python $version, $other, the runtime"
        pip_install "$other"
        tests -m "not slow" tests/test_classifier.py tests/test_doctor.py \
            tests/test_head.py tests/test_image.py tests/test_label_image.py \
            tests/test_metadata.py tests/test_quantize.py
    fi
    rm -rf "${work:?}/$version"
    found=yes
done
if [ -z "$found" ]; then
    echo "error: Expected one of Python 3.12 and 3.13. Found none." >&2
    exit 1
fi
