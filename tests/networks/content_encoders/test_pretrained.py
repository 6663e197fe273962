"""Encoders with weights from elsewhere, on tiny random models in the same formats."""

import numpy as np
import pytest
import torch
import torchaudio
from torch import nn

from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.networks.content_encoders.torchaudio import TorchaudioContentEncoder
from lightning_voiceclone.networks.content_encoders.whisper import WhisperContentEncoder, read_model
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.whisper_files import HIDDEN, WIDTH, write_whisper


def speech(seconds=1.0, rows=1):
    return torch.stack([torch.from_numpy(speech_like(seconds, seed=row).audio) for row in range(rows)])


def test_whisper_is_what_torchs_own_layers_compute(tmp_path):
    encoder = WhisperContentEncoder(Dims(80), model=write_whisper(tmp_path))
    weights = {
        name: torch.from_numpy(value.astype(np.float32)) for name, value in read_model(tmp_path / "model.bin").items()
    }
    assert not any(name.startswith("decoder") for name in weights)
    x = encoder._mel(speech())
    for name, stride in (("conv1", 1), ("conv2", 2)):
        x = nn.functional.gelu(nn.functional.conv1d(x, weights[f"encoder/{name}/weight"],
                                                    weights[f"encoder/{name}/bias"], stride, 1))  # fmt: skip
    x = x.transpose(1, 2) + weights["encoder/position_encodings/encodings"][: x.shape[2]]
    for index in range(2):
        layer = nn.TransformerEncoderLayer(WIDTH, WIDTH // 64, HIDDEN, 0.0, "gelu", batch_first=True, norm_first=True)
        base = f"encoder/layer_{index}/"
        layer.load_state_dict({
            "self_attn.in_proj_weight": weights[base + "self_attention/linear_0/weight"],
            "self_attn.in_proj_bias": weights[base + "self_attention/linear_0/bias"],
            "self_attn.out_proj.weight": weights[base + "self_attention/linear_1/weight"],
            "self_attn.out_proj.bias": weights[base + "self_attention/linear_1/bias"],
            "linear1.weight": weights[base + "ffn/linear_0/weight"],
            "linear1.bias": weights[base + "ffn/linear_0/bias"],
            "linear2.weight": weights[base + "ffn/linear_1/weight"],
            "linear2.bias": weights[base + "ffn/linear_1/bias"],
            "norm1.weight": weights[base + "self_attention/layer_norm/gamma"],
            "norm1.bias": weights[base + "self_attention/layer_norm/beta"],
            "norm2.weight": weights[base + "ffn/layer_norm/gamma"],
            "norm2.bias": weights[base + "ffn/layer_norm/beta"],
        })  # fmt: skip
        x = layer.train()(x)
    expected = nn.functional.layer_norm(x, (WIDTH,), weights["encoder/layer_norm/gamma"],
                                        weights["encoder/layer_norm/beta"])  # fmt: skip
    assert torch.allclose(encoder(speech()), expected.transpose(1, 2), atol=1e-4)


def test_what_whisper_hears_can_be_learnt_from_and_whisper_learns_nothing(tmp_path):
    encoder = WhisperContentEncoder(Dims(80), model=write_whisper(tmp_path))
    assert not encoder(speech()).requires_grad
    audio = speech().requires_grad_()
    encoder(audio).square().mean().backward()
    assert audio.grad.isfinite().all()
    assert audio.grad.any()
    assert all(p.grad is None for p in encoder.parameters())


def test_whispers_rows_do_not_depend_on_the_padding_of_others(tmp_path):
    encoder = WhisperContentEncoder(Dims(80), model=write_whisper(tmp_path))
    audio = speech(1.0)
    padded = torch.cat([audio[:, :8000], torch.zeros(1, 8000)], 1)
    alone, together = encoder(audio[:, :8000]), encoder(padded, torch.tensor([8000]))
    unmasked = encoder(padded)
    # The last frame hears where the silence begins, and tells the others a little of it.
    assert (together - unmasked)[..., :23].abs().max() > 0.05
    assert (together[..., :23] - alone[..., :23]).abs().max() < 0.01


@pytest.mark.slow
def test_whispers_spectrogram_is_whispers():
    pytest.importorskip("faster_whisper", reason="needs the extra judges")
    from faster_whisper.feature_extractor import FeatureExtractor

    try:
        encoder = WhisperContentEncoder(Dims(80))
    except LVCError as error:
        pytest.skip(str(error))
    audio = speech(2.0)
    theirs = FeatureExtractor()(audio[0].numpy(), padding=0)
    assert np.abs(encoder._mel(audio)[0].numpy()[:, :-1] - theirs[:, 1:200]).max() < 1e-3


@pytest.mark.slow
def test_whispers_weights_are_referred_to_and_not_copied(tmp_path):
    encoder = WhisperContentEncoder(Dims(80), model=write_whisper(tmp_path), blocks=1)
    assert len(encoder.blocks) == 1
    assert encoder.norm is None
    assert encoder.channels == WIDTH
    assert not encoder.state_dict()
    assert len(encoder.weights_sha256) == 64
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ({"spec": "TransformerSpec"}, "of the kind TransformerSpec, not of Whisper"),
        ({"kind": 1}, "stores its weights as int8"),
    ],
)
def test_models_that_are_not_whispers(tmp_path, harm, words):
    with pytest.raises(ConfigurationError, match=words):
        WhisperContentEncoder(Dims(80), model=write_whisper(tmp_path, **harm))


