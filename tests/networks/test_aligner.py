"""Times of phonemes: the best path against all paths, and training from even times on frames of known ones."""

import itertools

import pytest
import torch
from safetensors.torch import save_file

from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.networks.aligner import (
    CLASSES,
    PhonemeAligner,
    aligner_frames,
    best_path,
    classes,
    even_labels,
    load_aligner,
    new_aligner,
)

CHANNELS = 24


def made(seed, count=12):
    """Recordings of words of five phonemes: content of a mean for each class with noise, and the true times."""
    draw = torch.Generator().manual_seed(seed)
    means = 2 * torch.randn(len(CLASSES), CHANNELS, generator=torch.Generator().manual_seed(0))
    kinds = ["AA", "B", "S", "IY", "T", "N"]
    found = []
    for _ in range(count):
        words, labels, starts = [], [0] * int(torch.randint(3, 20, (), generator=draw)), []
        for _ in range(6):
            word = [kinds[i] for i in torch.randint(len(kinds), (5,), generator=draw)]
            word = [a for a, b in itertools.pairwise([*word, None]) if a != b]
            words.append([phoneme + "1" if phoneme in ("AA", "IY") else phoneme for phoneme in word])
            for kind in classes(word):
                starts.append(len(labels))
                labels += [kind] * int(torch.randint(2, 9, (), generator=draw))
            labels += [0] * int(torch.randint(0, 2, (), generator=draw)) * 8
        labels += [0] * 5
        content = means[torch.tensor(labels)] + torch.randn(len(labels), CHANNELS, generator=draw)
        found.append((content.T, words, starts))
    return found


@pytest.mark.slow
def test_training_from_even_times_finds_the_true_ones():
    aligner = PhonemeAligner(CHANNELS, frame_rate=50, side=1)
    data = [(content, words) for content, words, _ in made(1)]
    scores = [aligner.fit(data, even=at == 0) for at in range(8)]
    assert scores[0] == 0
    assert scores[-1] > scores[1]
    off = []
    for content, words, starts in made(2):
        found = aligner.align(content, words)
        assert [len(word) for word in found] == [len(word) for word in words]
        times = [one for word in found for one in word]
        assert all(a.start < a.end <= b.start for a, b in itertools.pairwise(times))
        assert all(0 <= one.score <= 1 for one in times)
        off += [abs(one.start - start / 50) for one, start in zip(times, starts, strict=True)]
    assert torch.tensor(off).median() <= 0.02
    assert torch.tensor(off).quantile(0.95) <= 0.04 + 1e-6


def score_of(scores, path):
    return sum(float(scores[frame, kind]) for frame, kind in enumerate(path))


@pytest.mark.parametrize("seed", range(5))
def test_the_path_is_the_best_of_all(seed):
    """Every way of giving 6 frames to B AA, N with silences at the ends and between the words."""
    scores = torch.randn(6, len(CLASSES), generator=torch.Generator().manual_seed(seed)).log_softmax(1)
    kinds = [0, *classes(["B", "AA1"]), 0, *classes(["N"]), 0]
    paths = []
    for sizes in itertools.product(range(7), repeat=6):
        if sum(sizes) == 6 and all(sizes[at] for at in (1, 2, 4)):
            paths.append([kind for kind, size in zip(kinds, sizes, strict=True) for _ in range(size)])
    best = max(score_of(scores, path) for path in paths)
    frames = [0] * 6
    for kind, first, last in best_path(scores, [["B", "AA1"], ["N"]]):
        frames[first:last] = [kind] * (last - first)
    assert score_of(scores, frames) == pytest.approx(best, abs=1e-5)


def test_no_silence_within_a_word():
    scores = torch.full((9, len(CLASSES)), -9.0)
    b, n = classes(["B", "N"])
    for frame, kind in enumerate([0, b, b, 0, 0, n, n, n, 0]):
        scores[frame, kind] = 0
    (_, first, last), (_, second, end) = best_path(scores, [["B"], ["N"]])
    assert (first, last, second, end) == (1, 3, 5, 8)
    (_, first, last), (_, second, end) = best_path(scores, [["B", "N"]])
    assert (first, end, last) == (1, 8, second)


def test_as_many_frames_as_phonemes_are_enough_and_fewer_are_refused():
    scores = torch.zeros(3, len(CLASSES))
    assert [path[1:] for path in best_path(scores, [["B", "AA1", "B"]])] == [(0, 1), (1, 2), (2, 3)]
    with pytest.raises(RecordingError, match="3 frames for 4 phonemes"):
        best_path(scores, [["B", "AA1"], ["B", "B"]])
    with pytest.raises(RecordingError, match="for 0 phonemes"):
        best_path(scores, [])
    with pytest.raises(RecordingError, match="not finite"):
        best_path(scores * float("nan"), [["B"]])


def test_a_class_that_was_never_seen_is_taken_only_where_the_text_demands_it():
    content = torch.randn(CHANNELS, 12, generator=torch.Generator().manual_seed(0))
    aligner = PhonemeAligner(CHANNELS, frame_rate=50, side=0)
    aligner.fit([(content, [["B", "AA1"]])], even=True)
    probabilities = aligner(content).exp()
    seen = [0, *classes(["B", "AA"])]
    assert torch.allclose(probabilities[:, seen].sum(1), torch.ones(12), atol=1e-5)
    ((b, zh),) = aligner.align(content, [["B", "ZH"]])
    assert (zh.start, zh.score) == (b.end, 0)
    assert zh.end - zh.start == pytest.approx(0.04)  # 30 ms at least, in whole frames


def test_a_phoneme_has_its_shortest_duration_where_there_is_time_for_it():
    scores = torch.full((20, len(CLASSES)), -9.0)
    b, n = classes(["B", "N"])
    scores[:, b] = 0
    scores[10, [b, n]] = torch.tensor([-9.0, 0.0])  # a single frame suggests N
    paths = {
        shortest: [path[1:] for path in best_path(scores, [["B", "N", "B"]], shortest)] for shortest in (1, 3, 6, 99)
    }
    assert paths[1][1] == (10, 11)
    assert all(paths[size][1][1] - paths[size][1][0] == size for size in (3, 6))
    assert min(last - first for first, last in paths[99]) == 6  # 20 frames for three


def test_an_aligner_is_loaded_from_its_file_alone(tmp_path):
    aligner = new_aligner(CHANNELS, 100.0)
    aligner.fit([(content, words) for content, words, _ in made(1, 2)], even=True)
    save_file(aligner.state_dict(), tmp_path / "aligner.safetensors")
    content = made(3, 1)[0][0]
    assert torch.equal(load_aligner(tmp_path / "aligner.safetensors")(content), aligner(content))
    (tmp_path / "bad").write_bytes(b"nothing")
    for name in ("bad", "missing"):
        with pytest.raises(ConfigurationError, match=f"{name} is no trained aligner"):
            load_aligner(tmp_path / name)


def test_frames_of_an_aligner_do_not_depend_on_the_level():
    content, mel = torch.randn(4, 9), torch.randn(3, 9)
    frames = aligner_frames(content, mel)
    assert frames.shape == (7, 9)
    torch.testing.assert_close(aligner_frames(content, mel + 5), frames)


def test_even_labels_and_settings():
    assert even_labels(8, [["B"], ["N"]]).tolist() == [0, 0, *classes(["B", "B"]), *classes(["N", "N"]), 0, 0]
    with pytest.raises(ConfigurationError, match="channels is 0"):
        PhonemeAligner(0, frame_rate=50)
