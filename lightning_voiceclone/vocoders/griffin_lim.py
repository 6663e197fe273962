"""Griffin-Lim: a waveform from magnitudes, with no training."""

from abc import abstractmethod

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.filterbank import WINDOWS, analysis_window, mel_filterbank

KINDS = ("mel", "mfcc", "stft")
TINY = 1e-20
MOST_ITERATIONS = 2000  # with which a second of audio takes some ten of them
FIT_STEPS = 20  # of the mel filters' inverse; bands then fit to 0.0001 in the logarithm


class GriffinLimBase(Vocoder):
    """Audio (B, T * hop) from features that give magnitudes: a subclass computes these in :meth:`magnitudes`.

    Phases that fit the magnitudes are computed by fast Griffin-Lim (Griffin & Lim 1984; Perraudin, Balazs &
    Sondergaard 2013). They start at zero rather than at random, so that the same features always give the same samples,
    and a row the same as alone; random phases come hardly nearer (spectral convergence on speech 0.161 against 0.162
    from mel and 0.080 against 0.085 from STFT, 32 iterations). No gradient flows. Audio is clipped to [-1, 1].

    Args:
        spec: of the features; with n_fft, win_length and window, and frames that overlap by half.
        iterations: of Griffin-Lim; more come nearer to the magnitudes and take longer, in proportion.
        momentum: of fast Griffin-Lim, from 0 (the original method) to below 1.

    Raises:
        SpecMismatchError: if the spec has no Fourier transform with a known window.
        ConfigurationError: if a setting cannot work.
    """

    capabilities = frozenset({"deterministic"})
    window: Tensor

    def __init__(self, spec: AudioSpec, *, iterations: int = 32, momentum: float = 0.99):
        super().__init__()
        name = type(self).__name__
        if spec.n_fft is None or spec.win_length is None or spec.window not in WINDOWS:
            raise SpecMismatchError(
                f"{name} needs n_fft, win_length and one of the windows {', '.join(WINDOWS)} in the spec, but that of"
                f" {spec.kind} features has {spec.n_fft}, {spec.win_length} and {spec.window}; use another vocoder"
            )
        if not 1 <= iterations <= MOST_ITERATIONS or not 0 <= momentum < 1:
            raise ConfigurationError(
                f"{name}: iterations is {iterations} and momentum is {momentum}, but iterations must be from 1 to"
                f" {MOST_ITERATIONS} and 0 <= momentum < 1"
            )
        if 2 * spec.hop_length > spec.win_length:
            raise ConfigurationError(
                f"{name}: hop_length is {spec.hop_length} and win_length {spec.win_length} samples, but windows"
                f" must overlap by half; lower hop_length to {spec.win_length // 2} or raise win_length and n_fft"
            )
        self.spec, self.n_fft, self.iterations, self.momentum = spec, spec.n_fft, iterations, momentum
        self.register_buffer("window", analysis_window(spec), persistent=False)

    @torch.no_grad()
    def forward(self, features: Tensor) -> Tensor:
        """Audio (B, T * hop) in [-1, 1] of features (B, F, T) in the extractor's own units.

        Raises:
            SpecMismatchError: if the number of channels is not the spec's.
            ConfigurationError: if there are no frames, or values that are not finite.
        """
        self.check(features)
        with torch.autocast(features.device.type, enabled=False):
            values = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
            audio = self._phases(self.magnitudes(values))
        return audio.clamp(-1, 1).to(features.dtype)

    @abstractmethod
    def magnitudes(self, features: Tensor) -> Tensor:
        """Magnitudes (B, n_fft // 2 + 1, T) of features (B, F, T), in single precision at least."""

    def _phases(self, magnitudes: Tensor) -> Tensor:
        """Audio (B, T * hop) with magnitudes (B, n_fft // 2 + 1, T).

        Our frames lie half a hop after those of a centred transform, so there are a frame more at each end and half
        a hop of samples before the first: each end repeats its last frame, and is cut afterwards.
        """
        hop, n_fft, frames = self.spec.hop_length, self.n_fft, magnitudes.shape[-1]
        margin = 1
        while (frames + 2 * margin - 1) * hop <= n_fft // 2:  # a transform reflects half a frame at each end
            margin += 1
        audio = torchaudio.functional.griffinlim(
            F.pad(magnitudes, (margin, margin), mode="replicate"),
            self.window.to(magnitudes.dtype),
            n_fft,
            hop,
            n_fft,  # the window has its zeros already
            power=1.0,
            n_iter=self.iterations,
            momentum=self.momentum,
            length=(frames + 2 * margin - 1) * hop,
            rand_init=False,
        )
        start = hop // 2 + (margin - 1) * hop
        return audio[:, start : start + frames * hop]


