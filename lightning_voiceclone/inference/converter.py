"""The one way from recordings to converted speech: read, screen, analyse the speaker, convert, write."""

import functools
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lightning_voiceclone import __version__
from lightning_voiceclone.audio.checks import digest_of
from lightning_voiceclone.audio.io import check_writable, name_of, read_open, read_with_notes
from lightning_voiceclone.audio.noise import speech_power
from lightning_voiceclone.audio.opening import decoder_of, opened_file
from lightning_voiceclone.audio.speaker_change import SameSpeakerCheck
from lightning_voiceclone.checkpoints.external_weights import all_weights, weights_sha256
from lightning_voiceclone.checkpoints.vocoder_choice import chosen
from lightning_voiceclone.checkpoints.voice_folder import load_voice
from lightning_voiceclone.core.conditions import SpeakerPrompt
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference.level import with_speech_power
from lightning_voiceclone.inference.long_file import convert_long, convert_long_file, known_of
from lightning_voiceclone.inference.long_source import LONGEST_SECONDS, LongSource
from lightning_voiceclone.inference.recordings import Audio, Recording, mono_of, path_of, write
from lightning_voiceclone.inference.screening import (
    check_denoise,
    level_scale,
    same_speaker_check,
    screen_references,
    screen_source,
)
from lightning_voiceclone.inference.speaker import SPEAKER_SUFFIX, Speaker
from lightning_voiceclone.inference.stream import Stream
from lightning_voiceclone.utils.locked_output import locked_output
from lightning_voiceclone.voice.compatibility import check_can_convert, takes_guidance
from lightning_voiceclone.voice.ensemble import ensemble
from lightning_voiceclone.voice.model import VoiceModel
from lightning_voiceclone.voice.options import RenderOptions

if TYPE_CHECKING:
    from lightning_voiceclone.inference.styles import Style
    from lightning_voiceclone.inference.synthesis import Synthesizer
    from lightning_voiceclone.text.frontend import FrontEnd

logger = logging.getLogger("lightning_voiceclone")


