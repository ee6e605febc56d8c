"""Put the functions of a changed text in the place of those that a running process has."""

import ast
import gc
import inspect
import sys
import threading
from collections.abc import Iterator
from functools import _lru_cache_wrapper
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

Name = tuple[str, int]  # a qualified name, and which of those that have it
PLAIN = (bool, int, str, float, type(None))


class Swap:
    """The functions of one file, wherever they hang: in classes, decorators, closures, caches.

    Their code is replaced and they stay who they are, so whoever imported one has the change.
    """

    def __init__(self, path: str) -> None:
        self.path, self.file = path, str(Path(path).resolve())
        self.text = Path(path).read_text()
        self.module = sys.modules[path.removesuffix(".py").replace("/", ".")]
        names = {code: name for name, code in _codes(self._compiled(self.text))}
        self.live = [
            (one, names[one.__code__])
            for one in _objects(FunctionType)
            if one.__code__.co_filename == self.file
        ]
        self.caches = [
            one
            for one in _objects(_lru_cache_wrapper)
            if getattr(one.__wrapped__, "__code__", None) in names
        ]
        self.statements = _statements()

    def _compiled(self, source: str) -> CodeType:
        return compile(source, self.file, "exec")

    def to(self, source: str) -> None:
        """Run as `source` says from now on.

        A closure that needs other cells than before keeps its code; a new one has the new code.
        """
        code, space = self._compiled(source), {"__name__": self.module.__name__}
        codes = dict(_codes(code))
        exec(code, space)  # noqa: S102 - our own text
        names = {one: name for name, one in codes.items()}
        fresh = {names[one.__code__]: one for one in _functions(space) if one.__code__ in names}
        for function, name in self.live:
            _replace(function, codes.get(name), fresh.get(name))
        self.forget()

    def forget(self) -> None:
        """What the functions have kept: of a cached one nobody sees who asks it again."""
        for cache in self.caches:
            cache.cache_clear()
        for statement in self.statements:
            statement._here = threading.local()  # its SQL was written from the old code

    def broken(self) -> str:
        """The text with functions that do nothing but raise."""
        tree = ast.parse(self.text)
        for one in ast.walk(tree):
            if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
                one.body.insert(0, ast.parse("raise RuntimeError('broken')").body[0])
        return ast.unparse(tree)


def _objects(kind: type) -> list[Any]:
    return [one for one in gc.get_objects() if type(one) is kind]


def _functions(space: dict[str, Any]) -> Iterator[FunctionType]:
    """The functions that a text has made, and the methods of its classes, without decorators."""
    kinds = [one for one in space.values() if isinstance(one, type)]
    for one in [*space.values(), *(it for kind in kinds for it in vars(kind).values())]:
        inner = getattr(one, "__func__", getattr(one, "fget", None) or one)
        inner = inspect.unwrap(inner) if callable(inner) else inner
        if isinstance(inner, FunctionType) and inner.__globals__ is space:
            yield inner


def _codes(code: CodeType) -> Iterator[tuple[Name, CodeType]]:
    """Every code of a file by its name; of the lambdas of a function, by their order."""
    counts: dict[str, int] = {}

    def walk(outer: CodeType) -> Iterator[tuple[Name, CodeType]]:
        for one in outer.co_consts:
            if isinstance(one, CodeType):
                number = counts[one.co_qualname] = counts.get(one.co_qualname, 0) + 1
                yield (one.co_qualname, number), one
                yield from walk(one)

    return walk(code)


def _replace(function: FunctionType, code: CodeType | None, fresh: FunctionType | None) -> None:
    if code is not None and code.co_freevars == function.__code__.co_freevars:
        function.__code__ = code
    if fresh is not None:
        old, new = function.__defaults__ or (), fresh.__defaults__ or ()
        function.__defaults__ = tuple(map(_default, old, new)) or None
        by_name, named = function.__kwdefaults__ or {}, fresh.__kwdefaults__ or {}
        function.__kwdefaults__ = {
            name: _default(value, named.get(name, value)) for name, value in by_name.items()
        }


def _default(old: Any, new: Any) -> Any:
    """What is no plain value was made anew with the text, and the old one is the one in use."""
    return new if isinstance(new, PLAIN) else old


def _statements() -> list[Any]:
    from speedtrade.lib.compiled import Compiled

    return _objects(Compiled)
