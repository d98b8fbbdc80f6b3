"""The mutants of a module: its source, each time with one thing changed."""

from __future__ import annotations

import ast
import copy
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import CodeType
from typing import Any

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
SKIPPED = {"__slots__", "__all__"}
"""Assignments that nothing happens by."""


@dataclass(frozen=True)
class Mutant:
    """One change: the function it is in, and the statement (its first line) as it was and as it is."""

    function: str
    was: str
    now: str
    lines: range
    """Those of the statement; of a compound one, of its head."""
    called: bool
    """True if it is in a function: what else there is runs at the import."""
    _with: Callable[[Callable[[ast.Module], Any]], Any] = dataclasses.field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.function}: {self.was} -> {self.now}"

    def source(self) -> str:
        """All the source."""
        text: str = self._with(ast.unparse)
        return text

    def code(self, path: str) -> CodeType:
        """The code of the module in the file `path`, with the lines as they were."""
        made: CodeType = self._with(lambda tree: compile(tree, path, "exec"))
        return made


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines; no two read the same."""
    tree = ast.parse(source)
    found: dict[str, Mutant] = {}
    for function, called, statement in _statements(tree, "module", called=False):
        was = ast.unparse(statement)
        for changed in _changes(statement):
            difference, made = _difference(was, ast.unparse(changed)), partial(_with, tree, statement, changed)
            mutant = Mutant(function, *difference, _lines(statement), called, made)
            found.setdefault(str(mutant), mutant)
    return list(found.values())


def _lines(statement: ast.stmt) -> range:
    body = getattr(statement, "body", None)
    last = statement.end_lineno or statement.lineno
    return range(statement.lineno, max(body[0].lineno, statement.lineno + 1) if body else last + 1)


def _statements(node: Any, function: str, *, called: bool) -> Iterator[tuple[str, bool, ast.stmt]]:
    """All statements that do something, with the function or class that each is in, and whether that is called."""
    for child in ast.iter_child_nodes(node):
        inside, within = function, called
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if any(ast.unparse(base).startswith("Protocol") for base in getattr(child, "bases", ())):
                continue
            inside = child.name if function == "module" else f"{function}.{child.name}"
            within = called or not isinstance(child, ast.ClassDef)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif isinstance(child, ast.stmt) and not _is_silent(child):
            yield function, called, child
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _statements(child, inside, called=within)


def _is_silent(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass | ast.Global | ast.Nonlocal):
        return True
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Raise):
        return ast.unparse(statement) == "raise NotImplementedError"  # others are in its place
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id in SKIPPED for target in targets)


def _changes(statement: ast.stmt) -> Iterator[ast.stmt]:
    """The statement with one thing changed, each way there is; of a compound one its head alone."""
    yield from _replaced(statement)
    head = [
        field for field in ("test", "iter", "value", "target", "targets", "exc", "items") if hasattr(statement, field)
    ]
    for field in head:
        part = getattr(statement, field)
        for place, node in enumerate(part if isinstance(part, list) else [part]):
            if isinstance(node, ast.withitem) or node is None:
                continue
            for changed in _expressions(node):
                new = copy.copy(statement)
                whole = [*part[:place], changed, *part[place + 1 :]] if isinstance(part, list) else changed
                setattr(new, field, whole)
                yield new


def _replaced(statement: ast.stmt) -> Iterator[ast.stmt]:
    """What may stand in the place of the whole statement."""
    if _is_an_effect(statement):
        yield ast.Pass()
    elif isinstance(statement, ast.Return) and statement.value is not None and not _is_none(statement.value):
        yield ast.Return(ast.Constant(None))
    elif isinstance(statement, ast.If | ast.While):
        new = copy.copy(statement)
        new.test = ast.UnaryOp(ast.Not(), statement.test)
        yield new
    if isinstance(statement, ast.AugAssign) and type(statement.op) in OPERATORS:
        augmented = copy.copy(statement)
        augmented.op = OPERATORS[type(statement.op)]()
        yield augmented


def _is_an_effect(statement: ast.stmt) -> bool:
    """Whether all that it does is for what comes after, which can do without."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call | ast.Await)
    if isinstance(statement, ast.Assign):
        return not isinstance(statement.targets[0], ast.Name | ast.Tuple)
    return isinstance(statement, ast.AugAssign | ast.Delete | ast.Break | ast.Continue | ast.Raise)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _expressions(node: Any) -> Iterator[Any]:
    """The expression with one thing in it changed."""
    yield from _changed(node)
    for field, value in ast.iter_fields(node):
        parts = value if isinstance(value, list) else [value]
        for place, part in enumerate(parts):
            if isinstance(part, ast.expr | ast.keyword | ast.comprehension):
                for changed in _expressions(part):
                    new = copy.copy(node)
                    whole = [*value[:place], changed, *value[place + 1 :]] if isinstance(value, list) else changed
                    setattr(new, field, whole)
                    yield new


def _changed(node: Any) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            new = copy.copy(node)
            new.ops = [*node.ops[:place], COMPARISONS[type(op)](), *node.ops[place + 1 :]]
            yield new
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)


def _with(tree: ast.Module, old: ast.stmt, new: ast.stmt, use: Callable[[ast.Module], Any]) -> Any:
    """The result of `use` on the tree with one statement in the place of another."""
    ast.copy_location(new, old)
    for parent in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            body = getattr(parent, field, None)
            if isinstance(body, list) and any(each is old for each in body):
                setattr(parent, field, [new if each is old else each for each in body])
                try:
                    return use(ast.fix_missing_locations(tree))
                finally:
                    setattr(parent, field, body)
    raise AssertionError("a statement that stands nowhere")


def _difference(was: str, now: str) -> tuple[str, str]:
    """The first lines in which the two differ, else the first of each."""
    for one, other in zip(was.splitlines(), now.splitlines(), strict=False):
        if one != other:
            return one.strip(), other.strip()
    return was.splitlines()[0], now.splitlines()[0]