class Converter:
    """Convert recordings to a speaker's voice. Every command and every evaluation converts through this class.

    Args:
        voice: the model; moved to ``device``.
        denoise: "auto" for recordings whose speech is less than 15 dB above the noise, "on", or "off".
        device: where to compute: cpu, cuda, cuda:1, mps.
        note: called with one line for each thing that screening did to a recording; by default it logs a warning.

    Raises:
        ConfigurationError: if ``denoise`` is none of the three, or the device cannot be used.
    """

    def __init__(
        self,
        voice: VoiceModel,
        *,
        denoise: str = "auto",
        device: str | torch.device | None = None,
        note: Callable[[str], None] = logger.warning,
    ) -> None:
        check_denoise(denoise)
        self.voice = voice if device is None else moved(voice, device)
        self.denoise, self.note = denoise, note
        self._same_speaker: SameSpeakerCheck | None = same_speaker_check(self.voice)

    @property
    def sample_rate(self) -> int:
        """Sample rate of the model's audio, in Hz."""
        return self.voice.spec.sample_rate

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return next(iter(all_weights(self.voice).values())).device

    @functools.cached_property
    def model_sha256(self) -> str:
        """Hash of everything a speaker depends on: the encoders, the normaliser, and the inputs of the generator.

        Computed once (30 ms for the model that ships): weights do not change in inference. Make another converter for
        a model whose encoders have been trained further, as ``CloneQuality`` does for each case.
        """
        voice = self.voice
        parts = {"content": voice.content_encoder, "speaker": voice.speaker_encoder, "normalizer": voice.normalizer}
        weights = {f"{role}.{name}": tensor for role, part in parts.items() if part is not None
                   for name, tensor in all_weights(part).items()}  # fmt: skip
        return _sha256(weights, [voice.spec.fingerprint, sorted(voice.generator.needs)])

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of all on which a conversion depends beside source, speaker and options: all weights and settings."""
        settings = [self.model_sha256, self.voice.guidance, self.voice.noise, __version__]
        return _sha256(all_weights(self.voice), settings)

    def speaker(self, *references: Recording) -> Speaker:
        """Analyse recordings of one speaker, or read a file of :meth:`Speaker.save`.

        Args:
            references: paths, or pairs of samples (N,) or (channels, N) and their rate; or one ``.voice`` file.

        Raises:
            RecordingError: if one cannot be read, is too short, silent, or has no speech.
            ConfigurationError: if there is none, or the file belongs to another model.
        """
        paths = [Path(path) for path in map(path_of, references) if path is not None]
        saved = [path for path in paths if path.suffix == SPEAKER_SUFFIX]
        if saved:
            if len(references) > 1:
                raise ConfigurationError(f"{saved[0]} is a speaker already; give it alone, or recordings alone")
            return self._loaded(saved[0])
        read = [self.read(one, f"reference {number}") for number, one in enumerate(references, 1)]
        prompt = self.voice.prompt(self.screen_references(read), self.sample_rate)
        return Speaker(prompt.to("cpu"), self.model_sha256)

    def convert(self, source: Recording, speaker: Speaker | None = None, **options: Any) -> Audio:
        """Convert a source to the speaker's voice, at the loudness of the source as far as that does not clip.

        Args:
            source: a path, or a pair of samples (N,) or (channels, N) and their rate.
            speaker: from :meth:`speaker`; None for the one to whom the model was adapted.
            options: seed, pitch_shift, speed and guidance, as of
                :class:`~lightning_voiceclone.voice.options.RenderOptions`.

        Returns:
            Samples (N,) on the CPU, and their rate.

        Raises:
            RecordingError: if the source cannot be read, is too short, silent or not finite.
            ConfigurationError: if there is no speaker, it belongs to another model, or an option is out of range.
        """
        chosen = RenderOptions(**options)
        prompt = None if speaker is None else self._prompt(speaker)
        return self._convert(self.read(source, "the source"), prompt, chosen)

    def _convert(self, named: tuple[str, Tensor], prompt: SpeakerPrompt | None, options: RenderOptions) -> Audio:
        name, audio = named
        if len(audio) > LONGEST_SECONDS * self.sample_rate:
            samples = audio.cpu().numpy()
            source = LongSource(name, lambda first, last: samples[first:last], self.voice.spec, self.denoise)
            self._emit_notes(source.notes)
            blocks = convert_long(self, source, prompt or self.voice.own_prompt(), options, None)
            converted = torch.cat([block for _, block, _ in blocks])
        else:
            screened = self.screen_source(named)
            converted = self.voice.convert(screened, prompt, self.sample_rate, **vars(options)).cpu()
            loudness = speech_power(screened.cpu().numpy(), self.sample_rate) / level_scale(audio) ** 2
            converted = with_speech_power(converted, self.sample_rate, loudness)
        # All converted audio is returned here: a watermark and a check of consent belong here.
        return Audio(converted, self.sample_rate)

    def convert_file(
        self,
        source: str | os.PathLike[str],
        speaker: Speaker | None,
        output: str | os.PathLike[str],
        *,
        progress: bool = False,
        **options: Any,
    ) -> float:
        """Convert a file of any length to a file, in memory that does not grow with it.

        Up to one minute it is :func:`write` of :meth:`convert`. Beyond, blocks are written beside the output as they
        are made, with a journal: after an interruption or a crash, the same call goes on from there.

        Args:
            source: path of a recording; "-" for standard input.
            speaker: as of :meth:`convert`.
            output: path that ends in .wav or .flac; a WAV beyond 4 GB is written as RF64.
            progress: whether to show a bar on a terminal, with the time left.
            options: as of :meth:`convert`.

        Returns:
            Seconds of the output.

        Raises:
            RecordingError: as of :meth:`convert`.
            ConfigurationError: as of :meth:`convert`; or if the output cannot be written, or another process writes it.
            OSError: if writing fails, for example because the disk is full; what is done so far is kept.
        """
        output, chosen = Path(output), RenderOptions(**options)
        check_writable(output)
        prompt = None if speaker is None else self._prompt(speaker)
        check_can_convert(self.voice, chosen)
        with locked_output(output), opened_file(source) as (stream, key):
            with decoder_of(stream, key, name_of(source)) as file:
                if file.frames > LONGEST_SECONDS * file.rate:
                    prompt = prompt or self.voice.own_prompt()
                    samples = convert_long_file(self, file, digest_of(stream.fileno()), output, prompt, chosen,
                                                progress=progress)  # fmt: skip
                    return samples / self.sample_rate
                mono, notes = read_open(file, self.sample_rate)
            self._emit_notes(notes)
            audio = self._convert((name_of(source), torch.from_numpy(mono).to(self.device)), prompt, chosen)
            write(output, audio)
        return len(audio.samples) / audio.sample_rate

    def stream(self, *speakers: Speaker, like: Recording | None = None, **options: Any) -> Stream:
        """Convert a source while it comes in: see :class:`~lightning_voiceclone.inference.stream.Stream`.

        Args:
            speakers: one, or one for each row of a batch; none for the one to whom the model was adapted.
            like: a recording of the source's speaker, up to a minute, from which its register, level and voice are
                taken at once; None to follow them while the stream runs.
            options: as of :meth:`convert`.

        Raises:
            RecordingError: if ``like`` cannot be used.
            ConfigurationError: as of :meth:`convert`.
        """
        chosen = RenderOptions(**options)
        check_can_convert(self.voice, chosen)
        prompts = [self._prompt(speaker) for speaker in speakers] or [self.voice.own_prompt()]
        known = None
        if like is not None:
            sample = self.screen_source(self.read(like, "the recording of the source's speaker"))
            loudness = speech_power(sample.cpu().numpy(), self.sample_rate)
            guided = chosen if self.voice.strength(chosen) or not takes_guidance(self.voice) else (
                replace(chosen, guidance=1.0))  # fmt: skip
            known = known_of(self.voice, sample, loudness, prompts[0], replace(guided, speed=1.0))
        return Stream(self.voice, SpeakerPrompt.batch(prompts), chosen, known=known)

    def say(self, text: str, speaker: Speaker | None = None, **options: Any) -> Audio:
        """Speak a text in the speaker's voice; see docs/text.md for markup.

        Args:
            text: English, or another language by ``front``.
            speaker: as of :meth:`convert`.
            options: as of :meth:`synthesizer`, which speaks several texts faster.

        Returns:
            Samples (N,) on the CPU, and their rate.

        Raises:
            TextError: if the text cannot be spoken; names the place.
            ConfigurationError: as of :meth:`synthesizer`.
        """
        return Audio(self.synthesizer(speaker, **options).say(text), self.sample_rate)

    def synthesizer(
        self,
        speaker: Speaker | None = None,
        *,
        front: "FrontEnd | None" = None,
        style: "Style | None" = None,
        **options: Any,
    ) -> "Synthesizer":
        """Speak texts, whole or while they are made.

        See :class:`~lightning_voiceclone.inference.synthesis.Synthesizer`.

        Args:
            speaker: as of :meth:`convert`.
            front: gives the pronunciation, with a lexicon or in another language; None for English.
            style: a recording, a label or a vector, as the text encoder takes it
                (:func:`~lightning_voiceclone.inference.styles.style_vector`); None for no particular one.
            options: rate, pitch and seed, as of :class:`~lightning_voiceclone.inference.speech_pieces.SpeechOptions`.

        Raises:
            ConfigurationError: if the model has no text encoder, there is no speaker, it belongs to another model, the
                text encoder does not take the style, or an option is out of range.
            RecordingError: if the recording of the style cannot be used.
        """
        from lightning_voiceclone.inference.speech_pieces import SpeechOptions  # only those who speak wait for them
        from lightning_voiceclone.inference.styles import style_vector
        from lightning_voiceclone.inference.synthesis import Synthesizer, text_encoder_of
        from lightning_voiceclone.text.frontend import FrontEnd

        chosen = SpeechOptions(**options)
        encoder = text_encoder_of(self)
        prompt = self.voice.own_prompt() if speaker is None else self._prompt(speaker)
        prompt = replace(prompt, style=None if style is None else style_vector(self, encoder, style))
        return Synthesizer(self, prompt, front or FrontEnd(), chosen)

    def prompt_of(self, *speakers: Speaker) -> SpeakerPrompt:
        """The prompt of speakers, a row for each, for :attr:`Stream.prompt`.

        Raises:
            ConfigurationError: if one was made by another model.
        """
        return SpeakerPrompt.batch([self._prompt(speaker) for speaker in speakers])

    # Single steps, for adaptation ------------------------------------------------------------------------------------

    def read(self, recording: Recording, name: str = "the recording") -> tuple[str, Tensor]:
        """Read a recording: its name in notes (``name`` for samples), and samples (N,) at the model's rate."""
        if (path := path_of(recording)) is None:
            samples, notes = mono_of(recording, self.sample_rate, name)
        else:
            name = name_of(path)
            samples, _, notes = read_with_notes(path, self.sample_rate)
        self._emit_notes(notes)
        return name, torch.from_numpy(samples).to(self.device)

    def screen_source(self, named: tuple[str, Tensor]) -> Tensor:
        """Screen a source; returns the samples (N',) to convert. cases: ``docs/inputs.md``."""
        name, audio = named
        screened = screen_source(audio, self.voice.spec, name, denoise=self.denoise)
        self._emit_notes(screened.notes)
        return screened.audio

    def screen_references(self, named: Sequence[tuple[str, Tensor]]) -> list[Tensor]:
        """Screen references; returns the samples (N',) to analyse, one minute in total at most."""
        screened, notes = screen_references(
            named, self.voice.spec, denoise=self.denoise, same_speaker=self._same_speaker
        )
        self._emit_notes(notes)
        return screened

    def _emit_notes(self, notes: Sequence[str]) -> None:
        for note in notes:
            self.note(note)

    def _loaded(self, path: Path) -> Speaker:
        speaker = Speaker.load(path)
        if speaker.model_sha256 != self.model_sha256:
            raise ConfigurationError(
                f"{path} was made with other encoders than this model's; make it again from the recordings"
            )
        return speaker

    def _prompt(self, speaker: Speaker) -> SpeakerPrompt:
        if speaker.model_sha256 != self.model_sha256:
            raise ConfigurationError("the speaker was made by another model; make it with this one's speaker()")
        return speaker.prompt.to(self.device)


