"""What all networks share: frames of input from a condition, modulation by the speaker, norms that respect padding."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.interfaces import Condition
from lightning_voiceclone.parts import Dims

# Adult speech has a median near 150 Hz and a spread of about 0.35 in ln f0 over men and women: this brings it to
# about zero mean and unit variance. The log energy of an utterance spreads about twice as far as other inputs.
LOG_F0_MEAN, LOG_F0_SPREAD = 5.010635294096256, 0.35
ENERGY_SCALE = 0.5


def needed_fields(dims: Dims) -> frozenset[str]:
    """Names of the fields of a condition that ``dims`` promise."""
    promised = {
        "content": dims.content,
        "f0": dims.pitch,
        "voicing": dims.pitch,
        "energy": dims.energy,
        "noise": dims.noise,
        "speaker": dims.speaker,
    }
    return frozenset(name for name, there in promised.items() if there)


def keep(x: Tensor, mask: Tensor) -> Tensor:
    """x where the mask (B, 1, T) is 1, and exactly 0 elsewhere, even where x is not a number."""
    return torch.where(mask > 0, x, torch.zeros((), dtype=x.dtype, device=x.device))


def reach_mask(lengths: Tensor, frames: int) -> Tensor:
    """(B, 1, T), True for the first ``lengths`` (B) frames of each row."""
    return (torch.arange(frames, device=lengths.device) < lengths[:, None])[:, None]


def check_positive(owner: str, **values: float) -> None:
    """Refuse numbers below 1, as widths and counts of layers cannot be.

    Raises:
        ConfigurationError: names the first such number.
    """
    for name, value in values.items():
        if value < 1:
            raise ConfigurationError(f"{owner}: {name} is {value}; it must be at least 1")


def check_odd(owner: str, **values: int) -> None:
    """Refuse kernels that have no middle.

    Raises:
        ConfigurationError: names the first such kernel.
    """
    for name, value in values.items():
        if value < 1 or value % 2 == 0:
            raise ConfigurationError(f"{owner}: {name} is {value}; it must be odd, such as {abs(value) + 1}")


class FrameInputs(nn.Module):
    """Everything that a condition says frame by frame, as one tensor (B, I, T), 0 in the padding.

    In order: content, (ln f0 - ln 150 Hz) / 0.35 where voiced and 0 elsewhere, voicing, half the energy, noise. Noise
    of an utterance (B, Z) is repeated over the frames. ``channels`` is I.

    Args:
        dims: says which of them are there, and how wide.

    Raises:
        ConfigurationError: if dims promise no input at all. When called: if a promised field is missing or its width
            is another.
    """

    def __init__(self, dims: Dims):
        super().__init__()
        self.dims = dims
        self.channels = dims.content + 2 * int(dims.pitch) + int(dims.energy) + dims.noise
        if not self.channels:
            raise ConfigurationError(
                "a generator was built with no frame-wise input (content 0, noise 0, no pitch, no energy);"
                " set noise to 100, say, or give it a content encoder"
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
            f"the network was built to be given {name}{wanted}, but condition.{name} is missing;"
            f" supply it, or build the network with Dims that promise no {name}"
        )
    if value.ndim != axes or (width is not None and value.shape[1] != width):
        expected = f"(B, {width}" + (", T)" if axes == 3 else ")") if width is not None else "(B, T)"
        raise ConfigurationError(
            f"condition.{name}: expected {expected}, got {tuple(value.shape)};"
            " build the network with the Dims of the part that supplies it"
        )
    return value


class SpeakerModulation(nn.Module):
    """Feature-wise modulation by the speaker: x * scale(s) + shift(s), with scale and shift affine in the embedding.

    FiLM (Perez et al. 2018, equation 2). Begins near the identity; is the identity where ``dims.speaker`` is 0.

    Args:
        dims: ``dims.speaker`` is the embedding's width D.
        width: channels of x.
    """

    def __init__(self, dims: Dims, width: int):
        super().__init__()
        self.speaker = dims.speaker
        if dims.speaker:
            self.affine = nn.Linear(dims.speaker, 2 * width)
            nn.init.normal_(self.affine.weight, std=0.02)
            nn.init.zeros_(self.affine.bias)

    def scale_and_shift(self, condition: Condition) -> tuple[Tensor, Tensor]:
        """Each (B, width, 1).

        Raises:
            ConfigurationError: if the embedding is missing or of another width.
        """
        speaker = promised(condition, "speaker", 2, self.speaker)
        scale, shift = self.affine(speaker)[:, :, None].chunk(2, dim=1)
        return 1 + scale, shift

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """x (B, width, T), modulated."""
        if not self.speaker:
            return x
        scale, shift = self.scale_and_shift(condition)
        return torch.addcmul(shift, x, scale)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each frame of (B, C, T): no frame sees another (Ba et al. 2016)."""

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised x, of the same shape."""
        normalised = F.layer_norm(x.transpose(1, 2), (x.shape[1],), self.weight, self.bias, self.eps)
        return normalised.transpose(1, 2)


def begin_small(layer: nn.Module, factor: float = 0.1) -> None:
    """Scale down an output layer, so that training begins at about the mean of the normalised features, 0."""
    with torch.no_grad():
        layer.weight.mul_(factor)  # type: ignore[operator, union-attr]
        layer.bias.zero_()  # type: ignore[operator, union-attr]