def test_missing_and_cut_models(tmp_path):
    with pytest.raises(ConfigurationError, match=r"is not the folder of a Whisper model: it has no model\.bin"):
        WhisperContentEncoder(Dims(80), model=str(tmp_path))
    write_whisper(tmp_path)
    (tmp_path / "model.bin").write_bytes((tmp_path / "model.bin").read_bytes()[:5000])
    with pytest.raises(ConfigurationError, match="cut short"):
        WhisperContentEncoder(Dims(80), model=str(tmp_path))


@pytest.mark.slow
def test_more_than_whispers_window(tmp_path):
    encoder = WhisperContentEncoder(Dims(80), model=write_whisper(tmp_path))
    with pytest.raises(ConfigurationError, match=r"at most 2 s at once, but got 3\.0 s"):
        encoder(speech(3.0))
    with pytest.raises(ConfigurationError, match="blocks is 3"):
        WhisperContentEncoder(Dims(80), model=str(tmp_path), blocks=3)


class TinyBundle(torchaudio.pipelines.Wav2Vec2Bundle):
    """A bundle whose weights are drawn instead of fetched."""

    sample_rate = 16000

    def __init__(self, normalize=False):
        object.__setattr__(self, "_normalize_waveform", normalize)

    def get_model(self, *, dl_kwargs=None):
        torch.manual_seed(0)
        shapes = [(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16, 2, 2)] * 2
        return torchaudio.models.wav2vec2_model(
            extractor_mode="group_norm", extractor_conv_layer_config=shapes, extractor_conv_bias=False,
            encoder_embed_dim=24, encoder_projection_dropout=0.1, encoder_pos_conv_kernel=16,
            encoder_pos_conv_groups=4, encoder_num_layers=3, encoder_num_heads=2, encoder_attention_dropout=0.1,
            encoder_ff_interm_features=32, encoder_ff_interm_dropout=0.1, encoder_dropout=0.1,
            encoder_layer_norm_first=False, encoder_layer_drop=0.1, aux_num_out=None,
        )  # fmt: skip


@pytest.fixture
def bundles(monkeypatch):
    monkeypatch.setattr(torchaudio.pipelines, "TINY", TinyBundle(), raising=False)
    monkeypatch.setattr(torchaudio.pipelines, "TINY_NORMAL", TinyBundle(normalize=True), raising=False)


def test_a_bundle_gives_its_layers_states_at_50_frames_a_second(bundles):
    encoder = TorchaudioContentEncoder(Dims(80), bundle="TINY", layer=2)
    audio = speech(1.0, rows=2)
    content = encoder.train()(audio)
    assert content.shape == (2, 24, 50)
    assert encoder.channels == 24
    padded = nn.functional.pad(audio, (40, 40))
    assert torch.equal(content, encoder.model.extract_features(padded, num_layers=2)[0][-1].transpose(1, 2))
    assert torch.equal(content, encoder(audio))  # no dropout, whatever the module around it does
    assert not encoder.state_dict()


def test_a_bundle_with_normalised_audio_ignores_the_level(bundles):
    encoder = TorchaudioContentEncoder(Dims(80), bundle="TINY_NORMAL", layer=1)
    audio = speech(0.5)
    assert torch.allclose(encoder(audio), encoder(0.1 * audio), atol=1e-2)


def test_bundles_that_are_not_there(bundles, monkeypatch):
    with pytest.raises(ConfigurationError, match=r"no bundle 'WAVLM_BASE_PLUSS'.*WAVLM_BASE_PLUS"):
        TorchaudioContentEncoder(Dims(80), bundle="WAVLM_BASE_PLUSS")
    with pytest.raises(ConfigurationError, match="layer is 4; TINY has 1 to 3"):
        TorchaudioContentEncoder(Dims(80), bundle="TINY", layer=4)

    def no_network(self, *, dl_kwargs=None):
        raise OSError("no route to host")

    monkeypatch.setattr(TinyBundle, "get_model", no_network)
    with pytest.raises(ConfigurationError, match=r"cannot be fetched: no route to host; fetch them where"):
        TorchaudioContentEncoder(Dims(80), bundle="TINY")
    assert isinstance(torchaudio.pipelines.WAVLM_BASE_PLUS, torchaudio.pipelines.Wav2Vec2Bundle)
