"""A speaker encoder without a neural network: how a recording's cepstra differ from those of all speakers."""

import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.interfaces import SpeakerEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import MFCC

RATE, HOP = 16000, 160
CEPSTRA, DELTA_REACH = 19, 2
LOUD_DB = 30.0  # below a recording's loudest frame: quieter ones hold little of the voice
LEVEL = 0.1  # root mean square that recordings are brought to
RELEVANCE = 16.0  # frames that weigh as much as the background's mean (Reynolds et al. 2000)
SHIPPED = Path(__file__).with_name("weights") / "supervector.safetensors"


class SupervectorSpeakerEncoder(SpeakerEncoder):
    """Mixture supervectors after a linear discriminant analysis, to evaluate clones beside a neural encoder.

    A background mixture of Gaussians models the cepstra of all speakers; its means are moved to a recording by maximum
    a posteriori (Reynolds, Quatieri & Dunn 2000, "Speaker verification using adapted Gaussian mixture models"), each
    move is scaled so that distances are Kullback-Leibler divergences (Campbell, Sturim & Reynolds 2006, "Support vector
    machines using GMM supervectors"), and a discriminant analysis keeps the directions in which speakers differ. The
    cepstra exclude the level, are normalised over the recording, and end at 6.8 kHz, so that MP3 and telephone
    bandwidth do not count as the voice. Embeddings have unit length. Frozen; no gradient flows.

    Args:
        dims: ignored; here so that it can be built as other encoders are.
        sample_rate: of the audio that it will be given, in Hz; what is not 16 kHz is resampled.
        weights: file that ``python -m lvc_supervector`` wrote; null for the one that ships.

    Raises:
        ConfigurationError: if the file is missing or holds something else.
    """

    takes = "audio"
    log_weights: Tensor
    means: Tensor
    deviations: Tensor
    centre: Tensor
    directions: Tensor

    def __init__(self, dims: Dims | None = None, *, sample_rate: int = RATE, weights: str | None = None) -> None:
        super().__init__()
        path = Path(weights) if weights else SHIPPED
        try:
            stored = load_file(path)
        except Exception as error:
            raise ConfigurationError(
                f"SupervectorSpeakerEncoder: {path} cannot be read ({error}); name a file that python -m"
                " lvc_supervector wrote"
            ) from error
        if missing := sorted({"log_weights", "means", "deviations", "centre", "directions"} - set(stored)):
            raise ConfigurationError(
                f"SupervectorSpeakerEncoder: {path} has no {missing[0]}; name a file that python -m lvc_supervector"
                " wrote"
            )
        self.sample_rate = sample_rate
        self.cepstra = Cepstra()
        for name, value in stored.items():
            self.register_buffer(name, value.float())
        self.channels = self.directions.shape[1]

    @torch.no_grad()
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embedding (B, D) of audio (B, N), of which lengths (B,) samples are real."""
        counts = [x.shape[1]] * len(x) if lengths is None else [int(count) for count in lengths]
        vectors = []
        for row, count in zip(x.to(self.means.dtype), counts, strict=True):
            frames = self.cepstra(_resampled(row[:count], self.sample_rate))
            vectors.append(supervector(frames, self.log_weights, self.means, self.deviations))
        return F.normalize((torch.stack(vectors) - self.centre) @ self.directions, dim=1).to(x.dtype)


class Cepstra(torch.nn.Module):
    """Cepstra 1 to 19 and their slopes (T, 38) of the loud frames of audio (N,), normalised over the recording."""

    def __init__(self) -> None:
        super().__init__()
        self.extractor = MFCC(n_mfcc=CEPSTRA + 1, sample_rate=RATE, n_mels=40, n_fft=512, hop_length=HOP, fmax=6800.0)

    def forward(self, audio: Tensor) -> Tensor:
        """Frames (T, 38); at least one."""
        audio = audio * (LEVEL / audio.square().mean().sqrt().clamp_min(1e-6))  # the extractor's floor is a fixed one
        cepstra = self.extractor(F.pad(audio, (0, max(HOP - len(audio), 0)))[None])[0]
        level = cepstra[0] / math.sqrt(40)  # the mean of the bands, in dB
        kept = level >= level.max() - LOUD_DB
        steps = torch.arange(-DELTA_REACH, DELTA_REACH + 1, dtype=cepstra.dtype, device=cepstra.device)
        padded = F.pad(cepstra[1:, None], (DELTA_REACH, DELTA_REACH), mode="replicate")
        slopes = F.conv1d(padded, (steps / steps.square().sum())[None, None])[:, 0]
        frames = torch.cat([cepstra[1:], slopes])[:, kept].T
        return (frames - frames.mean(0)) / frames.std(0, unbiased=False).clamp_min(1e-3)


def supervector(frames: Tensor, log_weights: Tensor, means: Tensor, deviations: Tensor) -> Tensor:
    """(K * D,) scaled moves of the K means (K, D) of a mixture towards frames (T, D)."""
    precisions = deviations.square().reciprocal()
    distance = (
        frames.square() @ precisions.T - 2 * frames @ (means * precisions).T + (means.square() * precisions).sum(1)
    )
    shares = (log_weights - deviations.log().sum(1) - distance / 2).softmax(1)
    counts = shares.sum(0)
    moved = (shares.T @ frames - counts[:, None] * means) / (counts + RELEVANCE)[:, None]
    return (moved / deviations * (log_weights / 2).exp()[:, None]).flatten()


def _resampled(audio: Tensor, rate: int) -> Tensor:
    if rate == RATE:
        return audio
    import soxr

    return torch.from_numpy(soxr.resample(audio.cpu().numpy(), rate, RATE, quality="HQ")).to(audio)
