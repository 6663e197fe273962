"""The speaker encoder that is cut out of Resemblyzer's."""

import pytest
import torch

from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.speaker_encoders.recurrent import RecurrentSpeakerEncoder
from lightning_voiceclone.testing.conformance import SpeakerEncoderConformance
from lightning_voiceclone.testing.signals import speech_like

SMALL = {"channels": 12, "width": 16, "layers": 2, "bands": 8, "piece": 20}


class TestRecurrentSpeakerEncoder(SpeakerEncoderConformance):
    part = RecurrentSpeakerEncoder
    arguments = {**SMALL, "piece": 8}  # an export writes each of its frames out


def small(**changes):
    torch.manual_seed(0)
    return RecurrentSpeakerEncoder(Dims(20), **{**SMALL, **changes}).eval()


@torch.no_grad()
def test_the_level_of_a_recording_does_not_change_its_embedding():
    encoder, x = small(), torch.randn(1, 20, 70) - 4
    torch.testing.assert_close(encoder(x + 1.5), encoder(x), rtol=0, atol=1e-4)


@torch.no_grad()
def test_silent_pieces_do_not_count():
    encoder, x = small(), torch.randn(1, 20, 60)
    quiet = torch.full((1, 20, 200), -11.5)
    told = encoder(torch.cat([x, quiet], 2))
    similarity = torch.nn.functional.cosine_similarity(told, encoder(x))
    assert similarity > 0.9


@torch.no_grad()
def test_pieces_overlap_by_half_and_cover_everything():
    pieces, weights = small()._pieces(torch.ones(2, 45, 8), torch.tensor([45, 20]))
    assert pieces.shape == (2, 4, 20, 8)  # from 0, 10, 20 and 30, of which the last ends in 5 frames of nothing
    assert pieces[0, 3, 15:].sum() == 0
    torch.testing.assert_close(weights[0], torch.ones(4))
    assert weights[1].tolist() == [1, 0, 0, 0]


@torch.no_grad()
def test_embeddings_have_a_mean_square_of_one_and_nothing_negative():
    told = small()(torch.randn(3, 20, 50))
    torch.testing.assert_close(told.square().mean(1), torch.ones(3), rtol=0, atol=1e-4)
    assert told.min() >= 0


@pytest.mark.parametrize(
    ("arguments", "words"), [({"piece": 21}, "piece is 21; it must be even"), ({"start": "x-vector"}, "resemblyzer")]
)
def test_values_that_cannot_work_are_named(arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        small(**arguments)


@pytest.mark.slow
@torch.no_grad()
def test_begun_from_resemblyzer_it_has_the_same_output():
    pytest.importorskip("resemblyzer", reason="the extra judges is not installed")
    from lightning_voiceclone.networks.speaker_encoders.resemblyzer import ResemblyzerSpeakerEncoder

    extractor, theirs = MelSpectrogram(), ResemblyzerSpeakerEncoder()
    ours = RecurrentSpeakerEncoder(Dims(80), start="resemblyzer").eval()
    for speaker in range(3):
        audio = torch.from_numpy(speech_like(4.0, speaker=speaker).audio)[None]
        similarity = torch.nn.functional.cosine_similarity(ours(extractor(audio)), theirs(audio))
        assert float(similarity) > 0.7
