"""Pretrained self-supervised encoders of torchaudio: wav2vec 2.0, HuBERT, WavLM."""

from typing import Any, Literal

import torch
import torchaudio
from torch import Tensor, nn

from lightning_voiceclone.checkpoints.build_limits import unlimited
from lightning_voiceclone.checkpoints.external_weights import refer_by_hash
from lightning_voiceclone.core.interfaces import ContentEncoder, Dims
from lightning_voiceclone.core.masking import masked_mean_and_deviation, reach_mask
from lightning_voiceclone.errors import ConfigurationError, nearest
from lightning_voiceclone.features.framing import check_audio
from lightning_voiceclone.utils.torch_internals import normalizes_waveform

HOP = 320  # samples from one frame to the next, of all these models
FIELD = 400  # samples that one frame sees before attention


class TorchaudioContentEncoder(ContentEncoder):
    """Hidden states of wav2vec 2.0, HuBERT or WavLM (Baevski 2020, Hsu 2021, Chen 2022), frozen, 50 frames a second.

    The weights are fetched by torchaudio where there is a network, and kept in torch's hub folder; checkpoints refer
    to them by hash. Lower layers hold more of the speaker, the middle ones most of the phones (layer 6 of a base model
    serves voice conversion well; van Niekerk 2022, Baas 2023).

    Args:
        dims: ignored.
        bundle: name in torchaudio.pipelines, such as WAVLM_BASE_PLUS, HUBERT_BASE or WAV2VEC2_BASE.
        layer: whose output is taken, from 1.

    Raises:
        ConfigurationError: if torchaudio has no such bundle, the model no such layer, or its weights cannot be fetched.
    """

    takes: Literal["features", "audio"] = "audio"
    frame_rate = 50.0
    sample_rate = 50 * HOP

    def __init__(self, dims: Dims, *, bundle: str = "WAVLM_BASE_PLUS", layer: int = 6):
        super().__init__()
        known = _bundles()
        if bundle not in known:
            raise ConfigurationError(
                f"torchaudio has no bundle {bundle!r}{nearest(bundle, known)}; it has {', '.join(sorted(known))}"
            )
        if known[bundle].sample_rate != 50 * HOP:
            raise ConfigurationError(f"{bundle} takes {known[bundle].sample_rate} Hz, but its input is {50 * HOP} Hz")
        try:
            with unlimited():  # what these take is known
                self.model: Any = known[bundle].get_model()
        except OSError as error:
            raise ConfigurationError(
                f"the weights of {bundle} are not in {torch.hub.get_dir()} and cannot be fetched: {error}; fetch them"
                " where there is a network, and copy that folder"
            ) from error
        layers = len(self.model.encoder.transformer.layers)
        if not 1 <= layer <= layers:
            raise ConfigurationError(f"TorchaudioContentEncoder: layer is {layer}; {bundle} has 1 to {layers}")
        self.normalizes = normalizes_waveform(known[bundle])
        self.layer = layer
        self.channels = self.model.encoder.transformer.layers[0].final_layer_norm.normalized_shape[0]
        self.train(False)
        refer_by_hash(self)

    def train(self, mode: bool = True) -> "TorchaudioContentEncoder":
        """Stay in evaluation mode: dropout in a frozen model only adds noise to its output."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Content (B, C, T'), T' = N // 320, of audio x (B, N) at 16 kHz; frame s is centred on sample 320 s + 160."""
        check_audio(type(self).__name__, x, HOP)
        if self.normalizes:
            mean, deviation = masked_mean_and_deviation(x[:, None], self._real(x, lengths))
            x = (x - mean) / deviation  # each (B, 1)
        padded = nn.functional.pad(x, ((FIELD - HOP) // 2, (FIELD - HOP) // 2))
        samples = None if lengths is None else (lengths + FIELD - HOP).clamp(max=padded.shape[1])
        states, _ = self.model.extract_features(padded, samples, num_layers=self.layer)
        return states[-1].transpose(1, 2)

    @staticmethod
    def _real(x: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, 1, N), True for samples that are real."""
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[1], device=x.device)
        return reach_mask(lengths, x.shape[1])


def _bundles() -> dict[str, Any]:
    """Bundles of torchaudio that have a transformer over waveforms, by name."""
    kinds = (torchaudio.pipelines.Wav2Vec2Bundle,)
    return {name: value for name, value in vars(torchaudio.pipelines).items() if isinstance(value, kinds)}
