"""Transcripts with the times of their phonemes, found once and kept."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lightning_voiceclone import __version__
from lightning_voiceclone.checkpoints.external_weights import all_weights, weights_sha256
from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.errors import LVCError, RecordingError
from lightning_voiceclone.networks.aligner import PhonemeAligner, aligner_frames, new_aligner
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.inventory import TOKENS
from lightning_voiceclone.text.pronounced import Pronounced
from lightning_voiceclone.training.script_cache import ScriptCache, digest, read_stored
from lightning_voiceclone.training.timed_text import TimedText, timed_text
from lightning_voiceclone.utils.files import atomic_file
from lightning_voiceclone.voice.model import VoiceModel

RECORDINGS, ITERATIONS = 160, 12  # of the aligner's training
LOWEST_SCORE = 0.25  # mean probability of the phonemes, below which a recording says something else


class AlignedTexts:
    """Tokens of transcripts with their durations, in a folder; computed where they are not there yet.

    The folder is named by the aligner's weights, the numbers of the tokens and this package's version, since all three
    decide what is stored.

    Args:
        voice: frozen model, whose features the aligner takes besides content.
        folder: in which the cache makes its own; that of the voice's scripts, as the aligner takes them.
        front: pronounces the transcripts.
        aligner: trained; None for one that :meth:`train` is to train.
    """

    needed = RECORDINGS

    def __init__(self, voice: VoiceModel, folder: Path, front: FrontEnd, aligner: PhonemeAligner | None = None) -> None:
        self.voice, self.base, self.front = voice, folder, front
        assert voice.content_encoder is not None
        self.aligner = aligner or new_aligner(
            voice.content_encoder.channels + voice.spec.channels, voice.spec.frame_rate
        )

    @property
    def trained(self) -> bool:
        """Whether the aligner has been trained."""
        return bool(self.aligner.weight.any())

    def load(self, weights: Mapping[str, Any]) -> None:
        """Take the weights of a trained aligner."""
        self.aligner.load_state_dict(weights)

    def timed(self, audio: Tensor, text: str, script: Script) -> TimedText:
        """Tokens with durations of a recording (N,) and its transcript.

        Raises:
            LVCError: if the text cannot be pronounced, or the recording says something else.
        """
        path = self._folder / f"{digest(audio, text)}.safetensors"
        stored = read_stored(path)
        if stored is None:
            made = self._computed(audio, text, script)
            stored = {"tokens": made.tokens, "durations": made.durations, "start": torch.tensor(made.start)}
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path, durable=False) as temporary:
                save_file(stored, temporary)
        return TimedText(stored["tokens"], stored["durations"], int(stored["start"]))

    @torch.inference_mode()
    def _computed(self, audio: Tensor, text: str, script: Script) -> TimedText:
        said = self._pronounced(text)
        words = [word.phonemes for word in said.words]
        times = self.aligner.align(self._frames(audio, script), words)
        scores = [one.score for word in times for one in word]
        if (score := sum(scores) / len(scores)) < LOWEST_SCORE:
            raise RecordingError(
                f"a recording does not seem to say its transcript ({text[:40]!r}): its phonemes have a mean probability"
                f" of {score:.2f}, expected at least {LOWEST_SCORE}; correct the transcript, or leave the recording out"
            )
        return timed_text(said, times, int(script.lengths), self.voice.spec.frame_rate)

    @torch.inference_mode()
    def train(self, recordings: Iterable[tuple[Tensor, str]], scripts: ScriptCache) -> None:
        """Train the aligner on recordings (N,) with transcripts.

        Left out are those that cannot be pronounced, and those with more phonemes than frames.

        Raises:
            RecordingError: if none is left; says how many were left out, and why.
        """
        data, unpronounced, too_long = [], 0, 0
        for audio, text in recordings:
            try:
                words = [word.phonemes for word in self._pronounced(text).words]
            except LVCError:
                unpronounced += 1
                continue
            frames = self._frames(audio, scripts.script(audio))
            if sum(map(len, words)) > frames.shape[1]:
                too_long += 1
            else:
                data.append((frames, words))
        if not data:
            raise RecordingError(
                f"no recording is left to train the aligner with: of {unpronounced + too_long}, {unpronounced} have a"
                f" transcript that cannot be pronounced, {too_long} one of more phonemes than the recording has frames;"
                " correct the transcripts, or name a trained aligner with --model.aligner"
            )
        for iteration in range(ITERATIONS):
            self.aligner.fit(data, even=iteration == 0)

    def _pronounced(self, text: str) -> Pronounced:
        """A transcript's words; one in capital letters alone, as of LibriSpeech, is not a row of abbreviations."""
        return self.front.pronounce(text.lower() if text.isupper() else text)

    def _frames(self, audio: Tensor, script: Script) -> Tensor:
        return aligner_frames(script.content[0], self.voice.feature_extractor(audio[None])[0])

    @property
    def _folder(self) -> Path:
        made = "\n".join([weights_sha256(all_weights(self.aligner)), __version__, str(LOWEST_SCORE), *TOKENS])
        return self.base / f"times-{hashlib.sha256(made.encode()).hexdigest()[:12]}"
