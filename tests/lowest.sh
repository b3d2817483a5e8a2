#!/bin/sh
# The wheel with the lowest versions that setup.cfg allows, on the oldest Python: each
# bound is true, or a test fails. Away from the checkout.
#   sh tests/lowest.sh dist/edgeclf-VERSION.whl
set -eu
wheel=$(realpath "$1")
root=$(realpath "$(dirname "$0")/..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python=
for version in 3.10 3.11; do
    prefix=$(pyenv prefix "$version" 2>/dev/null || true)
    for candidate in "$prefix/bin/python" "$(command -v "python$version" || true)"; do
        if [ -z "$python" ] && "$candidate" -c "import sys, venv
sys.exit(sys.version_info[:2] != tuple(map(int, '$version'.split('.'))))" 2>/dev/null
        then
            python=$candidate
        fi
    done
done
if [ -z "$python" ]; then
    echo "Neither Python 3.10 nor 3.11 is here: skipped."
    exit 0
fi

environment() { # its name and the lock that it is made from
    "$python" -m venv "$work/$1"
    "$work/$1/bin/pip" install --quiet --disable-pip-version-check --no-deps \
        --require-hashes --requirement "$root/locks/$2.txt"
    "$work/$1/bin/pip" install --quiet --disable-pip-version-check --no-deps "$wheel"
    "$work/$1/bin/pip" check
}
tests() { # the environment, and what pytest is told
    name=$1
    shift
    (cd "$work/project" &&
        "$work/$name/bin/python" -m pytest --quiet -p no:cacheprovider \
            -m "not slow" "$@")
}

mkdir "$work/project"
cp -r "$root/tests" "$root/scripts" "$root/setup.cfg" "$root/prepare_data.sh" \
    "$root/examples" "$work/project"
if [ -d "$root/../shared" ]; then
    ln -s "$root/../shared" "$work/shared"
fi
runtime="tests/test_classifier.py tests/test_doctor.py tests/test_head.py
    tests/test_image.py tests/test_label_image.py tests/test_metadata.py"
# What calls the packages of the extras.
with_extras="tests/test_bot_answers.py tests/test_bot_api.py tests/test_bot_polling.py
    tests/test_bottlenecks.py tests/test_camera.py tests/test_collect_web.py
    tests/test_compare.py tests/test_progress.py tests/test_quantize.py
    tests/test_retrain.py tests/test_summaries.py tests/test_web_api.py
    tests/test_web_chat.py tests/test_web_model.py tests/test_web_predict.py
    tests/test_web_serve.py
    tests/test_label_command.py tests/test_label_errors.py
    tests/test_label_sources.py"

echo "== $("$python" --version), the lowest base"
environment base lowest-base
# shellcheck disable=SC2086 # words are meant
tests base $runtime

echo "== $("$python" --version), the lowest base and extras"
environment extras lowest-extras
# shellcheck disable=SC2086 # words are meant
tests extras $with_extras

echo "== $("$python" --version), the newest base"
"$work/base/bin/pip" install --quiet --disable-pip-version-check --upgrade \
    --upgrade-strategy eager "$wheel"
# shellcheck disable=SC2086 # words are meant
tests base $runtime
