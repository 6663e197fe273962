"""Speaker prompts, several as one; what is exported takes a condition whole."""

import pytest
import torch

from lightning_voiceclone.core.conditions import Condition, SpeakerPrompt


def of_two():
    """References of 3 and 1 frames, padded to 3 with what must not be heard."""
    frames = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]], [[4.0, 40.0], [99.0, 99.0], [99.0, 99.0]]])
    return SpeakerPrompt(
        torch.tensor([3, 1]),
        speaker=torch.tensor([[1.0, 0.0], [5.0, 8.0]]),
        frames=frames,
        content=-frames.transpose(1, 2),
        register=torch.tensor([100.0, torch.nan]),
    )


def test_several_references_as_one_by_hand():
    one = of_two().together()
    assert one.lengths.tolist() == [4]
    assert one.speaker.tolist() == [[2.0, 2.0]]  # 3/4 of the first, 1/4 of the second
    assert one.frames.tolist() == [[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]]]
    assert one.content.tolist() == [[[-1.0, -2.0, -3.0, -4.0], [-10.0, -20.0, -30.0, -40.0]]]
    assert one.register.tolist() == [100.0]  # of those that are voiced


def test_one_reference_is_itself():
    single = of_two().rows(torch.tensor([0]))
    one = single.together()
    for name in ("lengths", "speaker", "frames", "content", "register"):
        assert torch.equal(getattr(one, name), getattr(single, name)), name


def test_the_register_is_a_median_and_nothing_voiced_is_none():
    def register(*hertz):
        return SpeakerPrompt(torch.ones(len(hertz)), register=torch.tensor(hertz)).together().register

    assert register(300.0, 100.0, 120.0).tolist() == [120.0]
    assert register(torch.nan, torch.nan).isnan().tolist() == [True]


@pytest.mark.parametrize(("lengths", "register"), [([300, 100], 180.0), ([100, 300], 90.0), ([301, 100, 200], 180.0)])
def test_the_register_is_that_of_the_longer_one_of_two(lengths, register):
    several = SpeakerPrompt(torch.tensor(lengths), register=torch.tensor([180.0, 90.0, torch.nan][: len(lengths)]))
    assert several.together().register.tolist() == [register]


def test_rows_are_taken_of_all_that_is_there_and_of_nothing_else():
    rows = of_two().rows(torch.tensor([1, 0, 1]))
    assert rows.lengths.tolist() == [1, 3, 1]
    assert rows.speaker[:, 0].tolist() == [5.0, 1.0, 5.0]
    assert rows.frames[:, 0, 0].tolist() == [4.0, 1.0, 4.0]
    assert rows.content[:, 1, 0].tolist() == [-40.0, -10.0, -40.0]
    assert rows.register.isnan().tolist() == [True, False, True]
    bare = SpeakerPrompt(torch.tensor([7, 8])).rows(torch.tensor([1]))
    assert bare == SpeakerPrompt(torch.tensor([8]))
    assert bare.together() == SpeakerPrompt(torch.tensor([8]))


def test_noise_is_on_the_embedding_alone_and_of_the_deviation_asked():
    wide = SpeakerPrompt(torch.tensor([3]), speaker=torch.zeros(1, 20000), frames=torch.zeros(1, 3, 2))
    torch.manual_seed(0)
    noisy = wide.with_noise(0.3)
    assert noisy.speaker.std().item() == pytest.approx(0.3, rel=0.02)
    assert noisy.frames is wide.frames
    assert not wide.speaker.any()
    torch.manual_seed(0)
    assert torch.equal(wide.with_noise(0.3).speaker, noisy.speaker)  # from torch's own state, so that resuming is exact
    assert wide.with_noise(0.0) is wide
    assert SpeakerPrompt(torch.tensor([3])).with_noise(0.3) == SpeakerPrompt(torch.tensor([3]))


class Louder(torch.nn.Module):
    """Of a condition, another; of a prompt, its frames."""

    def forward(self, condition, prompt):
        return condition.map(lambda value: value + 1), prompt.frames


@pytest.mark.slow
def test_what_is_exported_takes_and_gives_them_whole(tmp_path):
    prompt = of_two()
    condition = Condition(prompt.lengths, energy=torch.zeros(2, 3), speaker=prompt.speaker)
    exported = torch.export.export(Louder(), (condition, prompt))
    torch.export.save(exported, tmp_path / "louder.pt2")
    louder, frames = torch.export.load(tmp_path / "louder.pt2").module()(condition, prompt)
    assert isinstance(louder, Condition)
    assert louder.tensors().keys() == {"lengths", "energy", "speaker"}
    assert louder.lengths.tolist() == [4, 2]
    assert torch.equal(louder.speaker, prompt.speaker + 1)
    assert torch.equal(frames, prompt.frames)


def test_a_condition_without_a_field_is_not_that_with_it():
    lengths = torch.tensor([3])
    exported = torch.export.export(Louder(), (Condition(lengths), of_two())).module()
    with pytest.raises(ValueError, match="energy"):
        exported(Condition(lengths, energy=torch.zeros(1, 3)), of_two())


def test_detached_values_keep_their_numbers_and_lose_their_gradients():
    condition = Condition(torch.tensor([2]), content=torch.ones(1, 1, 2, requires_grad=True) * 3)
    detached = condition.detach()
    assert not detached.content.requires_grad
    assert torch.equal(detached.content, condition.content)
    assert detached.f0 is None
    assert condition.to("meta").content.is_meta
