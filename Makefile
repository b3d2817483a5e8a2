# `make demo` and `make test` are all a fresh machine needs: Python with venv, git, make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Exact versions with their sums, from locks/: `make lock` writes these files.
QUIET := --quiet --disable-pip-version-check
LOCKED := install $(QUIET) --no-deps --require-hashes --requirement
EDITABLE := install $(QUIET) --no-deps --no-build-isolation --editable .

.PHONY: demo test check format fuzz test-tensorflow test-browser test-container \
        test-crash test-ray test-pythons test-lowest test-release device-test wheel release audit lock \
        benchmark soak screenshots clean

demo: $(VENV)/.train
	$(BIN)/python -m edgeclf demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_imports.py tests/test_locks.py
	$(BIN)/python scripts/licences.py > /dev/null

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Thousands of damaged pictures, models and uploads; `make test` tries some of them.
# Then atheris looks for new ones, FUZZ_SECONDS for each reader.
FUZZ_SECONDS ?= 600
fuzz: $(VENV)/.fuzz
	EDGECLF_MUTANTS_IMAGES=2000 EDGECLF_MUTANTS_MODELS=500 \
	    EDGECLF_MUTANTS_UPLOADS=10000 EDGECLF_OPERATORS=10000 \
	    $(BIN)/python -m pytest tests/test_hostile_images.py \
	    tests/test_hostile_models.py tests/test_operator_types.py \
	    tests/test_web_api_fuzz.py
	for name in images metadata models tables uploads; do \
	    $(BIN)/python -m fuzz $$name -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

# Commands killed and interrupted at 50 random moments each, full disks, clocks that
# jump: an hour.
test-crash: $(VENV)/.dev
	EDGECLF_KILLS=50 $(BIN)/python -m pytest $(ARGS) tests/test_crash_*.py \
	    tests/test_label_resume.py tests/test_bot_disk.py tests/test_interrupts.py

# 20,000 pictures on a Ray cluster of two nodes that loses workers and a node, and a
# store that fails: some minutes and 2 GB of memory.
test-ray: $(VENV)/.dev
	EDGECLF_RAY_PICTURES=20000 EDGECLF_RAY=1 $(BIN)/python -m pytest $(ARGS) \
	    tests/test_ray.py tests/test_ray_engine.py tests/test_retrain_ray.py \
	    tests/test_label_s3.py tests/test_privacy_ray.py

# Importing Keras, SavedModel and TensorFlow Hub backbones, and fine-tuning: an
# environment of 2 GB.
test-tensorflow: .venv-tensorflow/.done
	.venv-tensorflow/bin/python -m pytest $(ARGS) tests/test_zoo_convert.py \
	    tests/test_zoo_keras_applications.py tests/test_differentiable.py \
	    tests/test_finetune.py

# The reports and the web app in Debian's chromium, with axe-core. As root, chromium is
# installed.
test-browser: $(VENV)/.browser
	$(BIN)/python -m pytest $(ARGS) tests/test_report_browser.py \
	    tests/test_web_api_browser.py tests/test_web_chat_page.py \
	    tests/test_web_cross_site.py tests/test_web_live_browser.py \
	    tests/test_web_pages.py tests/test_web_predict.py \
	    tests/test_web_races_browser.py tests/test_web_teach_browser.py

# The Dockerfile's steps in an empty folder, and the server as another user with
# everything read-only; needs root, the package registry and two minutes.
test-container: $(VENV)/.dev
	EDGECLF_CONTAINER=1 $(BIN)/python -m pytest $(ARGS) tests/test_container.py

# Every figure in the README; TensorFlow and MediaPipe are among the contenders.
SHARED := ../shared/models/mobilenet_v1_0.50_224_features_f32.tflite
ARCHITECTURE ?= $(or $(wildcard $(SHARED)),mobilenet_v1_0.50_224)
benchmark: $(VENV)/.dev .venv-tensorflow/.done .venv-peers/.done
	for name in retrain accuracy unknown add_class mislabelled label_image classify \
	    decode workers memory soak tags bot serve teach scale; do \
	    $(BIN)/python -m benchmarks.$$name --architecture $(ARCHITECTURE) || exit 1; \
	done
	$(BIN)/python -m benchmarks.unsplash_tables
	$(BIN)/python -m benchmarks.collect

