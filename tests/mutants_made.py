"""Every small change of a file that mutmut's operators know, in decorated functions too.

mutmut leaves out what is decorated, for it puts a switch in the place of each function: of the
ledger that would be its pockets (a dataclass) and much of what locks and commits. Here a mutant is
the whole text of a file with one change, and `tests.mutants_forked` puts its code in place.
"""

import ast
import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import file_mutation as mutmut
from mutmut.mutation.pragma_handling import IgnoredCode

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Mutant:
    """`lines` are those of the statement that is changed: who runs none of them cannot tell.

    `key` stays the same as long as the function does.
    """

    path: str
    function: str
    lines: range
    diff: str
    source: str
    key: str


class _Visitor(mutmut.MutationVisitor):
    """Theirs, which goes into what is decorated and keeps the line of each change."""

    def __init__(self) -> None:
        super().__init__(mutmut.mutation_operators, IgnoredCode(set(), set(), set()))
        self.lines: list[int] = []
        self._line = 1

    def on_visit(self, node: cst.CSTNode) -> bool:
        position: Any = self.get_metadata(PositionProvider, node, None)
        if position:
            self._line = position.start.line
        return bool(super().on_visit(node))

    def _create_mutations(self, node: cst.CSTNode) -> None:
        super()._create_mutations(node)
        self.lines += [self._line] * (len(self.mutations) - len(self.lines))

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            return False
        return isinstance(node, cst.Decorator) or bool(super()._skip_node_and_children(node))


def mutants_of(path: str) -> Iterator[Mutant]:
    """The mutants of a file, each text once, from its first function to its last."""
    text = Path(path).read_text()
    visitor, tree, seen = _Visitor(), ast.parse(text), {text}
    module = MetadataWrapper(cst.parse_module(text)).visit(visitor)
    for change, line in zip(visitor.mutations, visitor.lines, strict=True):
        function: Any = change.contained_by_top_level_function
        if not isinstance(function, cst.FunctionDef):
            continue
        changed: Any = mutmut.deep_replace(function, change.original_node, change.mutated_node)
        indent = "" if function in module.body else module.default_indent
        whole, new = (_code(module, one, indent) for one in (function, changed))
        assert text.count(whole) == 1
        source = text.replace(whole, new)
        if source in seen:
            continue
        seen.add(source)
        yield _mutant(path, text, source, tree, line)


def _code(module: cst.Module, function: cst.FunctionDef, indent: str) -> str:
    """The text of a function, or of a method with its indentation."""
    if not indent:
        return module.code_for_node(function)
    state = cst._nodes.internal.CodegenState(default_indent=indent, default_newline="\n")
    state.increase_indent(indent)
    function._codegen(state)
    return "".join(state.tokens)


def _mutant(path: str, text: str, source: str, tree: ast.Module, line: int) -> Mutant:
    around = [one for one in ast.walk(tree) if isinstance(one, ast.stmt) and _has(one, line)]
    named = [one for one in around if isinstance(one, (ast.ClassDef, *FUNCTIONS))]
    function = ".".join(one.name for one in named)
    outer = next(one for one in named if isinstance(one, FUNCTIONS))
    diff = _diff(text, source)
    whole = ast.get_source_segment(text, outer)
    name = f"{path} {function} {line - outer.lineno} {diff} {whole}"
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    return Mutant(path, function, _lines(around[-1]), diff, source, key)


def _has(statement: ast.stmt, line: int) -> bool:
    return statement.lineno <= line <= (statement.end_lineno or statement.lineno)


def _lines(statement: ast.stmt) -> range:
    """Of a compound statement only its head; of a function, whose defaults are changed, all."""
    body: Any = getattr(statement, "body", None)
    if body and not isinstance(statement, FUNCTIONS):
        return range(statement.lineno, body[0].lineno)
    return range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)


def _diff(text: str, source: str) -> str:
    lines = difflib.unified_diff(text.splitlines(), source.splitlines(), n=0, lineterm="")
    return "\n".join(line for line in lines if line[:3] not in ("---", "+++") and line[:2] != "@@")
