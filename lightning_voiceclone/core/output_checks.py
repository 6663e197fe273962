"""Check the outputs of parts where they are used, so that an error names the part and its contract."""

from torch import Tensor

from lightning_voiceclone.core.kinds import KINDS
from lightning_voiceclone.core.part import Part
from lightning_voiceclone.errors import ConfigurationError


def check_output(part: Part, output: Tensor, axes: str, *shape: int) -> Tensor:
    """The output of a part, if it has the shape of its contract.

    Args:
        part: that made it.
        output: of it.
        axes: of the contract, such as ``(B, F, T)``.
        shape: the numbers that these are here; fewer than the output has axes leave the last ones open.

    Raises:
        ConfigurationError: names the part, its contract, and both shapes.
    """
    got = tuple(output.shape) if isinstance(output, Tensor) else None
    if got is None or len(got) != axes.count(",") + 1 or got[: len(shape)] != shape:
        name, kind, wanted = type(part).__name__, KINDS[part.kind].singular, ", ".join(map(str, shape))
        raise ConfigurationError(
            f"{name} gave {got or type(output).__name__}, but a {kind} gives {axes}, here {wanted}; correct its forward"
            f" (lvc plugins check {name} tests it)"
        )
    return output
