"""Transcripts with the times of their phonemes, found once and kept."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor

from lightning_voiceclone import __version__
from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.networks.aligner import FRAME_RATE, Interval
from lightning_voiceclone.networks.goodness import said
from lightning_voiceclone.networks.phone_classifier import PhoneScores, at_classifier_rate
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.inventory import TOKENS
from lightning_voiceclone.text.variants import accepted
from lightning_voiceclone.training.script_cache import digest, read_stored
from lightning_voiceclone.training.timed_text import TimedText, timed_text
from lightning_voiceclone.utils.files import atomic_file

LOWEST_SCORE = 0.4  # mean probability of the phonemes, below which a recording says something else


class Scores(Protocol):
    """Probabilities of phonemes in a recording: :class:`PhoneScores`."""

    @property
    def fingerprint(self) -> str:
        """Of the weights."""
        ...

    def __call__(self, audio: Tensor) -> Tensor:
        """Logarithms of the classes' probabilities (T, 40), 100 a second, of samples (N,) at 16 kHz."""
        ...


class AlignedTexts:
    """Tokens of transcripts with their durations, in a folder; computed where they are not there yet.

    Of the pronunciations that a word may have, the one that was said is taken. The folder is named by the weights that
    find the phonemes, the numbers of the tokens and this package's version, since all three decide what is stored.

    Args:
        spec: of the recordings' features, whose frames the durations count.
        folder: in which the cache makes its own.
        front: pronounces the transcripts.
        scores: where phonemes are; None for the classifier that ships, whose weights are loaded when first needed.
    """

    def __init__(self, spec: AudioSpec, folder: Path, front: FrontEnd, scores: Scores | None = None) -> None:
        self.spec, self.front = spec, front
        self.scores = PhoneScores() if scores is None else scores
        made = "\n".join([self.scores.fingerprint, __version__, str(LOWEST_SCORE), *TOKENS])
        self.folder = folder / f"times-{hashlib.sha256(made.encode()).hexdigest()[:12]}"

    def timed(self, audio: Tensor, text: str, script: Script) -> TimedText:
        """Tokens with durations of a recording (N,) and its transcript.

        Raises:
            LVCError: if the text cannot be pronounced, or the recording says something else.
        """
        path = self.folder / f"{digest(audio, text)}.safetensors"
        stored = read_stored(path)
        if stored is None:
            with torch.random.fork_rng(devices=[]):  # what follows is the same, whatever was stored
                made = self._computed(audio, text, script)
            stored = {"tokens": made.tokens, "durations": made.durations, "start": torch.tensor(made.start)}
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path, durable=False) as temporary:
                save_file(stored, temporary)
        return TimedText(stored["tokens"], stored["durations"], int(stored["start"]))

    @torch.inference_mode()
    def _computed(self, audio: Tensor, text: str, script: Script) -> TimedText:
        # One in capital letters alone, as of LibriSpeech, is not a row of abbreviations.
        wanted = self.front.pronounce(text.lower() if text.isupper() else text)
        scores = self.scores(at_classifier_rate(audio, self.spec.sample_rate))
        chosen, path = said(scores, [accepted(word) for word in wanted.words])
        found = [Interval(first / FRAME_RATE, last / FRAME_RATE, float(scores[first:last, kind].exp().mean()))
                 for kind, first, last in path]  # fmt: skip
        if (score := sum(one.score for one in found) / len(found)) < LOWEST_SCORE:
            raise RecordingError(
                f"a recording does not seem to say its transcript ({text[:40]!r}): its phonemes have a mean probability"
                f" of {score:.2f}, expected at least {LOWEST_SCORE}; correct the transcript, or leave the recording out"
            )
        rest = iter(found)
        times = [[next(rest) for _ in word] for word in chosen]
        spoken = [replace(word, phonemes=tuple(one)) for word, one in zip(wanted.words, chosen, strict=True)]
        return timed_text(wanted.with_words(spoken), times, int(script.lengths), self.spec.frame_rate)
