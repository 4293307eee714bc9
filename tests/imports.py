"""Which modules import what, read from the source or from a fresh interpreter."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("core", "handlers", "infra")


def module_names() -> list[str]:
    """Every module of ours, dotted, sorted; a package counts by its `__init__`."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return sorted(_name_of(path) for path in files)


def _name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def source_of(module: str) -> Path:
    """Where a module of ours is written."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports_of(module: str) -> set[str]:
    """Every module that `module` imports anywhere in its source, functions included.

    `from core.plan import nodes` counts as `core.plan.nodes` where that is a module.
    """
    tree = ast.parse(source_of(module).read_text(encoding="utf-8"))
    return {name for node in ast.walk(tree) for name in _imported(module, node)}


def _imported(module: str, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _resolve(module, node)
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield inner if _is_ours(inner) else base


def _resolve(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module if source_of(module).name == "__init__.py" else module.rpartition(".")[0]
    for _ in range(node.level - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{node.module}" if node.module else package


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES and source_of(module).is_file()


@cache
def loaded_by(statement: str) -> frozenset[str]:
    """Names of all modules that a fresh interpreter holds after running `statement`."""
    program = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own statements
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return frozenset(names)


def libraries(modules: Iterable[str]) -> set[str]:
    """The third-party roots among module names: neither the standard library's nor ours."""
    roots = {name.partition(".")[0] for name in modules}
    known = set(sys.stdlib_module_names) | set(PACKAGES) | {"__main__"}
    return {root for root in roots - known if not _is_plumbing(root)}


def _is_plumbing(root: str) -> bool:
    """Say whether a root belongs to how this environment was installed, not to any import."""
    return root.startswith(("__editable__", "_distutils_hack", "sitecustomize", "_sysconfigdata"))
