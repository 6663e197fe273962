"""Several kinds of features, concatenated."""

import functools
from typing import cast

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.interfaces import FeatureExtractor
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError


class Stack(FeatureExtractor):
    """The channels of several extractors, one after the other, (B, sum of F, T). ``spec.parts`` lists them.

    Args:
        extractors: in the order of their channels; all of one sample rate and hop, so that their frames line up.

    Raises:
        ConfigurationError: if there is none, or two of them have different sample rates or hops.
    """

    def __init__(self, extractors: list[FeatureExtractor]):
        super().__init__()
        if not extractors:
            raise ConfigurationError("Stack: extractors is empty; give at least one")
        first = extractors[0]
        for other in extractors[1:]:
            for field in ("sample_rate", "hop_length"):
                ours, theirs = getattr(first.spec, field), getattr(other.spec, field)
                if ours != theirs:
                    raise ConfigurationError(
                        f"Stack: {field} is {ours} in {type(first).__name__} but {theirs} in {type(other).__name__};"
                        " give both the same value"
                    )
        self.extractors = nn.ModuleList(extractors)
        self.context = functools.reduce(Context.beside, (extractor.context for extractor in extractors))
        self.spec = AudioSpec(
            kind="stack",
            channels=sum(extractor.spec.channels for extractor in extractors),
            sample_rate=first.spec.sample_rate,
            hop_length=first.spec.hop_length,
            parts=tuple(extractor.spec for extractor in extractors),
        )

    def channel_frequencies(self) -> Tensor | None:
        """Of all parts (F,), in Hz; 0 for the channels of a part that has none."""
        parts = cast("list[FeatureExtractor]", list(self.extractors))
        found = [part.channel_frequencies() for part in parts]
        if all(hertz is None for hertz in found):
            return None
        return torch.cat([torch.zeros(part.spec.channels) if hertz is None else hertz
                          for part, hertz in zip(parts, found, strict=True)])  # fmt: skip

    def forward(self, audio: Tensor) -> Tensor:
        """(B, sum of F, T) of audio (B, N) in [-1, 1].

        Raises:
            ConfigurationError: if audio is not (B, N) of floating-point numbers.
            RecordingError: if it is shorter than one hop.
        """
        return torch.cat([extractor(audio) for extractor in self.extractors], 1)
