"""The parallel text encoder: its contract, durations by construction, and what its frames depend on."""

import math

import pytest
import torch
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Script, SpeakerPrompt
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.prosody import UNKNOWN_REGISTER
from lightning_voiceclone.networks.text_encoders.parallel import ParallelTextEncoder, _attention_bias
from lightning_voiceclone.networks.text_encoders.script_losses import prosody_losses, spread_loss, tempo_loss
from lightning_voiceclone.testing.conformance import TextEncoderConformance
from lightning_voiceclone.testing.conformance.part import seeded

SMALL = {"width": 64, "hidden": 32, "layers": 2, "frame_layers": 2, "vocabulary": 20, "phonemes": 5}


class TestParallelTextEncoder(TextEncoderConformance):
    part = ParallelTextEncoder
    arguments = SMALL


class TestThreeFramesAStep(TextEncoderConformance):
    part = ParallelTextEncoder
    arguments = {**SMALL, "frames_per_step": 3}


def encoder(**settings):
    seeded()
    return ParallelTextEncoder(Dims(20, content=6, pitch=True, energy=True, speaker=4), **{**SMALL, **settings}).eval()


def prompt(register, speaker=None):
    return SpeakerPrompt(torch.tensor([50]), speaker=speaker, register=torch.tensor([register]))


TOKENS = torch.tensor([[7, 1, 9, 2, 6, 3, 3, 19, 2]])
LENGTHS = torch.tensor([9])


@pytest.mark.parametrize("speed", [0.5, 1.0, 3.0, 50.0])
def test_no_phoneme_is_skipped_and_order_is_kept(speed):
    part = encoder()
    with torch.no_grad():
        part.duration.bias.fill_(-20.0)  # predicts nothing
        script = part(TOKENS, LENGTHS, speed=speed)
        durations = part.durations(TOKENS, LENGTHS)
    phonemes = (TOKENS >= 5)[0]
    assert (durations[0, phonemes] >= 1).all()
    assert int(script.lengths) >= int(phonemes.sum())


def test_frames_of_a_token_follow_the_given_durations():
    """With convolutions off, the steps of a token depend on that token alone: they come in order, none twice."""
    part = encoder(frames_per_step=1)
    with torch.no_grad():
        for block in part.frame_blocks:
            block.gamma.zero_()
        part.enter.weight[:, -3:] = 0  # the place in the token
        durations = torch.tensor([[2, 0, 3, 1, 4, 0, 1, 2, 5]])
        content = part(TOKENS, LENGTHS, durations=durations).content[0]
    changes = (content[:, 1:] - content[:, :-1]).abs().sum(0) > 1e-6
    ends = durations.cumsum(1)[0].unique().tolist()[:-1]
    assert [at + 1 for at in changes.nonzero()[:, 0].tolist()] == ends


def test_register_is_the_prompts():
    part = encoder()
    own = part(TOKENS, LENGTHS)
    for register, expected in ((float("nan"), UNKNOWN_REGISTER), (300.0, 300.0)):
        script = part(TOKENS, LENGTHS, prompt(register))
        assert script.register.tolist() == [expected]
        torch.testing.assert_close(script.f0, own.f0 * expected / UNKNOWN_REGISTER)


def test_the_speaker_changes_the_script():
    part = encoder()
    scripts = [part(TOKENS, LENGTHS, prompt(100.0, value * torch.ones(1, 4)), durations=torch.ones_like(TOKENS))
               for value in (0.0, 1.0)]  # fmt: skip
    assert (scripts[0].content - scripts[1].content).abs().max() > 1e-3
    none = part(TOKENS, LENGTHS, prompt(100.0), durations=torch.ones_like(TOKENS))
    torch.testing.assert_close(none.content, scripts[0].content)


def test_content_has_the_norm_of_the_content_encoders():
    content = encoder()(TOKENS, LENGTHS, durations=torch.full_like(TOKENS, 8)).content
    assert content.mean(1).abs().max() < 1e-5
    step = content[0, :, 0]  # before the first centre there is nothing to interpolate
    assert float(step.norm()) == pytest.approx(6**0.5, rel=1e-3)


def test_energy_has_mean_0_over_the_real_frames():
    script = encoder()(torch.cat([TOKENS, TOKENS]), torch.tensor([9, 4]))
    assert script.energy.sum(1).abs().max() < 1e-4


