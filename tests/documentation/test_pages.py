"""Links, menu and messages of the pages agree with the repository."""

import ast
import re

import pytest
import yaml
from documentation.blocks import ROOT, pages

from lightning_voiceclone.core.kinds import KINDS

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(text):
    """The anchors of the headings of a page, as GitHub and MkDocs make them."""
    made = set()
    for heading in HEADING.findall(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)).strip().lower()
        made |= {words.replace(" ", "-"), re.sub(r"[ -]+", "-", words)}
    return made


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match("[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        generated = target.parent.name == "kinds" and anchor == "the-contract"
        assert not anchor or generated or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_menu_has_each_model_card():
    cards = re.findall(r"cards/(\w+)\.md", (ROOT / "mkdocs.yml").read_text())
    assert sorted(cards) == sorted(
        path.parent.name for path in ROOT.glob("lightning_voiceclone/weights/*/MODEL_CARD.md")
    )


def test_each_kind_has_a_page_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text()
    for name in KINDS:
        assert (ROOT / f"docs/kinds/{name}.md").is_file()
        assert f": kinds/{name}.md\n" in menu


def test_each_recipe_and_each_part_of_the_textbook_exists():
    from lightning_voiceclone.core import registry

    text = (ROOT / "docs/textbook.md").read_text()
    for name in re.findall(r"`(\w+\.yaml)`|--config (\w+\.yaml)", text):
        assert (ROOT / "recipes" / (name[0] or name[1])).is_file(), name
    named = set(re.findall(r"`([A-Z]\w+(?:Loss|Generator|Encoder|Discriminator|Spectrogram))`", text))
    sources = "".join(path.read_text() for folder in ("lightning_voiceclone", "plugins")
                      for path in (ROOT / folder).glob("**/*.py"))  # fmt: skip
    assert len(named) > 10
    assert all(f"class {name}(" in sources for name in named)
    assert {"HingeLoss", "VAEGenerator"} <= named & {plugin.name for plugin in registry.installed()}


def messages():
    """All pieces of strings in the package."""
    for path in ROOT.glob("lightning_voiceclone/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_troubleshooting_quotes_what_the_program_prints():
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^(`.+`)$", text, re.MULTILINE)
    assert len(quoted) > 50
    printed = "\0".join(messages())
    pieces = {piece.strip(" ;:,.()-'") for line in quoted for words in re.findall("`([^`]+)`", line)
              for piece in re.split("…|: ", words.replace("lightning-voiceclone ", "… "))}  # fmt: skip
    known = {"plugin", "step", "of package", "--jobs is", "is", "in", "to", "and", "s"}
    missing = {piece for piece in pieces if piece and piece not in known and piece not in printed}
    assert not missing


def test_the_site_fetches_nothing_from_elsewhere():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert settings["theme"]["font"] is False
    assert not settings.get("extra_javascript")
    assert settings["validation"]["anchors"] == "warn"
