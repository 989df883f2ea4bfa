"""The house keeps its plan: imports go one way, the core stays light, files stay short."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "restem"
# Room or file -> what it may import from restem besides itself and the errors.
MAY_IMPORT = {
    "errors": set(),
    "progress": set(),
    "text": set(),
    "audio": set(),
    "diffusion": set(),
    "tokens": {"audio"},
    "mixing": {"audio"},
    "picture": {"audio"},
    "networks": {"arguments", "audio", "dataset", "diffusion", "progress", "text", "tokens"},
    "dataset": {
        "arguments",
        "audio",
        "diffusion",
        "evaluation",
        "kits",
        "progress",
        "text",
        "tokens",
    },
    "evaluation": {"audio", "progress"},
    "benchmark": {
        "audio",
        "dataset",
        "diffusion",
        "evaluation",
        "hearing",
        "insertion",
        "picture",
        "text",
        "tokens",
        "__init__",
    },
    "kits": {"audio", "hearing", "tokens"},
    "balance": {"audio", "kits", "tokens"},
    "generation": {"diffusion", "kits", "manner", "networks", "tokens"},
    "studio": {
        "audio",
        "dataset",
        "hearing",
        "insertion",
        "metres",
        "mixing",
        "networks",
        "pack",
        "picture",
        "region",
        "results",
        "symbolic",
        "tokens",
        "__init__",
    },
    "restyle": {
        "audio",
        "beat_options",
        "dataset",
        "hearing",
        "insert_command",
        "insertion",
        "mixing",
        "progress",
        "results",
    },
    "pack": {"audio", "insertion", "mixing", "symbolic", "__init__"},
    "riffusion": {"audio", "diffusion", "mixing", "networks", "progress", "results"},
    "hearing": {"audio"},
    "region": {"tokens"},
    "sounding": {"audio", "hearing", "order"},
    "following": {"audio", "hearing", "order"},
    "manner": {"audio", "text", "tokens"},
    "ranking": {"evaluation"},
    "takes": {"audio", "generation", "hearing", "insertion", "ranking"},
    "composing": {
        "audio",
        "generation",
        "hearing",
        "manner",
        "order",
        "region",
        "symbolic",
        "tokens",
    },
    "insertion": {
        "audio",
        "balance",
        "composing",
        "following",
        "generation",
        "hearing",
        "kits",
        "manner",
        "networks",
        "order",
        "region",
        "sounding",
        "text",
        "tokens",
        "__init__",
    },
    "naming": {"manner"},
    "notices": {"manner", "naming"},
    "metres": {"manner", "notices"},
    "order": {"hearing", "kits", "manner", "notices", "region"},
}


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("restem"):
            rest = node.module.split(".")[1:]
            yield rest[0] if rest else "__init__"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_go_one_way(room):
    place = SOURCE / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert files
    for path in files:
        strange = set(_imports(path)) - MAY_IMPORT[room] - {room, "errors"}
        assert not strange, f"{path.relative_to(SOURCE)} imports {sorted(strange)}"


def test_the_light_core_loads_no_heavy_library():
    code = (
        "import sys, restem.insertion, restem.cli, restem.results; "
        "print([m for m in ('torch', 'librosa', 'matplotlib', 'mido', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_loads_no_web_server():
    code = "import sys, restem.cli; print([m for m in ('fastapi', 'uvicorn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_files_are_at_most_300_lines():
    long = {p.name: n for p in SOURCE.rglob("*.py")
            if (n := len(p.read_text().splitlines())) > 300}  # fmt: skip
    assert not long
