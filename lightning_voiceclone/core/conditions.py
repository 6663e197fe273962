"""Script (content and prosody), speaker prompt, and the generator's input that is made of both.

The three are values: frozen, and registered as pytrees, so that torch.export takes each of them whole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from lightning_voiceclone.core.masking import reach_mask

T = TypeVar("T", bound="TensorFields")


class TensorFields:
    """Base of dataclasses whose fields are tensors, batch first; a field that is absent is None."""

    def tensors(self) -> dict[str, Tensor]:
        """The fields that are present, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if value is not None}

    def map(self: T, function: Callable[[Tensor], Tensor]) -> T:
        """A copy with ``function`` applied to every tensor."""
        changed: dict[str, Any] = {name: function(value) for name, value in self.tensors().items()}
        return replace(self, **changed)  # type: ignore[type-var]

    def rows(self: T, index: slice | Tensor) -> T:
        """Only the rows with those indices."""
        return self.map(lambda value: value[index])

    def detach(self: T) -> T:
        """The same values without their gradients."""
        return self.map(Tensor.detach)

    def to(self: T, device: torch.device | str) -> T:
        """The same values on a device."""
        return self.map(lambda value: value.to(device))


@dataclass(frozen=True)
class Script(TensorFields):
    """Content and prosody of an utterance, without a target speaker.

    Made from audio (``VoiceModel.script``) or from text (``TextEncoder``).

    Frames are those of the model's features.

    Args:
        lengths: (B,) frames that are real; those after are padding.
        content: (B, C, T) linguistic content; C is 0 where the model has no content encoder.
        f0: (B, T) fundamental frequency in Hz, 0 where unvoiced; None if the model has no pitch extractor.
        voicing: (B, T) from 0 (noise) to 1 (periodic); None likewise.
        energy: (B, T) natural logarithm of the RMS, less its mean over the utterance; None if the model has no energy
            extractor.
        register: (B,) median of f0 over voiced frames in Hz, NaN where none is voiced; None without f0. Of a stream,
            (B, T), frame by frame.
        speaker: (B, D) embedding of the recording's own speaker, from which guidance extrapolates away; None where
            there is none, as in a script from text.
        style: (B, S) style vector of the recording, with which a text encoder is trained; None elsewhere.
    """

    lengths: Tensor
    content: Tensor
    f0: Tensor | None = None
    voicing: Tensor | None = None
    energy: Tensor | None = None
    register: Tensor | None = None
    speaker: Tensor | None = None
    style: Tensor | None = None


@dataclass(frozen=True)
class SpeakerPrompt(TensorFields):
    """The target speaker: analysed references, to be used many times. A field that no part of the model needs is None.

    Args:
        lengths: (B,) frames of the references that are real.
        speaker: (B, D) speaker embedding.
        frames: (B, R, F) features, normalised.
        content: (B, C, R) content of each frame.
        register: (B,) median of f0 in Hz; NaN where nothing is voiced.
        style: (B, S) style vector, of a style encoder; only text encoders take it, and no reference gives it.
    """

    lengths: Tensor
    speaker: Tensor | None = None
    frames: Tensor | None = None
    content: Tensor | None = None
    register: Tensor | None = None
    style: Tensor | None = None

    def together(self) -> "SpeakerPrompt":
        """Combine several references of one speaker into one row.

        Embeddings are averaged weighted by length, frames are concatenated, and the register is the length-weighted
        median of the references' registers: of two, that of the longer one.
        """
        counts = self.lengths.tolist()
        made: dict[str, Tensor] = {"lengths": self.lengths.sum()[None]}
        if self.speaker is not None:
            made["speaker"] = (self.speaker * (self.lengths / self.lengths.sum())[:, None]).sum(0)[None]
        if self.frames is not None:
            made["frames"] = torch.cat([row[:count] for row, count in zip(self.frames, counts, strict=True)])[None]
        if self.content is not None:
            rows = [row[:, :count] for row, count in zip(self.content, counts, strict=True)]
            made["content"] = torch.cat(rows, 1)[None]
        if self.register is not None:
            made["register"] = _weighted_median(self.register, self.lengths)[None]
        return SpeakerPrompt(**made)

    @classmethod
    def batch(cls, prompts: Sequence["SpeakerPrompt"]) -> "SpeakerPrompt":
        """Several prompts with the same fields as rows of one, their reference frames padded to the longest."""
        most = max(int(prompt.lengths.max()) for prompt in prompts)
        axes = {"frames": 1, "content": 2}  # of the frames
        made = {}
        for name in prompts[0].tensors():
            rows = [prompt.tensors()[name] for prompt in prompts]
            if name in axes:
                rows = [_padded(row, most, axes[name]) for row in rows]
            made[name] = torch.cat(rows)
        return cls(**made)

    def with_noise(self, deviation: float) -> "SpeakerPrompt":
        """Add normal noise of that standard deviation to the embedding, drawn from torch's global random state."""
        if self.speaker is None or not deviation:
            return self
        return replace(self, speaker=self.speaker + deviation * torch.randn_like(self.speaker))


@dataclass(frozen=True)
class Condition(TensorFields):
    """The input of a generator. Every field but ``lengths`` may be absent.

    Args:
        lengths: (B,) frames that are real; those after are padding.
        content: (B, C, T) linguistic content.
        f0: (B, T) fundamental frequency in Hz; 0 where unvoiced.
        voicing: (B, T) from 0 (noise) to 1 (periodic).
        energy: (B, T) natural logarithm of the RMS, less its mean over the utterance.
        speaker: (B, D) embedding of the target speaker.
        reference_frames: (B, R, F) features of the reference, normalised.
        reference_content: (B, C, R) content of the reference, frame by frame.
        reference_lengths: (B,) frames of the reference that are real.
        noise: (B, Z) or (B, Z, T), standard normal.
    """

    lengths: Tensor
    content: Tensor | None = None
    f0: Tensor | None = None
    voicing: Tensor | None = None
    energy: Tensor | None = None
    speaker: Tensor | None = None
    reference_frames: Tensor | None = None
    reference_content: Tensor | None = None
    reference_lengths: Tensor | None = None
    noise: Tensor | None = None

    def mask(self, frames: int) -> Tensor:
        """(B, 1, T) with 1 for real frames and 0 for padding."""
        return reach_mask(self.lengths, frames).float()


def _padded(value: Tensor, frames: int, axis: int) -> Tensor:
    shape = list(value.shape)
    shape[axis] = frames - shape[axis]
    return torch.cat([value, value.new_zeros(shape)], axis)


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted median of values (B,): at most half of the weight lies on either side; NaN if all values are NaN."""
    ordered, order = values.sort()  # NaN comes last
    reached = torch.where(ordered.isnan(), 0, weights[order]).cumsum(0)
    return ordered[(2 * reached < reached[-1]).sum()]


for _value in (Script, SpeakerPrompt, Condition):
    torch.export.register_dataclass(_value, serialized_type_name=f"lightning_voiceclone.{_value.__name__}")
