"""A DataModule of recordings in memory, of one speaker or several."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.audio.checks import check_samples
from lightning_voiceclone.data.audio_store import FULL_SCALE, AudioStore, MemoryStore, quantize
from lightning_voiceclone.data.datamodule import VoiceDataModule
from lightning_voiceclone.data.utterances import Utterance
from lightning_voiceclone.errors import ConfigurationError, RecordingError

SPEAKER = "speaker"
MIN_SECONDS = 0.3  # as of lvc prepare


class MemoryDataModule(VoiceDataModule):
    """Crops of recordings in memory, all for training; recordings that ``lvc prepare`` would reject are left out.

    Args:
        recordings: mono samples (N,) in [-1, 1].
        sample_rate: of all, in Hz.
        speakers: of each recording; None for one of all.
        settings: of :class:`VoiceDataModule`, except those of the recordings' place and splits.

    Raises:
        ConfigurationError: if none of the recordings can be used, or one has samples that are not finite numbers.
    """

    def __init__(
        self,
        recordings: Sequence[NDArray[np.float32]],
        sample_rate: int,
        speakers: Sequence[str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(validation=0, **settings)
        if not all(np.isfinite(audio).all() for audio in recordings):
            raise ConfigurationError("a recording has samples that are NaN or infinite; look at what made them")
        of = speakers or [SPEAKER] * len(recordings)
        named = {f"{speaker}/{number:05}.wav": audio
                 for number, (speaker, audio) in enumerate(zip(of, recordings, strict=True))}  # fmt: skip
        self._store = MemoryStore(named, sample_rate)
        self._utterances, reasons = [], []
        for (name, audio), speaker in zip(named.items(), of, strict=True):
            try:
                self._utterances.append(_utterance(name, audio, sample_rate, speaker))
            except RecordingError as error:
                reasons.append(str(error))
        if not self._utterances:
            raise ConfigurationError(f"none of the {len(named)} recordings can be used: {'; '.join(reasons[:1])}")

    def prepare_data(self) -> None:
        """Nothing to do: there are no files."""

    def _found(self) -> tuple[Sequence[Utterance], AudioStore]:
        return self._utterances, self._store


def _utterance(name: str, audio: NDArray[np.float32], sample_rate: int, speaker: str) -> Utterance:
    """The row of a manifest for a recording.

    Raises:
        RecordingError: if it is silent or too short.
    """
    samples = quantize(audio).astype(np.float32) / FULL_SCALE
    facts = check_samples(samples, sample_rate, name, min_seconds=MIN_SECONDS)
    return Utterance(path=name, start=0.0, end=facts.seconds, speaker=speaker, text="", rate=facts.rate, split="train",
                     bandwidth_hz=facts.bandwidth_hz, snr_db=facts.snr_db, hash=facts.sha256)  # fmt: skip