def _sha256(weights: Mapping[str, Tensor], settings: Sequence[object]) -> str:
    """Hash of weights and settings together."""
    stated = torch.frombuffer(bytearray(json.dumps(settings).encode()), dtype=torch.uint8)
    return weights_sha256({**weights, "settings": stated})


def moved(module: nn.Module, device: str | torch.device) -> Any:
    """Move a module to a device.

    Raises:
        ConfigurationError: if the device cannot be used.
    """
    try:
        return module.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigurationError(f"--device {device} cannot be used: {error}") from error


def load_model(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = "default",
    *,
    vocoder: str | None = None,
    denoise: str = "auto",
    device: str | torch.device = "cpu",
    note: Callable[[str], None] = logger.warning,
) -> Converter:
    """Load a model to convert with.

    Args:
        path: a folder of ``lvc save`` or ``lvc adapt``, or a checkpoint of ``lvc fit``; "default" for the model that
            ships. Several to convert with the mean of what they generate
            (:func:`~lightning_voiceclone.voice.ensemble.ensemble`), with the vocoder of the first.
        vocoder: name or path of a vocoder to use instead of the model's own, as in ``lvc clone --vocoder``.
        denoise: "auto", "on" or "off", as in :class:`Converter`.
        device: where to compute.
        note: called with what screening did to a recording; by default it logs a warning.

    Raises:
        LVCError: if there is no model at the path, or its parts are not installed or do not fit.
    """
    paths = [os.fspath(one) for one in ([path] if isinstance(path, str | os.PathLike) else path)]
    if not paths or len(set(paths)) < len(paths):
        raise ConfigurationError(f"the models are {', '.join(paths) or 'none'}; name each once, and at least one")
    voices = {one: load_voice(one, chosen(vocoder) if one == paths[0] else None) for one in paths}
    return Converter(ensemble(voices), denoise=denoise, device=device, note=note)
