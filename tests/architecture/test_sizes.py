"""Rooms have walls: no file and no function grows beyond what one can read at a sitting, and names say what is inside."""

import ast
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
NOT_OURS = {"build", "dist", "node_modules", "data"}  # and whatever begins with a dot: environments, caches
SAYING_NOTHING = {"utils.py", "util.py", "helpers.py", "helper.py", "manager.py", "base.py", "common.py", "misc.py"}


def sources(*under: str) -> list[Path]:
    """The Python files of the repository, migrations aside: those are written once and never edited."""
    found = (path for path in REPOSITORY.joinpath(*under).rglob("*.py"))
    kept = []
    for path in found:
        parts = path.relative_to(REPOSITORY).parts
        if "migrations" not in parts and not NOT_OURS & set(parts) and not any(part.startswith(".") for part in parts):
            kept.append(path)
    return sorted(kept)


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    tree = ast.parse(path.read_text(), filename=str(path))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def named(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"{path.relative_to(REPOSITORY)}:{node.lineno} {node.name}"


def test_no_file_is_too_long() -> None:
    """No Python file has more than 400 lines."""
    lengths = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path in sources()}
    assert len(lengths) > 20, "the search itself must find the repository's files"
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_no_function_is_too_long() -> None:
    """No function has more than 50 lines, from its `def` to its end."""
    lengths = {named(path, node): (node.end_lineno or node.lineno) - node.lineno + 1 for path in sources() for node in functions(path)}
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX} == {}


def test_file_names_say_what_is_inside() -> None:
    """No file is called utils, helpers, manager or base."""
    assert [str(path.relative_to(REPOSITORY)) for path in sources() if path.name in SAYING_NOTHING] == []


def test_every_test_says_one_sentence() -> None:
    """Each test states in its docstring what is true, as a sentence."""
    tests = [(path, node) for path in sources("tests") for node in functions(path) if node.name.startswith("test_")]
    assert len(tests) > 20, "the search itself must find the tests"
    assert [named(path, node) for path, node in tests if not (ast.get_docstring(node) or "").endswith(".")] == []
