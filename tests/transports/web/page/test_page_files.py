"""The page's files, without a browser: small, complete, nothing from outside, nothing that a policy would forbid."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import story

PAGE = Path(story.__file__).parent / "transports" / "web" / "page"
FILES = sorted(path for path in PAGE.iterdir() if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
LIMIT = 60_000


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.name)


def without_comments(path: Path) -> str:
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"(^|\s)//.*", "", text)


class Tags(HTMLParser):
    """Every tag of index.html with its attributes, and the text inside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.feed((PAGE / "index.html").read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.inline.append(data.strip())

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name))]


def test_all_files_together_are_small() -> None:
    assert sum(path.stat().st_size for path in FILES) < LIMIT


def test_it_has_nothing_but_a_page_a_style_sheet_scripts_and_an_icon() -> None:
    assert {path.suffix for path in FILES} == {".html", ".css", ".js", ".svg"}


@named(FILES)
def test_nothing_comes_from_outside(path: Path) -> None:
    addresses = re.findall(r"""(?:https?:|wss?:)?//[\w.-]+\.\w+[^\s"'`]*""", path.read_text())
    assert [address for address in addresses if "//www.w3.org/" not in address] == []
    assert re.findall(r"@import|import\(", path.read_text()) == []


def test_nothing_is_inline() -> None:
    page = Tags()
    assert page.inline == []
    assert not any(tag == "style" for tag, _ in page.tags)
    names = {name for _, attributes in page.tags for name in attributes}
    assert [name for name in names if name == "style" or name.startswith("on")] == []
    assert [value for name in ("href", "src") for value in page.values(name) if value.startswith("javascript:")] == []


@named(SCRIPTS)
def test_text_never_becomes_markup_or_code(path: Path) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|setHTML"
    assert re.findall(forbidden, path.read_text()) == []
    assert re.findall(r"""setAttribute\(\s*["'](?:style|on)""", path.read_text()) == []


def test_what_the_page_refers_to_exists() -> None:
    page = Tags()
    loaded = page.values("src") + page.values("href")
    assert len(loaded) == 3
    assert [name for name in loaded if not (name.startswith("page/") and (PAGE / name[5:]).is_file())] == []
    ids = set(page.values("id"))
    referred = [one for name in ("for", "aria-labelledby", "aria-describedby") for one in page.values(name)]
    assert [one for one in referred if one not in ids] == []


def test_ids_are_unique() -> None:
    ids = Tags().values("id")
    assert sorted(ids) == sorted(set(ids))


@named(SCRIPTS)
def test_what_a_script_refers_to_exists(path: Path) -> None:
    text = without_comments(path)
    modules = re.findall(r"""(?:from|import|new URL\()\s*"([^"]+)"(?:;|, import)""", text)
    assert [name for name in modules if not (PAGE / name).is_file()] == []
    ids = set(Tags().values("id"))
    looked_up = set(re.findall(r"""(?:byId|tell)\("([^"]+)"[,)]""", text))
    assert looked_up - ids == set()


def test_every_script_is_used() -> None:
    everything = "".join(path.read_text() for path in FILES)
    assert [path.name for path in SCRIPTS if not re.search(rf'["/]{path.name}"', everything)] == []


def test_what_is_imported_is_exported() -> None:
    export = re.compile(r"^export (?:async )?(?:function|class|const) (\w+)", flags=re.MULTILINE)
    exported = {path.name: set(export.findall(path.read_text())) for path in SCRIPTS}
    for path in SCRIPTS:
        for names, module in re.findall(r"""import \{([^}]+)\} from "\./([^"]+)";""", path.read_text()):
            assert {name.strip() for name in names.split(",")} <= exported[module], path.name
