"""The classifier of phonemes: shapes, reach, shares of native speakers, and the weights that ship."""

import pytest
import torch
from safetensors.torch import save_file

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.aligner import CLASSES
from lightning_voiceclone.networks.phone_classifier import PhoneClassifier, levelled, load_phone_classifier, shares


def test_two_frames_for_each_of_content_and_a_reach_of_80_ms():
    classifier = PhoneClassifier(6, 4, width=16).eval()
    content, mel = torch.randn(2, 6, 30), torch.randn(2, 4, 60)
    scores = classifier(content, mel)
    assert scores.shape == (2, 60, len(CLASSES))
    assert torch.allclose(scores.exp().sum(2), torch.ones(2, 60))
    changed = mel.clone()
    changed[:, :, 30] += 1
    different = (classifier(content, changed) != scores).any(2)[0].nonzero()[:, 0]
    assert 24 <= int(different[0]) <= int(different[-1]) <= 37


def test_mel_bands_are_without_their_means_and_even_in_number():
    made = levelled(torch.randn(1, 4, 7) + 5)
    assert made.shape == (1, 4, 8)
    assert made[..., :7].mean(2).abs().max() < 1e-6


def test_shares_of_native_speakers_follow_the_table():
    classifier = PhoneClassifier(6, 4)
    classifier.native[:] = 10 * shares()
    assert classifier.percentile("R", -1.0) == 0
    assert classifier.percentile("R", 11.0) == 1
    assert classifier.percentile("AA1", 4.2) == pytest.approx(0.42, abs=1e-6)


def test_weights_that_ship_are_small_and_others_are_refused(tmp_path):
    classifier = load_phone_classifier()
    assert not classifier.training
    assert (classifier.native.diff(dim=1) >= 0).all()
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ConfigurationError):
        load_phone_classifier(tmp_path / "a.safetensors")
