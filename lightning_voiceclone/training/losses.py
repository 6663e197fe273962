"""Non-adversarial losses of the voice model."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition, SpeakerPrompt
from lightning_voiceclone.core.interfaces import ContentEncoder, SpeakerEncoder
from lightning_voiceclone.losses.consistency import cosine_distance, relative_distance, statistics_distance
from lightning_voiceclone.losses.mel import MultiResolutionMelLoss
from lightning_voiceclone.losses.reconstruction import MultiResolutionSpectralLoss, masked_l1
from lightning_voiceclone.losses.rows import RowLoss
from lightning_voiceclone.training.cross_speaker import CrossSpeaker
from lightning_voiceclone.training.frozen import Frozen
from lightning_voiceclone.voice.analysis import Analysis
from lightning_voiceclone.voice.model import VoiceModel

VOICE_LOSSES = {"reconstruction", "spectral", "mel", "speaker", "statistics", "content", "teacher", "words", "likeness"}
OF_WAVEFORMS = {"spectral", "mel", "words", "likeness"}


@dataclass(frozen=True, eq=False)
class LossInputs:
    """Inputs, output and targets of the generator for one batch.

    Args:
        source: the crops.
        reference: reference crops of the same speakers; None for a model that uses none.
        own: prompt of each row's own reference; None likewise.
        cross_speaker: which rows are converted to another speaker.
        condition: input of the generator; its ``lengths`` are the frames that count.
        fake: (B, F, T) generated features.
        real: (B, F, T) target features; equal to ``fake`` in channels beyond the recording's bandwidth.
        in_band: (B, F or 1, 1) bool, whether a channel lies within the bandwidth of the target.
        converting: whether there are cross-speaker rows at all, in this step or later in training.
        waveform: (B, N) what the vocoder makes of ``fake``; None where no loss and no discriminator needs it.
        heard: (B, F, T) normalised features of ``waveform``; None likewise.
        taught: (B, F, T) features that the teacher generates; None without one.
    """

    source: Analysis
    reference: Analysis | None
    own: SpeakerPrompt | None
    cross_speaker: CrossSpeaker
    condition: Condition
    fake: Tensor
    real: Tensor
    in_band: Tensor
    converting: bool
    waveform: Tensor | None = None
    heard: Tensor | None = None
    taught: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """(B, 1, T), 1 for the frames that count."""
        return self.condition.mask(self.fake.shape[-1])

    @property
    def spoken(self) -> Analysis:
        """What is said, to be compared by encoders: as it is heard, where there is a waveform, or as generated."""
        lengths = self.condition.lengths
        if self.waveform is None or self.heard is None:
            return replace(self.source, features=self.fake, lengths=lengths)
        return replace(self.source, audio=self.waveform, features=self.heard, lengths=lengths)


class VoiceLosses(nn.Module):
    """The losses of :class:`VoiceTraining` that need no discriminator, by name.

    Args:
        names: of the losses to compute; names outside ``VOICE_LOSSES`` are ignored.
        sample_rate: of the waveforms, in Hz.
        listener: encoder of audio that hears the words; None for none.
        speaker_listener: encoder of audio that hears who speaks; None for none.
    """

    def __init__(
        self,
        names: Collection[str],
        sample_rate: int,
        listener: ContentEncoder | None = None,
        speaker_listener: SpeakerEncoder | None = None,
    ):
        super().__init__()
        self.listener = None if listener is None else Frozen(listener)
        self.speaker_listener = None if speaker_listener is None else Frozen(speaker_listener)
        self.names = sorted(VOICE_LOSSES & set(names))
        self.spectral = MultiResolutionSpectralLoss() if "spectral" in names else None
        self.mel = MultiResolutionMelLoss(sample_rate) if "mel" in names else None

    @property
    def of_waveforms(self) -> bool:
        """Whether one of them compares waveforms."""
        return not OF_WAVEFORMS.isdisjoint(self.names)

    def forward(self, voice: VoiceModel, made: LossInputs) -> dict[str, RowLoss]:
        """One value a row by name; a loss that applies to no row of this batch is left out.

        Those of rows that are converted to the next row's speaker couple the two.
        """
        found = {name: getattr(self, f"_{name}")(voice, made) for name in self.names}
        return {name: loss for name, loss in found.items() if loss is not None}

    def _reconstruction(self, voice: VoiceModel, made: LossInputs) -> RowLoss:
        swapped, rows = made.cross_speaker.swapped, len(made.fake)
        own = slice(swapped, None)
        return masked_l1(made.fake[own], made.real[own], made.mask[own]).among(swapped, rows)

    def _teacher(self, voice: VoiceModel, made: LossInputs) -> RowLoss | None:
        if made.taught is None:
            return None
        distance = masked_l1(made.fake, made.taught, made.mask)
        return replace(distance, per_row=not made.cross_speaker.swapped)

    def _words(self, voice: VoiceModel, made: LossInputs) -> RowLoss:
        assert self.listener is not None
        assert made.waveform is not None
        listener, lengths = self.listener.on(made.waveform.device), made.condition.lengths
        with torch.no_grad():
            wanted = listener(made.source.audio, lengths * voice.spec.hop_length)
        said = listener(made.waveform, lengths * voice.spec.hop_length)
        real = torch.ceil(lengths * listener.frame_rate / voice.spec.frame_rate)
        return relative_distance(said, wanted, Condition(real).mask(wanted.shape[-1]))

    def _likeness(self, voice: VoiceModel, made: LossInputs) -> RowLoss:
        assert self.speaker_listener is not None
        assert made.waveform is not None
        assert made.reference is not None
        listener, hop = self.speaker_listener.on(made.waveform.device), voice.spec.hop_length
        with torch.no_grad():
            wanted = listener(made.reference.audio, made.reference.lengths * hop)
        heard = listener(made.waveform, made.condition.lengths * hop)
        distance = cosine_distance(heard, wanted[made.cross_speaker.index(heard.device)])
        return replace(distance, per_row=not made.cross_speaker.swapped)

    def _spectral(self, voice: VoiceModel, made: LossInputs) -> RowLoss | None:
        return self._of_own_rows(self.spectral, voice, made)

    def _mel(self, voice: VoiceModel, made: LossInputs) -> RowLoss | None:
        return self._of_own_rows(self.mel, voice, made)

    def _of_own_rows(self, loss: nn.Module | None, voice: VoiceModel, made: LossInputs) -> RowLoss | None:
        """Distance of the waveforms of the rows that keep their speaker; None where there is none."""
        own = slice(made.cross_speaker.swapped, None)
        if not len(made.fake[own]):
            return None
        assert loss is not None
        assert made.waveform is not None
        real = made.mask[own, 0].repeat_interleave(voice.spec.hop_length, 1)
        distance = loss(made.waveform[own] * real, made.source.audio[own] * real)
        if not isinstance(distance, RowLoss):
            distance = RowLoss(distance, torch.ones_like(distance))
        return distance.among(made.cross_speaker.swapped, len(made.fake))

    def _speaker(self, voice: VoiceModel, made: LossInputs) -> RowLoss:
        embedding = voice.embed(made.spoken)
        assert made.own is not None
        assert made.own.speaker is not None
        distance = cosine_distance(embedding, made.own.speaker[made.cross_speaker.index(embedding.device)])
        return replace(distance, per_row=not made.cross_speaker.swapped)

    def _statistics(self, voice: VoiceModel, made: LossInputs) -> RowLoss | None:
        rows = slice(0, made.cross_speaker.swapped)
        if not made.cross_speaker.swapped:
            return None
        assert made.reference is not None
        ours = made.spoken.rows(rows)
        theirs = made.reference.rows(made.cross_speaker.index(made.fake.device)[rows])
        in_band = made.in_band[rows, :, 0].expand(-1, made.fake.shape[1])
        distance = statistics_distance(ours.features, theirs.features, ours.voiced, theirs.voiced, in_band)
        return replace(distance.among(0, len(made.fake)), per_row=False)

    def _content(self, voice: VoiceModel, made: LossInputs) -> RowLoss | None:
        # Reconstruction already trains the content of other rows, and the encoder costs more than the generator.
        if made.converting and not made.cross_speaker.swapped:
            return None
        rows = slice(0, made.cross_speaker.swapped or len(made.fake))
        source = replace(made.source.rows(rows), lengths=made.condition.lengths[rows])
        wanted = voice.content(source).detach()
        content = voice.content(made.spoken.rows(rows))
        distance = cosine_distance(content, wanted, made.mask[rows]).among(0, len(made.fake))
        return replace(distance, per_row=not made.cross_speaker.swapped)
