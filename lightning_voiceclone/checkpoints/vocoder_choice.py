"""Choose the vocoder by the name that a user gives."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from lightning_voiceclone.checkpoints.part_folder import load_part
from lightning_voiceclone.core import registry
from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.errors import ConfigurationError, nearest


def load_vocoder(path: str | Path) -> Vocoder:
    """Load a trained vocoder from a folder or a checkpoint (its averaged weights if it has them), for inference.

    Raises:
        ConfigurationError: if there is nothing at the path, or nothing that can be read as a vocoder.
        PluginError: if its class is not installed; names the package.
    """
    vocoder = load_part(path, Vocoder.kind)
    assert isinstance(vocoder, Vocoder)
    return vocoder


def choose_vocoder(name: str, spec: AudioSpec, *, generated: bool = False) -> Vocoder:
    """The vocoder that ``--vocoder`` names, for features of that spec.

    Args:
        name: "default" for the Vocos that ships, a folder or checkpoint of a trained one, or the short name of an
            installed class that needs no training, such as GriffinLim.
        spec: of the features that it is given.
        generated: whether a generator computes them. For features of recordings, the Vocos that ships refines its
            output towards their mel bands (``refine``).

    Raises:
        ConfigurationError: if there is none of that name.
        SpecMismatchError: if it is for other features; names the field and both values.
    """
    from lightning_voiceclone.vocoders.vocos import REFINE, Vocos

    if name == "default":
        return Vocos(spec, pretrained=name, refine=0 if generated else REFINE).eval()
    there = Path(name).exists()
    classes = sorted(plugin.name for plugin in registry.installed() if plugin.kind == "vocoders")
    if not there and name in classes:
        made = registry.find("vocoders", name).load()(spec)
        if any(True for _ in made.parameters()):
            raise ConfigurationError(f"{name} must be trained before it is used; name a folder or checkpoint of one")
        return made.eval()
    if not there and "/" not in name:
        raise ConfigurationError(
            f"no vocoder is called {name!r}{nearest(name, ['default', *classes])}, and no folder or checkpoint is"
            f" there; there are default, {', '.join(classes)}"
        )
    vocoder = load_vocoder(name)
    check_join("the voice", spec, f"the vocoder {name}", vocoder.spec)
    return vocoder


def chosen(name: str | None) -> Callable[[AudioSpec], Vocoder] | None:
    """Vocoder maker for ``load_voice``, by the name given with ``--vocoder``; None for the model's own vocoder."""
    return None if name is None else partial(choose_vocoder, name, generated=True)
