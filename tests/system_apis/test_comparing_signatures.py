"""How signatures are compared."""

import ast
from pathlib import Path

import system_apis

WEBHOOKS = sorted(Path(system_apis.__file__).parent.glob("*/webhooks.py"))


def test_signatures_are_compared_in_constant_time() -> None:
    """Every vendor's webhook module compares with ``compare_digest``, and holds no signature against another with == or in (W6)."""
    assert WEBHOOKS
    for path in WEBHOOKS:
        tree = ast.parse(path.read_text("utf-8"))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | {
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name)
        }
        assert "compare_digest" in names, path
        compared = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Compare)]
        assert [text for text in compared if "digest" in text or "signature" in text.lower()] == []
