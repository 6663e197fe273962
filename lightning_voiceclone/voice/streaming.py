"""From samples of a source to samples in the speaker's voice, chunk by chunk; a whole recording is one chunk."""

import functools
import math
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor

from lightning_voiceclone.core.chunks import Frames, Stage, below
from lightning_voiceclone.core.conditions import Condition, Script, SpeakerPrompt
from lightning_voiceclone.core.interfaces import ContentEncoder, FeatureExtractor, SpeakerEncoder
from lightning_voiceclone.core.masking import RESAMPLING, resample_frames
from lightning_voiceclone.core.output_checks import check_output
from lightning_voiceclone.core.part import Part
from lightning_voiceclone.core.streaming import ALONE, FINEST, Context, State
from lightning_voiceclone.features.normalizer import Normalizer
from lightning_voiceclone.voice.analysis import Analysis
from lightning_voiceclone.voice.compatibility import Joined, takes_guidance
from lightning_voiceclone.voice.options import RenderOptions
from lightning_voiceclone.voice.prosody import move_register, target_register
from lightning_voiceclone.voice.statistics import NAME, Statistics, WholeStatistics, analysis_of
from lightning_voiceclone.voice.tempo import Tempo

NOISE_FRAMES = 100  # drawn at once, from the seed and their place, so that chunks do not matter
TRACKS = ("f0", "voicing", "energy", "register", "own", "noise", "power")  # beside content, frame by frame
ENCODED, GIVEN = "reference.", "given."  # what a generator makes of the reference alone, and what it was given of it
REFERENCE = ("reference_frames", "reference_content", "reference_lengths")


class StreamedModel(Joined, Protocol):
    """What a conversion needs of a model; :class:`~lightning_voiceclone.voice.model.VoiceModel` has it."""

    normalizer: Normalizer

    @property
    def extractors(self) -> list[FeatureExtractor]:
        """The extractors of features, pitch and energy that there are."""

    def analyze(self, audio: Tensor, *, centre: bool = True) -> Analysis:
        """Features, pitch and energy of recordings (B, N)."""

    def encoder_input(
        self, encoder: ContentEncoder | SpeakerEncoder, features: Tensor, analysis: Analysis
    ) -> tuple[Tensor, Tensor]:
        """Input of an encoder, and the lengths in its units."""

    def embed(self, reference: Analysis) -> Tensor:
        """Speaker embedding (B, D)."""

    def condition(
        self, script: Script, prompt: SpeakerPrompt | None = None, *, noise: Tensor | None = None
    ) -> Condition:
        """The input of the generator."""

    def vocode(self, features: Tensor, f0: Tensor | None = None) -> Tensor:
        """Waveform (B, T * hop) of normalised features (B, F, T)."""

    def strength(self, options: RenderOptions) -> float:
        """Strength of the guidance."""


