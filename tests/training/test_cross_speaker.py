"""Who speaks in whose voice within a batch."""

import pytest
import torch

from lightning_voiceclone.core.conditions import Condition, Script, SpeakerPrompt
from lightning_voiceclone.training.cross_speaker import CrossSpeaker
from lightning_voiceclone.voice.analysis import Analysis
from lightning_voiceclone.voice.prosody import move_register

CPU = torch.device("cpu")


def analysis(rows, frames, lengths, first):
    """Features (rows, 2, frames) that are ``first`` and upward, and say in their hundreds whose they are."""
    features = first + 100.0 * torch.arange(rows)[:, None, None] + torch.arange(frames) + torch.zeros(rows, 2, 1)
    return Analysis(features[:, 0].repeat_interleave(160, 1), features, torch.tensor(lengths))


@pytest.mark.parametrize(
    ("rows", "share", "swapped", "index"),
    [
        (4, 0.0, 0, [0, 1, 2, 3]),
        (4, 0.25, 1, [1, 1, 2, 3]),
        (4, 0.7, 2, [1, 2, 2, 3]),
        (3, 1.0, 3, [1, 2, 0]),
        (2, 0.4, 1, [1, 1]),
        (1, 1.0, 0, [0]),
    ],
)
def test_the_first_rows_are_converted_to_the_next(rows, share, swapped, index):
    cross_speaker = CrossSpeaker.of(rows, share)
    assert cross_speaker == CrossSpeaker(rows, swapped)
    assert cross_speaker.index(CPU).tolist() == index


def test_only_cross_speaker_rows_are_moved_in_register():
    hertz = torch.tensor([100.0, 220.0, torch.nan, 150.0])
    cross_speaker = CrossSpeaker(4, 3)
    wanted = SpeakerPrompt(torch.ones(4), register=hertz).rows(cross_speaker.index(CPU))
    register = cross_speaker.register(wanted)
    assert register[0].item() == 220.0
    assert register[2].item() == 150.0
    assert register.isnan().tolist() == [False, True, False, True]
    f0 = torch.tensor([[100.0, 110.0, 0.0, 90.0]]).expand(4, 4)
    moved = move_register(Script(torch.tensor([4] * 4), f0[:, None], f0, register=torch.full((4,), 100.0)), register).f0
    assert moved[0].tolist() == pytest.approx([220.0, 242.0, 0.0, 198.0])
    assert torch.equal(moved[1], f0[1])  # the voice that is taken has no register
    assert torch.equal(moved[3], f0[3])  # its own voice
    assert wanted.register[3].item() == 150.0  # not changed in place
    assert CrossSpeaker(4, 0).register(wanted) is None
    assert cross_speaker.register(SpeakerPrompt(torch.ones(4))) is None


def test_cross_speaker_rows_are_compared_with_the_reference_of_their_target():
    cross_speaker, source = CrossSpeaker(3, 2), analysis(3, 4, [4, 3, 4], 0.0)
    longer, shorter = analysis(3, 6, [6, 5, 2], 1000.0), analysis(3, 2, [2, 2, 1], 1000.0)
    real = cross_speaker.real(source, longer)
    assert real[:, 0].tolist() == [
        [1100.0, 1101.0, 1102.0, 1103.0], [1200.0, 1201.0, 1202.0, 1203.0], [200.0, 201.0, 202.0, 203.0],
    ]  # fmt: skip
    assert torch.equal(cross_speaker.audio(source, longer), real[:, 0].repeat_interleave(160, 1))
    real = cross_speaker.real(source, shorter)
    assert real[:, 1].tolist() == [[1100.0, 1101.0, 0.0, 0.0], [1200.0, 1201.0, 0.0, 0.0], [200.0, 201.0, 202.0, 203.0]]


def test_cross_speaker_rows_are_as_long_as_they_and_their_reference_both_are():
    cross_speaker, condition = CrossSpeaker(3, 2), Condition(torch.tensor([4, 3, 4]), energy=torch.zeros(3, 4))
    judged = cross_speaker.condition(condition, analysis(3, 6, [1, 5, 2], 0.0))
    assert judged.lengths.tolist() == [4, 2, 4]  # of 5 and 4, of 2 and 3, and its own
    assert judged.energy is condition.energy
    assert condition.lengths.tolist() == [4, 3, 4]
    assert judged.mask(4)[1, 0].tolist() == [1.0, 1.0, 0.0, 0.0]


def test_without_cross_speaker_rows_nothing_changes():
    source, condition = analysis(2, 4, [4, 3], 0.0), Condition(torch.tensor([4, 3]))
    reference = analysis(2, 6, [1, 1], 1000.0)
    none = CrossSpeaker.of(2, 0.0)
    assert none.real(source, reference) is source.features
    assert none.audio(source, reference) is source.audio
    assert none.condition(condition, reference) is condition
    alone = CrossSpeaker(2, 2)
    assert alone.real(source, None) is source.features
    assert alone.condition(condition, None) is condition
