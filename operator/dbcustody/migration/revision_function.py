"""The functions of a revision by their syntax: whether one does anything, and how it stands to the transaction that it runs in."""

from __future__ import annotations

import ast
from enum import StrEnum
from typing import Final

FORTH: Final = "upgrade"
_BLOCK: Final = "autocommit_block"
_LOOKS: Final = frozenset({"get_bind", "is_offline_mode", "bind"})


class Commits(StrEnum):
    """Whether a function leaves the transaction, by `autocommit_block()`."""

    ABSENT = "Absent"
    """There is no such function."""
    NEVER = "Never"
    ALONE = "Alone"
    """It is one such block with one call in it, and nothing else: it can be run as a statement by itself."""
    BETWEEN = "Between"
    """The block has company: a failure would leave what came before it done, and what comes behind it not."""


def commits_of(tree: ast.Module, name: str) -> Commits:
    """Return how the function *name* of a file stands to its transaction; what functions that it calls do elsewhere is not looked at."""
    function = _function(tree, name)
    if function is None:
        return Commits.NEVER if _is_bound(tree, name) else Commits.ABSENT
    if not _names(function, _BLOCK):
        return Commits.BETWEEN if _calls_one_that_leaves(tree, function) else Commits.NEVER
    body = _without_docstring(function)
    is_alone = len(body) == 1 and _is_block_of_one_call(body[0])
    return Commits.ALONE if is_alone else Commits.BETWEEN


def has_way_back(tree: ast.Module, name: str) -> bool:
    """Return whether the function *name* does something; one that is empty, or only raises, would claim to undo and undo nothing."""
    function = _function(tree, name)
    if function is None:
        return _is_bound(tree, name)
    return not all(_does_nothing(node) for node in _without_docstring(function))


def _function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return found[-1] if found else None


def _is_bound(tree: ast.Module, name: str) -> bool:
    """Return whether *name* is given at the top of the file by something else than a definition: an import, or an assignment."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and any(
            (one.asname or one.name) == name for one in node.names
        ):
            return True
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets):
            return True
    return False


def _without_docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    first = function.body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return function.body[1:] if is_text else function.body


def _does_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Return):
        return node.value is None or isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Pass | ast.Raise) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


def _is_block_of_one_call(node: ast.stmt) -> bool:
    """Return whether *node* is `with ...autocommit_block():` around one call, which asks the database for nothing."""
    if not isinstance(node, ast.With) or len(node.items) != 1 or len(node.body) != 1:
        return False
    (inner,) = node.body
    is_call = isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Call)
    return is_call and not any(_names(inner, name) for name in _LOOKS)


def _calls_one_that_leaves(tree: ast.Module, function: ast.FunctionDef) -> bool:
    """Return whether *function* calls another one of the file which has such a block."""
    leaving = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and _names(node, _BLOCK)}
    called = {one.func.id for one in ast.walk(function) if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}
    return bool(called & leaving)


def _names(node: ast.AST, name: str) -> bool:
    return any(
        (isinstance(one, ast.Attribute) and one.attr == name) or (isinstance(one, ast.Name) and one.id == name)
        for one in ast.walk(node)
    )
