"""Screen input recordings before conversion: reject, repair, trim or pass through, and report what was done.

``docs/inputs.md`` lists the cases as a table. Clean speech passes through as the same tensor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_voiceclone.audio.quality import Quality, measure
from lightning_voiceclone.audio.segment_selection import Span, clearest, join
from lightning_voiceclone.audio.speaker_change import SameSpeakerCheck, longer_speaker
from lightning_voiceclone.core.audio_checks import require_audible
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import ConfigurationError, RecordingError, nearest
from lightning_voiceclone.voice.compatibility import LEAST_REFERENCE_SECONDS
from lightning_voiceclone.voice.model import VoiceModel

DENOISE = ("auto", "on", "off")
NOISY_DB = 15.0  # speech over noise; "auto" denoises below it
LEAST_VOICED_SECONDS = 0.1
LEAST_MODULATION_DB = 1.0  # brown noise has 0.8, speech at 0 dB 1.6
CLIPPED_SHARE = 1e-3
NARROW_DB = -30.0  # above 4.5 kHz relative to 2 to 3.5 kHz; speech falls by less than 20 dB, over a telephone by 60
MUSICAL_SHARE = 0.5
MEASURABLE_SECONDS = 0.5  # shorter sources pass unchecked: too short to distinguish speech from noise
SHORT_SECONDS = 2.0  # of all references together; below it a note gives the loss of similarity (docs/results.md)
BRIEF_SECONDS = 1.0  # shorter has too few syllables for its level to move, and is not kept as one of two speakers
LONGEST_SECONDS = 60.0  # of all references together; more adds nothing about a voice, and costs memory
LOUDEST, QUIETEST, USUAL = 2.0, 0.01, 0.5  # peaks; MP3 decoders overshoot full scale by a fifth
ENOUGH_SECONDS = 5.0  # of full-band references; with as much of them, narrowband references are left out


@dataclass(frozen=True)
class Screened:
    """A screened recording, and notes for the user.

    Args:
        audio: (N,) samples in [-1, 1].
        notes: one line each.
    """

    audio: Tensor
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Reference:
    name: str
    audio: Tensor
    quality: Quality

    @property
    def narrow(self) -> bool:
        return self.quality.treble < NARROW_DB

    @property
    def whole(self) -> list[Span]:
        return [(0, len(self.audio))]


def screen_source(audio: Tensor, spec: AudioSpec, name: str = "the source", *, denoise: str = "auto") -> Screened:
    """Screen a source.

    Args:
        audio: (N,) samples in [-1, 1] at the spec's rate.
        spec: of the model.
        name: of the recording in notes and errors.
        denoise: "auto" to denoise where speech is less than 15 dB above the noise, "on", or "off".

    Raises:
        RecordingError: if it is too short, silent or not finite.
        ConfigurationError: if ``denoise`` is none of the three.
    """
    check_denoise(denoise)
    require_audible(audio, spec, name, spec.hop_length / spec.sample_rate)
    audio, notes = _levelled(name, audio)
    noisy, found = judge_source(audio, spec, name, denoise=denoise)
    return Screened(denoised(audio, spec) if noisy else audio, (*notes, *found))


def judge_source(audio: Tensor, spec: AudioSpec, name: str, *, denoise: str) -> tuple[bool, tuple[str, ...]]:
    """Whether to denoise a source, and notes on it.

    Args:
        audio: (N,) samples of it, at the level of :func:`level_factor`.
        spec: of the model.
        name: of the recording.
        denoise: as of :func:`screen_source`.
    """
    if len(audio) < MEASURABLE_SECONDS * spec.sample_rate:
        return denoise == "on", ()
    quality = measure(audio, spec.sample_rate)
    notes = _faults(name, quality)
    if not _is_speech(quality):
        notes.append(f"no speech found in {name}: the clone will have no words; give a recording of someone who speaks")
    if quality.treble < NARROW_DB:
        notes.append(f"{name} has nothing above 4 kHz, as a telephone's recording: the clone's s and f are guesses")
    noisy = denoise == "auto" and _is_noisy(quality)
    if noisy:
        notes.append(_noise_note(name, quality))
    return noisy or denoise == "on", tuple(notes)


def screen_references(
    references: Sequence[tuple[str, Tensor]],
    spec: AudioSpec,
    *,
    denoise: str = "auto",
    same_speaker: SameSpeakerCheck | None = None,
) -> tuple[list[Tensor], tuple[str, ...]]:
    """Screen references; returns those to analyse, and notes, one line each.

    Args:
        references: name in notes and errors, and samples (N,) in [-1, 1] at the spec's rate, of each; may be empty.
        spec: of the model.
        denoise: "auto" to denoise where speech is less than 15 dB above the noise, "on", or "off".
        same_speaker: check from :func:`same_speaker_check`; without one, two speakers in one recording are not noticed.

    Returns:
        Recordings (N',) of at least 0.5 s, cut to one minute in total if they were longer; and the notes.

    Raises:
        RecordingError: if one is too short, silent, not finite, or has no speech; names it.
        ConfigurationError: if ``denoise`` is none of the three.
    """
    check_denoise(denoise)
    measured: list[_Reference] = []
    notes: list[str] = []
    for name, given in references:
        require_audible(given, spec, name, LEAST_REFERENCE_SECONDS)
        audio, level_notes = _levelled(name, given)
        notes += level_notes
        measured.append(_Reference(name, audio, measure(audio, spec.sample_rate)))
        notes += _faults(name, measured[-1].quality)
        _check_speech(measured[-1])
    used, narrow = _prefer_full_band(measured, spec.sample_rate)
    spans, cut = _limit_length(used, spec.sample_rate)
    notes += narrow + cut + _shortness(used, spec.sample_rate)
    ready = []
    for reference, chosen in zip(used, spans, strict=True):
        if not chosen:
            continue
        audio = join(reference.audio, chosen, spec.sample_rate)
        noisy = _is_noisy(reference.quality)
        if denoise == "auto" and noisy:
            notes.append(_noise_note(reference.name, reference.quality))
        audio = denoised(audio, spec) if denoise == "on" or (denoise == "auto" and noisy) else audio
        one, two = _one_speaker(reference, audio, chosen, spec.sample_rate, same_speaker)
        ready.append(one)
        notes += two
    return ready, tuple(notes)


def same_speaker_check(voice: VoiceModel) -> SameSpeakerCheck | None:
    """The two-speaker check by a model's speaker encoder; None if that has no threshold (``one_speaker``)."""
    encoder = voice.speaker_encoder
    if encoder is None or encoder.one_speaker is None:
        return None

    @torch.inference_mode()
    def embed(audio: Tensor) -> Tensor:
        return voice.embed(voice.analyze(audio, prosody=False))

    return SameSpeakerCheck(embed, encoder.one_speaker)


def check_denoise(denoise: str) -> None:
    """Reject any other value, before a model is loaded.

    Raises:
        ConfigurationError: names the nearest valid value.
    """
    if denoise not in DENOISE:
        raise ConfigurationError(f"denoise is {denoise!r}{nearest(denoise, DENOISE)}; give {', '.join(DENOISE)}")


def level_scale(audio: Tensor) -> float:
    """Factor by which screening scales audible samples (N,): 1 unless their peak is beyond full scale or very low."""
    return level_factor(float(audio.abs().max()))


def level_factor(peak: float) -> float:
    """:func:`level_scale` of the peak of samples."""
    return 1.0 if QUIETEST <= peak <= LOUDEST else USUAL / peak


def level_note(name: str, peak: float) -> tuple[str, ...]:
    """A note on samples with that peak, if they are scaled."""
    if level_factor(peak) == 1:
        return ()
    what = "far beyond full scale" if peak > LOUDEST else "very quiet"
    decibels = 20 * math.log10(peak)
    return (f"{name} is {what}, its peak at {decibels:+.0f} dB: scaled to half of full scale",)


def _levelled(name: str, audio: Tensor) -> tuple[Tensor, list[str]]:
    """Audio (N,) at a level the model was trained on, and a note if it was scaled."""
    peak = float(audio.abs().max())
    scale = level_factor(peak)
    return audio if scale == 1 else audio * scale, [*level_note(name, peak)]


def _faults(name: str, quality: Quality) -> list[str]:
    """Notes on faults that can be detected but not repaired."""
    notes = []
    if quality.clipped > CLIPPED_SHARE:
        notes.append(
            f"{name} is clipped: {quality.clipped:.1%} of its samples lie at flat tops; it is used as it is, but"
            " record it again at a lower level if you can"
        )
    if quality.tones > MUSICAL_SHARE:
        notes.append(
            f"{name} has steady tones beside the speech, as of music or a hum: they are taken for voice, so the clone"
            " is unreliable; give speech alone"
        )
    return notes


def _is_speech(quality: Quality) -> bool:
    brief = len(quality.power) * quality.step < BRIEF_SECONDS * quality.sample_rate
    moves = brief or quality.modulation >= LEAST_MODULATION_DB
    return moves and quality.voiced_seconds >= LEAST_VOICED_SECONDS


def _check_speech(reference: _Reference) -> None:
    if _is_speech(reference.quality):
        return
    quality = reference.quality
    raise RecordingError(
        f"no speech found in {reference.name}: {quality.voiced_seconds:.1f} s have a pitch (least"
        f" {LEAST_VOICED_SECONDS:g} s) and the level moves by {quality.modulation:.1f} dB (least"
        f" {LEAST_MODULATION_DB:g} dB); give a recording of someone who speaks"
    )


def _is_noisy(quality: Quality) -> bool:
    """Whether there is noise that the gate can remove: it is made for steady noise, not for music."""
    return quality.snr < NOISY_DB and quality.tones <= MUSICAL_SHARE and _is_speech(quality)


def _noise_note(name: str, quality: Quality) -> str:
    return f"{name} is noisy, its speech about {quality.snr:.0f} dB above the noise: denoised (denoise off leaves it)"


def denoised(audio: Tensor, spec: AudioSpec) -> Tensor:
    """Samples (N,) with less of their steady noise."""
    from lightning_voiceclone.audio.preprocessing import SpectralGate  # SciPy's filters are slow to import

    return SpectralGate()(audio[None].cpu(), spec.sample_rate)[0].to(audio)


def _prefer_full_band(references: list[_Reference], sample_rate: int) -> tuple[list[_Reference], list[str]]:
    """The full-band references (beyond telephone bandwidth) if they are long enough; otherwise all of them."""
    wide = [reference for reference in references if not reference.narrow]
    enough = sum(len(reference.audio) for reference in wide) >= ENOUGH_SECONDS * sample_rate
    fate = "left out, as the others have more" if enough else "the voice is learnt without its top band"
    notes = [
        f"{reference.name} has nothing above 4 kHz, as a telephone's recording: {fate}"
        for reference in references if reference.narrow
    ]  # fmt: skip
    return (wide if enough else references), notes


def _shortness(references: list[_Reference], sample_rate: int) -> list[str]:
    """A note on the loss of similarity if the references are short in total."""
    seconds = sum(len(reference.audio) for reference in references) / sample_rate
    if not references or seconds >= SHORT_SECONDS:
        return []
    names = ", ".join(reference.name for reference in references)
    return [
        f"{names}: {seconds:.1f} s of reference is little: clones had a similarity to the speaker of 0.72 from 0.5 s,"
        " 0.79 from 1 s, 0.82 from 2 s and 0.88 from 9 s or more; give more if you can"
    ]


def _limit_length(references: list[_Reference], sample_rate: int) -> tuple[list[list[Span]], list[str]]:
    """Spans of each reference that are used, one minute in total at most."""
    seconds = sum(len(reference.audio) for reference in references) / sample_rate
    if seconds <= LONGEST_SECONDS:
        return [reference.whole for reference in references], []
    spans = clearest([reference.quality for reference in references], sample_rate, LONGEST_SECONDS)
    names = ", ".join(reference.name for reference in references)
    lasts = "lasts" if len(references) == 1 else "together last"
    used = sum(end - begin for of_one in spans for begin, end in of_one) / sample_rate
    return spans, [f"{names} {lasts} {seconds:.0f} s: the {used:.0f} s in which the voice is clearest are used"]


def _one_speaker(
    reference: _Reference, audio: Tensor, chosen: list[Span], sample_rate: int, same_speaker: SameSpeakerCheck | None
) -> tuple[Tensor, list[str]]:
    """The chosen audio (N,), cut to the speaker who speaks longer if there are two."""
    if same_speaker is None:
        return audio, []
    voiced = reference.quality.voiced_within(chosen)
    turns = longer_speaker(audio, voiced, sample_rate, same_speaker)
    if turns is None:
        return audio, []
    kept = join(audio, turns, sample_rate)
    if len(kept) < BRIEF_SECONDS * sample_rate:
        return audio, []
    return kept, [
        f"{reference.name} seems to have two speakers: the one who speaks longer is used, {len(kept) / sample_rate:.1f}"
        f" of {len(audio) / sample_rate:.1f} s; give recordings of one speaker"
    ]
