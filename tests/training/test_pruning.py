"""Smaller models: which units go, what is left is the same function without them, and fine-tuning brings it nearer."""

import copy

import pytest
import torch

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.content_encoders.transformer import TransformerContentEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.training.pruning import finetune, prune
from lightning_voiceclone.vocoders.vocos import Vocos


def voice(hidden=32):
    encoder = TransformerContentEncoder(Dims(20), channels=4, width=64, hidden=hidden, layers=1, core=16, edge=4)
    return small_voice(
        content_encoder=encoder, vocoder=lambda spec: Vocos(spec, width=8, hidden=hidden, layers=2, pretrained="none")
    )


def speech(count=2):
    return [torch.from_numpy(speech_like(2.0, speaker=n).audio) for n in range(count)]


def test_units_without_weight_are_removed_and_nothing_changes(tmp_path):
    original = voice()
    dead = torch.arange(0, 32, 2)
    with torch.no_grad():
        for block in original.vocoder.blocks:
            block.mix.weight[:, dead] = 0
        for block in original.content_encoder.blocks:
            block.expand.weight[dead] = 0
            block.expand.bias[dead] = 0
    pruned = copy.deepcopy(original)
    done = prune(pruned, 0.5)
    assert done == dict.fromkeys(("content_encoder", "vocoder"), "16 of 32 hidden units removed")
    features = original.feature_extractor(speech(1)[0][None])
    for role in done:
        torch.testing.assert_close(getattr(pruned, role)(features), getattr(original, role)(features))
        counts = [sum(p.numel() for p in getattr(voice, role).parameters()) for voice in (pruned, original)]
        assert counts[0] < counts[1]
    assert pruned.vocoder.blocks[0].expand.out_features == 16
    save_voice(pruned, tmp_path / "small")
    torch.testing.assert_close(load_voice(tmp_path / "small").vocoder(features), pruned.vocoder(features))


def test_the_smallest_weights_become_0():
    original = voice()
    pruned = copy.deepcopy(original)
    assert set(prune(pruned, 0.25, "weights").values()) == {"25% of the weights set to 0"}
    before, after = original.vocoder.head.weight, pruned.vocoder.head.weight
    gone = after == 0
    assert gone.float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert before[gone].abs().max() <= before[~gone].abs().min()
    assert torch.equal(before[~gone], after[~gone])


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["units", "weights"])
def test_fine_tuning_brings_outputs_nearer_to_the_original(structure):
    original = voice()
    pruned = copy.deepcopy(original)
    pruned.privacy = {"epsilon": 8.0}
    prune(pruned, 0.5, structure)
    features = original.feature_extractor(speech(1)[0][None])
    roles = ("content_encoder", "vocoder")
    wanted = {role: getattr(original, role)(features) for role in roles}

    @torch.no_grad()
    def distance():
        return [float((getattr(pruned, role)(features) - wanted[role]).abs().mean()) for role in roles]

    before, zeros = distance(), (pruned.vocoder.head.weight == 0).clone()
    assert pruned.privacy is not None
    finetune(pruned, original, speech(), steps=12, progress=False)
    assert pruned.privacy is None
    assert all(after < 0.97 * old for after, old in zip(distance(), before, strict=True))
    assert torch.equal(zeros, pruned.vocoder.head.weight == 0)
    assert all(torch.equal(wanted[role], getattr(original, role)(features)) for role in roles)
    assert not any(module.training for module in pruned.modules())


def test_what_cannot_work_is_refused_with_the_remedy():
    with pytest.raises(ConfigurationError, match="less than the 8 that are removed at least; prune more"):
        prune(voice(), 0.05)
    with pytest.raises(ConfigurationError, match=r"is 2; it must be from 0\.01 to 0\.95"):
        prune(voice(), 2)
    with pytest.raises(ConfigurationError, match=r"nothing to prune: .*; prune weights instead of units"):
        prune(small_voice(), 0.3)
    pruned, original = voice(), voice()
    prune(pruned, 0.5)
    with pytest.raises(ConfigurationError, match=r"no recording lasts 1\.28 s"):
        finetune(pruned, original, [torch.zeros(8000)], steps=1, progress=False)
