"""From samples of a source to samples in the speaker's voice: ``voice/streaming.py`` of the toolkit, by graphs."""

import functools
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from lvc_runtime import features, tempo
from lvc_runtime.chunks import FINEST, Array, Context, Frames, Stage, State, above, below, besides
from lvc_runtime.errors import RuntimeFailure
from lvc_runtime.folder import Folder
from lvc_runtime.speaker import Speaker
from lvc_runtime.statistics import NAME, Statistics, WholeStatistics

ALONE, RESAMPLING = Context(0, 0), Context(1, 1)
TRACKS = ("f0", "voicing", "energy", "register", "own", "power")  # beside content, frame by frame
ENCODED, GIVEN = "reference.", "given."  # what a generator makes of the reference alone, and what it was given of it
LEAST_LEVEL = np.float32(1e-4)


class Parts:
    """The parts of an exported model, each a function of arrays whose first axis has one row.

    Args:
        folder: of the export.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        described = folder.description
        self.spec: dict[str, Any] = described["spec"]
        self.rate, self.hop = int(self.spec["sample_rate"]), int(self.spec["hop_length"])
        self.frame_rate = self.rate / self.hop
        self.needs = frozenset(described["needs"])
        self.guidance = float(described["guidance"])
        self.encoders: dict[str, dict[str, Any]] = described["parts"]
        self.contexts = {name: Context.read(stored) for name, stored in described["contexts"].items()}
        content = self.encoders["content_encoder"]
        self.ratio = Fraction(content["frame_rate"] / self.frame_rate).limit_denominator(FINEST)
        self.speaker_channels = int(self.encoders["speaker_encoder"]["channels"]) if self.takes_guidance else 0

    @property
    def takes_guidance(self) -> bool:
        """Whether the generator depends on a speaker embedding, and the source's can be computed."""
        return "speaker_encoder" in self.encoders and "speaker" in self.needs

    @property
    def model_sha256(self) -> str:
        """Hash of everything a speaker depends on, as the toolkit's."""
        return str(self.folder.description["model_sha256"])

    @property
    def latency(self) -> float:
        """Seconds of the source that must follow a chunk, as ``VoiceModel.latency`` of the toolkit."""
        contexts, ratio = self.contexts, float(self.ratio)
        analysis, encoder = contexts["analysis"], contexts["content_encoder"]
        later = contexts["generator"].then(contexts["vocoder"])
        drawn = later if ratio == 1 else ALONE.then(RESAMPLING, ratio).then(later)
        if self.takes_audio("content_encoder"):
            content = ALONE.then(encoder, ratio).then(drawn)
        else:
            content = analysis.then(encoder.then(drawn))
        return analysis.then(later).beside(content).right / self.frame_rate

    def checked(self, speaker: Speaker, name: str) -> Speaker:
        """The speaker.

        Raises:
            RuntimeFailure: if another model made it.
        """
        if speaker.model_sha256 != self.model_sha256:
            raise RuntimeFailure(f"{name} was made with other encoders than this model's; make it again from the"
                                 " recordings")  # fmt: skip
        return speaker

    def stateful(self, name: str) -> bool:
        """Whether a part keeps a state between chunks."""
        return bool(self.encoders[name].get("stateful"))

    @property
    def vocodes_f0(self) -> bool:
        """Whether the vocoder takes f0 beside the features."""
        return "f0" in self.encoders["vocoder"].get("needs", ())

    def takes_audio(self, name: str) -> bool:
        """Whether an encoder takes audio instead of features."""
        return self.encoders.get(name, {}).get("takes") == "audio"

    def analyse(self, audio: Array, begin: int = 0, end: int | None = None) -> Frames:
        """Features, normalised, with f0, voicing, energy, and the power of each frame, of samples (N,).

        Of the frames from ``begin`` to before ``end`` only; None for all that follow.
        """
        described, constants = self.folder.description, self.folder.constants
        framed: dict[tuple[int, int], Array] = {}

        def of(spec: Mapping[str, Any]) -> Array:
            size = spec["n_fft"], spec["hop_length"]
            if size not in framed:
                framed[size] = features.framed(audio, *size)[begin:end]
            return framed[size]

        made = features.spectral(of(self.spec), self.spec, constants)
        count = made.shape[1]
        inner = audio[begin * self.hop : (begin + count) * self.hop]
        frames = {"features": ((made - constants["mean"]) / constants["scale"])[None]}
        if (spec := described["pitch"]) is not None:
            f0, voicing = features.pitch(of(spec), spec)
            frames |= {"f0": (f0 * (voicing > features.VOICED))[None], "voicing": voicing[None]}
        if (spec := described["energy"]) is not None:
            frames["energy"] = np.log(np.maximum(features.energy(of(spec)), LEAST_LEVEL))[None]
        if self.takes_audio("content_encoder") or self.takes_audio("speaker_encoder"):
            frames["audio"] = inner[None]
        frames["power"] = np.square(inner.reshape(count, self.hop)).mean(-1)[None]
        return frames

    def _input(self, name: str, frames: Frames) -> Array:
        return frames["audio" if self.takes_audio(name) else "features"]

    def embed(self, frames: Frames) -> Array:
        """Speaker embedding (1, D)."""
        return self.folder.graph("speaker_encoder")(x=self._input("speaker_encoder", frames))["speaker"]

    def content(self, frames: Frames, part: State, ahead: int) -> tuple[Array, State]:
        """Content (1, C, T') at the encoder's own rate, and the encoder's state if it has one."""
        name = "content_encoder"
        made, part = self.run(name, {"x": self._input(name, frames)}, part, ahead)
        return made["content"], part

    def run(self, name: str, given: dict[str, Array], part: State, ahead: int) -> tuple[dict[str, Array], State]:
        """Run a part; of one with a state, ``ahead`` frames at the end are context only: all of it, or none."""
        if not self.stateful(name):
            return self.folder.graph(name)(**given), part
        last = not ahead and self.contexts[name].right
        graph = self.folder.graph(f"{name}.last" if last else name)
        given, encoded = self._with_reference(given, part) if name == "generator" else (given, {})
        made = graph(**given, **above(part, "state."))
        return besides(made, "next."), below(made, "next.") | encoded

    def _with_reference(self, given: dict[str, Array], part: State) -> tuple[dict[str, Array], State]:
        """The generator's input with what it makes of the reference alone in its place, and the same for the state.

        It is computed anew where the state has that of another reference.
        """
        if "generator.reference.onnx" not in self.folder.description["files"]:
            return given, {}
        reference = {name: value for name, value in given.items() if name.startswith("reference_")}
        known = {name: value for name, value in part.items() if name.startswith(ENCODED)}
        if any(part.get(GIVEN + name) is not value for name, value in reference.items()):
            made = self.folder.graph("generator.reference")(**reference)
            known = {ENCODED + name: value for name, value in made.items()}
        others = {name: value for name, value in given.items() if name not in reference}
        return others | known, known | {GIVEN + name: value for name, value in reference.items()}

    def init_state(self, name: str) -> State | None:
        """State of a part before the first chunk; None if it keeps none."""
        if name not in self.encoders or not self.stateful(name):
            return None
        start = f"state.{name}."
        return {key.removeprefix(start): value for key, value in self.folder.constants.items() if key.startswith(start)}

    def spread(self, content: Array, count: int) -> Array:
        """Content (1, C, T') on the grid of the features (1, C, T), interpolated linearly between centres."""
        if self.ratio == 1:
            length, made = content.shape[-1], content
        else:
            length = int(content.shape[-1] / self.ratio)
            places = np.clip((np.arange(length) + 0.5) * float(self.ratio) - 0.5, 0, None)
            low = places.astype(np.int64)
            high = np.minimum(low + 1, content.shape[-1] - 1)
            share = (places - low).astype(np.float32)
            made = (1 - share) * content[..., low] + share * content[..., high]
        if length < count:
            made = np.pad(made, ((0, 0), (0, 0), (0, count - length)), mode="edge")
        return made[..., :count]


