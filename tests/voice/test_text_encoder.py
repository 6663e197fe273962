"""A model with a text encoder: that it fits the content, and comes back from a folder."""

import pytest
import torch

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import SpecMismatchError
from lightning_voiceclone.testing.text_encoders import TableTextEncoder
from lightning_voiceclone.testing.voices import small_voice

DIMS = Dims(20, content=4, speaker=8, pitch=True, energy=True)


def test_it_comes_back_from_a_folder(tmp_path):
    voice = small_voice(DIMS, text_encoder=TableTextEncoder(DIMS))
    save_voice(voice, tmp_path / "voice")
    loaded = load_voice(tmp_path / "voice")
    tokens = torch.tensor([[40, 15, 1, 60, 5]])
    assert isinstance(loaded.text_encoder, TableTextEncoder)
    ours, theirs = (one.text_encoder(tokens, torch.tensor([5])) for one in (voice, loaded))
    assert torch.equal(ours.content, theirs.content)
    assert ours.content.shape == (1, 4, 35)


@pytest.mark.parametrize(
    ("dims", "words"),
    [(Dims(20, content=6), "channels of the content is 4 in the model but 6 in the text encoder TableTextEncoder"),
     (Dims(20, content=4, frame_rate=62.5), "frame_rate of the content is 100 in the model but 62.5")],
)  # fmt: skip
def test_one_for_other_content_is_refused(dims, words):
    with pytest.raises(SpecMismatchError, match=words):
        small_voice(DIMS, text_encoder=TableTextEncoder(dims))
