"""Speech from text in a speaker's voice: sentences to durations, to a script, to samples."""

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from lightning_voiceclone.checkpoints.external_weights import weights_sha256
from lightning_voiceclone.core.conditions import Script, SpeakerPrompt
from lightning_voiceclone.core.durations import by_frame, whole_frames
from lightning_voiceclone.core.interfaces import TextEncoder
from lightning_voiceclone.errors import AlignmentError, ConfigurationError
from lightning_voiceclone.features.prosody import VOICED
from lightning_voiceclone.inference.level import bent, gain_to
from lightning_voiceclone.inference.long_file import Converts
from lightning_voiceclone.inference.pitch_shift import shifted
from lightning_voiceclone.inference.speech_pieces import Piece, Planned, SpeechOptions
from lightning_voiceclone.text import inventory
from lightning_voiceclone.text.frontend import FrontEnd, describe
from lightning_voiceclone.text.pronounced import Pause, Pronounced, Skipped, Word
from lightning_voiceclone.text.sentences import Sentence, Sentences
from lightning_voiceclone.utils.journal import key_of
from lightning_voiceclone.utils.reading import excerpt
from lightning_voiceclone.utils.terminal import printable
from lightning_voiceclone.voice.compatibility import check_can_speak
from lightning_voiceclone.voice.ensemble import MeanGenerator
from lightning_voiceclone.voice.options import RenderOptions
from lightning_voiceclone.voice.streaming import ChunkedConversion, frames_of

POWER = 5e-3  # mean square of speech, -23 dB of full scale
RAMP_SECONDS = 0.005  # at the beginning and the end of a sentence, and around a break
FIRST_SECONDS = 0.2  # of the first chunk of a stream
GROWTH = 5  # of all that is given so far, with each chunk: what it repeats of its context then counts for little
AUDIBLE_SEMITONES = 0.3
FIRST_PHONEME = inventory.NUMBER[inventory.PHONEMES[0]]
MOST_NAMED = 10  # characters that are not spoken, in notes
# "The birch canoe slid on the smooth planks.": its level decides the gain of all that a speaker says.
LEVELLED = Pronounced("", tuple(
    Word("", 0, 0, tuple(said.split()), "dictionary")
    for said in ("DH AH0", "B ER1 CH", "K AH0 N UW1", "S L IH1 D", "AA1 N", "DH AH0", "S M UW1 DH", "P L AE1 NG K S")
))  # fmt: skip


