"""Rows and voiced frames of what recordings are made of."""

import pytest
import torch

from lightning_voiceclone.voice.analysis import Analysis


def analysis(**changes):
    audio, features = torch.arange(3.0)[:, None].expand(3, 640), torch.arange(3.0)[:, None, None].expand(3, 2, 4)
    return Analysis(audio, features, torch.tensor([4, 2, 3]), **changes)


def test_rows_are_taken_of_all_that_is_there():
    f0 = torch.tensor([[100.0], [200.0], [0.0]]).expand(3, 4)
    for which, expected in ((slice(1, 3), [1, 2]), (torch.tensor([2, 0]), [2, 0])):
        taken = analysis(f0=f0).rows(which)
        assert taken.audio[:, 0].tolist() == taken.features[:, 0, 0].tolist() == expected
        assert taken.lengths.tolist() == [[4, 2, 3][row] for row in expected]
        assert torch.equal(taken.f0, f0[expected])
        assert taken.voicing is None
        assert taken.energy is None


@pytest.mark.slow
def test_frames_are_voiced_that_are_real_and_sound_so():
    voicing = torch.tensor([[0.4, 0.6, 0.9, 0.0], [0.9, 0.1, 0.9, 0.9], [0.5, 0.5, 0.5, 0.5]])
    expected = [[False, True, True, False], [True, False, False, False], [False] * 4]
    assert analysis(voicing=voicing).voiced[:, 0].tolist() == expected
    real = [[True] * 4, [True, True, False, False], [True, True, True, False]]
    assert analysis().voiced[:, 0].tolist() == real  # without a pitch extractor