class Conversion:
    """Source samples to features, to content, pitch and energy, to generated features, to samples, chunk by chunk.

    The object keeps nothing between calls: the state is a plain mapping of arrays that the caller holds.

    Args:
        parts: of the model.
        statistics: how the statistics of the whole source are found.
    """

    def __init__(self, parts: Parts, statistics: Statistics | None = None) -> None:
        self.parts, self.statistics = parts, statistics or WholeStatistics()
        contexts, ratio = parts.contexts, parts.ratio
        stage = functools.partial(Stage, per_frame={"audio": parts.hop, "samples": parts.hop, "encoded": ratio})
        self._analysis = stage("analysis", contexts["analysis"], cuts=True)
        content = contexts["content_encoder"]
        around = ALONE.then(content, float(ratio)) if parts.takes_audio("content_encoder") else (
            content.beside(Context(0, 0, (1 / ratio).numerator)))  # fmt: skip
        self._encode = stage("encode", around, stateful=parts.stateful("content_encoder"))
        self._spread = stage("spread", ALONE.then(RESAMPLING, float(ratio)) if ratio != 1 else ALONE)
        self._generate = stage("generate", contexts["generator"], stateful=parts.stateful("generator"),
                               most=self.statistics.pieces)  # fmt: skip
        self._vocode = stage("vocode", contexts["vocoder"], stateful=parts.stateful("vocoder"))
        self._stages = {"analysis": self._analysis, "content_encoder": self._encode, "spread": self._spread,
                        "generator": self._generate, "vocoder": self._vocode}  # fmt: skip

    @property
    def waits(self) -> list[tuple[int, int]]:
        """Of each stage, how many frames after a chunk it waits for, and at whose multiples its chunks end."""
        contexts = [stage.context for stage in self._stages.values()]
        return [(math.ceil(context.right), context.grid) for context in contexts]

    @property
    def waiting(self) -> list[str]:
        """The parts that need the whole recording; chunks can be converted where there is none."""
        return [name for name, stage in self._stages.items() if not stage.streams]

    def init_state(self, known: State | None = None) -> State:
        """State before the first chunk; ``known`` are statistics of the source, as a state has them."""
        state = tempo.init_state()
        for name, stage in self._stages.items():
            own = self.parts.init_state(name)
            if name == "generator" and own is not None:  # with the target's speaker, and the source's own
                own = above(own, "made.") | above(own, "own.")
            state |= stage.init_state(own)
        return state | (known or {})

    @staticmethod
    def statistics_of(state: State) -> State:
        """The statistics in a state, by names that begin with ``statistics.``."""
        return {name: value for name, value in state.items() if name.startswith(NAME)}

    def push(
        self,
        audio: Array,
        state: State,
        speaker: Speaker,
        *,
        pitch_shift: float = 0.0,
        speed: float = 1.0,
        guidance: float = 0.0,
        final: bool = False,
    ) -> tuple[Frames, State]:
        """Convert the next chunk.

        Args:
            audio: (N,) samples in [-1, 1] after those of the chunk before; any N.
            state: of :meth:`init_state`, or of the chunk before; it is not changed.
            speaker: the target.
            pitch_shift: semitones.
            speed: the same for all chunks.
            guidance: strength, 0 for none.
            final: whether the source ends here.

        Returns:
            ``samples`` (1, M * hop) in [-1, 1] and ``power`` (1, M) of the source's frames; empty if there are none
            yet. And the next state.
        """
        given: Frames = {"audio": audio[None]} if len(audio) else {}
        frames, state = self._analysis.push(given, state, self._analysed, final=final)
        if frames:
            embed = self.parts.embed if guidance and self.parts.takes_guidance else None
            frames, state = self.statistics.prosody(frames, state, embed)
            frames = self._with_own_speaker(frames)
        frames, state = self._encode.push(frames, state, self._encoded, final=final)
        if self.parts.ratio != 1:
            frames, state = self._spread.push(frames, state, self._spread_content, final=final)
        elif frames:  # each frame has its content already
            frames, _ = self._spread_content(frames, {}, 0)
        frames, state = tempo.push(frames, state, speed, final=final)
        generate = functools.partial(self._generated, speaker=speaker, shift=pitch_shift, strength=guidance)
        frames, state = self._generate.push(frames, state, generate, final=final)
        if "own" in frames:
            own = frames.pop("own")
            frames["features"], state = self.statistics.guide(frames["features"], own, guidance, state)
        return self._vocode.push(frames, state, self._vocoded, final=final)

    def _with_own_speaker(self, frames: Frames) -> Frames:
        """With NaN as the source's own speaker where it is not known, so that guidance may be set later."""
        if "own" in frames or not self.parts.takes_guidance:
            return frames
        shape = (1, self.parts.speaker_channels, frames["features"].shape[-1])
        return {**frames, "own": np.full(shape, np.nan, np.float32)}

    # What the stages compute ------------------------------------------------------------------------------------------

    def _analysed(
        self, frames: Frames, part: State, ahead: int, wanted: tuple[int, int | None]
    ) -> tuple[Frames, State]:
        return self.parts.analyse(frames["audio"][0], *wanted), part

    def _encoded(self, frames: Frames, part: State, ahead: int) -> tuple[Frames, State]:
        made = _tracks(frames, ahead if self._encode.stateful else 0)
        made["encoded"], part = self.parts.content(frames, part, ahead)
        return made, part

    def _spread_content(self, frames: Frames, part: State, ahead: int) -> tuple[Frames, State]:
        content = self.parts.spread(frames["encoded"], frames["power"].shape[-1])
        return _tracks(frames, 0) | {"content": content}, part

    def _generated(
        self, frames: Frames, part: State, ahead: int, *, speaker: Speaker, shift: float, strength: float
    ) -> tuple[Frames, State]:
        count = frames["content"].shape[-1]
        given = {name: frames[name] for name in ("content", "f0", "voicing", "energy") if name in frames}
        if "f0" in given:
            given["f0"] = given["f0"] * _ratio(frames["register"], speaker.register, shift)
        given |= speaker.fields()
        made = {"power": frames["power"][..., : count - (ahead if self._generate.stateful else 0)]}
        if "f0" in given and self.parts.vocodes_f0:
            made["f0"] = given["f0"][..., : made["power"].shape[-1]]
        made["features"], part = self._run(given, part, "made", ahead)
        if "own" in frames and strength:
            own = frames["own"][..., count - ahead - 1]
            made["own"] = made["features"]
            if not np.isnan(own).any():
                made["own"], part = self._run({**given, "speaker": own}, part, "own", ahead)
                return made, part
        # Guidance that sets in later does not begin as if the source began there.
        return made, part | above(below(part, "made."), "own.")

    def _run(self, given: dict[str, Array], part: State, which: str, ahead: int) -> tuple[Array, State]:
        made, after = self.parts.run("generator", given, below(part, f"{which}."), ahead)
        return made["features"], part | above(after, f"{which}.")

    def _vocoded(self, frames: Frames, part: State, ahead: int) -> tuple[Frames, State]:
        power = frames["power"]
        given = {name: frames[name] for name in ("features", "f0") if name in frames}
        made, part = self.parts.run("vocoder", given, part, ahead)
        if self._vocode.stateful:
            power = power[..., : power.shape[-1] - ahead]
        return {"samples": np.clip(made["samples"], -1, 1), "power": power}, part


def _ratio(own: Array, wanted: Array | None, shift: float) -> Array:
    """Factor of f0 (1, T) from the source's register to the target's, shifted by semitones; 1 where one is unknown."""
    target = own if wanted is None or np.isnan(wanted).any() else wanted[:, None]
    ratio: Array = target * np.float32(2 ** (shift / 12)) / own
    ratio[np.isnan(ratio)] = 1
    return ratio.astype(np.float32, copy=False)


def _tracks(frames: Frames, ahead: int) -> Frames:
    """What passes a stage unchanged, without the frames at the end that come again."""
    return {name: frames[name][..., : frames[name].shape[-1] - ahead] for name in TRACKS if name in frames}