class Synthesizer:
    """Speak texts as one speaker, at one level.

    Args:
        converter: with the model.
        prompt: of the speaker; one row.
        front: gives the pronunciation of texts.
        options: rate, pitch and seed.

    Raises:
        ConfigurationError: if the model has no text encoder, or an option does not go with it.
    """

    def __init__(
        self, converter: Converts, prompt: SpeakerPrompt, front: FrontEnd, options: SpeechOptions | None = None
    ) -> None:
        self.converter, self.front, self.options = converter, front, options or SpeechOptions()
        self.encoder = text_encoder_of(converter)
        check_can_speak(converter.voice, RenderOptions(pitch_shift=self.options.pitch))
        self._voice, self._prompt, self._options = converter.voice, prompt, RenderOptions(seed=self.options.seed)
        self._shift, self._gain = 1.0, 1.0
        self._calibrate()

    @property
    def sample_rate(self) -> int:
        """Of the samples, in Hz."""
        return self.converter.sample_rate

    # Texts ------------------------------------------------------------------------------------------------------------

    def say(self, text: str) -> Tensor:
        """Speech (N,) in [-1, 1] of a text, with or without markup.

        Raises:
            TextError: if it cannot be spoken; names the place.
        """
        sentences = Sentences(self.front, text)
        made = [part for piece in self.pieces(sentences) for part in self._whole(piece)]
        self.note_skipped(sentences.skipped)
        return torch.cat(made)

    def stream(self, text: str) -> Iterator[Tensor]:
        """As :meth:`say`, in chunks (n,), each as soon as it is made; the text after it is not looked at yet.

        Raises:
            TextError: when it comes to what cannot be spoken.
        """
        sentences = Sentences(self.front, text)
        for piece in self.pieces(sentences):
            if piece.gap:
                yield torch.zeros(piece.gap)
            if piece.spoken is not None:
                yield from self.chunks(self.plan(piece.spoken, piece.tempo))
        self.note_skipped(sentences.skipped)

    def pieces(self, sentences: Iterable[Sentence]) -> Iterator[Piece]:
        """Sentences with the samples of silence before each."""
        for sentence in sentences:
            seconds = sentence.pause if sentence.stated else sentence.pause / self.options.rate
            yield Piece(round(seconds * self.sample_rate), sentence.spoken)

    def note_skipped(self, skipped: list[Skipped]) -> None:
        """A note on each of the first characters that are not spoken."""
        for one in skipped[:MOST_NAMED]:
            self.converter.note(f"{printable(describe(one.character, one.start))} is not spoken")
        if len(skipped) > MOST_NAMED:
            self.converter.note(f"{len(skipped) - MOST_NAMED} more characters are not spoken")

    @torch.inference_mode()
    def _calibrate(self) -> None:
        """Find the factor of f0 that gives the pitch of the options, and then the gain."""
        planned = self.plan(LEVELLED)
        if self.options.pitch:
            script = self.script(planned)
            wanted = torch.full((planned.frames,), float(self.options.pitch))
            moved = self._shifted(script, wanted, "--pitch")
            assert moved.f0 is not None
            assert script.f0 is not None
            self._shift = float(moved.f0.sum() / script.f0.sum().clamp_min(1e-3))
        self._gain = gain_to(self.render(planned), self.sample_rate, POWER)

    # Sentences --------------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def plan(self, spoken: Pronounced, tempo: float = 1.0) -> Planned:
        """A sentence with whole frames for each token: at least one for a phoneme, a break's to the nearest.

        Args:
            spoken: the sentence.
            tempo: factor of the rate of speaking, beside those of the options and the markup; breaks stay.

        Raises:
            AlignmentError: if the text encoder's attention does not follow the sentence; names both.
            ConfigurationError: if the text encoder gives durations that are no numbers.
        """
        tokens, lengths = self._tokens(spoken)
        try:
            durations = self.encoder.durations(tokens, lengths, self._prompt)[0].double().cpu()
        except AlignmentError as error:
            words = " ".join(word.spoken for word in spoken.words).strip()
            named = repr(excerpt(words, 80)) if words else "the sentence that sets the level (the birch canoe …)"
            raise AlignmentError(f"{named} cannot be spoken: {error}") from error
        if not durations.isfinite().all():
            raise ConfigurationError(f"{type(self.encoder).__name__} gives durations that are not finite; take an"
                                     " earlier checkpoint of it")  # fmt: skip
        items = [spoken.items[owner] for owner in spoken.owners]
        rates = torch.tensor([item.rate if isinstance(item, Word) else 1.0 for item in items], dtype=torch.float64)
        durations = durations / (rates * self.options.rate * tempo)
        for at, item in enumerate(items):
            if isinstance(item, Pause) and item.seconds is not None:
                durations[at] = round(item.seconds * self.encoder.frame_rate)
        least = (tokens[0].cpu() >= FIRST_PHONEME).long()
        return Planned(spoken, tuple(whole_frames(durations[None], least[None])[0].tolist()))

    @torch.inference_mode()
    def script(self, planned: Planned) -> Script:
        """A sentence's script by the text encoder, its f0 moved as the options and the markup state."""
        durations = torch.tensor([planned.durations], device=self.converter.device)
        script = self.encoder(*self._tokens(planned.spoken), self._prompt, durations=durations)
        if script.f0 is not None:
            script = replace(script, f0=script.f0 * self._shift)
        items = [planned.spoken.items[owner] for owner in planned.spoken.owners]
        factors = torch.tensor([[item.pitch if isinstance(item, Word) else 1.0 for item in items]])
        if (factors == 1).all():
            return script
        check_can_speak(self._voice, RenderOptions(pitch_shift=1.0))  # that it takes f0 at all
        wanted = 12 * by_frame(factors, durations.cpu())[0].log2()
        return self._shifted(script, wanted, "the pitch of the markup")

    def timeline(self, pieces: Iterable[Piece]) -> tuple[list[tuple[float, Planned]], float]:
        """Sentences with the second at which each begins, and the seconds of all; nothing is rendered for it."""
        made, place = [], 0
        for piece in pieces:
            place += piece.gap
            if piece.spoken is not None:
                planned = self.plan(piece.spoken, piece.tempo)
                made.append((place / self.sample_rate, planned))
                place += self.length(planned)
        return made, place / self.sample_rate

    def length(self, planned: Planned) -> int:
        """Samples of a sentence."""
        return planned.frames * self._voice.spec.hop_length

    def render(self, planned: Planned) -> Tensor:
        """Samples (N,) of a sentence."""
        samples = self._voice.render(self.script(planned), self._prompt, self._options).cpu()
        return bent(samples * self._gain) * self._envelope(planned)

    def chunks(self, planned: Planned) -> Iterator[Tensor]:
        """As :meth:`render`, chunk by chunk."""
        conversion, envelope, done = ChunkedConversion(self._voice), self._envelope(planned), 0
        state, frames = conversion.init_state(), frames_of(self.script(planned), self._voice.noise, self.options.seed)
        ends = self._chunk_ends(planned.frames)
        for begin, end in zip([0, *ends], ends, strict=False):
            given = {name: value[..., begin:end] for name, value in frames.items()}
            made, state = conversion.render(given, state, self._prompt, self._options,
                                            final=end == planned.frames)  # fmt: skip
            if made:
                samples = bent(made["samples"][0].cpu() * self._gain)
                yield samples * envelope[done : done + len(samples)]
                done += len(samples)

    def key(self, piece: Piece) -> str:
        """Digest of all on which the samples of a piece's sentence depend."""
        spoken = piece.spoken
        items = [] if spoken is None else [
            (item.rate, item.pitch) if isinstance(item, Word) else item.seconds for item in spoken.items]  # fmt: skip
        return key_of(self.identity["model"], self.identity["speaker"], self.identity["options"],
                      [] if spoken is None else spoken.tokens, items, piece.tempo)  # fmt: skip

    @functools.cached_property
    def identity(self) -> dict[str, str]:
        """On what samples depend beside the text."""
        return {"speaker": weights_sha256(self._prompt.tensors()), "model": self.converter.fingerprint,
                "options": str(self.options)}  # fmt: skip

    def _whole(self, piece: Piece) -> list[Tensor]:
        made = [torch.zeros(piece.gap)]
        return made if piece.spoken is None else [*made, self.render(self.plan(piece.spoken, piece.tempo))]

    def _tokens(self, spoken: Pronounced) -> tuple[Tensor, Tensor]:
        tokens = torch.tensor([spoken.tokens], device=self.converter.device)
        return tokens, torch.tensor([tokens.shape[1]], device=self.converter.device)

    def _shifted(self, script: Script, wanted: Tensor, name: str) -> Script:
        moved, missing = shifted(script, wanted.to(script.content.device), self._f0)
        if abs(missing) > AUDIBLE_SEMITONES:
            self.converter.note(f"{name} is missed by {abs(missing):.1f} semitones: the voice does not go so far")
        return moved

    def _f0(self, script: Script) -> Tensor:
        """f0 (T,) of a script's samples in Hz, 0 where unvoiced."""
        assert self._voice.pitch is not None
        f0, voicing = self._voice.pitch(self._voice.render(script, self._prompt, self._options)[None])[0]
        return f0 * (voicing > VOICED)

    def _envelope(self, planned: Planned) -> Tensor:
        """Factor of each sample (N,): 0 in breaks; between them 1, with ramps at both ends."""
        hop, ramp = self._voice.spec.hop_length, RAMP_SECONDS * self.sample_rate
        sounding, begin, place = [], 0, 0
        for owner, count in zip(planned.spoken.owners, planned.durations, strict=True):
            item = planned.spoken.items[owner]
            if isinstance(item, Pause) and item.seconds is not None:
                sounding.append((begin, place))
                begin = place + count
            place += count
        made = torch.zeros(self.length(planned))
        for first, last in [*sounding, (begin, place)]:
            rise = (torch.arange((last - first) * hop) + 1) / ramp
            made[first * hop : last * hop] = torch.minimum(rise, rise.flip(0)).clamp_max(1.0)
        return made

    def _chunk_ends(self, frames: int) -> list[int]:
        """Frames at which the chunks of a sentence end: the first gives sound at once, and each later is longer."""
        context = self._voice.generator.context.then(self._voice.vocoder.context)
        ahead, grid = context.right, context.grid
        given, ends = FIRST_SECONDS * self.encoder.frame_rate, list[int]()
        while (end := int(ahead + math.ceil(given / grid) * grid)) < frames:
            ends.append(end)
            given *= GROWTH
        return [*ends, frames]


def text_encoder_of(converter: Converts) -> TextEncoder:
    """The text encoder of a model.

    Raises:
        ConfigurationError: if it has none, or is the mean of several models.
    """
    if isinstance(converter.voice.generator, MeanGenerator):
        raise ConfigurationError(
            "a mean of several models cannot speak text; name one of them, with a text encoder (--checkpoint)"
        )
    encoder = converter.voice.text_encoder
    if encoder is None:
        raise ConfigurationError(
            "this model has no text encoder, so that it cannot speak text; name one that has (--checkpoint), or give it"
            " one: docs/text.md"
        )
    return encoder