def test_losses_fall_when_the_script_is_the_target():
    part = encoder()
    durations = torch.full_like(TOKENS, 4)
    with torch.no_grad():
        script = part(TOKENS, LENGTHS, durations=durations)
        right = part.losses(TOKENS, LENGTHS, script, durations)
        other = Script(script.lengths, -script.content, f0=script.f0 * 2, voicing=1 - script.voicing,
                       energy=script.energy + 1, register=script.register)  # fmt: skip
        wrong = part.losses(TOKENS, LENGTHS, other, durations)
    assert float(right["content"]) < 1e-6
    assert float(right["pitch"]) < 1e-5
    assert all(float(wrong[name]) > float(right[name]) for name in ("content", "voicing", "energy"))
    assert float(wrong["duration"]) == float(right["duration"])


def test_durations_of_another_recording_are_refused():
    target = Script(torch.tensor([40]), torch.zeros(1, 6, 40), f0=torch.zeros(1, 40), voicing=torch.zeros(1, 40),
                    energy=torch.zeros(1, 40), register=torch.tensor([100.0]))  # fmt: skip
    with pytest.raises(ConfigurationError, match="add up to \\[18\\] frames, but the target has \\[40\\]"):
        encoder().losses(TOKENS, LENGTHS, target, torch.full_like(TOKENS, 2))


@pytest.mark.parametrize("settings", [{"width": 65}, {"kernel_size": 4}])
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ConfigurationError, match="multiple of 64"):
        encoder(**settings)


def test_attention_bias_prefers_neighbours_but_for_the_last_head():
    bias = _attention_bias(torch.tensor([[True, True, True, False]]), 3)[0]
    assert bias[0, 0].tolist() == [0.0, -0.5, -1.0, -torch.inf]
    assert bias[1, 0].tolist() == [0.0, -0.125, -0.25, -torch.inf]
    assert bias[2, 0].tolist() == [0.0, 0.0, 0.0, -torch.inf]


def test_size():
    dims = Dims(80, content=192, speaker=256, pitch=True, energy=True)
    assert sum(p.numel() for p in ParallelTextEncoder(dims).parameters()) < 10e6  # bytes, with 8 bits each


def test_spread_and_tempo_are_logarithms_of_ratios():
    real, mask = torch.randn(2, 4, 400), torch.ones(2, 400)
    mask[1, 200:] = 0
    made = torch.where(mask[:, None] > 0, 3 + real / 2, torch.nan)
    assert spread_loss(made.nan_to_num(99.0), real, mask).tolist() == pytest.approx([math.log(2)] * 2, abs=2e-3)
    assert spread_loss(real, real, mask).tolist() == [0, 0]
    one = torch.zeros(1, 4, 1, requires_grad=True)
    spread_loss(one, torch.zeros(1, 4, 1), torch.ones(1, 1)).sum().backward()
    assert one.grad.isfinite().all()
    durations = torch.tensor([[3, 5, 2], [4, 4, 0]])
    assert tempo_loss(durations / 2.0, durations).tolist() == pytest.approx([math.log(2)] * 2)


def test_the_spread_of_pitch_is_that_of_voiced_frames():
    octaves, voiced = 0.2 * torch.randn(1, 200), torch.arange(200) % 2 == 0
    target = Script(torch.tensor([200]), torch.zeros(1, 4, 200), f0=100 * 2**octaves * voiced,
                    voicing=voiced[None].float(), register=torch.tensor([100.0]))  # fmt: skip
    made = {"pitch": torch.where(voiced, 0.5 + octaves / 2, 99.0), "voicing": torch.zeros(1, 200)}
    losses = prosody_losses(made, target, torch.ones(1, 200) > 0, 2.0)
    assert losses["pitch_spread"].tolist() == pytest.approx([math.log(2)], abs=0.02)
    assert losses["voicing"].tolist() == pytest.approx([math.log(2)])
    assert losses["pitch"].item() == pytest.approx(float((0.5 - octaves / 2)[:, voiced].abs().mean()), abs=1e-5)


def test_content_at_random_keeps_its_spread():
    """Of what cannot be predicted, least errors give the middle, which does not move; spread keeps it moving."""

    def spread(weight):
        part = encoder().train()
        optimizer = torch.optim.Adam(part.parameters(), 3e-3)
        for _ in range(80):
            content = F.layer_norm(torch.randn(1, 18, 6), (6,)).transpose(1, 2).repeat_interleave(2, 2)
            frames = torch.zeros(1, 36)
            target = Script(torch.tensor([36]), content, f0=frames, voicing=frames, energy=frames,
                            register=torch.tensor([100.0]))  # fmt: skip
            losses = part.losses(TOKENS, LENGTHS, target, torch.full_like(TOKENS, 4))
            optimizer.zero_grad()
            (losses["content"] + weight * losses["spread"]).mean().backward()
            optimizer.step()
        return losses["spread"].item()

    assert spread(1.0) < 0.5 * spread(0.0)
