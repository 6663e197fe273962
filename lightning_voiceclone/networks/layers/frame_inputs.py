"""The frame-wise inputs of a condition, as one tensor."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.masking import keep
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError

# Adult speech has a median f0 near 150 Hz and a standard deviation of about 0.35 in ln f0 over men and women: this
# gives about zero mean and unit variance. The log energy of an utterance varies about twice as much as other inputs.
LOG_F0_MEAN, LOG_F0_SPREAD = 5.010635294096256, 0.35
ENERGY_SCALE = 0.5


def needed_fields(dims: Dims) -> frozenset[str]:
    """Names of the fields of a condition that ``dims`` require."""
    widths = {
        "content": dims.content,
        "f0": dims.pitch,
        "voicing": dims.pitch,
        "energy": dims.energy,
        "noise": dims.noise,
        "speaker": dims.speaker,
    }
    return frozenset(name for name, width in widths.items() if width)


class FrameInputs(nn.Module):
    """All frame-wise fields of a condition as one tensor (B, I, T), 0 in the padding.

    In order: content, (ln f0 - ln 150 Hz) / 0.35 where voiced and 0 elsewhere, voicing, half the energy, noise. Noise
    of an utterance (B, Z) is repeated over the frames. ``channels`` is I.

    Args:
        dims: which of them are used, and their widths.

    Raises:
        ConfigurationError: if dims have no input at all. When called: if a required field is missing or has
            another width.
    """

    def __init__(self, dims: Dims):
        super().__init__()
        self.dims = dims
        self.channels = dims.content + 2 * int(dims.pitch) + int(dims.energy) + dims.noise
        if not self.channels:
            raise ConfigurationError(
                "a generator was built with no frame-wise input (content 0, noise 0, no pitch, no energy);"
                " set noise, for example to 100, or add a content encoder"
            )

    def forward(self, condition: Condition) -> Tensor:
        """(B, I, T); T is that of the inputs, or the longest of ``condition.lengths`` if there is only (B, Z) noise."""
        dims = self.dims
        rows: dict[str, Tensor] = {}
        if dims.content:
            rows["content"] = self._field(condition, "content", dims.content)
        if dims.pitch:
            f0 = self._field(condition, "f0")
            log_f0 = (torch.log(f0.clamp(min=1.0)) - LOG_F0_MEAN) / LOG_F0_SPREAD
            rows["f0"] = torch.where(f0 > 0, log_f0, torch.zeros_like(log_f0))
            rows["voicing"] = self._field(condition, "voicing")
        if dims.energy:
            rows["energy"] = self._field(condition, "energy") * ENERGY_SCALE
        if dims.noise:
            rows["noise"] = self._noise(condition, rows)
        self._check_frames(rows)
        x = torch.cat(list(rows.values()), dim=1)
        return keep(x, condition.mask(x.shape[-1]))

    def _field(self, condition: Condition, name: str, width: int | None = None) -> Tensor:
        """The field as (B, width, T); those without a width are (B, T)."""
        value = promised(condition, name, 2 if width is None else 3, width)
        return value[:, None] if width is None else value

    def _noise(self, condition: Condition, rows: dict[str, Tensor]) -> Tensor:
        of_utterance = condition.noise is not None and condition.noise.ndim == 2
        noise = promised(condition, "noise", 2 if of_utterance else 3, self.dims.noise)
        if not of_utterance:
            return noise
        frames = next(iter(rows.values())).shape[-1] if rows else int(condition.lengths.max())
        return noise[:, :, None].expand(-1, -1, frames)

    @staticmethod
    def _check_frames(rows: dict[str, Tensor]) -> None:
        first, value = next(iter(rows.items()))
        for name, other in rows.items():
            if other.shape[-1] != value.shape[-1]:
                raise ConfigurationError(
                    f"condition.{name} has {other.shape[-1]} frames but condition.{first} has {value.shape[-1]};"
                    f" bring both to the frame rate of the features"
                )


def promised(condition: Condition, name: str, axes: int, width: int | None = None) -> Tensor:
    """The condition's field of that name, with ``axes`` axes and ``width`` channels.

    Raises:
        ConfigurationError: names the field, what was expected and what was got.
    """
    value = getattr(condition, name)
    if value is None:
        wanted = f" of {width} channels" if width is not None else ""
        raise ConfigurationError(
            f"the network needs {name}{wanted}, but condition.{name} is missing;"
            f" supply it, or build the network with Dims that have no {name}"
        )
    if value.ndim != axes or (width is not None and value.shape[1] != width):
        expected = f"(B, {width}" + (", T)" if axes == 3 else ")") if width is not None else "(B, T)"
        raise ConfigurationError(
            f"condition.{name}: expected {expected}, got {tuple(value.shape)};"
            " build the network with the Dims of the part that supplies it"
        )
    return value