class ChunkedConversion:
    """Source samples to features, to content, pitch and energy, to generated features, to samples, chunk by chunk.

    Each step computes a frame as soon as the frames after it that its part depends on are there (its
    :class:`~lightning_voiceclone.core.streaming.Context`). With the same statistics, chunks give the samples of the
    whole, up to rounding. The object keeps nothing between calls: the state is a plain mapping of tensors, batch first,
    which the caller holds, copies or saves.

    Args:
        voice: the model, in ``eval``.
        statistics: how the statistics of the whole source are found.
    """

    def __init__(self, voice: StreamedModel, statistics: Statistics | None = None) -> None:
        self.voice, self.statistics = voice, statistics or WholeStatistics()
        encoder, rate = voice.content_encoder, voice.spec.frame_rate
        self._ratio = Fraction(1 if encoder is None else encoder.frame_rate / rate).limit_denominator(FINEST)
        hop = voice.spec.hop_length
        stage = functools.partial(Stage, per_frame={"audio": hop, "samples": hop, "encoded": self._ratio})
        around = functools.reduce(Context.beside, (part.context for part in voice.extractors))
        self._analysis = stage("analysis", around)
        self._encode = stage("encode", self._encoder_context(encoder), stateful=_has_state(encoder))
        spread = ALONE.then(RESAMPLING, float(self._ratio)) if self._ratio != 1 else ALONE
        self._spread = stage("spread", spread)
        self._generate = stage("generate", voice.generator.context, stateful=_has_state(voice.generator),
                               most=self.statistics.pieces)  # fmt: skip
        self._vocode = stage("vocode", voice.vocoder.context, stateful=_has_state(voice.vocoder))
        self._tempo = Tempo()

    @property
    def streams(self) -> bool:
        """Whether all parts have a finite context or a state, so that chunks can be converted before the end."""
        return all(stage.streams for stage in self._stages)

    @property
    def waits(self) -> list[tuple[int, int]]:
        """Of each stage, how many frames after a chunk it waits for, and at whose multiples its chunks end."""
        return [(math.ceil(stage.context.right), stage.context.grid) for stage in self._stages]

    @property
    def _stages(self) -> tuple[Stage, ...]:
        return self._analysis, self._encode, self._spread, self._generate, self._vocode

    def _encoder_context(self, encoder: ContentEncoder | None) -> Context:
        if encoder is None:
            return ALONE
        if encoder.takes == "audio":
            return ALONE.then(encoder.context, float(self._ratio))
        return encoder.context.beside(Context(0, 0, (1 / self._ratio).numerator))

    def init_state(self, batch: int = 1, known: State | None = None) -> State:
        """State before the first chunk.

        Args:
            batch: rows, each of its own source, all pushed together.
            known: statistics of the sources, as :meth:`statistics_of` gives them; (B, ...), or one row for all.
        """
        voice = self.voice
        state = self._tempo.init_state(batch)
        parts = {self._encode: voice.content_encoder, self._generate: voice.generator, self._vocode: voice.vocoder}
        for stage in self._stages:
            part = parts.get(stage)
            own = None if part is None else part.init_state(batch)
            if stage is self._generate and own is not None:  # with the target's speaker, and the source's own
                own = {f"{which}.{name}": value.clone() for which in ("made", "own") for name, value in own.items()}
            state |= stage.init_state(batch, own)
        for name, value in (known or {}).items():
            state[name] = value.expand(batch, *value.shape[1:]) if len(value) != batch else value
        return state

    @staticmethod
    def statistics_of(state: State) -> State:
        """The statistics in a state, by names that begin with ``statistics.``."""
        return {name: value for name, value in state.items() if name.startswith(NAME)}

    @torch.inference_mode()
    def push(
        self,
        audio: Tensor,
        state: State,
        prompt: SpeakerPrompt,
        options: RenderOptions = RenderOptions(),  # noqa: B008 (frozen)
        *,
        final: bool = False,
    ) -> tuple[Frames, State]:
        """Convert the next chunk.

        Prompt and options may differ from those of the chunk before, but for speed: they take effect at the first
        frame that was not generated yet.

        Args:
            audio: (B, N) samples in [-1, 1] after those of the chunk before; any N.
            state: of :meth:`init_state`, or of the chunk before; it is not changed.
            prompt: target speaker; a row for each.
            options: seed, pitch shift, speed and guidance.
            final: whether the source ends here.

        Returns:
            ``samples`` (B, M * hop) in [-1, 1] and ``power`` (B, M), the mean square of the source at each of the M
            frames; empty if there are none yet. And the next state.
        """
        whole = final and not any(int(state[f"analysis.{key}"][0]) for key in ("first", "done"))
        whole = whole and "analysis.held.audio" not in state
        frames, state = self._analysis.push({"audio": audio} if audio.shape[-1] else {}, state, self._analyse,
                                            final=final)  # fmt: skip
        if frames:
            strength = self.voice.strength(options)
            embeds = self.voice if strength and takes_guidance(self.voice) else None
            frames, state = self.statistics.prosody(frames, state, embeds)
            if not whole:
                frames = self._with_own_speaker(frames) | self._noise(frames, state, options.seed)
            elif self.voice.noise:
                frames["noise"] = whole_noise(frames["features"], self.voice.noise, options.seed)
        frames, state = self._encode.push(frames, state, self._encoded, final=final)
        frames, state = self._spread.push(frames, state, self._spread_content, final=final)
        return self.render(frames, state, prompt, options, final=final)

    @torch.inference_mode()
    def render(
        self, frames: Frames, state: State, prompt: SpeakerPrompt, options: RenderOptions, *, final: bool = False
    ) -> tuple[Frames, State]:
        """From content, pitch and energy on, as of :func:`frames_of` a script: the second half of :meth:`push`."""
        frames, state = self._tempo.push(frames, state, options.speed, final=final)
        generate = functools.partial(self._generated, prompt=prompt, options=options)
        frames, state = self._generate.push(frames, state, generate, final=final)
        if "own" in frames:
            own = frames.pop("own")
            guided, state = self.statistics.guide(frames["features"], own, self.voice.strength(options), state)
            frames["features"] = guided
        return self._vocode.push(frames, state, self._vocoded, final=final)

    # What the stages compute ------------------------------------------------------------------------------------------

    def _analyse(self, frames: Frames, part: State, ahead: int) -> tuple[Frames, State]:
        voice, audio = self.voice, frames["audio"]
        analysis = voice.analyze(audio, centre=False)
        made = {name: value for name, value in analysis.tensors().items() if name not in ("audio", "lengths")}
        if any(encoder is not None and encoder.takes == "audio"
               for encoder in (voice.content_encoder, voice.speaker_encoder)):  # fmt: skip
            made["audio"] = analysis.audio
        made["power"] = analysis.audio.unflatten(-1, (-1, voice.spec.hop_length)).square().mean(-1)
        return made, part

    def _with_own_speaker(self, frames: Frames) -> Frames:
        """With NaN as the source's own speaker where it is not known, so that guidance may be set later."""
        if "own" in frames or not takes_guidance(self.voice):
            return frames
        assert self.voice.speaker_encoder is not None
        batch, _, count = frames["features"].shape
        own = frames["features"].new_full((batch, self.voice.speaker_encoder.channels, count), torch.nan)
        return {**frames, "own": own}

    def _noise(self, frames: Frames, state: State, seed: int) -> Frames:
        """Noise (B, Z, T) for the frames that were just analysed."""
        batch, _, count = frames["features"].shape
        device, channels = frames["features"].device, self.voice.noise
        if not channels:
            return {}
        end = int(state["analysis.done"][0])
        begin = end - count
        blocks = []
        for block in range(begin // NOISE_FRAMES, (end - 1) // NOISE_FRAMES + 1):
            random = torch.Generator(device).manual_seed((seed + ((block + 1) << 32)) % (1 << 63))
            blocks.append(torch.randn(batch, channels, NOISE_FRAMES, generator=random, device=device))
        skipped = begin % NOISE_FRAMES
        return {"noise": torch.cat(blocks, -1)[..., skipped : skipped + count]}

    def _encoded(self, frames: Frames, part: State, ahead: int) -> tuple[Frames, State]:
        encoder, made = self.voice.content_encoder, _tracks(frames, ahead if self._encode.stateful else 0)
        analysis = analysis_of(frames)
        if encoder is None:
            made["encoded"] = analysis.features[:, :0]
        elif self._encode.stateful:
            x, _ = self.voice.encoder_input(encoder, analysis.features, analysis)
            own_ahead = ahead if encoder.takes == "features" else int(ahead * self._ratio)
            made["encoded"], part = encoder.forward_chunk(x, part, ahead=own_ahead)
        else:
            made["encoded"] = encoder(*self.voice.encoder_input(encoder, analysis.features, analysis))
        return made, part

    def _spread_content(self, frames: Frames, part: State, ahead: int) -> tuple[Frames, State]:
        encoder, count = self.voice.content_encoder, frames["power"].shape[-1]
        rate = self.voice.spec.frame_rate
        content = frames["encoded"] if encoder is None else (
            resample_frames(frames["encoded"], count, encoder.frame_rate, rate))  # fmt: skip
        return _tracks(frames, 0) | {"content": content}, part

    def _generated(
        self, frames: Frames, part: State, ahead: int, *, prompt: SpeakerPrompt, options: RenderOptions
    ) -> tuple[Frames, State]:
        voice, given = self.voice, ahead if self._generate.stateful else 0
        count = frames["content"].shape[-1]
        script = Script(
            torch.full((len(frames["content"]),), count, device=frames["content"].device),
            frames["content"],
            **{name: frames.get(name) for name in ("f0", "voicing", "energy", "register")},
        )
        moved = move_register(script, target_register(script, prompt, options.pitch_shift))
        condition = voice.condition(moved, prompt, noise=frames.get("noise"))
        made = {name: frames[name][..., : count - given] for name in ("power",) if name in frames}
        if "f0" in voice.vocoder.needs and condition.f0 is not None:
            made["f0"] = condition.f0[..., : count - given]
        made["features"], part = self._run(condition, part, "made", ahead)
        shape = len(script.content), voice.spec.channels, count - given
        check_output(voice.generator, made["features"], "(B, F, T)", *shape)
        if "own" in frames and voice.strength(options):
            speaker = frames["own"][..., count - ahead - 1]
            made["own"], part = self._own(condition, speaker, made["features"], part, ahead)
        else:
            part = self._as_made(part)
        return made, part

    def _own(
        self, condition: Condition, speaker: Tensor, made: Tensor, part: State, ahead: int
    ) -> tuple[Tensor, State]:
        """Features for the source's own speaker; those for the target where that is not known."""
        unknown = speaker.isnan().any(-1)
        if unknown.all():
            return made, self._as_made(part)
        values = {**condition.tensors(), "speaker": speaker.nan_to_num(0.0)}
        own, part = self._run(Condition(**values), part, "own", ahead)
        return torch.where(unknown[:, None, None], made, own), part

    def _run(self, condition: Condition, part: State, which: str, ahead: int) -> tuple[Tensor, State]:
        generator = self.voice.generator
        if not self._generate.stateful:
            return generator(condition), part
        part = self._with_reference(condition, part)
        made, after = generator.forward_chunk(condition, below(part, f"{which}.") | below(part, ENCODED), ahead=ahead)
        return made, part | {f"{which}.{name}": value for name, value in after.items()}

    @staticmethod
    def _as_made(part: State) -> State:
        """The state of the features for the source's own speaker, as of those for the target, where none were made.

        So guidance that sets in later does not begin as if the source began there.
        """
        return part | {f"own.{name}": value.clone() for name, value in below(part, "made.").items()}

    def _with_reference(self, condition: Condition, part: State) -> State:
        """The state with what the generator makes of the reference alone, anew where it is another reference."""
        fields = {name: value for name, value in condition.tensors().items() if name in REFERENCE}
        if all(part.get(GIVEN + name) is value for name, value in fields.items()):
            return part
        made = self.voice.generator.encode_reference(condition)
        kept = {name: value for name, value in part.items() if not name.startswith((ENCODED, GIVEN))}
        given = {GIVEN + name: value for name, value in fields.items()}
        return kept | given | {ENCODED + name: value for name, value in made.items()}

    def _vocoded(self, frames: Frames, part: State, ahead: int) -> tuple[Frames, State]:
        vocoder, f0 = self.voice.vocoder, frames.get("f0")
        made = {"power": frames["power"]} if "power" in frames else {}
        if self._vocode.stateful:
            features = self.voice.normalizer.inverse(frames["features"])
            given = {} if f0 is None else {"f0": f0}
            samples, part = vocoder.forward_chunk(features, part, ahead=ahead, **given)
            made = {name: value[..., : value.shape[-1] - ahead] for name, value in made.items()}
        else:
            samples = self.voice.vocode(frames["features"], f0)
        return {"samples": samples.clamp(-1, 1), **made}, part


def frames_of(script: Script, noise: int, seed: int) -> Frames:
    """The frames of a whole script, for :meth:`ChunkedConversion.render`, with ``noise`` channels of noise."""
    count = script.content.shape[-1]
    fields = {"content": script.content, "f0": script.f0, "voicing": script.voicing, "energy": script.energy}
    frames = {name: value for name, value in fields.items() if value is not None}
    for name, value in (("register", script.register), ("own", script.speaker)):
        if value is not None:
            frames[name] = value[..., None].expand(*value.shape, count)
    return frames | ({"noise": whole_noise(script.content, noise, seed)} if noise else {})


def whole_noise(like: Tensor, channels: int, seed: int) -> Tensor:
    """Noise (B, Z, T) of a whole recording of the frames of ``like`` (B, C, T), drawn at once."""
    random = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(len(like), channels, like.shape[-1], generator=random, device=like.device)


def _tracks(frames: Frames, ahead: int) -> Frames:
    """What passes a stage unchanged, without the frames at the end that come again."""
    return {name: frames[name][..., : frames[name].shape[-1] - ahead] for name in TRACKS if name in frames}


def _has_state(part: Part | None) -> bool:
    return part is not None and part.init_state(1) is not None
