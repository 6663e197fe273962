"""Version, citation, changelog and exit statuses say one thing."""

import re
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from lightning_voiceclone import __version__
from lightning_voiceclone.cli.main import main

ROOT = Path(__file__).resolve().parents[1]


def test_the_version_is_the_same_everywhere(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    newest = re.search(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__


def test_the_citation_has_what_its_format_needs():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert cited["license"] == "Apache-2.0"


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["plugins", "check", "NoSuchPart"], 2),
                                                   (["plugin"], 2)])  # fmt: skip
def test_exit_statuses_are_those_of_the_page(arguments, status, capsys):
    assert main(arguments) == status
    assert f"| {status} |" in (ROOT / "docs/commands.md").read_text()


def test_no_color_leaves_colours_out(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(force_terminal=True)
    with console.capture() as captured:
        console.print("[red]a line[/red]")
    assert captured.get() == "a line\n"
