"""Whether encoders find the wanted speaker and content in what was made."""

import pytest
import torch

from lightning_voiceclone.losses.consistency import cosine_distance, relative_distance, statistics_distance


def test_cosine_distance_of_embeddings_by_hand():
    output = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]])
    target = torch.tensor([[7.0, 0.0], [4.0, 3.0], [0.0, -1.0]])
    # 0 of the same direction, 1 - 24/25, 2 of the opposite one
    assert cosine_distance(output, target).mean().item() == pytest.approx((0 + 0.04 + 2) / 3)


def test_cosine_distance_of_content_counts_the_frames_of_the_mask():
    output = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], [[1.0, 0.0, 5.0], [0.0, 5.0, 0.0]]])
    target = torch.tensor([[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [[-2.0, 1.0, 1.0], [0.0, 0.0, 1.0]]])
    mask = torch.tensor([[[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]])
    # Frames that count: 0, 1 and 2 apart; each the same, whichever row it is of.
    assert cosine_distance(output, target, mask).mean().item() == pytest.approx((0 + 1 + 2) / 3)
    assert cosine_distance(output, target, torch.zeros(2, 1, 3)).mean().item() == 0.0


def test_cosine_distance_moves_what_was_made_alone():
    output = torch.tensor([[1.0, 0.0]], requires_grad=True)
    target = torch.tensor([[0.0, 1.0]], requires_grad=True)
    cosine_distance(output, target).mean().backward()
    assert target.grad is None
    assert output.grad.tolist() == [[0.0, -1.0]]  # a step against it turns output to target


def test_relative_distance_does_not_depend_on_the_scale_of_channels():
    torch.manual_seed(0)
    mask = torch.ones(2, 1, 500)
    mask[1, :, 400:] = 0
    target = torch.randn(2, 3, 500) * torch.tensor([0.01, 1.0, 100.0])[:, None] + 5
    target.requires_grad_()
    mean = (target.detach() * mask).sum((0, 2), keepdim=True) / 900
    other = target.detach().roll(7, 0).flip(2)[:, :, torch.randperm(500)]
    assert relative_distance(target.detach(), target, mask).mean().item() == 0
    assert relative_distance(mean.expand(2, 3, 500), target, mask).mean().item() == pytest.approx(1)
    assert relative_distance(other, target, mask).mean().item() == pytest.approx(2, abs=0.2)
    output = target.detach().clone()
    output[1, :, 400:] = torch.nan  # beyond the row's end
    output[0, 2, 0] += 30
    output.requires_grad_()
    distance = relative_distance(output, target, mask)
    variance = (target[:, 2][mask[:, 0] > 0]).var(correction=0).item()
    assert distance.mean().item() == pytest.approx(900 / variance / (3 * 900), rel=1e-4)
    distance.mean().backward()
    assert target.grad is None


def test_statistics_distance_by_hand():
    """Of voices whose channel swings by 1 about 0, and by 3 about 2: 4 of the means and 4 of the deviations."""
    swing = torch.tensor([-1.0, 1.0]).repeat(15).expand(1, 2, 30)
    output = torch.cat([swing, swing])
    target = torch.stack([torch.stack([2 + 3 * swing[0, 0], swing[0, 0]]), swing[0]])
    everywhere = torch.ones(2, 1, 30, dtype=torch.bool)
    # Two channels, of which the second is right, in the first of two rows.
    assert statistics_distance(output, target, everywhere, everywhere).mean().item() == pytest.approx(
        (4 + 4) / 2 / 2, abs=1e-3
    )
    second = torch.tensor([[False, True], [True, True]])
    assert statistics_distance(output, target, everywhere, everywhere, second).mean().item() == pytest.approx(
        0, abs=1e-6
    )
    few = everywhere & (torch.arange(30) < torch.tensor([19, 30])[:, None])[:, None]
    assert statistics_distance(output, target, everywhere, few).mean().item() == pytest.approx(0, abs=1e-6)
    assert statistics_distance(output, target, few & ~few, everywhere).mean().item() == 0


def test_statistics_distance_does_not_depend_on_the_order_of_frames():
    torch.manual_seed(0)
    output, target = torch.randn(2, 3, 40, requires_grad=True), torch.randn(2, 3, 50, requires_grad=True)
    masks = torch.ones(2, 1, 40, dtype=torch.bool), torch.ones(2, 1, 50, dtype=torch.bool)
    distance = statistics_distance(output, target, *masks)
    shuffled = statistics_distance(output.flip(2), target[..., torch.randperm(50)], *masks)
    torch.testing.assert_close(shuffled.values, distance.values)
    distance.mean().backward()
    assert target.grad is None
    assert output.grad.abs().sum() > 0
