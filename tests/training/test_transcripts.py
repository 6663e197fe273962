"""Transcripts: their characters, the CTC loss over rows that have one, and a head that learns to spell."""

import pytest
import torch
from torch.nn import functional as F

from lightning_voiceclone.training.transcripts import SYMBOLS, TranscriptHead, spelled


@pytest.mark.parametrize(
    ("text", "letters"),
    [("Café, isn\u2019t it?", "cafe isn't it"), ("  A  B\n", "a b"), ("well-known", "well known"), ("", ""),
     ("room 12", ""), ("добрый", ""), ("...", "")],
)  # fmt: skip
def test_a_transcript_is_spelled_in_plain_letters_or_not_at_all(text, letters):
    assert "".join(SYMBOLS[symbol - 1] for symbol in spelled(text)) == letters


def test_the_loss_is_that_of_the_rows_with_a_transcript_that_fits():
    torch.manual_seed(0)
    head = TranscriptHead(8, width=16).eval()
    content, lengths = torch.randn(4, 8, 12), torch.tensor([12, 10, 12, 2])
    loss = head.loss(content, lengths, ["hello", "", "ab", "too long"])
    nats = [F.ctc_loss(head(content[[row]]).transpose(0, 1), torch.tensor([spelled(text)]), [12], [len(text)],
                       reduction="sum") for row, text in ((0, "hello"), (2, "ab"))]  # fmt: skip
    assert loss.mean().item() == pytest.approx(sum(nats).item() / 7, rel=1e-5)
    assert loss.values.tolist() == pytest.approx([nats[0].item() / 5, 0, nats[1].item() / 2, 0], rel=1e-5)
    assert loss.weights.tolist() == [5, 0, 2, 0]
    assert head.loss(content, lengths, ["", "", "4", "too long"]) is None
    # "aa" takes three steps: a blank is between.
    assert head.loss(content[:1], torch.tensor([2]), ["aa"]) is None
    assert head.loss(content[:1], torch.tensor([3]), ["aa"]).mean().isfinite()


@pytest.mark.slow
def test_a_head_learns_to_spell():
    torch.manual_seed(0)
    sounds = torch.randn(3, 8)
    words = {"aab": [0, 0, 0, 2, 0, 0, 1, 1], "ba": [1, 1, 2, 2, 0, 0, 0, 2]}
    content = torch.stack([sounds[steps].T for steps in words.values()])
    head, lengths = TranscriptHead(8, width=32), torch.tensor([8, 8])
    optimizer = torch.optim.AdamW(head.parameters(), 1e-2)
    for _ in range(60):
        loss = head.loss(content, lengths, list(words)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    best = [row.unique_consecutive() for row in head.eval()(content).argmax(2)]
    assert ["".join(SYMBOLS[i - 1] for i in row if i) for row in best] == list(words)
