import pytest

pytest.importorskip("lvc_tacotron", reason="lvc-tacotron is not installed: pip install plugins/lvc-tacotron")

import torch
from lvc_tacotron.attention import distant, faults, middles, windows

from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.inventory import NUMBER, PHONEMES

SECONDS = 0.02  # of a step
TOKENS = torch.tensor(FrontEnd().pronounce("She had your suit.").tokens)  # SH IY1 _ HH AE1 D _ Y AO1 R _ S UW1 T .
HAD = 3  # its HH


def planted(*places, steps=5):
    """Attention (S, L) that is at each of the places in turn, for so many steps, with a little on its neighbours."""
    path = torch.tensor([place for place in places for _ in range(steps)])
    weights = 1 - distant(path[None], len(TOKENS), torch.tensor([0.4]))[0]
    return weights / weights.sum(1, keepdim=True)


def found(attention, ended=True):
    return faults(attention, TOKENS, ended=ended, seconds=SECONDS, phonemes=NUMBER[PHONEMES[0]])


ALL = range(len(TOKENS))


def test_attention_that_follows_the_text_has_no_fault():
    assert found(planted(*ALL)) == []
    assert found(planted(*ALL, steps=1)) == []
    assert found(planted(0, 1, *range(3, len(TOKENS)))) == []  # a boundary between words is no phoneme
    assert found(planted(*ALL, *[ALL[-1]] * 20)) == []  # a long pause at the end


def test_phonemes_that_are_skipped_are_named():
    assert found(planted(0, 1, 2, *range(7, len(TOKENS)))) == [
        "it skips HH (token 4 of 15) to D (token 6 of 15)",
    ]
    assert found(planted(*ALL[:HAD], *ALL[HAD + 1 :])) == ["it skips HH (token 4 of 15)"]


def test_a_repeat_has_its_place():
    (fault,) = found(planted(*range(6), *range(2, len(TOKENS))))
    assert fault == "it goes back from D (token 6 of 15) to the space (token 3 of 15) at 0.60 s"
    assert found(planted(*range(6), 4, *range(6, len(TOKENS)))) == []  # a step back of one token is none
    once = torch.cat([planted(*range(6)), planted(1, steps=2), planted(*range(6, len(TOKENS)))])
    assert found(once) == []  # for 40 ms


def test_no_end_an_early_end_and_a_stop_on_the_way():
    assert found(planted(*ALL), ended=False) == ["no end is predicted within 1.50 s"]
    assert found(planted(*ALL[:-3])) == ["it ends before UW1 (token 13 of 15)"]
    (fault,) = found(planted(*ALL[:5], *[4] * 10, *ALL[5:]))
    assert fault == "it stays at AE1 (token 5 of 15) for 1.10 s"


def test_even_attention_is_refused():
    assert found(torch.full((75, len(TOKENS)), 1 / len(TOKENS)))[0].startswith("it ends before SH (token 1 of 15)")


def test_the_path_of_durations_and_the_cost_beside_it():
    durations = torch.tensor([[2, 4, 0, 2], [1, 1, 0, 0]])
    path = middles(durations, 2)
    assert path[0].tolist() == [0, 1, 1, 3]
    assert path[1, 0].tolist() == 1
    cost = distant(path, 4, torch.tensor([2.0, 1.0]))
    assert cost.shape == (2, 4, 4)
    assert float(cost[0, 1, 1]) == 0
    torch.testing.assert_close(cost[0, 1, 3], torch.tensor(1 - torch.e ** (-4 / 8)))


def test_windows_follow_durations_and_end_with_the_last_token():
    durations = torch.tensor([[4, 4, 0, 4], [4, 2, 0, 0]])
    allowed = windows(durations, torch.tensor([4, 2]), 2, 0)
    assert allowed.shape == (2, 6, 4)
    assert allowed.any(2).all()
    assert allowed[0, 0].tolist() == [True, False, False, False]
    assert allowed[0, 3].tolist() == [False, True, False, False]
    assert allowed[0, 4].tolist() == [False, True, True, True]  # the second ends here, and the third has no frames
    assert allowed[1, 4].tolist() == [False, True, False, False]
    assert windows(durations, torch.tensor([4, 2]), 2, 2)[0, 1].tolist() == [True, True, False, False]
