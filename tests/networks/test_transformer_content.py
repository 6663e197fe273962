"""The content encoder that is cut out of Whisper's."""

import shutil
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.interfaces import ContentEncoder
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.transformer_content import TransformerContentEncoder
from lightning_voiceclone.networks.whisper import WhisperContentEncoder
from lightning_voiceclone.parts import Dims
from lightning_voiceclone.storage import load_voice, save_voice
from lightning_voiceclone.testing.conformance import ContentEncoderConformance
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.whisper_files import HIDDEN, WIDTH, write_whisper
from lightning_voiceclone.trained import load_part, save_part
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.voice import Voice

SMALL = {"channels": 6, "width": 12, "hidden": 16, "layers": 2, "heads": 3, "reach": 4}
OF_WHISPER = {"channels": 6, "width": WIDTH, "hidden": HIDDEN, "layers": 1, "heads": 2, "reach": 40}


class TestTransformerContentEncoder(ContentEncoderConformance):
    part = TransformerContentEncoder
    arguments = SMALL


class TestTransformerContentEncoderOfLongReach(ContentEncoderConformance):
    part = TransformerContentEncoder
    arguments = {**SMALL, "reach": 50, "layers": 1}


def small(**changes):
    torch.manual_seed(0)
    return TransformerContentEncoder(Dims(20), **{**SMALL, **changes}).eval()


def test_context_is_what_is_seen_rounded_up_to_whole_steps():
    encoder, x = small(), torch.randn(1, 20, 120, dtype=torch.float64)
    encoder.double()
    moved = x.clone()
    moved[..., 60] += 5
    seen = (encoder(moved) - encoder(x)).abs().amax(1)[0].nonzero().flatten().tolist()
    # Step s hears frames 2 s - 2 to 2 s + 3, and two blocks 8 steps more to either side.
    assert seen == list(range(29 - 8, 31 + 8 + 1))
    assert encoder.context == (2 * 2 * 4 + 4, 2 * 2 * 4 + 4)
    left = 60 - 2 * seen[0]  # frames that the first of them sees to its right, the last one to its left
    right = 2 * seen[-1] + 1 - 60
    assert max(left, right) <= encoder.context[0] < max(left, right) + 2


@pytest.mark.parametrize("begin", [0, 2, 50, 58])
def test_chunks_that_begin_at_even_frames_give_what_the_whole_gives(begin):
    encoder, x = small(), torch.randn(1, 20, 121)
    reach, whole = encoder.context[0], encoder(x)
    first = max(begin - reach, 0)
    chunk = encoder(x[..., first : begin + 30 + reach])[..., (begin - first) // 2 :][..., :15]
    torch.testing.assert_close(chunk, whole[..., begin // 2 : begin // 2 + 15], rtol=0, atol=1e-5)


def test_an_odd_number_of_frames_ends_as_one_that_is_padded():
    encoder, x = small(), torch.randn(2, 20, 41)
    content = encoder(x, torch.tensor([41, 17]))
    assert content.shape == (2, 6, 21)
    assert not content[1, :, 9:].any()
    torch.testing.assert_close(content[1, :, :9], encoder(x[1:, :, :17])[0], rtol=0, atol=1e-5)


def test_content_has_the_norm_of_ones_in_every_frame():
    content = small(channels=96)(torch.randn(2, 20, 60))
    torch.testing.assert_close(content.square().sum(1), torch.full((2, 30), 96.0), rtol=1e-2, atol=0)
    torch.testing.assert_close(content.mean(1), torch.zeros(2, 30), rtol=0, atol=1e-5)


def test_frame_rate_is_half_of_the_features():
    assert TransformerContentEncoder(Dims(20, frame_rate=62.5), **SMALL).frame_rate == 31.25


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"heads": 5}, "width is 12, which 5 heads do not divide"),
        ({"reach": 0}, "reach is 0; it must be at least 1"),
        ({"layers": 0}, "layers is 0"),
        ({"channels": 0}, "channels is 0"),
    ],
)
def test_values_that_cannot_work_are_named(arguments, told):
    with pytest.raises(ConfigurationError, match=told):
        small(**arguments)


# Begun from Whisper ---------------------------------------------------------------------------------------------------


def begun(folder, **changes):
    torch.manual_seed(0)
    return TransformerContentEncoder(Dims(80), **{**OF_WHISPER, "start": write_whisper(folder), **changes}).eval()


@torch.no_grad()
def test_its_first_block_does_what_whispers_does(tmp_path):
    encoder, whisper = begun(tmp_path), WhisperContentEncoder(Dims(80), model=str(tmp_path))
    ours, theirs = encoder.blocks[0], whisper.blocks[0]
    for name, weight in theirs.state_dict(keep_vars=True).items():
        found = ours.get_parameter(f"attention.{name}" if name.split(".")[0] in ("joint", "out") else name)
        assert torch.equal(found, weight), name
    x = torch.randn(2, 30, WIDTH)  # all within the reach
    torch.testing.assert_close(ours(x, torch.ones(2, 30, 1)), theirs(x, None), rtol=1e-5, atol=1e-4)
    assert torch.equal(encoder.norm.weight, whisper.norm.weight)
    assert all(weight.requires_grad for weight in encoder.parameters())