# Half an hour at 80 % of what the web app can do: memory stays flat, nothing fails.
soak: $(VENV)/.dev
	$(BIN)/python -m benchmarks.serve_soak --architecture $(ARCHITECTURE) \
	    $(ARGS)

# docs/web-*.jpg: make screenshots MODEL=model.tflite PICTURES=photos/
screenshots: $(VENV)/.browser
	$(BIN)/python tests/web_screenshots.py --model $(MODEL) --pictures $(PICTURES) \
	    --output docs/ --architecture $(ARCHITECTURE)

# The wheel, away from the checkout, on every Python that is there, and on the old
# tflite-runtime.
test-pythons: wheel
	sh tests/pythons.sh dist/edgeclf-*.whl
	sh tests/old_runtime.sh $(BIN)/python dist/edgeclf-*.whl

# The wheel with the lowest versions that setup.cfg allows, on Python 3.10.
test-lowest: wheel
	sh tests/lowest.sh dist/edgeclf-*.whl

# The wheel in the user space of 64-bit and 32-bit Raspberry Pis, under qemu; says why
# where that cannot be done.
device-test: wheel
	$(BIN)/python tests/device/run.py dist/edgeclf-*.whl

wheel: $(VENV)/.dev
	rm -rf build dist
	$(BIN)/python -m build --no-isolation --wheel --outdir dist . > /dev/null

# What a release consists of, from the last commit: docs/releasing.md.
release: .venv-release/.done
	rm -rf dist
	.venv-release/bin/python scripts/release.py --output dist

# Two builds of the last commit are the same bytes; what the audit says.
test-release: .venv-release/.done
	.venv-release/bin/python -m pytest --noconftest $(ARGS) tests/test_release.py \
	    tests/test_audit_packages.py

# Known vulnerabilities of the locked versions. Exit status 3 (of make: 2) where the
# service of pip-audit cannot be reached; UNREACHABLE=ok says so and goes on.
audit: .venv-release/.done
	.venv-release/bin/python scripts/audit_packages.py $(ARGS) \
	    || { [ $$? = 3 ] && [ "$(UNREACHABLE)" = ok ]; }

# Resolve locks/ again for what setup.cfg says; ARGS=--upgrade takes what is newest.
lock: .venv-release/.done
	.venv-release/bin/python scripts/lock.py $(ARGS)

clean:
	rm -rf build dist demo .venv .venv-tensorflow .venv-peers .venv-release .device \
	    edgeclf.egg-info benchmarks/work fuzz/work

# `pip check` fails where the locks hold nothing for this Python or machine.
$(VENV)/.train: setup.cfg pyproject.toml locks/train.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip $(LOCKED) locks/train.txt
	$(BIN)/pip $(EDITABLE)
	$(BIN)/pip check > /dev/null || { $(BIN)/pip check; exit 1; }
	touch $@

$(VENV)/.dev: setup.cfg pyproject.toml locks/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip $(LOCKED) locks/dev.txt
	$(BIN)/pip $(EDITABLE)
	$(BIN)/pip check > /dev/null || { $(BIN)/pip check; exit 1; }
	touch $@ $(VENV)/.train

# atheris, for fuzzing: Python 3.11 and newer on x86-64.
$(VENV)/.fuzz: $(VENV)/.dev locks/fuzz.txt
	$(BIN)/pip $(LOCKED) locks/fuzz.txt
	touch $@

.venv-release/.done: locks/release.txt
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/pip $(LOCKED) locks/release.txt
	touch $@

$(VENV)/.browser: $(VENV)/.dev locks/browser.txt
	$(BIN)/pip $(LOCKED) locks/browser.txt
	@if command -v chromium || command -v chromium-browser; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get; then \
	    { apt-get update -qq && apt-get install -qq --no-install-recommends chromium; } \
	        || echo "chromium cannot be installed: the tests will skip"; \
	else echo "chromium is missing and needs root to install: the tests will skip"; \
	fi
	touch $@

.venv-tensorflow/.done: setup.cfg pyproject.toml locks/tensorflow.txt
	$(PYTHON) -m venv .venv-tensorflow
	.venv-tensorflow/bin/pip $(LOCKED) locks/tensorflow.txt
	.venv-tensorflow/bin/pip $(EDITABLE)
	touch $@

# What others do the same with, for benchmarks/classify.py and mislabelled.py.
.venv-peers/.done: locks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip $(LOCKED) locks/peers.txt
	touch $@
