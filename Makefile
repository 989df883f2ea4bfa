PYTHON ?= python3
SONG = examples/evening-bus.ogg

.PHONY: demo test lint bench check-all clean

# The main job with the light core only: no torch, no network after the install.
demo: .venv-demo/ready
	.venv-demo/bin/restem insert $(SONG) "Add laid-back funk drums" -o demo-out --force
	.venv-demo/bin/restem insert $(SONG) "Add soft brushed jazz drums" -o demo-out/brushed --force
	@echo
	@echo "Listen to demo-out/evening-bus.mix.wav (the song with new drums) and to"
	@echo "demo-out/brushed/evening-bus.mix.wav (the same song, another sentence);"
	@echo "look at demo-out/evening-bus.png. The song itself is $(SONG)."

test: .venv/ready
	.venv/bin/python -m pytest

lint: .venv/ready
	.venv/bin/ruff check src tests scripts
	.venv/bin/ruff format --check src tests scripts
	.venv/bin/mypy

# Figures of docs/results.md; needs mma and fluidsynth, see docs/reproduce.md.
bench: .venv/ready
	.venv/bin/python scripts/bench.py

check-all: lint test bench

.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-demo
	.venv-demo/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt .
	touch $@

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	# Its own pins cannot be met any more; only its weights are read.
	.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps musicnn==0.1.0
	touch $@

clean:
	rm -rf .venv .venv-demo demo-out build dist
