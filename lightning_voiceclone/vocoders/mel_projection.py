"""Pull a waveform towards given mel bands: the refinement of a trained vocoder's output."""

import math

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.features.filterbank import analysis_window, mel_filterbank
from lightning_voiceclone.features.framing import CHUNK_FRAMES, frame
from lightning_voiceclone.vocoders.overlap_add import overlap_add

LARGEST = 10.0  # factor of a band, and its inverse, in one iteration: bands that no phases can have must not ring
TINY = 1e-20
MOMENTUM = 0.85  # with 24 iterations PESQ 3.51; with 0.99 3.41; 1.3 goes astray


def can_project(spec: AudioSpec) -> bool:
    """Whether features of that spec are mel bands in the extractor's own units, whose windows overlap by half."""
    return spec.kind == "mel" and 2 * spec.hop_length <= (spec.win_length or 0)


class MelProjection(nn.Module):
    """Audio (B, T * hop) to audio of the same shape, whose mel bands are nearer to those given (B, F, T).

    Griffin-Lim's alternating projection (Griffin & Lim 1984) with another set on one side: not the spectra of fixed
    magnitudes, which mel bands do not determine, but those with the given mel bands. Each iteration computes the
    short-time spectrum with the features' settings, multiplies every bin by the ratio of wanted to present bands,
    averaged over the bands it is in (one multiplicative update of Lee & Seung 2001), keeps the phases, transforms back
    to the waveform with the nearest spectrum, and adds momentum (fast Griffin-Lim; Perraudin, Balazs & Sondergaard
    2013). Fine structure and phases, which the bands do not determine, start as the audio's.

    There are no weights. ``reach`` is the number of frames on either side that affect a frame, for each iteration.

    Args:
        spec: of the features; see :func:`can_project`.
        momentum: of fast Griffin-Lim, from 0 (the original method) to below 1.
    """

    window: Tensor
    filters: Tensor
    shares: Tensor
    unheard: Tensor

    def __init__(self, spec: AudioSpec, *, momentum: float = MOMENTUM):
        super().__init__()
        assert spec.n_fft is not None, "a mel spec has all of its fields"
        self.spec, self.n_fft, self.momentum = spec, spec.n_fft, momentum
        # A sample is in the frames up to this far away, and each of them has samples up to this far away.
        self.reach = 2 * math.ceil((spec.n_fft - spec.hop_length) / 2 / spec.hop_length)
        filters = mel_filterbank(spec)
        shares = filters / filters.amax(0)  # bands of equal height weigh equally, whatever the spec's norm
        total = shares.sum(1, keepdim=True)
        self.register_buffer("window", analysis_window(spec), persistent=False)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("shares", (shares / total.clamp(min=TINY)).T.contiguous(), persistent=False)
        self.register_buffer("unheard", (total[:, 0] == 0).float(), persistent=False)  # bins of no band stay

    def forward(self, audio: Tensor, features: Tensor, iterations: int) -> Tensor:
        """Audio (B, T * hop) after that many iterations, of audio (B, T * hop) and features (B, F, T)."""
        wanted, ahead = self.bands(features), audio
        for _ in range(iterations):
            before, audio = audio, self._nearer(ahead, wanted)
            ahead = audio + self.momentum * (audio - before)  # as good as of spectra, which are linear, and faster
        return audio

    def _nearer(self, audio: Tensor, wanted: Tensor) -> Tensor:
        """Audio (B, T * hop) of one iteration, some frames at a time: memory for all of them is slow to be had."""
        frames = frame(audio, self.n_fft, self.spec.hop_length)
        # At an open length torch.export takes no loop over it: all at once then.
        exporting = torch.compiler.is_exporting()
        most = frames.shape[1] if exporting else max(CHUNK_FRAMES * torch.get_num_threads() // len(frames), 1)
        window = self.window.to(audio.dtype)
        parts = [
            torch.fft.irfft(self.project(torch.fft.rfft(some * window), bands), n=self.n_fft) * window
            for some, bands in zip(frames.split(most, 1), wanted.split(most, 1), strict=True)
        ]
        return overlap_add(torch.cat(parts, 1), window, self.spec.hop_length)

    def bands(self, features: Tensor) -> Tensor:
        """Mel bands (B, T, F) before the logarithm, between the spec's floor and what sound in [-1, 1] can have."""
        features, loudest = features.transpose(1, 2), float(self.n_fft) ** float(self.spec.power or 1)
        if self.spec.log is not None:
            base = math.e if self.spec.log == "e" else 10.0
            features = (features.clamp(max=math.log(loudest, base)) * math.log(base)).exp()
        return features.clamp(self.spec.floor or 0, loudest)

    def project(self, spectrum: Tensor, wanted: Tensor) -> Tensor:
        """The spectrum (B, T, n_fft // 2 + 1) with magnitudes scaled towards mel bands (B, T, F)."""
        power = float(self.spec.power or 1)
        parts = torch.view_as_real(spectrum).square()
        # The slope of a root at silence is infinite.
        squares = (parts[..., 0] + parts[..., 1]).clamp(min=torch.finfo(parts.dtype).tiny)
        present = (squares.sqrt() if power == 1 else squares.pow(power / 2)) @ self.filters.to(squares.dtype)
        ratio = (wanted / present.clamp(min=self.spec.floor or TINY)).clamp(1 / LARGEST, LARGEST)
        gain = ratio @ self.shares.to(squares.dtype) + self.unheard.to(squares.dtype)
        return spectrum * (gain if power == 1 else gain.pow(1 / power))
