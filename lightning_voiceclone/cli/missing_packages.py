"""Name the packages that a training needs and that are not installed, where its recipe cannot be read without them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from lightning_voiceclone.checkpoints.reader import open_checkpoint
from lightning_voiceclone.core import registry
from lightning_voiceclone.core.description_checks import DescriptionError, check_roles, shown_package
from lightning_voiceclone.core.part import parts_in
from lightning_voiceclone.errors import LVCError, PluginError


def missing_package(arguments: Sequence[str]) -> PluginError | None:
    """The error for a part of the training's checkpoint whose package is not installed; None if there is none.

    The checkpoint is that of ``--ckpt_path``, or the newest beside a run's config.yaml.

    Args:
        arguments: of the command line, with its recipes as paths.
    """
    for path in _checkpoints(arguments):
        with suppress(LVCError, DescriptionError, OSError):  # whatever is wrong with it, reading it reports
            values = open_checkpoint(path).values
            check_roles(values)
            for part in parts_in(values):
                package, name, version = shown_package(part["package"]), part.get("name"), part.get("version")
                there = {plugin.package for plugin in registry.installed() if plugin.name == name}
                if package is not None and package != registry.OWN and package not in there:
                    return PluginError(
                        f"{path} needs {name} of the package {package} {version}, which is not installed:"
                        f" pip install {package}=={version}, if you trust it"
                    )
    return None


def _checkpoints(arguments: Sequence[str]) -> Iterator[Path]:
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        path = Path(value if equals else following)
        if option == "--ckpt_path" and path.is_file():
            yield path
        elif option in ("--config", "-c"):
            yield from sorted(path.parent.glob("checkpoints/*.ckpt"), key=lambda one: one.stat().st_mtime_ns)[-1:]
