"""Weights that generator and discriminator have in common."""

from collections.abc import Mapping

from torch import nn

from lightning_voiceclone.errors import ConfigurationError, nearest


def share_weights(discriminator: nn.Module, generator_side: nn.Module, shared: Mapping[str, str]) -> None:
    """Let layers of the discriminator use weights of the generator; each network's optimizer updates them.

    Args:
        discriminator: whose weights are replaced.
        generator_side: whose weights are used.
        shared: by the name of the discriminator's layer, that of the generator's.

    Raises:
        ConfigurationError: if there is no layer of a name, or their weights differ in name or shape.
    """
    for ours, theirs in shared.items():
        layer, source = _layer(discriminator, ours, "discriminator"), _layer(generator_side, theirs, "generator")
        given = dict(source.named_parameters())
        wanted = dict(layer.named_parameters())
        shapes = [{name: tuple(weight.shape) for name, weight in weights.items()} for weights in (wanted, given)]
        if shapes[0] != shapes[1] or not wanted:
            raise ConfigurationError(
                f"steps.shared: {ours} of the discriminator has weights {shapes[0] or 'none'}, but {theirs} has"
                f" {shapes[1] or 'none'}; share layers of the same widths and norm"
            )
        for name, weight in given.items():
            owner, _, last = name.rpartition(".")
            setattr(layer.get_submodule(owner), last, weight)


def _layer(network: nn.Module, name: str, role: str) -> nn.Module:
    try:
        return network.get_submodule(name)
    except AttributeError:
        names = [known for known, _ in network.named_modules() if known]
        raise ConfigurationError(
            f"steps.shared: the {role} has no layer {name!r}{nearest(name, names)}; it has {', '.join(names[:12])}"
        ) from None
