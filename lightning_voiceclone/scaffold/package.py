"""Write a plugin package that installs, passes its tests, trains and converts as it stands."""

import importlib.metadata
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_voiceclone import __version__
from lightning_voiceclone.core import registry
from lightning_voiceclone.core.kinds import KINDS, Kind
from lightning_voiceclone.errors import ConfigurationError, nearest
from lightning_voiceclone.scaffold.recipes import overlays, use_commands
from lightning_voiceclone.utils.files import atomic_folder

PARTS = Path(__file__).with_name("parts")
PACKAGE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
CLASS = re.compile(r"[A-Z][A-Za-z0-9]*")
WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # where one word of a class's name ends

# Arguments with which the checks run in little time.
SMALL = {
    "generators": '{"width": 16}', "discriminators": '{"width": 16}', "vocoders": '{"width": 32}',
    "content_encoders": '{"channels": 6, "width": 16}', "speaker_encoders": '{"channels": 8}',
}  # fmt: skip
METHODS = {
    "vocoders": """
    def extractor(self):
        return MelSpectrogram()
""",
    "corpora": """
    def lay_out(self, root):
        for name in ("anna_1.wav", "anna_2.wav", "ben_1.wav"):
            (root / name).touch()
""",
}
IMPORTS = {"vocoders": "from lightning_voiceclone.features.spectral import MelSpectrogram\n"}


@dataclass(frozen=True)
class NewPart:
    """A part to write.

    Args:
        kind: of the part.
        name: of the class.
    """

    kind: Kind
    name: str

    @classmethod
    def parse(cls, text: str) -> "NewPart":
        """From ``KIND:ClassName``, the kind as in ``lvc plugins`` or in the singular.

        Raises:
            ConfigurationError: if there is no such kind, or the name is no class's, is a keyword's or is taken.
        """
        word, _, name = text.partition(":")
        singular = {kind.word: kind for kind in KINDS.values()}
        kind = (singular | KINDS).get(word.replace("-", "_").replace(" ", "_"))
        if kind is None:
            raise ConfigurationError(
                f"--part {text!r}: no kind of part is called {word!r}{nearest(word, [*singular])}; there are"
                f" {', '.join(singular)}"
            )
        if not CLASS.fullmatch(name) or keyword.iskeyword(name):
            raise ConfigurationError(
                f"--part {text!r}: the name of the class is {name!r}; write it as KIND:MyName, in words that begin with"
                " a capital letter, without underscores"
            )
        if taken := next((plugin for plugin in registry.installed() if plugin.name == name), None):
            raise ConfigurationError(
                f"--part {text!r}: {name} is taken by the package {taken.package}; choose another name"
            )
        made = cls(kind, name)
        if keyword.iskeyword(made.module) or made.module.startswith("test_"):
            raise ConfigurationError(f"--part {text!r}: its module cannot be called {made.module}; choose another name")
        return made

    @property
    def module(self) -> str:
        """Name of its module: the class's in lower case, words joined by underscores."""
        return WORDS.sub("_", self.name).lower()

    @property
    def source(self) -> str:
        """Its module, from the example of the kind."""
        text = (PARTS / f"{self.kind.name}.py").read_text(encoding="utf-8")
        example = re.search(r"class (Example\w+)\(", text)
        assert example is not None
        return text.replace(example[1], self.name).replace("example_", f"{self.module}_")

    def test(self, package: str) -> str:
        """Its tests."""
        small = f"    arguments = {SMALL[self.kind.name]}\n" if self.kind.name in SMALL else ""
        return (
            f'"""The checks of {package}: those that every {self.kind.singular} must pass, and your own."""\n\n'
            f"from {package}.{self.module} import {self.name}\n\n"
            f"{IMPORTS.get(self.kind.name, '')}from lightning_voiceclone.testing import {self.kind.conformance}\n\n\n"
            f"class Test{self.name}({self.kind.conformance}):\n    part = {self.name}\n{small}"
            f"{METHODS.get(self.kind.name, '')}"
        )


