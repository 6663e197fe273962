"""The one way from recordings to converted speech: read, check, analyse the speaker, convert."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lvc_runtime import recordings
from lvc_runtime.chunks import Array, Frames, State
from lvc_runtime.conversion import Conversion, Parts
from lvc_runtime.errors import RuntimeFailure
from lvc_runtime.folder import Folder
from lvc_runtime.level import gain_to, speech_power
from lvc_runtime.recordings import LONGEST_SECONDS, MOST_REFERENCE_SECONDS, Note, Recording
from lvc_runtime.speaker import SUFFIX, Speaker
from lvc_runtime.statistics import median_f0
from lvc_runtime.stream import Options, Stream

BLOCK_SECONDS = 20.0  # of a long source, converted at once
logger = logging.getLogger("lvc_runtime")


def load(path: str | os.PathLike[str], *, threads: int | None = None, note: Note = logger.warning) -> "Runtime":
    """Load a folder of ``lvc export``.

    Args:
        path: of the folder.
        threads: to compute with; None for as many as there are cores.
        note: called with one line for each thing that was done to a recording.

    Raises:
        RuntimeFailure: if it is no such folder, is of a newer format, or was altered.
    """
    return Runtime(Folder(path, threads), note=note)


class Runtime:
    """An exported model.

    Args:
        folder: of the export.
        note: as of :func:`load`.
    """

    def __init__(self, folder: Folder, *, note: Note = logger.warning) -> None:
        self.folder, self.note = folder, note
        self.parts = Parts(folder)

    @property
    def sample_rate(self) -> int:
        """Sample rate of the model's audio, in Hz."""
        return self.parts.rate

    @property
    def latency(self) -> float:
        """Seconds of the source that must follow a moment before it can be converted; infinite if all of it must."""
        return self.parts.latency

    def own_speaker(self) -> Speaker:
        """The speaker to whom the model was adapted.

        Raises:
            RuntimeFailure: if it was not.
        """
        own = {name.removeprefix("own."): value for name, value in self.folder.constants.items()
               if name.startswith("own.")}  # fmt: skip
        if not own:
            raise RuntimeFailure("no reference given; pass one, or export a model of `lvc adapt`, which stores one")
        return Speaker(int(own.pop("lengths")[0]), self.parts.model_sha256, **own)

    def speaker(self, references: Recording | Sequence[Recording]) -> Speaker:
        """Analyse recordings of one speaker, or read a ``.voice`` file.

        Args:
            references: one or several: paths, or pairs of samples (N,) or (channels, N) and their rate.

        Raises:
            RuntimeFailure: if one cannot be read, is too short or silent; if there is none; if the file belongs to
                another model.
        """
        given: list[Recording] = list(references) if isinstance(references, list) else [references]  # type: ignore[list-item]
        if not given:
            raise RuntimeFailure("there is no reference; give at least one recording of the speaker")
        saved = [Path(one) for one in given if not isinstance(one, tuple) and Path(one).suffix == SUFFIX]
        if saved:
            if len(given) > 1:
                raise RuntimeFailure(f"{saved[0]} is a speaker already; give it alone, or recordings alone")
            return self.parts.checked(Speaker.load(saved[0]), str(saved[0]))
        audio = [recordings.reference(one, self.sample_rate, f"reference {number}", self.note)
                 for number, one in enumerate(given, 1)]  # fmt: skip
        return self.analysed(self._limited(audio))

    def convert(self, source: Recording, speaker: Speaker | None = None, options: Options | None = None) -> Array:
        """Convert a source to the speaker's voice, at the loudness of the source as far as that does not clip.

        Args:
            source: a path, or a pair of samples (N,) or (channels, N) and their rate.
            speaker: from :meth:`speaker`; None for the one to whom the model was adapted.
            options: pitch shift, speed and guidance.

        Returns:
            Samples (N,) at :attr:`sample_rate`.

        Raises:
            RuntimeFailure: if the source cannot be used, or there is no speaker.
        """
        target = self.own_speaker() if speaker is None else self.parts.checked(speaker, "the speaker")
        chosen = (options or Options()).of(self.parts)
        name, audio = recordings.read(source, self.sample_rate, "the source")
        recordings.check(audio, self.sample_rate, name, self.parts.hop / self.sample_rate)
        audio, scale = recordings.levelled(audio, name, self.note)
        streams = not Conversion(self.parts).waiting
        if len(audio) > LONGEST_SECONDS * self.sample_rate and streams:
            return self._long(audio, scale, target, chosen)
        samples, _ = self._whole(audio, target, chosen)
        return samples * np.float32(gain_to(samples, self.sample_rate, self._loudness(audio, scale)))

    def stream(self, speaker: Speaker | None = None, options: Options | None = None) -> Stream:
        """Convert a source while it comes in: see :class:`Stream`.

        Raises:
            RuntimeFailure: if there is no speaker, or a part needs the whole recording.
        """
        target = self.own_speaker() if speaker is None else self.parts.checked(speaker, "the speaker")
        return Stream(self.parts, target, options or Options())

    def write(self, path: str | os.PathLike[str], samples: Array) -> None:
        """Write samples (N,) as 16-bit WAV or FLAC, by the suffix; the file appears whole or not at all.

        Raises:
            RuntimeFailure: if it cannot be written.
        """
        recordings.write(path, samples, self.sample_rate)

    # Single steps -----------------------------------------------------------------------------------------------------

    def analysed(self, references: Sequence[Array]) -> Speaker:
        """The speaker of references (N,) at the model's rate, joined to one."""
        parts, longest = self.parts, max(len(audio) for audio in references)
        rows: list[tuple[Frames, Array | None]] = []
        for audio in references:
            count = len(audio) // parts.hop
            # As one batch of the toolkit, filled up with zeros: the last frames see those, and no reflection.
            padded = np.pad(audio[: count * parts.hop], (0, (longest // parts.hop - count) * parts.hop))
            frames = {name: value[..., : count * (parts.hop if name == "audio" else 1)]
                      for name, value in parts.analyse(padded).items()}  # fmt: skip
            content = None
            if "reference_content" in parts.needs:
                content, _ = self._content(frames)
            rows.append((frames, content))
        counts = np.array([frames["features"].shape[-1] for frames, _ in rows])
        made: dict[str, Array] = {}
        if "speaker_encoder" in parts.encoders:
            shares = (counts / counts.sum()).astype(np.float32)
            embeddings = [parts.embed(frames) for frames, _ in rows]
            made["speaker"] = np.sum([one * share for one, share in zip(embeddings, shares, strict=True)], 0)
        if "reference_frames" in parts.needs:
            made["frames"] = np.concatenate([frames["features"].transpose(0, 2, 1) for frames, _ in rows], 1)
        if "reference_content" in parts.needs:
            made["content"] = np.concatenate([content for _, content in rows if content is not None], 2)
        if "f0" in rows[0][0]:
            registers = np.array([median_f0(frames["f0"][0]) for frames, _ in rows])
            made["register"] = np.array([_weighted_median(registers, counts)], np.float32)
        return Speaker(int(counts.sum()), self.parts.model_sha256, **made)

    def _content(self, frames: Frames) -> tuple[Array, State]:
        start = self.parts.init_state("content_encoder") or {}
        made, state = self.parts.content(frames, start, 0)
        return self.parts.spread(made, frames["features"].shape[-1]), state

    def _limited(self, references: list[Array]) -> list[Array]:
        """One minute in total at most, from the beginning."""
        left, kept = round(MOST_REFERENCE_SECONDS * self.sample_rate), []
        if sum(map(len, references)) > left:
            self.note(f"the references last more than {MOST_REFERENCE_SECONDS:g} s together: their beginning is used")
        for audio in references:
            if (count := min(len(audio), left)) >= recordings.LEAST_REFERENCE_SECONDS * self.sample_rate:
                kept.append(audio[:count])
            left -= count
        return kept

    def _loudness(self, audio: Array, scale: float) -> float:
        return speech_power(audio, self.sample_rate) / scale**2

    def _whole(self, audio: Array, speaker: Speaker, options: Options) -> tuple[Array, State]:
        conversion = Conversion(self.parts)
        made, state = conversion.push(audio, conversion.init_state(), speaker, pitch_shift=options.pitch_shift,
                                      speed=options.speed, guidance=options.guidance or 0.0, final=True)  # fmt: skip
        return made["samples"][0], conversion.statistics_of(state)

    def _long(self, audio: Array, scale: float, speaker: Speaker, options: Options) -> Array:
        """Block by block, with the statistics and the gain of one minute of the source."""
        sample = recordings.sample(audio, self.sample_rate)
        samples, known = self._whole(sample, speaker, options)
        gain = gain_to(samples, self.sample_rate, self._loudness(sample, scale))
        stream = Stream(self.parts, speaker, options, known={**known, "level.gain": np.array([gain])})
        size = round(BLOCK_SECONDS * self.sample_rate)
        made = [stream.push(audio[begin : begin + size]) for begin in range(0, len(audio), size)]
        return np.concatenate([*made, stream.flush()])


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted median of values (B,): at most half of the weight lies on either side; NaN if all values are NaN."""
    order = np.argsort(values, kind="stable")  # NaN comes last
    ordered = values[order]
    reached = np.cumsum(np.where(np.isnan(ordered), 0, weights[order]))
    return float(ordered[min(int((2 * reached < reached[-1]).sum()), len(values) - 1)])
