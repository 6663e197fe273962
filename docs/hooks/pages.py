"""What the site has that is not in docs/: pages kept elsewhere in the repository, and what is generated from the code.

MkDocs calls the functions ``on_…``. Nothing here imports torch, and only they import MkDocs.
"""

import ast
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the checkout's own package, whatever is installed

from lightning_voiceclone.core.kinds import KINDS, Kind  # noqa: E402
from lightning_voiceclone.scaffold.package import NewPart  # noqa: E402

LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(?=[)\s])")
ENTRY = re.compile(r'^(\w+) = "([\w.]+):(\w+)"', re.MULTILINE)
ROLE = re.compile(r":(?:class|func|meth|mod|attr):(?=<code>|`)")  # a role of Sphinx before a name
PART_NAME = {"feature_extractors": "MyFeatures"}


def outside() -> dict[str, str]:
    """Pages of the site by the path in the repository at which their text is kept."""
    cards = {f"lightning_voiceclone/weights/{p.parent.name}/MODEL_CARD.md": f"cards/{p.parent.name}.md"
             for p in sorted(ROOT.glob("lightning_voiceclone/weights/*/MODEL_CARD.md"))}  # fmt: skip
    packages = {f"plugins/{p.parent.name}/README.md": f"packages/{p.parent.name}.md"
                for p in sorted(ROOT.glob("plugins/*/README.md"))}  # fmt: skip
    return {"recipes/README.md": "recipes.md", "CONTRIBUTING.md": "contributing.md", **cards, **packages}


def relinked(text: str, page: str) -> str:
    """The text of a page with links that lead where the site has their targets.

    Args:
        text: in Markdown, with links relative to where the text is kept in the repository.
        page: of the site.
    """
    pages = outside()
    kept = {site: path for path, site in pages.items()}.get(page, f"docs/{page}")

    def moved(match: re.Match[str]) -> str:
        begin, target, anchor = match[1], match[2], match[3] or ""
        if re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(kept), target))
        if path.startswith("docs/"):
            path = path.removeprefix("docs/")
        elif path == "README.md":
            path = "index.md"
        elif path in pages:
            path = pages[path]
        elif path.startswith("recipes/"):
            path = "recipes.md"
        else:
            return match[0]  # not on the site: the build's check of links reports it
        return begin + posixpath.relpath(path, posixpath.dirname(page) or ".") + anchor

    return LINK.sub(moved, text)


def entry_points(kind: Kind) -> Iterator[tuple[str, str, Path, str]]:
    """Name, package, source file and class of each part that this repository has of a kind."""
    for project in [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]:
        text = project.read_text(encoding="utf-8")
        package = re.search(r'^name = "(.+)"', text, re.MULTILINE)
        section = text.partition(f'[project.entry-points."{kind.group}"]\n')[2].partition("\n[")[0]
        for name, module, cls in ENTRY.findall(section):
            source = project.parent / f"{module.replace('.', '/')}.py"
            yield name, package[1] if package else "", source, cls


def summary(source: Path, cls: str) -> str:
    """First sentence of the docstring of a class, without importing it."""
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == cls:
            paragraph = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
            sentence = re.match(r".*?[^.A-Z]\.(?= |$)", paragraph)
            return ROLE.sub("", sentence[0] if sentence else paragraph).replace("|", "\\|").replace("``", "`")
    return ""


def rules(kind: Kind) -> list[str]:
    """The rules that the conformance tests of a kind check, in words: the names of the tests."""
    classes: dict[str, ast.ClassDef] = {}
    for path in (ROOT / "lightning_voiceclone/testing/conformance").glob("*.py"):
        found = ast.parse(path.read_text(encoding="utf-8")).body
        classes |= {node.name: node for node in found if isinstance(node, ast.ClassDef)}

    def tests(name: str) -> Iterator[str]:
        if name in classes:
            for base in classes[name].bases:
                yield from tests(ast.unparse(base))
            for node in classes[name].body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    yield node.name.removeprefix("test_").replace("_", " ")

    return list(dict.fromkeys(tests(kind.conformance)))


def part_of(kind: Kind) -> NewPart:
    """The part of which a kind's page shows the example."""
    return NewPart(kind, PART_NAME.get(kind.name, f"My{kind.singular.title().replace(' ', '')}"))


def generated(kind: Kind) -> str:
    """What a kind's page has from the code."""
    part = part_of(kind)
    name = part.name
    rows = "\n".join(f"| `{entry}` | {package} | {summary(source, cls)} |"
                     for entry, package, source, cls in entry_points(kind))  # fmt: skip
    table = f"| part | package | what it is |\n|---|---|---|\n{rows}" if rows else "No part of this kind ships yet."
    listed = "\n".join(f"- {rule}" for rule in rules(kind))
    contract = f"lightning_voiceclone.{kind.contract.replace(':', '.')}"
    lines = len(part.source.splitlines())
    return f"""
## Begin

```bash
lvc plugins new lvc-mine --part {kind.word}:{name}
pip install -e lvc-mine
lvc plugins check lvc-mine
```

## Complete example

The first command writes this module of {lines} lines, `lvc_mine/{part.module}.py`. It passes all rules below as it
stands. Change it to yours.

```python
{part.source.rstrip()}
```

Its tests, `tests/test_{part.module}.py`:

```python
{part.test("lvc_mine").rstrip()}
```

The entry point in `pyproject.toml`, by which the part is found:

```toml
[project.entry-points."{kind.group}"]
{name} = "lvc_mine.{part.module}:{name}"
```

## The contract

::: {contract}
    options:
      heading_level: 3
      members_order: source

## Rules that are checked

`{kind.conformance}` checks these. A failure names its rule in these words.

{listed}

## What ships

{table}
"""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are kept outside docs/."""
    from mkdocs.structure.files import File

    for path, page in outside().items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(text: str, page: Any, **_: Any) -> str:
    """Move links, and append to a kind's page what comes from the code."""
    path = page.file.src_uri
    folder, _, name = path.rpartition("/")
    kind = KINDS.get(name.removesuffix(".md")) if folder == "kinds" else None
    return relinked(text, path) + (generated(kind) if kind else "")


def on_page_content(html: str, **_: Any) -> str:
    """Remove what only Sphinx understands in docstrings."""
    return ROLE.sub("", html)