@torch.no_grad()
def test_its_front_hears_half_a_frame_later_what_whispers_hears(tmp_path):
    encoder, whisper = begun(tmp_path), WhisperContentEncoder(Dims(80), model=str(tmp_path))
    x = torch.randn(1, 80, 60)
    assert torch.equal(encoder.first(x), whisper.first(x))
    # Whisper's second convolution on frames, and on what lies half-way between two: the mean.
    whole = F.conv1d(x := encoder.first(x), whisper.second.weight, whisper.second.bias, padding=1)
    between = (whole[..., :-1] + whole[..., 1:]) / 2
    torch.testing.assert_close(encoder.second(x)[..., 1:-1], between[..., 2:-1:2], rtol=0, atol=1e-4)
    torch.testing.assert_close(encoder.position, whisper.positions.mean(0))


@torch.no_grad()
def test_of_the_real_whisper_too():
    try:
        whisper = WhisperContentEncoder(Dims(80))
    except LVCError as error:
        pytest.skip(str(error))
    encoder = TransformerContentEncoder(Dims(80, frame_rate=100.0), layers=1, start="tiny.en").eval()
    assert torch.equal(encoder.blocks[0].attention.joint.weight, whisper.blocks[0].joint.weight)
    # What it hears of speech, on its own features and its own grid, is nearly what Whisper hears.
    audio = torch.from_numpy(speech_like(2.0, seed=1).audio)[None]
    features = MelSpectrogram()(audio)
    leave = torch.nn.Identity()
    encoder.blocks, encoder.norm, encoder.leave, encoder.channels = (
        torch.nn.ModuleList(),
        leave,
        leave,
        whisper.channels,
    )
    hidden = F.gelu(whisper.second(F.gelu(whisper.first(whisper._mel(audio)))))[..., :100].transpose(1, 2)
    theirs = F.layer_norm(hidden + whisper.positions[:128].mean(0), (whisper.channels,)).transpose(1, 2)
    assert F.cosine_similarity(encoder(features), theirs, dim=1).mean() > 0.9


@pytest.mark.parametrize(("name", "value"), [("width", 64), ("layers", 3), ("heads", 4), ("hidden", 16)])
def test_other_sizes_than_whispers_are_told(tmp_path, name, value):
    theirs = {**OF_WHISPER, "layers": 2}[name]
    with pytest.raises(ConfigurationError, match=rf"has .*{name} {value}\b.*to start from has .*{name} {theirs}\b"):
        begun(tmp_path, **{name: value})


def test_other_bands_than_whispers_are_told(tmp_path):
    with pytest.raises(ConfigurationError, match=r"has bands 20,.*to start from has bands 80,.*use 80 mel bands"):
        TransformerContentEncoder(Dims(20), **OF_WHISPER, start=write_whisper(tmp_path))


def test_a_taught_part_is_loaded_without_whisper(tmp_path):
    encoder, x = begun(tmp_path), torch.randn(1, 80, 30)
    save_part(encoder, MelSpectrogram().spec, tmp_path / "content")
    (tmp_path / "model.bin").unlink()
    taken = load_part(tmp_path / "content", "content_encoders")
    assert isinstance(taken, ContentEncoder)
    torch.testing.assert_close(taken(x), encoder(x))
    # Whoever names the trained weights need not have those that they began from.
    again = TransformerContentEncoder(Dims(80), **OF_WHISPER, start=str(tmp_path), pretrained=str(tmp_path / "content"))
    torch.testing.assert_close(again.eval()(x), encoder(x))
    assert again.frozen_sha256


@pytest.mark.parametrize("way", ["folder", "checkpoint"])
def test_a_voice_that_began_from_whisper_is_loaded_without_it(tmp_path, way):
    (tmp_path / "whisper").mkdir()
    extractor, encoder = MelSpectrogram(), begun(tmp_path / "whisper")
    voice = Voice(extractor, ConvGenerator(Dims(80, content=6), width=8, layers=1), GriffinLim(extractor.spec),
                  content_encoder=encoder).eval()  # fmt: skip
    voice.normalizer.fit([torch.randn(1, 80, 30)])
    with torch.no_grad():
        encoder.leave.weight.mul_(2)  # trained since
    if way == "folder":
        save_voice(voice, path := tmp_path / "voice")
    else:
        state = {f"voice.{name}": weight for name, weight in voice.state_dict().items()}
        torch.save({"voice": voice.description(), "state_dict": state}, path := tmp_path / "voice.ckpt")
    shutil.rmtree(tmp_path / "whisper")
    taken = load_voice(path)
    x = torch.randn(1, 80, 30)
    torch.testing.assert_close(taken.content_encoder(x), encoder(x))
    assert taken.content_encoder.blocks[0].expand.weight.shape == (HIDDEN, WIDTH)


def test_finetuned_weights_are_trained_and_fresh_ones_of_other_settings_refused(tmp_path):
    extractor = MelSpectrogram(n_mels=20)
    save_part(small(), extractor.spec, tmp_path / "content")
    make = partial(TransformerContentEncoder, Dims(20), pretrained=str(tmp_path / "content"))
    assert all(weight.requires_grad for weight in make(**SMALL, finetune=True).parameters())
    assert not any(weight.requires_grad for weight in make(**SMALL).parameters())
    with pytest.raises(ConfigurationError, match="reach is 5 but 4 in the pretrained weights"):
        make(**{**SMALL, "reach": 5})
