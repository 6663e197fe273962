"""The content encoder that sees only the past."""

import pytest
import torch

from lightning_voiceclone.checkpoints.part_folder import save_part
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content_encoders.causal import QUERIES, CausalContentEncoder
from lightning_voiceclone.networks.content_encoders.transformer import TransformerContentEncoder
from lightning_voiceclone.testing.conformance import ContentEncoderConformance

SMALL = {"channels": 6, "width": 64, "hidden": 16, "layers": 2, "past": 3}


class TestCausalContentEncoder(ContentEncoderConformance):
    part = CausalContentEncoder
    arguments = SMALL


class TestRepeated(ContentEncoderConformance):
    part = CausalContentEncoder
    arguments = {**SMALL, "repeat": True}


def small(**changes):
    torch.manual_seed(0)
    return CausalContentEncoder(Dims(20), **{**SMALL, **changes}).eval()


@torch.no_grad()
def test_a_step_sees_two_frames_ahead_and_the_past_of_all_blocks():
    encoder, x = small().double(), torch.randn(1, 20, 60, dtype=torch.float64)
    moved = x.clone()
    moved[..., 30] += 5
    seen = (encoder(moved) - encoder(x)).abs().amax(1)[0].nonzero().flatten().tolist()
    # Steps 14 to 16 see frame 30, two after the first of step 14's; two blocks pass on three steps each.
    assert seen == list(range(14, 16 + 2 * 3 + 1))
    assert encoder.context == Context(2 * 2 * 3 + 4, 2, grid=2)


@torch.no_grad()
@pytest.mark.parametrize("frames", [41, 40])
def test_steps_one_by_one_are_the_whole(frames):
    encoder, x = small().double(), torch.randn(2, 20, frames, dtype=torch.float64)
    state, outputs = encoder.init_state(2), []
    for begin in range(0, frames, 2):
        end = min(begin + 2, frames)
        stop = min(end + 2, frames)
        output, state = encoder.forward_chunk(x[..., begin:stop], state, ahead=stop - end)
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs, 2), encoder(x), rtol=0, atol=1e-12)


@torch.no_grad()
def test_chunks_are_exported_as_the_same(monkeypatch):
    encoder, x = small().double(), torch.randn(1, 20, 24, dtype=torch.float64)
    expected, following = encoder.forward_chunk(x[..., :10], encoder.init_state(1), ahead=2)
    further, _ = encoder.forward_chunk(x[..., 8:], following)
    assert following["keys.0"].shape == (1, 1, SMALL["past"], 64)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    made, state = encoder.forward_chunk(x[..., :10], encoder.init_state(1), ahead=2)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(encoder.forward_chunk(x[..., 8:], state)[0], further, rtol=0, atol=1e-12)


@torch.no_grad()
def test_repeated_content_has_the_rate_of_the_features_and_the_same_weights(tmp_path):
    once, x = small(), torch.randn(2, 20, 41)
    save_part(once, MelSpectrogram(n_mels=20).spec, tmp_path / "once")
    twice = small(repeat=True, pretrained=str(tmp_path / "once"))
    assert (once.frame_rate, twice.frame_rate) == (50.0, 100.0)
    torch.testing.assert_close(twice(x), once(x).repeat_interleave(2, 2)[..., :41], rtol=0, atol=0)


@torch.no_grad()
def test_queries_in_parts_are_the_whole(monkeypatch):
    encoder, x = small(), torch.randn(2, 20, 40)
    whole = encoder(x, torch.tensor([40, 17]))
    monkeypatch.setattr("lightning_voiceclone.networks.content_encoders.causal.QUERIES", 3)
    torch.testing.assert_close(encoder(x, torch.tensor([40, 17])), whole, rtol=0, atol=1e-6)
    assert QUERIES > 40


def test_it_begins_with_an_encoder_that_sees_the_future(tmp_path):
    torch.manual_seed(1)
    sizes = {name: SMALL[name] for name in ("channels", "width", "hidden", "layers")}
    other = TransformerContentEncoder(Dims(20), **sizes)
    save_part(other, MelSpectrogram(n_mels=20).spec, tmp_path / "wide")
    encoder = small(start=str(tmp_path / "wide"))
    for name, value in other.state_dict().items():
        if name not in ("positions", "calibrated"):
            assert torch.equal(encoder.state_dict()[name], value), name
    with pytest.raises(ConfigurationError, match="channels"):
        small(start=str(tmp_path / "wide"), channels=7)


def test_width_that_makes_no_heads_is_refused():
    with pytest.raises(ConfigurationError, match="width is 96; it must be a multiple of 64"):
        small(width=96)
