"""WORLD: pulses and noise through a filter, with no training."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import SpecMismatchError
from lvc_world.library import pyworld

FAINTEST = 1e-16  # power that WORLD takes for silence


class World(Vocoder):
    """Audio (B, T * hop) from the features of WorldFeatures: pitch, envelope and aperiodicity.

    Morise, Yokomori & Ozawa 2016. One pulse per period, and noise, each through the filter of that time; f0 below the
    spec's fmin is unvoiced, so that a generator need not hit 0. Computed on the CPU in double precision; no gradient
    flows. Audio is clipped to [-1, 1]. The context is the whole recording: the place of each pulse follows from all
    before it.

    Args:
        spec: of the features; of the kind world.

    Raises:
        SpecMismatchError: if the features are of another kind.
        ConfigurationError: if pyworld is not there.
    """

    capabilities = frozenset({"deterministic"})

    def __init__(self, spec: AudioSpec):
        super().__init__()
        if spec.kind != "world":
            raise SpecMismatchError(
                f"World understands world features, but these are of the kind {spec.kind!r}; use the feature extractor"
                " WorldFeatures, or another vocoder"
            )
        pyworld()
        self.spec = spec

    @torch.no_grad()
    def forward(self, features: Tensor) -> Tensor:
        """Audio (B, T * hop) in [-1, 1] of features (B, F, T) in the extractor's own units.

        Raises:
            SpecMismatchError: if the number of channels is not the spec's.
            ConfigurationError: if there are no frames, or values that are not finite.
        """
        self.check(features)
        rows = [self._row(row) for row in features.detach().cpu().double().transpose(1, 2).numpy()]
        return torch.from_numpy(np.stack(rows)).clamp(-1, 1).to(features)

    def _row(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Samples (T * hop,) of features (T, F)."""
        world, rate, hop, n_fft = pyworld(), self.spec.sample_rate, self.spec.hop_length, self.spec.n_fft
        assert n_fft, "a spec of this kind has all of its fields"
        assert self.spec.n_mels
        assert self.spec.fmin
        # WORLD's frames lie on multiples of the hop, ours half a hop after: begin a frame earlier and cut what is more.
        features = np.pad(features, ((1, 1), (0, 0)), mode="edge")
        f0, envelope, aperiodicity = np.split(features, [1, 1 + self.spec.n_mels], axis=1)
        melody = np.where(f0[:, 0] < self.spec.fmin, 0.0, f0[:, 0].clip(max=self.spec.fmax))
        with np.errstate(over="ignore"):
            power = world.decode_spectral_envelope(np.ascontiguousarray(envelope), rate, n_fft)
        # No sound within [-1, 1] is louder: a diverged generator must not overflow what follows.
        power = np.clip(np.nan_to_num(power, nan=FAINTEST), FAINTEST, float(n_fft) ** 2)
        noise = world.decode_aperiodicity(np.ascontiguousarray(aperiodicity.clip(-60, 0)), rate, n_fft)
        audio = world.synthesize(melody, power, noise, rate, 1000 * hop / rate)
        return audio[hop // 2 :][: (len(features) - 2) * hop]
