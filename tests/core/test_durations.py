"""Durations in whole frames, and values of tokens as values of frames."""

import torch

from lightning_voiceclone.core.durations import by_frame, whole_frames


def test_rounding_errors_do_not_add_up():
    durations = torch.full((2, 1000), 2.4)
    durations[1] = 0.3
    frames = whole_frames(durations)
    assert frames.dtype == torch.int64
    assert frames.sum(1).tolist() == [2400, 300]
    assert (frames.cumsum(1) - durations.double().cumsum(1)).abs().max() <= 0.5 + 1e-3


def test_no_token_has_less_than_the_least():
    torch.manual_seed(0)
    durations, least = 3 * torch.rand(4, 500), torch.randint(0, 2, (4, 500))
    frames = whole_frames(durations, least)
    assert (frames >= least).all()
    expected = durations.maximum(least.float()).sum(1)
    assert (frames.sum(1) - expected).abs().max() <= 0.5 + 1e-3
    assert (whole_frames(torch.zeros(1, 9), 1) == 1).all()


def test_whole_durations_stay():
    durations = torch.tensor([[2.3, 50.0, 1.9, 0.0, 7.0]])
    assert whole_frames(durations).tolist() == [[2, 50, 2, 0, 7]]


def test_frames_have_the_values_of_their_tokens():
    values = torch.tensor([[[1.0, 2.0, 3.0]], [[4.0, 5.0, 9.0]]])
    made = by_frame(values, torch.tensor([[2, 0, 3], [1, 1, 0]]))
    assert made.tolist() == [[[1, 1, 3, 3, 3]], [[4, 5, 0, 0, 0]]]