def write_package(name: str, parts: Sequence[NewPart], folder: Path) -> list[Path]:
    """Write the package into a new folder, whole or not at all.

    Args:
        name: of the distribution, such as lvc-mine.
        parts: at least one.
        folder: to make.

    Returns:
        The files, relative to the folder.

    Raises:
        ConfigurationError: if the name is not one, or taken; if two parts have one name; or something is there.
        OSError: if the folder cannot be written.
    """
    _check_name(name)
    if len({part.name for part in parts}) < len(parts) or len({part.module for part in parts}) < len(parts):
        raise ConfigurationError("two parts have one name; give each its own")
    if folder.exists() or folder.is_symlink():
        raise ConfigurationError(f"{folder} is there already; name another with --output, or remove it")
    module = name.replace("-", "_")
    files = {
        "pyproject.toml": _pyproject(name, module, parts),
        "README.md": _readme(name, parts),
        f"{module}/__init__.py": '"""Parts for lightning-voiceclone."""\n',
        f"{module}/py.typed": "",
        ".github/workflows/test.yml": _workflow(),
    }
    files |= {f"{module}/{part.module}.py": part.source for part in parts}
    files |= {f"tests/test_{part.module}.py": part.test(module) for part in parts}
    files |= {path: overlay.text for path, overlay in overlays(parts).items()}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as temporary:
        for path, text in files.items():
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            (temporary / path).write_text(text, encoding="utf-8")
    return [Path(path) for path in files]


def _check_name(name: str) -> None:
    module = name.replace("-", "_")
    if not PACKAGE.fullmatch(name) or keyword.iskeyword(module):
        raise ConfigurationError(
            f"the package's name is {name!r}; write it in small letters, digits and hyphens, such as lvc-mine"
        )
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return
    raise ConfigurationError(f"a package {name} {version} is installed already; choose another name")


def _listed(parts: Sequence[NewPart]) -> str:
    return ", ".join(f"{part.name} ({part.kind.singular})" for part in parts)


def _pyproject(name: str, module: str, parts: Sequence[NewPart]) -> str:
    major, minor, *_ = __version__.split(".")
    groups = ""
    for kind in KINDS.values():
        if lines := [f'{part.name} = "{module}.{part.module}:{part.name}"' for part in parts if part.kind is kind]:
            groups += "\n".join([f'\n[project.entry-points."{kind.group}"]', *lines]) + "\n"
    return f'''[build-system]
requires = ["hatchling>=1.24"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
description = "Parts for lightning-voiceclone: {_listed(parts)}"
readme = "README.md"
requires-python = ">=3.10"
# The versions of the contracts that this package follows: another one refuses its parts.
dependencies = ["lightning-voiceclone>={major}.{minor},<{major}.{int(minor) + 1}"]

[project.optional-dependencies]
dev = ["pytest>=8"]

# A name must be the class's: configurations, the command line and checkpoints call the part by it.{groups}
[tool.hatch.build.targets.wheel]
packages = ["{module}"]
'''


def _readme(name: str, parts: Sequence[NewPart]) -> str:
    listed = "\n".join(f"- `{part.name}` ({part.kind.singular}): say what it does, and its source." for part in parts)
    after = "\n".join(f"    {command}" for command in use_commands(parts, Path()))
    return f"""# {name}

Parts for [lightning-voiceclone](https://pypi.org/project/lightning-voiceclone/):

{listed}

    pip install {name}
    lvc plugins                      # lists them
    lvc plugins show {parts[0].name}
{after}

Checks: `pip install -e ".[dev]"`, then `pytest` and `lvc plugins check {name}`.
"""


def _workflow() -> str:
    return """name: test
on: [push, pull_request]
jobs:
  test:
    runs-on: ubuntu-latest
    strategy:
      matrix: {python: ["3.10", "3.13"]}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "${{ matrix.python }}"}
      - run: pip install -e ".[dev]"
      - run: pytest
"""
