"""A speaker encoder with Resemblyzer's recurrent network, on the project's own features."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.checkpoints.part_folder import load_pretrained
from lightning_voiceclone.core.interfaces import SpeakerEncoder
from lightning_voiceclone.core.masking import keep, one_differs, reach_mask
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.filterbank import mel_filterbank, mel_frequencies

RATE, N_FFT = 16000, 1024
POWER = 1.0  # sum over Resemblyzer's bands in speech of -30 dB, the level to which it brings recordings
# Of crops of 4.5 to 20 s of 160 recordings (train-clean-100, dev-clean) 0.6% fall below it, of two speakers' 78%.
ONE_SPEAKER = 0.77
LOUDEST = 4.0  # natural logarithm of a band's magnitude beyond which no sound within [-1, 1] comes


class RecurrentSpeakerEncoder(SpeakerEncoder):
    """An LSTM over pieces of 1.6 seconds whose last states are averaged (GE2E, Wan et al. 2018).

    Meant to start from Resemblyzer's weights (``start``), which were trained on thousands of speakers, and to be
    distilled from it on the model's features (``recipes/speaker_small.yaml``): the mel bands are converted to the power
    in half as many bands, scaled to one level over the recording. Pieces overlap by half; quiet ones weigh less.

    The input is features in the extractor's own units: mel bands of natural logarithms. The embedding's D numbers have
    a mean square of 1, and none is negative.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: D, numbers of the embedding.
        width: of the LSTM.
        layers: of the LSTM.
        bands: of its input.
        piece: frames of a piece; even.
        start: "resemblyzer" to begin with the weights of that package; null for fresh ones.
        pretrained: "default" for the weights that ship with the package (80 mel bands at 16 kHz, hops of 160), a
            folder or checkpoint of a trained one, or none for fresh weights; frozen, unless ``finetune``.
        finetune: train the pretrained weights further.
        one_speaker: see :class:`SpeakerEncoder`; null for the value of the weights that ship, if those are used.

    Raises:
        ConfigurationError: if a number is out of range, or the weights have other settings.
        PluginError: if the package to start from is not installed.
    """

    capabilities = frozenset({"exportable"})
    normalized = False
    shipped = ("lightning_voiceclone", "weights/speaker")

    def __init__(
        self,
        dims: Dims,
        *,
        channels: int = 256,
        width: int = 256,
        layers: int = 3,
        bands: int = 40,
        piece: int = 160,
        start: str | None = None,
        pretrained: str | None = None,
        finetune: bool = False,
        one_speaker: float | None = None,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, channels=channels, width=width, layers=layers, bands=bands, piece=piece)
        if piece % 2:
            raise ConfigurationError(f"{name}: piece is {piece}; it must be even, such as {piece + 1}")
        self.channels, self.piece = channels, piece
        self.bands = nn.Linear(dims.features, bands, bias=False)
        with torch.no_grad():
            self.bands.weight.copy_(_merged(dims.features, bands))
        self.lstm = nn.LSTM(bands, width, layers, batch_first=True)
        self.leave = nn.Linear(width, channels)
        if start is not None and pretrained in (None, "none"):
            self._begin_with(start)
        load_pretrained(self, pretrained, trainable=finetune)
        if one_speaker is None and pretrained == "default" and not finetune:
            one_speaker = ONE_SPEAKER
        self.one_speaker = one_speaker

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embedding (B, D) of features (B, F, T)."""
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[2], device=x.device)
        mask = reach_mask(lengths, x.shape[2])
        power = keep((2 * x.clamp(max=LOUDEST)).exp(), mask).transpose(1, 2)
        power = F.relu(self.bands(power))
        level = power.sum((1, 2)) / lengths.clamp(min=1)
        pieces, weights = self._pieces(power * (POWER / level.clamp(min=1e-12))[:, None, None], lengths)
        states, _ = self.lstm(pieces.flatten(0, 1))
        embedded = F.normalize(F.relu(self.leave(states[:, -1])), dim=1).unflatten(0, pieces.shape[:2])
        mean = (embedded * weights[..., None]).sum(1)
        return F.normalize(mean, dim=1) * self.channels**0.5

    def _pieces(self, power: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Overlapping pieces (B, P, piece, bands) of power (B, T, bands), and their weights (B, P).

        The weight is the mean power; 0 if the piece before covers all of its real frames.
        """
        frames, hop = power.shape[1], self.piece // 2
        more = (torch.sym_max(frames - self.piece, 0) + hop - 1) // hop  # pieces after the first one
        if one_differs():
            # One more that is silent, so it counts nothing: at an open length there cannot be a single piece, which is
            # broadcast.
            more += 1
        padded = F.pad(power, (0, 0, 0, self.piece + hop))[:, : self.piece + more * hop]
        pieces = padded.unfold(1, self.piece, hop).transpose(2, 3)
        place = torch.arange(pieces.shape[1], device=power.device)
        new = (place == 0) | ((place + 1) * hop < lengths[:, None])
        return pieces, (pieces.sum(3).mean(2) / POWER).clamp(max=1.0) * new

    @torch.no_grad()
    def _begin_with(self, start: str) -> None:
        from lightning_voiceclone.utils.optional import need

        if start != "resemblyzer":
            raise ConfigurationError(f"{type(self).__name__}: start is {start!r}; it can be resemblyzer, or null")
        package: Any = need("resemblyzer")
        path = Path(str(package.__file__)).with_name("pretrained.pt")
        weights = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        ours = {name.replace("linear.", "leave."): value for name, value in weights.items()
                if name.startswith(("lstm.", "linear."))}  # fmt: skip
        try:
            self.load_state_dict({**ours, "bands.weight": self.bands.weight})
        except RuntimeError as error:
            raise ConfigurationError(
                f"{type(self).__name__} has other settings than Resemblyzer, from whose weights it is to start: {error}"
            ) from error


def _merged(features: int, bands: int) -> Tensor:
    """(bands, features): the power in Resemblyzer's bands of that in ours, both evenly spaced in mel up to 8 kHz."""
    ours = mel_frequencies(_mel(features))
    theirs = mel_filterbank(_mel(bands))
    bins = (ours / (RATE / N_FFT)).round().long().clamp(max=len(theirs) - 1)
    widths = torch.gradient(ours)[0]
    return (theirs[bins] * widths[:, None]).T


def _mel(bands: int) -> AudioSpec:
    return AudioSpec(
        kind="mel", channels=bands, sample_rate=RATE, hop_length=160, n_fft=N_FFT, win_length=N_FFT, window="hann",
        n_mels=bands, fmin=0.0, fmax=RATE / 2, mel_scale="slaney", mel_norm="slaney", power=1.0,
    )  # fmt: skip