class GriffinLim(GriffinLimBase):
    """Audio (B, T * hop) whose spectrum has the magnitudes of mel, MFCC or STFT features (B, F, T).

    The features are inverted first: the cosine transform, the logarithm, and the mel filters
    (:func:`spectrum_of_bands`). Then phases are computed as :class:`GriffinLimBase` does.

    Args:
        spec: of the features; of the kind mel, mfcc or stft.
        iterations: of Griffin-Lim; more come nearer to the magnitudes and take longer, in proportion.
        momentum: of fast Griffin-Lim, from 0 (the original method) to below 1.

    Raises:
        SpecMismatchError: if the features are of another kind.
        ConfigurationError: if a setting cannot work.
    """

    filters: Tensor
    cosines: Tensor

    def __init__(self, spec: AudioSpec, *, iterations: int = 32, momentum: float = 0.99):
        if spec.kind not in KINDS:
            raise SpecMismatchError(
                f"GriffinLim understands {', '.join(KINDS)}, but the features are of the kind {spec.kind!r};"
                " use another vocoder or another feature extractor"
            )
        super().__init__(spec, iterations=iterations, momentum=momentum)
        if spec.kind in ("mel", "mfcc"):
            self.register_buffer("filters", mel_filterbank(spec), persistent=False)
        if spec.kind == "mfcc":
            assert spec.n_mels
            cosines = torchaudio.functional.create_dct(spec.channels, spec.n_mels, "ortho")
            self.register_buffer("cosines", cosines, persistent=False)

    def magnitudes(self, features: Tensor) -> Tensor:
        """Magnitudes (B, n_fft // 2 + 1, T) of features (B, F, T)."""
        spec = self.spec
        assert spec.power
        if spec.kind == "mfcc":
            # A cosine transform cut short is inverted by its own transpose; ten decibels are one bel.
            power = 10 ** (self.cosines.to(features.dtype) @ features / 10)
        elif spec.log is None:
            power = features.clamp(min=0)
        else:
            power = features.exp() if spec.log == "e" else 10**features
        # No sound within [-1, 1] is louder: a diverged generator must not overflow what follows.
        power = power.clamp(max=float(self.n_fft or 1) ** spec.power)
        if spec.kind != "stft":
            power = spectrum_of_bands(power, self.filters)
        return power if spec.power == 1 else power ** (1 / spec.power)


def spectrum_of_bands(bands: Tensor, filters: Tensor) -> Tensor:
    """Non-negative spectrum (B, K, T) whose bands are ``bands`` (B, M, T), of filters (K, M), which are not negative.

    Among the many such spectra this finds a smooth one, as it starts from the bands drawn over their filters
    (multiplicative updates for the Kullback-Leibler divergence, Lee & Seung 2001).
    """
    heights = filters.amax(0)  # bands of equal height weigh equally in the fit, whatever their norm
    shapes = (filters / heights).T.contiguous().to(bands.dtype)
    bands = bands / heights[:, None].to(bands.dtype)
    back = shapes.T / shapes.sum(0).clamp(min=TINY)[:, None]
    spectrum = back @ bands
    for _ in range(FIT_STEPS):
        spectrum = spectrum * (back @ (bands / (shapes @ spectrum).clamp(min=TINY)))
    return spectrum
