"""The reasons of tests that are expected to fail, read from their sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .results import ROOT


def known() -> Iterator[str]:
    """A line for each reason: the test's file, and what is lost."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text())
        for reason in dict.fromkeys(_reasons(tree)):
            yield f"{path.relative_to(ROOT)}: {reason}"


def _reasons(tree: ast.Module) -> Iterator[str]:
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.mark.xfail", "pytest.xfail"):
            for keyword in node.keywords:
                if keyword.arg == "reason" and isinstance(keyword.value, ast.Constant | ast.Name):
                    value = keyword.value
                    yield str(value.value if isinstance(value, ast.Constant) else constants.get(value.id, value.id))
