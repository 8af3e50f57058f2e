"""Tests that go on after an assertion that fails, so that a share of them can be counted."""

from __future__ import annotations

import ast
from functools import lru_cache


@lru_cache(maxsize=4096)  # the tests of a task serve all of its rollouts
def watched(source: str) -> tuple[str, int]:
    """The tests with every assertion reported by ``__held__()`` or ``__failed__()``, and how many there are."""
    watch = _Watch()
    tree = ast.fix_missing_locations(watch.visit(ast.parse(source)))
    return ast.unparse(tree), watch.assertions


class _Watch(ast.NodeTransformer):
    def __init__(self) -> None:
        self.assertions = 0

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        if isinstance(node.test, ast.Constant):  # HumanEval has some that only print
            return node
        self.assertions += 1
        anything = ast.Name("BaseException", ast.Load())
        return ast.Try([node], [ast.ExceptHandler(anything, None, [_note("__failed__")])], [_note("__held__")], [])


def _note(name: str) -> ast.stmt:
    return ast.Expr(ast.Call(ast.Name(name, ast.Load()), [], []))
