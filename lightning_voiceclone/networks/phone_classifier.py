"""Which phoneme is spoken in each frame: a small network on content and mel bands, and the weights that ship."""

import hashlib
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import soxr
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.checkpoints.stored_weights import fill, folder_weights
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.aligner import CLASSES, FRAME_RATE
from lightning_voiceclone.networks.content_encoders.transformer import TransformerContentEncoder
from lightning_voiceclone.text.inventory import PHONEMES

CONTENT, BANDS, SAMPLE_RATE = 192, 80, 16_000
QUANTILES = 33  # of the goodness of native speakers, for each phoneme
SHIPPED = "weights/phones/weights.safetensors"
CONTENT_SHIPPED = "content_wide"


class PhoneClassifier(nn.Module):
    """Probabilities of the phonemes, and how good each is when native speakers say it.

    Residual convolutions over the frames of content, each joined with the two mel frames of its time; two frames are
    classified for each. A frame's probabilities depend on 80 ms to either side of it, and on what the content encoder
    saw: little enough that what should have been said does not hide what was.

    Args:
        content: C, channels of the content.
        bands: F, of the mel features.
        width: channels inside.
        layers: convolutions.
    """

    native: Tensor

    def __init__(self, content: int = CONTENT, bands: int = BANDS, *, width: int = 128, layers: int = 3):
        super().__init__()
        self.enter = nn.Linear(content + 2 * bands, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers + 1))
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(layers))
        self.leave = nn.Linear(width, 2 * len(CLASSES))
        self.register_buffer("native", torch.zeros(len(PHONEMES), QUANTILES))

    def forward(self, content: Tensor, mel: Tensor) -> Tensor:
        """Logarithms of the classes' probabilities (B, T, 40) of content (B, C, T / 2) and mel bands (B, F, T).

        The mel bands are those of :func:`levelled`; T is even.
        """
        pairs = mel.unflatten(2, (-1, 2)).permute(0, 2, 3, 1).flatten(2)  # (B, T / 2, 2 * F)
        x = self.enter(torch.cat([content.transpose(1, 2), pairs], 2))
        for norm, layer in zip(self.norms, self.layers, strict=False):
            x = x + F.dropout(F.gelu(layer(norm(x).transpose(1, 2)).transpose(1, 2)), 0.1, self.training)
        return self.leave(self.norms[-1](x)).unflatten(2, (2, len(CLASSES))).flatten(1, 2).log_softmax(2)

    def percentile(self, phoneme: str, value: float) -> float:
        """Share of native speakers, 0 to 1, whose phoneme is worse (``goodness.Goodness.value``)."""
        row = self.native[PHONEMES.index(phoneme)]
        places = shares()
        at = int(torch.searchsorted(row, value))
        if at in (0, len(row)):
            return float(at > 0)
        below, above = float(row[at - 1]), float(row[at])
        return float(places[at - 1] + (value - below) / max(above - below, 1e-9) * (places[at] - places[at - 1]))


class PhoneFrames:
    """What phonemes are found in: content of ``content_wide``, and mel bands."""

    def __init__(self) -> None:
        self.mel = MelSpectrogram()
        dims = Dims(features=BANDS, frame_rate=FRAME_RATE)
        self.encoder = TransformerContentEncoder(dims, channels=CONTENT, layers=4, pretrained=CONTENT_SHIPPED).eval()

    @torch.no_grad()
    def __call__(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Content (1, C, T / 2) and mel bands (1, F, T) of samples (N,) at 16 kHz."""
        mel = self.mel(audio[None])
        return self.encoder(mel), mel


class PhoneScores:
    """Probabilities of the phonemes in a recording by the classifier that ships, on content of ``content_wide``.

    Weights are loaded when they are first needed.
    """

    @cached_property
    def frames(self) -> PhoneFrames:
        """What the classifier takes."""
        return PhoneFrames()

    @cached_property
    def classifier(self) -> PhoneClassifier:
        """The classifier."""
        return load_phone_classifier()

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights of both; the same as long as their files are."""
        made = hashlib.sha256()
        for name in (SHIPPED, f"weights/{CONTENT_SHIPPED}/weights.safetensors"):
            made.update((files("lightning_voiceclone") / name).read_bytes())
        return made.hexdigest()

    @torch.inference_mode()
    def __call__(self, audio: Tensor) -> Tensor:
        """Logarithms of the classes' probabilities (T, 40), 100 a second, of samples (N,) at 16 kHz."""
        content, mel = self.frames(audio)
        return self.classifier(content, levelled(mel))[0, : mel.shape[2]]


def at_classifier_rate(audio: Tensor, sample_rate: int) -> Tensor:
    """Samples (N,) at any rate, as :class:`PhoneScores` takes them: at 16 kHz."""
    if sample_rate == SAMPLE_RATE:
        return audio
    return torch.from_numpy(soxr.resample(audio.numpy(), sample_rate, SAMPLE_RATE, quality="HQ"))


def shares() -> Tensor:
    """Shares (33,) of native speakers, 0 to 1, for which the classifier has the goodness; close together near 0."""
    return torch.linspace(0, 1, QUANTILES) ** 2


def load_phone_classifier(path: Path | None = None) -> PhoneClassifier:
    """A trained classifier.

    Args:
        path: of its weights; None for those that ship.

    Raises:
        ConfigurationError: if they are damaged, or of another network.
    """
    classifier = PhoneClassifier()
    fill(classifier, folder_weights(path or Path(str(files("lightning_voiceclone") / SHIPPED))))
    return classifier.eval().requires_grad_(False)


def levelled(mel: Tensor) -> Tensor:
    """Mel bands (B, F, T'), T' even, of logarithms (B, F, T): less their means over time, and halved."""
    mel = (mel - mel.mean(2, keepdim=True)) / 2
    return F.pad(mel, (0, mel.shape[2] % 2), mode="replicate")
