"""Vocos: a convolutional network that predicts the spectrum of each frame, and one inverse transform."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lightning_voiceclone.checkpoints.part_folder import load_pretrained
from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.masking import cut, pad_to_multiple
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context, State
from lightning_voiceclone.core.validation import check_odd, check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.filterbank import mel_filterbank
from lightning_voiceclone.features.normalizer import Normalizer
from lightning_voiceclone.networks.layers.convnext import ConvNeXtBlock
from lightning_voiceclone.networks.layers.past import Past, convolved, nothing_before
from lightning_voiceclone.vocoders.harmonic_phase import BLOCK, SMOOTH, HarmonicPhase
from lightning_voiceclone.vocoders.mel_projection import MelProjection, can_project
from lightning_voiceclone.vocoders.overlap_add import frames_of, overlap_add

LOUDEST = 100.0  # magnitude of a bin; a full-scale sinusoid of 1,024 samples has 256
HALVES = (torch.float16, torch.bfloat16)  # of which there are no complex numbers everywhere
# Of features of recordings: over 12 speakers (PESQ, DNSMOS) 0 iterations gave 2.85 and 2.97, 2 gave 3.00 and 2.94, 16
# gave 3.34 and 2.99, 24 gave 3.51 and 3.04. No audio has exactly a generator's features: DNSMOS of 40 clones fell from
# 2.58 to 2.45 with 2 iterations and to 2.05 with 24.
REFINE = 24
MOST_REFINE = 1000
Spectrum = tuple[Tensor, Tensor, Tensor]  # magnitude and phase of each bin, and what they are computed from
QUIET = -5.0  # natural logarithm of the initial magnitude of bins, where there is no mel envelope


class Vocos(Vocoder):
    """Audio (B, T * hop) by the magnitude and phase of every frame and one inverse short-time Fourier transform.

    Siuzdak 2023 ("Vocos: closing the gap between time-domain and Fourier-based neural vocoders"). A ConvNeXt backbone
    runs at ``frame_rate / step`` steps a second and gives the spectra of ``step`` frames at each. Three things differ
    from the paper: the magnitude is an envelope interpolated from the mel bands times the network's output (after
    FreeV, Lv et al. 2024), phases are those at the middle of the frame (which vary slowly from bin to bin), and
    features are normalised by channel with the statistics of the training recordings.

    Out of training, ``refine`` iterations can pull the output towards the given mel bands, from the network's
    magnitudes and phases on (:class:`~lightning_voiceclone.vocoders.mel_projection.MelProjection`).

    The context is finite; its grid is ``step`` frames. With ``harmonic`` it is 64 frames; a causal one keeps a state
    instead, and its context has no end to the left.

    Args:
        spec: of the features; any that has one frame a hop.
        width: channels of the backbone.
        hidden: channels between the two dense layers of a block.
        layers: blocks.
        kernel_size: steps that each convolution sees; odd.
        step: frames that one step of the backbone takes in and outputs.
        harmonic: take f0 too, and the phases of harmonics from its integral
            (:class:`~lightning_voiceclone.vocoders.harmonic_phase.HarmonicPhase`). Begins well with the weights of
            one without.
        causal: for live use: all convolutions see the past alone, as far back as they see to both sides otherwise; so
            weights of one that is not causal can be those that training begins with. It still waits for the output
            frames that overlap, half of ``n_fft``. A chunk costs no more than its own steps and those.
        n_fft: samples of an output frame; null for four hops.
        refine: iterations of refinement; 0 or null for the network's output alone, which is best for features that a
            generator computed. For mel bands of recordings, 24 come nearer to the recording. Trained weights work with
            any number.
        pretrained: "default" for the weights that ship with the package (16 kHz, 80 mel, hop 160), a folder or
            checkpoint of a trained one, or none for fresh weights. Pretrained weights are frozen, unless
            ``finetune`` is set.
        finetune: train the pretrained weights further.

    Raises:
        ConfigurationError: if a number is out of range, or the pretrained weights have other settings.
        SpecMismatchError: if the pretrained weights are for other features; names the field and both values.
    """

    capabilities = frozenset({"differentiable", "deterministic", "streamable", "exportable"})
    shipped = ("lightning_voiceclone", "weights/vocos")
    window: Tensor
    bands_to_bins: Tensor
    band_gain: Tensor
    signs: Tensor

    def __init__(
        self,
        spec: AudioSpec,
        *,
        width: int = 256,
        hidden: int = 512,
        layers: int = 8,
        kernel_size: int = 7,
        step: int = 2,
        harmonic: bool = False,
        causal: bool = False,
        n_fft: int | None = None,
        refine: int | None = None,
        pretrained: str | None = None,
        finetune: bool = False,
    ):
        super().__init__()
        check_positive("Vocos", width=width, hidden=hidden, layers=layers, kernel_size=kernel_size, step=step)
        check_odd("Vocos", kernel_size=kernel_size)
        self.spec, self.step, self.harmonic, self.causal = spec, step, harmonic, causal
        if spec.hop_length % 2:
            raise ConfigurationError(f"Vocos: the hop of the features is {spec.hop_length}; it must be even")
        self.n_fft = n_fft or 4 * spec.hop_length
        if self.n_fft % 2 or self.n_fft < 2 * spec.hop_length:
            raise ConfigurationError(
                f"Vocos: n_fft is {self.n_fft}, but it must be even and at least two hops ({2 * spec.hop_length}); use"
                f" {4 * spec.hop_length}"
            )
        self.refine = refine or 0
        self.projection = _projection(spec, self.refine)
        self.overlap = math.ceil(self.n_fft / spec.hop_length / 2)  # frames on either side that a frame shares
        self.context = self._context((layers + 1) * (kernel_size // 2) * step)
        bins = self.n_fft // 2 + 1
        self.normalizer = Normalizer(spec.channels)
        padding = 0 if causal else kernel_size // 2
        self.embed = nn.Conv1d(spec.channels * step, width, kernel_size, padding=padding)
        self.first_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(width, hidden, kernel_size, 1 / layers, causal=causal) for _ in range(layers)
        )
        self.last_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, step * bins * 2)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.harmonics = None
        if harmonic:
            self.needs = frozenset({"f0"})
            grid = {"sample_rate": spec.sample_rate, "hop_length": spec.hop_length}
            self.harmonics = HarmonicPhase(width, step=step, bins=bins, causal=causal, **grid)
        self.register_buffer("window", torch.hann_window(self.n_fft, periodic=True), persistent=False)
        self.register_buffer("signs", 1 - 2 * (torch.arange(bins) % 2).float(), persistent=False)
        weights, gain = _envelope(spec, self.n_fft)
        self.register_buffer("bands_to_bins", weights, persistent=False)
        self.register_buffer("band_gain", gain, persistent=False)
        load_pretrained(self, pretrained, trainable=finetune)

    def fit_statistics(self, features: Iterable[Tensor]) -> None:
        """Set the mean and standard deviation of each channel, unless pretrained weights hold them."""
        self.normalizer.fit_once(features)

    def forward(self, features: Tensor, f0: Tensor | None = None) -> Tensor:
        """Audio (B, T * hop) of features (B, F, T) in the extractor's own units; in [-1, 1] out of training.

        Args:
            features: (B, F, T).
            f0: (B, T) in Hz, 0 in frames without voice; used if ``harmonic``. None: no frame has voice.

        Raises:
            SpecMismatchError: if the number of channels is not the spec's.
            ConfigurationError: if there are no frames, or values that are not finite.
        """
        self.check(features)
        frames = self._frames(features, f0, Past())
        audio = overlap_add(frames, self.window.to(frames.dtype), self.spec.hop_length)
        if self.training:
            return audio.to(features.dtype)
        if self.projection is not None:
            with torch.autocast(audio.device.type, enabled=False):  # bf16 has three digits: too few for ratios of bands
                audio = self.projection(audio, features.to(audio.dtype), self.refine)
        return audio.clamp(-1, 1).to(features.dtype)

    def init_state(self, batch: int) -> State | None:
        """Of a causal vocoder without refinement: zeros as the inputs of the convolutions, and as frames, before."""
        if not self.causal or self.projection is not None:
            return None
        reach = self.embed.kernel_size[0] - 1
        sizes = [(self.embed.in_channels, reach), *[(self.embed.out_channels, reach)] * len(self.blocks)]
        sizes += [] if self.harmonics is None else [(1, 1), (1, 2 * BLOCK)]
        return nothing_before(self.window, batch, [*sizes, (self.n_fft, self.overlap), (1, self.overlap)])

    def forward_chunk(self, x: Tensor, state: State, ahead: int = 0, f0: Tensor | None = None) -> tuple[Tensor, State]:
        """Audio (B, T * hop) of the next T features, without the ``ahead`` after them, and the next state.

        T is a multiple of ``step``, but for a recording's last chunk.
        """
        self.check(x)
        past = Past(state, again=(ahead + self.step - 1) // self.step)
        frames = self._frames(x, f0, past, ahead)
        real = torch.ones_like(frames[..., :1])
        frames, real = (past.before(part, self.overlap, again=ahead, dim=1) for part in (frames, real))
        hop = self.spec.hop_length
        audio = overlap_add(frames, self.window.to(frames.dtype), hop, real[..., 0])
        begin = self.overlap * hop
        made = audio[:, begin : begin + (x.shape[2] - ahead) * hop]
        return made.clamp(-1, 1).to(x.dtype), past.following

    def _context(self, reach: int) -> Context:
        """The context, of convolutions that see ``reach`` frames to either side, or twice as many before."""
        refined = self.refine * self.projection.reach if self.projection else 0
        wide = max(reach, SMOOTH // 2) if self.harmonic else reach
        left = right = wide + self.overlap + self.step - 1 + refined
        if self.causal:
            right = math.ceil((self.overlap + refined) / self.step) * self.step
            left = 2 * reach + right
        if not self.harmonic:
            return Context(left, right, self.step)
        if self.causal and not refined:  # its state knows where blocks begin, so that chunks need not
            return Context(math.inf, right, self.step)
        return Context(left + 2 * BLOCK, right, math.lcm(self.step, BLOCK))

    def _frames(self, features: Tensor, f0: Tensor | None, past: Past, ahead: int = 0) -> Tensor:
        """Windowed frames (B, T, n_fft) of the waveform."""
        spectrum = self._spectrum(features, past)
        magnitude, phase = (part.float() if part.dtype in HALVES else part for part in spectrum[:2])
        if self.harmonics is None:
            cosine, sine = phase.cos(), phase.sin()
        else:
            f0 = torch.zeros_like(phase[..., 0]) if f0 is None else f0.to(phase.dtype)
            cosine, sine = self.harmonics(spectrum[2], phase, f0, past, ahead)
        signed = magnitude * self.signs.to(phase.dtype)
        real, imaginary = signed * cosine, signed * sine
        return frames_of(real, imaginary, self.n_fft) * self.window.to(real.dtype)

    def _spectrum(self, features: Tensor, past: Past) -> Spectrum:
        """Magnitude and phase (B, T, n_fft // 2 + 1), and the steps (B, S, width) from which they are computed."""
        frames = features.shape[2]
        x = pad_to_multiple(self.normalizer(features), self.step)
        x = x.unflatten(2, (-1, self.step)).permute(0, 3, 1, 2).flatten(1, 2)
        x = convolved(self.embed, past.before(x, self.embed.kernel_size[0] - 1)) if self.causal else self.embed(x)
        x = self.first_norm(x.transpose(1, 2))
        for block in self.blocks:
            x = block(x, past=past)
        x = self.last_norm(x)
        out = cut(self.head(x).unflatten(2, (self.step, 2, -1)).flatten(1, 2), frames, 1)
        shape, phase = out.unbind(2)
        logarithm = shape + features.transpose(1, 2) @ self.bands_to_bins + self.band_gain
        return logarithm.clamp(max=math.log(LOUDEST)).exp(), phase, x


def _projection(spec: AudioSpec, refine: int) -> MelProjection | None:
    """The refinement, if ``refine`` is above 0."""
    if not 0 <= refine <= MOST_REFINE or (refine and not can_project(spec)):
        raise ConfigurationError(
            f"Vocos: refine is {refine} with features of the kind {spec.kind}, but must be from 0 to {MOST_REFINE}, and"
            " 0 unless the features are mel bands in the extractor's own units whose windows overlap by half; leave it"
            " out"
        )
    return MelProjection(spec) if refine else None


def _envelope(spec: AudioSpec, n_fft: int) -> tuple[Tensor, Tensor]:
    """Map from features to the log magnitude of each bin: a matrix (F, bins) and a summand (bins,).

    The mean magnitude of the mel bands, interpolated between their centres; a constant for other features.
    """
    bins = n_fft // 2 + 1
    if spec.kind != "mel" or spec.log != "e" or spec.power != 1:
        return torch.zeros(spec.channels, bins), torch.full((bins,), QUIET)
    assert spec.n_fft is not None, "a mel spec has all of its fields"
    filters = mel_filterbank(spec).double()
    areas = filters.sum(0)
    hertz = torch.arange(len(filters), dtype=torch.float64) * spec.sample_rate / spec.n_fft
    centres = (hertz[:, None] * filters).sum(0) / areas
    wanted = torch.arange(bins, dtype=torch.float64) * spec.sample_rate / n_fft
    above = torch.searchsorted(centres, wanted).clamp(1, len(centres) - 1)
    share = ((wanted - centres[above - 1]) / (centres[above] - centres[above - 1])).clamp(0, 1)
    matrix = torch.zeros(len(centres), bins, dtype=torch.float64)
    matrix[above - 1, torch.arange(bins)] = 1 - share
    matrix[above, torch.arange(bins)] += share
    # Noise in a window of another length has magnitudes as the root of the lengths.
    shorter = 0.5 * math.log(n_fft / (spec.win_length or spec.n_fft))
    return matrix.float(), (shorter - areas.log() @ matrix).float()
