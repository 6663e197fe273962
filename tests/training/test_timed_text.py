"""Tokens with durations: where silences go, and stretches between pauses."""

import torch

from lightning_voiceclone.networks.aligner import Interval
from lightning_voiceclone.text import inventory
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.training.timed_text import BREAK, COMMA, STOP, WORD, TimedText, cut, timed_text, with_breaks

RATE = 100.0


def timed(text, gaps, frames=400, first=0.3):
    """A text whose phonemes last 50 ms each, with silences (seconds) between the words."""
    said = FrontEnd().pronounce(text)
    at, times = first, []
    for word, gap in zip(said.words, [*gaps, 0.0], strict=True):
        times.append([Interval(at + 0.05 * i, at + 0.05 * (i + 1), 1.0) for i in range(len(word.phonemes))])
        at = times[-1][-1].end + gap
    return said, timed_text(said, times, frames, RATE)


def names(text):
    return [inventory.TOKENS[token] for token in text.tokens.tolist()]


def test_silences_become_boundaries_commas_and_full_stops():
    _, made = timed("she had your suit in water", [0.0, 0.05, 0.1, 0.6, 0.0])
    between = [(name, frames) for name, frames in zip(names(made), made.durations.tolist(), strict=True)
               if name not in inventory.PHONEMES]  # fmt: skip
    assert between == [(" ", 0), (" ", 5), (",", 10), (".", 60), (" ", 0), (".", 20)]
    assert made.start == 30


def test_marks_of_the_text_stay_and_keep_their_silence():
    said, made = timed("Well, she had? So", [0.0, 0.02, 0.3])
    assert [name for name in names(made) if name not in inventory.PHONEMES] == [",", " ", "?", "."]
    assert made.tokens[:-1].tolist() == said.tokens  # the last full stop is added
    assert made.stop - made.start == int(made.durations.sum())


def test_all_phonemes_are_there_in_order_with_their_frames():
    said, made = timed("she had your suit", [0.0, 0.2, 0.0])
    phonemes = [phoneme for word in said.words for phoneme in word.phonemes]
    assert [name for name in names(made) if name in inventory.PHONEMES] == phonemes
    spoken = made.tokens >= inventory.NUMBER[inventory.PHONEMES[0]]
    assert (made.durations[spoken] == 5).all()


def test_a_recording_that_ends_with_its_last_phoneme():
    said = FrontEnd().pronounce("a")
    made = timed_text(said, [[Interval(0.0, 0.5, 1.0)]], 50, RATE)
    assert made.durations.tolist() == [50, 0]
    assert made.tokens[-1] == STOP


def long_text():
    tokens = torch.tensor([20, 21, WORD, 22, COMMA, 23, 24, COMMA, 25, WORD, 26, 27, STOP])
    return TimedText(tokens, torch.tensor([10, 10, 0, 10, 10, 10, 10, 10, 10, 0, 10, 10, 10]), 7)


def test_stretches_lie_between_pauses():
    whole = long_text()
    found = set()
    for seed in range(40):
        torch.manual_seed(seed)
        part = cut(whole, 60)
        assert int(part.durations.sum()) <= 60
        begin = int((whole.durations.cumsum(0) - whole.durations + whole.start == part.start).nonzero()[-1])
        assert torch.equal(part.tokens, whole.tokens[begin : begin + len(part.tokens)])
        assert torch.equal(part.durations, whole.durations[begin : begin + len(part.tokens)])
        found.add((part.start - whole.start, int(part.durations.sum())))
    assert found == {(0, 40), (40, 30), (70, 40)}


def test_a_stretch_without_a_pause_ends_between_words():
    whole = TimedText(torch.tensor([20, 21, WORD, 22, WORD, 23, 24]), torch.tensor([10, 10, 2, 10, 0, 10, 10]), 0)
    for seed in range(20):
        torch.manual_seed(seed)
        part = cut(whole, 35)
        assert part.tokens[-1] != WORD
        assert part.tokens[0] != WORD
        assert int(part.durations.sum()) <= 35


def test_a_short_text_and_a_single_long_word_are_kept():
    whole = long_text()
    assert cut(whole, 110) is whole
    word = TimedText(torch.tensor([20, 21, STOP]), torch.tensor([80, 80, 20]), 0)
    assert torch.equal(cut(word, 60).tokens, word.tokens)


def test_some_pauses_become_breaks_but_never_the_last():
    torch.manual_seed(0)
    whole = TimedText(torch.tensor([20, COMMA] * 500), torch.tensor([5, 6] * 500), 0)
    made = with_breaks(whole)
    breaks = made.tokens == BREAK
    assert 30 <= int(breaks.sum()) <= 70
    assert made.tokens[-1] == COMMA
    assert torch.equal(made.tokens[~breaks], whole.tokens[~breaks])
    silent = TimedText(whole.tokens, torch.tensor([5, 0] * 500), 0)
    assert not (with_breaks(silent).tokens == BREAK).any()
