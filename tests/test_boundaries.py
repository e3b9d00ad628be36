"""The layout's rules: who may import whom, and what `--help` may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import emovoca_cli

pytestmark = pytest.mark.unit
PACKAGE = Path(emovoca_cli.__file__).parent
BASE = {"errors", "constants", "types", "files", "arrays"}
ANYONE = BASE | {"assets", "__version__"}
ALLOWED: dict[str, set[str]] = {
    "config": set(),
    "mesh": set(),
    "audio": set(),
    "runtime": {"config"},
    "data": {"config", "mesh", "audio"},
    "demo": {"mesh", "audio", "data"},
    "nn": {"mesh"},
    "desd": {"config", "runtime", "mesh", "data", "nn"},
    "dataset_builder": {"config", "runtime", "mesh", "data", "desd"},
    "generators": {"config", "runtime", "mesh", "audio", "data", "nn"},
    "animation": {"config", "runtime", "mesh", "audio", "data", "generators"},
    "evaluation": {"config", "mesh", "data", "nn"},
    "render": {"mesh", "audio"},
    "study": {"data", "evaluation", "render"},
    "assets": set(),
    "reproduce": {
        "config", "mesh", "audio", "runtime", "data", "demo", "nn", "desd", "dataset_builder", "generators", "animation",
        "evaluation", "render",
    },
}  # fmt: skip


def imported_topics(path: Path) -> set[str]:
    topics: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.ImportFrom):
            topics.add("<relative import>")
        for name in names:
            parts = name.split(".")
            if parts[0] == "emovoca_cli" and len(parts) > 1:
                topics.add(parts[1])
    return topics


@pytest.mark.parametrize("topic", sorted(p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name not in {"cli", "__pycache__"}))
def test_a_folder_imports_only_what_the_design_allows(topic: str) -> None:
    files = sorted((PACKAGE / topic).rglob("*.py"))
    assert files
    for path in files:
        beyond = imported_topics(path) - ANYONE - ALLOWED[topic] - {topic}
        assert not beyond, f"{path.relative_to(PACKAGE)} imports {sorted(beyond)}"


def test_base_files_import_only_each_other() -> None:
    for name in BASE:
        assert imported_topics(PACKAGE / f"{name}.py") <= BASE


def test_only_the_command_line_knows_typer_and_rich() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not {n.split(".")[0] for n in names} & {"typer", "rich", "click"}, path


def test_help_loads_no_torch_and_base_records_neither() -> None:
    code = (
        "import sys; from emovoca_cli.cli.app import run; code = run(['--help']);"
        "import emovoca_cli.types, emovoca_cli.config;"
        "heavy = {'torch', 'scipy', 'trimesh', 'transformers', 'pyrender', 'embreex'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}, code {code}' if heavy or code else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "animate" in done.stdout
