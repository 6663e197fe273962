"""``lvc recipes``, and the recipes that come with the package, found by name."""

import argparse
import re
from pathlib import Path

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.errors import ConfigurationError, nearest
from lightning_voiceclone.utils.terminal import printable

PACKAGE = Path(__file__).parents[1]
SUFFIXES = (".yaml", ".yml")
FRAGMENT = re.compile(r"^( *)([\w.]+): (\.\.?/\S+\.yaml) *$", re.MULTILINE)


def recipe_folder() -> Path:
    """Folder of the recipes: inside an installed package, beside it in a checkout."""
    within = PACKAGE / "recipes"
    return within if within.is_dir() else PACKAGE.parent / "recipes"


def recipes() -> dict[str, Path]:
    """Paths of the recipes that come with the package, by name: ``librispeech``, ``sweeps/librispeech``."""
    folder = recipe_folder()
    found = sorted(folder.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}


def find_recipe(name: str) -> Path:
    """Path of a recipe of the package: ``librispeech``, ``librispeech.yaml`` or ``recipes/librispeech.yaml``.

    Raises:
        ConfigurationError: if there is none; names the nearest.
    """
    known = recipes()
    short = name.removeprefix("./").removeprefix("recipes/")
    short = next((short.removesuffix(suffix) for suffix in SUFFIXES if short.endswith(suffix)), short)
    if short not in known:
        raise ConfigurationError(
            f"there is no file {name}, and no recipe of that name{nearest(short, known)}; lvc recipes lists them"
        )
    return known[short]


def summary(path: Path) -> str:
    """Description of a recipe: the first line of its first comment."""
    return path.read_text("utf-8").partition("\n")[0].lstrip("# ")


def whole_text(path: Path) -> str:
    """A recipe with its fragments inserted, so that it needs no other file."""

    def written_out(found: re.Match[str]) -> str:
        indent, key, fragment = found.groups()
        lines = whole_text(path.parent / fragment).splitlines()
        return "\n".join([f"{indent}{key}:", *(f"{indent}  {line}" if line else "" for line in lines)])

    return FRAGMENT.sub(written_out, path.read_text("utf-8"))


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser(
        "lvc recipes",
        description="List the recipes that come with the package, which lvc fit --config NAME takes; or write a copy of"
        " one, to edit.",
    )
    made.add_argument("name", nargs="?", metavar="NAME", help="recipe to write (default: list all)")
    made.add_argument("--output", type=Path, metavar="PATH",
                      help="file (.yaml) or folder to write it to, with its fragments filled in")  # fmt: skip
    return made


def run(argv: list[str]) -> int:
    """List the recipes, or write one."""
    options = parser().parse_args(argv)
    if (options.name is None) != (options.output is None):
        raise ConfigurationError("lvc recipes NAME --output PATH writes a recipe; without both it lists them")
    if options.name is None:
        known = recipes()
        width = max(map(len, known))
        for name, path in known.items():
            print(f"{name:<{width}}  {summary(path)}")
        return 0
    from lightning_voiceclone.utils.files import atomic_file

    recipe = find_recipe(options.name)
    output = options.output if options.output.suffix in SUFFIXES else options.output / recipe.name
    if output.exists():
        raise ConfigurationError(f"{output} is there already; name another --output, or remove it")
    with atomic_file(output) as temporary:
        temporary.write_text(whole_text(recipe), encoding="utf-8")
    print(f"{printable(output)}: lvc fit --config {printable(output)}")
    return 0
