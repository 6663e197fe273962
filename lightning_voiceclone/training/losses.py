"""What a voice learns by beside the game: how far what was made is from what was wanted."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from torch import Tensor

from lightning_voiceclone.core.conditions import Condition, SpeakerPrompt
from lightning_voiceclone.losses.consistency import cosine_distance, statistics_distance
from lightning_voiceclone.losses.reconstruction import MultiResolutionSpectralLoss, masked_l1
from lightning_voiceclone.training.cross_speaker import CrossSpeaker
from lightning_voiceclone.voice.analysis import Analysis
from lightning_voiceclone.voice.model import VoiceModel

VOICE_LOSSES = {"reconstruction", "spectral", "speaker", "statistics", "content"}


@dataclass(frozen=True, eq=False)
class LossInputs:
    """A batch, what it was to become, and what it became.

    Args:
        source: what was to be said.
        reference: crops of the same speakers; None for a voice that listens to none.
        own: identity of each row's own reference; None likewise.
        cross_speaker: which rows were to be said in another's voice.
        condition: what the generator was told; ``lengths`` are of the frames that count.
        fake: (B, F, T) what it made.
        real: (B, F, T) what that stands beside; equal to the fake where recordings have nothing.
        heard: (B, F or 1, 1), whether what the fake stands beside has anything in a channel.
        converting: whether rows are exchanged at all, in this step or later in training.
    """

    source: Analysis
    reference: Analysis | None
    own: SpeakerPrompt | None
    cross_speaker: CrossSpeaker
    condition: Condition
    fake: Tensor
    real: Tensor
    heard: Tensor
    converting: bool

    @property
    def mask(self) -> Tensor:
        """(B, 1, T), 1 for the frames that count."""
        return self.condition.mask(self.fake.shape[-1])


class VoiceLosses:
    """The losses of :class:`VoiceTraining` that need no discriminator, by name.

    Args:
        names: of those that are asked for; others than ``VOICE_LOSSES`` are somebody else's.
    """

    def __init__(self, names: Collection[str]):
        self.names = sorted(VOICE_LOSSES & set(names))
        self.spectral = MultiResolutionSpectralLoss() if "spectral" in names else None

    def __call__(self, voice: VoiceModel, made: LossInputs) -> dict[str, Tensor]:
        """Scalars; one that has nothing to say of this batch is left out."""
        found = {name: getattr(self, f"_{name}")(voice, made) for name in self.names}
        return {name: loss for name, loss in found.items() if loss is not None}

    def _reconstruction(self, voice: VoiceModel, made: LossInputs) -> Tensor:
        own = slice(made.cross_speaker.swapped, None)
        return masked_l1(made.fake[own], made.real[own], made.mask[own])

    def _spectral(self, voice: VoiceModel, made: LossInputs) -> Tensor | None:
        own = slice(made.cross_speaker.swapped, None)
        if not len(made.fake[own]):
            return None
        assert self.spectral is not None
        return self.spectral(voice.vocode(made.fake[own]), made.source.audio[own])

    def _speaker(self, voice: VoiceModel, made: LossInputs) -> Tensor:
        told = voice.embed(replace(made.source, features=made.fake, lengths=made.condition.lengths))
        assert made.own is not None
        assert made.own.speaker is not None
        return cosine_distance(told, made.own.speaker[made.cross_speaker.index(told.device)])

    def _statistics(self, voice: VoiceModel, made: LossInputs) -> Tensor | None:
        rows = slice(0, made.cross_speaker.swapped)
        if not made.cross_speaker.swapped:
            return None
        assert made.reference is not None
        lengths = made.condition.lengths[rows]
        ours = replace(made.source.rows(rows), features=made.fake[rows], lengths=lengths)
        theirs = made.reference.rows(made.cross_speaker.index(made.fake.device)[rows])
        heard = made.heard[rows, :, 0].expand(-1, made.fake.shape[1])
        return statistics_distance(ours.features, theirs.features, ours.voiced, theirs.voiced, heard)

    def _content(self, voice: VoiceModel, made: LossInputs) -> Tensor | None:
        # Other rows are told by their reconstruction what to say, and an encoder costs more than the generator.
        if made.converting and not made.cross_speaker.swapped:
            return None
        rows = slice(0, made.cross_speaker.swapped or len(made.fake))
        source = replace(made.source.rows(rows), lengths=made.condition.lengths[rows])
        said = voice.content(source).detach()
        heard = voice.content(replace(source, features=made.fake[rows]))
        return cosine_distance(heard, said, made.mask[rows])
