"""Few files for a browser out of many for people."""

from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.exceptions import ImproperlyConfigured

from speedtrade.lib.joined import JoinedFinder, join_css, join_js, joined_text, modules_of

STATIC = Path(settings.BASE_DIR) / "static"
MODULES = {
    "a.js": 'import { b as c } from "./b.js";\nimport * as d from "./d.js";\n// so\n  c(d.one);\n',
    "b.js": 'import words from "./words.js";\nexport function b() {\n  return words;\n}\n',
    "d.js": "export const { one, two } = window;\nconst three = 3;\nexport { three };\n",
    "words.js": "export default {};\n",
}


def test_dependencies_come_first_and_once() -> None:
    assert modules_of(["a.js", "b.js"], MODULES) == ["words.js", "b.js", "d.js", "a.js"]


def test_a_module_hands_its_exports_on_and_keeps_the_rest() -> None:
    text = join_js(["a.js"], MODULES)
    assert 'const { b: c } = $st["b.js"];' in text
    assert 'const d = $st["d.js"];' in text
    assert 'const words = $st["words.js"].default;' in text
    assert "return { one, two, three };" in text and "return { default: $default };" in text
    assert "// so" not in text and "import " not in text and "export " not in text


def test_a_second_file_of_a_page_leaves_out_what_the_first_has_brought() -> None:
    text = join_js(["a.js"], MODULES, given=["b.js", "words.js"])
    assert '$st["b.js"] =' not in text and '$st["a.js"] =' in text


@pytest.mark.parametrize(
    ("modules", "why"),
    [
        ({"a.js": 'import { x } from "./a.js";\n'}, "circle"),
        ({"a.js": 'import { x } from "./gone.js";\n'}, "there is no gone.js"),
        ({"a.js": 'const x = 1;\nexport * from "./b.js";\n'}, "cannot be joined"),
    ],
)
def test_what_cannot_be_joined_is_named(modules: dict[str, str], why: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=why):
        join_js(["a.js"], modules)


def test_sheets_lose_their_comments_and_their_indentation() -> None:
    assert (
        join_css(["/* why\n so */\n@layer a {\n  b { c: d }\n}\n"]) == "@layer a {\nb { c: d }\n}\n"
    )


@pytest.mark.parametrize("path", settings.STATIC_JOINED)
def test_every_joined_file_is_found_with_what_its_sources_say(path: str) -> None:
    found = finders.find(path)
    assert isinstance(found, str)
    assert Path(found).read_text("utf-8") == joined_text(path, STATIC)


def test_a_source_that_changed_is_joined_anew(tmp_path: Path, settings) -> None:
    (tmp_path / "css").mkdir()
    sheet = tmp_path / "css" / "one.css"
    sheet.write_text("a { b: c }")
    settings.STATICFILES_DIRS = [tmp_path]
    settings.STATIC_JOINED = {"css/all.css": (["one.css"], "")}
    settings.STATIC_JOINED_ROOT = str(tmp_path / "joined")
    finder = JoinedFinder()
    first = Path(finder.find("css/all.css")).read_text()
    sheet.write_text("a { b: d }")
    finder.made["css/all.css"] -= 1  # a file system may not tell two writes of one moment apart
    assert (first, Path(finder.find("css/all.css")).read_text()) == ("a { b: c }\n", "a { b: d }\n")
    assert finder.find("css/other.css") == []


def test_no_script_hides_lines_from_the_joiner() -> None:
    """Lines are stripped one by one: text over several lines would lose its shape."""
    for script in (STATIC / "js").glob("*.js"):
        for number, line in enumerate(script.read_text("utf-8").splitlines(), 1):
            assert line.count("`") % 2 == 0, f"{script.name}:{number}"
