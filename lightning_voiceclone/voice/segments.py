"""Conversion, segment by segment, with parts that depend on the whole recording: instance norm, attention, Griffin-Lim.

The source is cut where it is quietest, every 15 to 30 seconds: in a pause, if there is one. Each segment is converted
as a recording of its own, with half a second more on either side, and two neighbours are cross-faded over 50 ms.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.chunks import Frames
from lightning_voiceclone.core.conditions import SpeakerPrompt
from lightning_voiceclone.core.streaming import State
from lightning_voiceclone.voice.options import RenderOptions
from lightning_voiceclone.voice.statistics import Statistics
from lightning_voiceclone.voice.streaming import ChunkedConversion, StreamedModel

LEAST_SECONDS, LONGEST_SECONDS = 15.0, 30.0  # of a segment
AROUND_SECONDS = 0.5  # that a segment sees on either side
FADE_SECONDS = 0.05
QUIET_SECONDS = 0.2  # over which the level is taken: stops within words are shorter
HELD, FIRST, CUT, TAIL = "segments.audio", "segments.first", "segments.cut", "segments.tail"


class SegmentedConversion:
    """As :class:`~lightning_voiceclone.voice.streaming.ChunkedConversion`, for models of whole recordings.

    Segments are close to the whole's, not equal; the same source gives the same samples whatever the chunks. Each
    segment has statistics of its own, unless the state has the source's. Options take effect at the next segment.

    Args:
        voice: the model, in ``eval``.
    """

    def __init__(self, voice: StreamedModel) -> None:
        self.voice, self._whole = voice, ChunkedConversion(voice)
        rate = voice.spec.frame_rate
        self._least, self._longest, self._around = (
            round(seconds * rate) for seconds in (LEAST_SECONDS, LONGEST_SECONDS, AROUND_SECONDS)
        )
        self._fade, self._quiet = (max(round(seconds * rate), 1) for seconds in (FADE_SECONDS, QUIET_SECONDS))

    def init_state(self, batch: int = 1, known: State | None = None) -> State:
        """State before the first chunk; as of :class:`ChunkedConversion`."""
        zeros = torch.zeros(batch, dtype=torch.int64)
        return {FIRST: zeros, CUT: zeros.clone(), **(known or {})}

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
        """Convert the next chunk; arguments and result as of :class:`ChunkedConversion`."""
        hop, state = self.voice.spec.hop_length, dict(state)
        held = torch.cat([state[HELD], audio], 1) if HELD in state else audio
        first, begin = int(state[FIRST][0]), int(state[CUT][0])
        tail, made = state.pop(TAIL, None), []
        while first + held.shape[1] // hop >= begin + self._longest + self._around:
            end = self._quietest(held, begin + self._least - first, begin + self._longest - first) + first
            piece = held[:, : (end + self._around - first) * hop]
            out, tail = self._segment(piece, (first, begin, end), state, (prompt, options), tail)
            made.append(out)
            kept = end - self._around
            held, first, begin = held[:, (kept - first) * hop :], kept, end
        if final and first + held.shape[1] // hop > begin:
            made.append(self._segment(held, (first, begin, None), state, (prompt, options), tail)[0])
        batch = len(state[FIRST])
        after = {FIRST: torch.full((batch,), first), CUT: torch.full((batch,), begin), HELD: held.clone()}
        if tail is not None:
            after[TAIL] = tail
        fields = {name: torch.cat([out[name] for out in made], 1) for name in ("samples", "power")} if made else {}
        return fields, state | after

    def _quietest(self, held: Tensor, begin: int, end: int) -> int:
        """The frame from ``begin`` to ``end`` around which the source is quietest, in all rows."""
        hop = self.voice.spec.hop_length
        power = held[:, begin * hop : end * hop].unflatten(1, (-1, hop)).square().mean(-1).amax(0)
        smooth = F.avg_pool1d(power[None, None], self._quiet, 1)[0, 0]
        return begin + int(smooth.argmin()) + self._quiet // 2

    def _segment(
        self,
        audio: Tensor,
        place: tuple[int, int, int | None],
        state: State,
        manner: tuple[SpeakerPrompt, RenderOptions],
        tail: Tensor | None,
    ) -> tuple[Frames, Tensor | None]:
        """Samples up to the cross-fade with the next segment, and what is faded out there.

        Args:
            audio: (B, N) of the segment and what is around it.
            place: frames of the source: the first of ``audio``, and the segment's begin and end; None for the end.
            state: with statistics, or without.
            manner: prompt and options.
            tail: (B, M) of the segment before, faded in over.
        """
        first, begin, end = place
        hop, (prompt, options) = self.voice.spec.hop_length, manner
        known = self._whole.statistics_of(state)
        out, _ = self._whole.push(audio, self._whole.init_state(len(audio), known), prompt, options, final=True)
        samples, power = out["samples"], out["power"]
        half = self._fade // 2
        start = max(round((begin - first) / options.speed) - half, 0) if tail is not None else 0
        samples, power = samples[:, start * hop :], power[:, start:]
        if tail is not None:
            length = min(tail.shape[1], samples.shape[1])
            slope = torch.linspace(0, 1, length).to(samples)
            faded = tail[:, :length] * (1 - slope) + samples[:, :length] * slope
            samples = torch.cat([faded, samples[:, length:]], 1)
        if end is None:
            return {"samples": samples, "power": power}, None
        stop = round((end - first) / options.speed) - start - half
        rest = samples[:, stop * hop : (stop + self._fade) * hop].clone()
        return {"samples": samples[:, : stop * hop], "power": power[:, :stop]}, rest


def conversion_of(
    voice: StreamedModel, statistics: Statistics | None = None
) -> ChunkedConversion | SegmentedConversion:
    """Chunk by chunk, where all parts of the model allow that; else segment by segment.

    Args:
        voice: the model, in ``eval``.
        statistics: how chunks find the statistics of the source; segments have their own, or the state's.
    """
    chunked = ChunkedConversion(voice, statistics)
    return chunked if chunked.streams else SegmentedConversion(voice)
