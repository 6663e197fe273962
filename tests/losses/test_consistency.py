"""Whether an encoder hears in what was made what it should, and a classifier that must not find the speaker."""

import math
from types import SimpleNamespace

import pytest
import torch

from lightning_voiceclone.losses import consistency
from lightning_voiceclone.losses.consistency import SpeakerConfusion, cosine_distance, statistics_distance


def test_cosine_distance_of_embeddings_by_hand():
    told = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]])
    wanted = torch.tensor([[7.0, 0.0], [4.0, 3.0], [0.0, -1.0]])
    # 0 of the same direction, 1 - 24/25, 2 of the opposite one
    assert cosine_distance(told, wanted).item() == pytest.approx((0 + 0.04 + 2) / 3)


def test_cosine_distance_of_content_counts_the_frames_of_the_mask():
    told = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], [[1.0, 0.0, 5.0], [0.0, 5.0, 0.0]]])
    wanted = torch.tensor([[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [[-2.0, 1.0, 1.0], [0.0, 0.0, 1.0]]])
    mask = torch.tensor([[[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]])
    # Frames that count: 0, 1 and 2 apart; each the same, whichever row it is of.
    assert cosine_distance(told, wanted, mask).item() == pytest.approx((0 + 1 + 2) / 3)
    assert cosine_distance(told, wanted, torch.zeros(2, 1, 3)).item() == 0.0


def test_cosine_distance_moves_what_was_made_alone():
    told = torch.tensor([[1.0, 0.0]], requires_grad=True)
    wanted = torch.tensor([[0.0, 1.0]], requires_grad=True)
    cosine_distance(told, wanted).backward()
    assert wanted.grad is None
    assert told.grad.tolist() == [[0.0, -1.0]]  # a step against it turns told to wanted


def test_statistics_distance_by_hand():
    """Of voices whose channel swings by 1 about 0, and by 3 about 2: 4 of the means and 4 of the deviations."""
    swing = torch.tensor([-1.0, 1.0]).repeat(15).expand(1, 2, 30)
    told = torch.cat([swing, swing])
    wanted = torch.stack([torch.stack([2 + 3 * swing[0, 0], swing[0, 0]]), swing[0]])
    everywhere = torch.ones(2, 1, 30, dtype=torch.bool)
    # Two channels, of which the second is right, in the first of two rows.
    assert statistics_distance(told, wanted, everywhere, everywhere).item() == pytest.approx((4 + 4) / 2 / 2, abs=1e-3)
    second = torch.tensor([[False, True], [True, True]])
    assert statistics_distance(told, wanted, everywhere, everywhere, second).item() == pytest.approx(0, abs=1e-6)
    few = everywhere & (torch.arange(30) < torch.tensor([19, 30])[:, None])[:, None]
    assert statistics_distance(told, wanted, everywhere, few).item() == pytest.approx(0, abs=1e-6)
    assert statistics_distance(told, wanted, few & ~few, everywhere).item() == 0


def test_statistics_distance_does_not_ask_when_something_was_said():
    torch.manual_seed(0)
    told, wanted = torch.randn(2, 3, 40, requires_grad=True), torch.randn(2, 3, 50, requires_grad=True)
    masks = torch.ones(2, 1, 40, dtype=torch.bool), torch.ones(2, 1, 50, dtype=torch.bool)
    distance = statistics_distance(told, wanted, *masks)
    torch.testing.assert_close(statistics_distance(told.flip(2), wanted[..., torch.randperm(50)], *masks), distance)
    distance.backward()
    assert wanted.grad is None
    assert told.grad.abs().sum() > 0


def confusion(speakers=6, content=4, speaker=64, width=128):
    torch.manual_seed(0)
    mask = (torch.arange(30) < torch.tensor([30, 21] * (speakers // 2))[:, None])[:, None].float()
    classifier = SpeakerConfusion(content, speaker, width=width)
    return classifier, torch.randn(speakers, content, 30), torch.randn(speakers, speaker), mask


def test_a_classifier_that_knows_nothing_is_at_log_b():
    classifier, content, speaker, mask = confusion(speaker=2048)  # random directions are all but at right angles
    assert classifier(content, speaker, mask).item() == pytest.approx(math.log(6), abs=0.1)
    torch.nn.init.zeros_(classifier.leave.weight)
    torch.nn.init.zeros_(classifier.leave.bias)
    assert classifier(content, speaker, mask).item() == pytest.approx(math.log(6), abs=1e-6)


def test_who_is_told_rightly_costs_little_and_wrongly_much():
    classifier, content, _, mask = confusion(speakers=2)
    torch.nn.init.zeros_(classifier.leave.weight)
    classifier.leave.bias.data = torch.eye(64)[0]  # says the first speaker of any content
    other = torch.eye(64)[:2]
    # Cosines 1 and 0, times 10: of the first row log(1 + e^-10), of the second one 10 more.
    assert classifier(content, other, mask).item() == pytest.approx(math.log1p(math.exp(-10)) + 5, rel=1e-6)


def test_the_gradient_into_the_content_is_reversed_and_that_of_the_classifier_is_not(monkeypatch):
    def gradients():
        classifier, content, speaker, mask = confusion()
        content.requires_grad_()
        speaker.requires_grad_()
        loss = classifier(content, speaker, mask)
        loss.backward()
        assert speaker.grad is None  # nobody is to be drawn nearer to what the classifier says
        return loss.item(), content.grad, [weight.grad for weight in classifier.parameters()]

    loss, into_content, into_weights = gradients()
    monkeypatch.setattr(consistency, "_Reversed", SimpleNamespace(apply=lambda x: x))
    straight_loss, straight, straight_weights = gradients()
    assert loss == straight_loss
    assert straight.abs().max() > 1e-4
    assert torch.equal(into_content, -straight)
    for ours, theirs in zip(into_weights, straight_weights, strict=True):
        assert torch.equal(ours, theirs)


def test_the_padding_has_no_part_in_it():
    classifier, content, speaker, mask = confusion()
    scrambled = torch.where(mask > 0, content, 100.0)
    assert torch.allclose(classifier(scrambled, speaker, mask), classifier(content, speaker, mask), atol=1e-6)


def test_a_classifier_finds_a_speaker_that_the_content_tells():
    classifier, content, speaker, mask = confusion(width=16)
    told = content + 2 * speaker[:, :4, None]
    for _ in range(60):
        loss = classifier(told, speaker, mask)
        weights = list(classifier.parameters())
        with torch.no_grad():
            for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                weight -= 0.1 * gradient
    assert loss.item() < 0.3 * math.log(6)
