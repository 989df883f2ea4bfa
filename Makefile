PYTHON ?= python3
SONG = examples/evening-bus.ogg

.PHONY: demo test lint bench check-harp check-all clean

# The main job with the light core only: no torch, no network after the install.
demo: .venv-demo/ready
	.venv-demo/bin/restem insert $(SONG) "Add laid-back funk drums" -o demo-out --force
	.venv-demo/bin/restem insert $(SONG) "Add soft brushed jazz drums" -o demo-out/brushed --force
	@echo
	@echo "Listen to demo-out/evening-bus.mix.wav (the song with new drums) and to"
	@echo "demo-out/brushed/evening-bus.mix.wav (the same song, another sentence);"
	@echo "look at demo-out/evening-bus.png. The song itself is $(SONG)."

test: .venv/ready
	.venv/bin/python -m pytest -n 2 --dist worksteal

lint: .venv/ready
	.venv/bin/ruff check src tests scripts
	.venv/bin/ruff format --check src tests scripts
	.venv/bin/mypy

# Figures of docs/results.md. Needs Debian's mma, fluidsynth and the three SoundFonts that
# docs/reproduce.md names; REAL="CONTEXT DRUMS" adds a real song with its true drums.
FONTS = /usr/share/sounds/sf2
bench: .venv/ready
	.venv/bin/restem dataset render --split test --songs 116 --seconds 24 --seed 1000 \
	    --soundfont $(FONTS)/FluidR3_GM.sf2 --soundfont $(FONTS)/MuseScore_General_Full.sf2 \
	    --soundfont $(FONTS)/TimGM6mb.sf2 -o runs/test-songs
	.venv/bin/python scripts/bench_insertion.py runs/test-songs -o runs/bench-insertion.json
	$(if $(REAL),.venv/bin/python scripts/bench_insertion.py runs/test-songs --real $(REAL) \
	    --draws 2 -o runs/bench-real.json)
	.venv/bin/python scripts/bench_text.py runs/test-songs --picture runs/bench-text.png \
	    -o runs/bench-text.json
	.venv/bin/python scripts/bench_speed.py
	.venv/bin/python scripts/check_build.py runs/test-songs --count 4
	.venv/bin/python scripts/bench_leakage.py runs/test-songs

# In an environment of its own: Gradio wants an older pillow than the rest.
check-harp: .venv-harp/ready
	.venv-harp/bin/python -m pytest tests/test_studio_harp.py

check-all: lint test check-harp bench

.venv-demo/ready: pyproject.toml constraints.txt $(shell find src -type f -not -name '*.pyc')
	$(PYTHON) -m venv --clear .venv-demo
	.venv-demo/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt .
	touch $@

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	# Its own pins cannot be met any more; only its weights are read.
	.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps musicnn==0.1.0
	touch $@

.venv-harp/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-harp
	.venv-harp/bin/python -m pip install -q --disable-pip-version-check -e '.[harp]' httpx pytest
	touch $@

clean:
	rm -rf .venv .venv-demo .venv-harp demo-out build dist
