"""Our style sheets and scripts as few files: a page asks for one of each and not for a dozen.

Sources stay small ES modules under static/js and five sheets under static/css; nothing is compiled
and nobody needs Node. A joined script puts each module into a function of its own, in the order of
their imports, and hands the exports on by name (`$st["format.js"]`), so that a second file of the
same page shares the modules of the first. Comments and indentation are left out.

`settings.STATIC_JOINED` names the files; `JoinedFinder` makes them where static files are looked
for: by WhiteNoise in development, by collectstatic for production.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage

_IMPORT = re.compile(
    r"^import\s+(?:\*\s+as\s+(?P<space>\w+)|(?P<names>\{[^}]*\})|(?P<default>\w+))\s+"
    r'from\s+"\./(?P<module>[\w-]+\.js)";\n?',
    re.MULTILINE,
)
_EXPORT = re.compile(
    r"^export\s+(?P<kind>(?:async\s+)?(?:function|const|let|class))\s+"
    r"(?P<names>\{[^}]*\}|\w+)",
    re.MULTILINE,
)
_EXPORT_LIST = re.compile(r"^export\s+\{(?P<names>[^}]*)\};?\n?", re.MULTILINE)
_EXPORT_DEFAULT = re.compile(r"^export\s+default\s+", re.MULTILINE)
_LEFT = re.compile(r"^\s*(?:import|export)\b.*$", re.MULTILINE)
_WORD = re.compile(r"\w+")


def join_css(sources: Iterable[str]) -> str:
    """The sheets one after the other, without comments and indentation."""
    text = re.sub(r"/\*.*?\*/", "", "\n".join(sources), flags=re.DOTALL)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip()) + "\n"


def join_js(entries: Sequence[str], modules: Mapping[str, str], given: Iterable[str] = ()) -> str:
    """The entries and all that they import, each once, dependencies first.

    `given` are modules that an earlier file of the page has brought. Raises ImproperlyConfigured
    for a circle of imports, an unknown module, and for an import or export in a form not known.
    """
    parts = ["const $st = (globalThis.$st ??= {});"]
    parts += [_wrapped(name, modules[name]) for name in modules_of(entries, modules, given)]
    return "\n".join(parts) + "\n"


def modules_of(
    entries: Sequence[str], modules: Mapping[str, str], given: Iterable[str] = ()
) -> list[str]:
    """The names of the modules that `join_js` puts into a file, in order."""
    done, order = set(given), list[str]()

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ImproperlyConfigured(f"Scripts import in a circle: {' → '.join((*above, name))}")
        if name in done:
            return
        if name not in modules:
            raise ImproperlyConfigured(f"{above[-1] if above else 'Settings'}: there is no {name}.")
        for found in _IMPORT.finditer(modules[name]):
            visit(found["module"], (*above, name))
        done.add(name)
        order.append(name)

    for entry in entries:
        visit(entry, ())
    return order


def _wrapped(name: str, source: str) -> str:
    """A module as a function that is called once; its exports go to $st[name]."""
    exported: list[str] = []

    def exports(found: re.Match[str]) -> str:
        exported.extend(_WORD.findall(found["names"]))
        return f"{found['kind']} {found['names']}"

    def listed(found: re.Match[str]) -> str:
        exported.extend(_WORD.findall(found["names"]))
        return ""

    text = _IMPORT.sub(_imported, source)
    text = _EXPORT.sub(exports, text)
    text = _EXPORT_LIST.sub(listed, text)
    text, defaults = _EXPORT_DEFAULT.subn("const $default = ", text)
    left = _LEFT.search(text)
    if left:
        raise ImproperlyConfigured(f"{name}: {left[0].strip()!r} cannot be joined.")
    given = [*exported, *(["default: $default"] if defaults else [])]
    body = "\n".join(_bare(text))
    return f'$st["{name}"] = (() => {{\n{body}\nreturn {{ {", ".join(given)} }};\n}})();'


def _imported(found: re.Match[str]) -> str:
    module = f'$st["{found["module"]}"]'
    if found["space"]:
        return f"const {found['space']} = {module};\n"
    if found["default"]:
        return f"const {found['default']} = {module}.default;\n"
    return f"const {found['names'].replace(' as ', ': ')} = {module};\n"


def _bare(text: str) -> Iterator[str]:
    """The lines without indentation and without those that are comment alone."""
    for line in text.splitlines():
        bare = line.strip()
        if bare and not bare.startswith("//"):
            yield bare


class JoinedFinder(BaseFinder):
    """Finds the files of settings.STATIC_JOINED, made anew when a source has changed."""

    def __init__(self, app_names: Any = None, *args: Any, **kwargs: Any) -> None:
        self.source = Path(settings.STATICFILES_DIRS[0])
        self.folder = Path(settings.STATIC_JOINED_ROOT)
        self.storage = FileSystemStorage(location=self.folder)
        self.made: dict[str, float] = {}
        super().__init__(*args, **kwargs)

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        """The place of a joined file on disk, or [] for any other path."""
        if path not in settings.STATIC_JOINED:
            return []
        file = str(self._make(path))
        return [file] if find_all or kwargs.get("all") else file

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, FileSystemStorage]]:
        for path in settings.STATIC_JOINED:
            self._make(path)
            yield path, self.storage

    def check(self, **kwargs: Any) -> Any:
        return []

    def _make(self, path: str) -> Path:
        kind = path.rpartition(".")[2]
        newest = max(file.stat().st_mtime for file in (self.source / kind).glob(f"*.{kind}"))
        target = self.folder / path
        if self.made.get(path) != newest or not target.exists():
            write_if_new(target, joined_text(path, self.source))
            self.made[path] = newest
        return target


def joined_text(path: str, source: Path) -> str:
    """What a joined file holds."""
    parts, given = settings.STATIC_JOINED[path]
    if path.endswith(".css"):
        return join_css((source / "css" / name).read_text("utf-8") for name in parts)
    modules = {file.name: file.read_text("utf-8") for file in (source / "js").glob("*.js")}
    before = modules_of(settings.STATIC_JOINED[given][0], modules) if given else ()
    return join_js(parts, modules, before)


def write_if_new(target: Path, text: str) -> None:
    """Whole or not at all: several processes may make the same file at once."""
    if target.exists() and target.read_text("utf-8") == text:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).chmod(0o644)
    Path(name).replace(target)
