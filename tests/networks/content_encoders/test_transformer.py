"""The content encoder that is cut out of Whisper's."""

import shutil
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from lightning_voiceclone.checkpoints.part_folder import load_part, save_part
from lightning_voiceclone.checkpoints.voice_folder import describe_voice, load_voice, save_voice
from lightning_voiceclone.core.interfaces import ContentEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content_encoders.transformer import TransformerContentEncoder
from lightning_voiceclone.networks.content_encoders.whisper import WhisperContentEncoder
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.testing.conformance import ContentEncoderConformance
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.whisper_files import HIDDEN, WIDTH, write_whisper
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.voice.model import VoiceModel

SMALL = {"channels": 6, "width": 64, "hidden": 16, "layers": 2, "core": 4, "edge": 2}
OF_WHISPER = {"channels": 6, "width": WIDTH, "hidden": HIDDEN, "layers": 1, "core": 40, "edge": 10}


class TestTransformerContentEncoder(ContentEncoderConformance):
    part = TransformerContentEncoder
    arguments = SMALL


class TestTransformerContentEncoderOfOneWindow(ContentEncoderConformance):
    part = TransformerContentEncoder
    arguments = {**SMALL, "core": 50, "layers": 1}


class TestTransformerContentEncoderWithoutEdges(ContentEncoderConformance):
    part = TransformerContentEncoder
    arguments = {**SMALL, "core": 7, "edge": 0}


def small(**changes):
    torch.manual_seed(0)
    return TransformerContentEncoder(Dims(20), **{**SMALL, **changes}).eval()


@pytest.mark.slow
@torch.no_grad()
def test_context_is_what_is_seen():
    encoder, x = small().double(), torch.randn(1, 20, 120, dtype=torch.float64)
    whole, left, right = encoder(x), 0, 0
    for frame in range(56, 64):  # wherever in a window
        moved = x.clone()
        moved[..., frame] += 5
        seen = (encoder(moved) - whole).abs().amax(1)[0].nonzero().flatten().tolist()
        assert seen == list(range(seen[0], seen[-1] + 1))
        assert (seen[0] % 4, seen[-1] % 4) == (0, 3)  # a window is changed as a whole
        if frame == 60:  # is heard by steps 29 to 31, which the windows of steps 24 to 35 see
            assert (seen[0], seen[-1]) == (24, 35)
        left, right = max(left, 2 * seen[-1] + 1 - frame), max(right, frame - 2 * seen[0])
    # The first step of a window sees 5 steps after it, and step s hears frames 2 s - 2 to 2 s + 3.
    assert (left, right) == (13, 13)
    assert encoder.context == Context(6, 6, grid=8)  # of whole windows: 2 steps after the last
    assert TransformerContentEncoder(Dims(80)).context == Context(66, 66, grid=256)


@torch.no_grad()
def test_windows_are_full_attention_within_them_step_by_step():
    encoder, x = small(), torch.randn(1, 22, 64)
    real = torch.arange(22) < 21
    together = encoder._attend(x, real[None])
    for step in range(21):
        begin = step // 4 * 4 - 2
        there = [place for place in range(begin, begin + 8) if 0 <= place < 21]
        window = x[:, there] + encoder.positions[[place - begin for place in there]]
        for block in encoder.blocks:
            window = block(window, None)
        torch.testing.assert_close(together[:, step], window[:, there.index(step)], rtol=0, atol=1e-5)


@torch.no_grad()
def test_one_window_gives_what_several_would():
    """A recording that fits into a core is not put into windows, and must not sound otherwise beside a longer one."""
    encoder, x = small(), torch.randn(2, 20, 8)
    longer = torch.cat([x, torch.randn(2, 20, 30)], 2)
    torch.testing.assert_close(encoder(longer, torch.tensor([8, 38]))[0, :, :4], encoder(x)[0], rtol=0, atol=1e-5)


@torch.no_grad()
def test_padding_beyond_whole_windows_is_finite_and_zero():
    encoder, x = small(), torch.randn(2, 20, 60)
    content = encoder(x, torch.tensor([60, 3]))
    assert content.isfinite().all()
    assert not content[1, :, 2:].any()
    assert content[1, :, :2].abs().min() > 0


@torch.no_grad()
def test_the_fitted_bottleneck_has_the_principal_components():
    encoder, x = small(channels=3), [torch.randn(2, 20, 200), torch.randn(1, 20, 100)]
    encoder.fit_statistics(x)
    hidden = torch.cat([encoder._hidden(part, None)[0].flatten(0, 1) for part in x])
    narrowed = encoder.leave(hidden).double()
    torch.testing.assert_close(narrowed.mean(0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-3)
    torch.testing.assert_close(torch.cov(narrowed.T), torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-3)
    # Torch's own decomposition finds as much variance in as many directions.
    directions = torch.linalg.svd((hidden - hidden.mean(0)).double(), full_matrices=False)[2][:3]
    ours = torch.nn.functional.normalize(encoder.leave.weight.double(), dim=1)
    torch.testing.assert_close((ours @ directions.T).square().sum(1), torch.ones(3, dtype=torch.float64))
    weight = encoder.leave.weight.clone()
    encoder.fit_statistics([torch.randn(1, 20, 100)])
    assert torch.equal(encoder.leave.weight, weight)  # once


@pytest.mark.slow
def test_an_odd_number_of_frames_ends_as_one_that_is_padded():
    encoder, x = small(), torch.randn(2, 20, 41)
    content = encoder(x, torch.tensor([41, 17]))
    assert content.shape == (2, 6, 21)
    assert not content[1, :, 9:].any()
    torch.testing.assert_close(content[1, :, :9], encoder(x[1:, :, :17])[0], rtol=0, atol=1e-5)


def test_content_has_the_norm_of_ones_in_every_frame():
    content = small(channels=48)(torch.randn(2, 20, 60))
    torch.testing.assert_close(content.square().sum(1), torch.full((2, 30), 48.0), rtol=1e-2, atol=0)
    torch.testing.assert_close(content.mean(1), torch.zeros(2, 30), rtol=0, atol=1e-5)


def test_frame_rate_is_half_of_the_features():
    assert TransformerContentEncoder(Dims(20, frame_rate=62.5), **SMALL).frame_rate == 31.25


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"width": 96}, "width is 96 .* must be a multiple of 64"),
        ({"edge": -1}, "edge is -1"),
        ({"core": 0}, "core is 0; it must be at least 1"),
        ({"layers": 0}, "layers is 0"),
        ({"channels": 0}, "channels is 0"),
        ({"channels": 65}, "channels is 65.* at most width, 64"),
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
        assert torch.equal(ours.get_parameter(name), weight), name
    x = torch.randn(2, 30, WIDTH)  # within a core
    placed = x + whisper.positions[10:40]
    told = encoder._attend(x, torch.ones(2, 30, dtype=torch.bool))
    torch.testing.assert_close(told, theirs(placed, None), rtol=1e-5, atol=1e-4)
    assert torch.equal(encoder.norm.weight, whisper.norm.weight)
    assert all(weight.requires_grad for weight in encoder.parameters())


@torch.no_grad()
def test_its_frames_are_half_a_frame_later_than_whispers(tmp_path):
    encoder, whisper = begun(tmp_path), WhisperContentEncoder(Dims(80), model=str(tmp_path))
    x = torch.randn(1, 80, 60)
    assert torch.equal(encoder.first(x), whisper.first(x))
    # Whisper's second convolution on frames, and on what lies half-way between two: the mean.
    whole = F.conv1d(x := encoder.first(x), whisper.second.weight, whisper.second.bias, padding=1)
    between = (whole[..., :-1] + whole[..., 1:]) / 2
    torch.testing.assert_close(encoder.second(x)[..., 1:-1], between[..., 2:-1:2], rtol=0, atol=1e-4)
    assert torch.equal(encoder.positions, whisper.positions[:60])


@pytest.mark.slow
@torch.no_grad()
def test_of_the_real_whisper_too():
    try:
        whisper = WhisperContentEncoder(Dims(80))
    except LVCError as error:
        pytest.skip(str(error))
    encoder = TransformerContentEncoder(Dims(80, frame_rate=100.0), layers=1, start="tiny.en").eval()
    assert torch.equal(encoder.blocks[0].joint.weight, whisper.blocks[0].joint.weight)
    # What it hears of speech, on its own features and its own grid, is nearly what Whisper hears.
    audio = torch.from_numpy(speech_like(2.0, seed=1).audio)[None]
    features = MelSpectrogram()(audio)
    encoder.leave, encoder.channels = torch.nn.Identity(), whisper.channels
    hidden = F.gelu(whisper.second(F.gelu(whisper.first(whisper._mel(audio)))))[..., :100].transpose(1, 2)
    theirs = whisper.norm(whisper.blocks[0](hidden + whisper.positions[32:132], None))
    ours = encoder(features)
    theirs = F.layer_norm(theirs, (whisper.channels,)).transpose(1, 2)
    assert F.cosine_similarity(ours, theirs, dim=1).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), [("width", 64), ("layers", 3), ("hidden", 16)])
def test_other_sizes_than_whispers_are_refused(tmp_path, name, value):
    theirs = {**OF_WHISPER, "layers": 2}[name]
    with pytest.raises(ConfigurationError, match=rf"has .*{name} {value}\b.*to start from has .*{name} {theirs}\b"):
        begun(tmp_path, **{name: value})


def test_longer_windows_than_whispers_positions_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"has .*positions 101,.* to start from has .*positions 100;"):
        begun(tmp_path, core=81)
    assert len(begun(tmp_path, core=80).positions) == 100


def test_other_bands_than_whispers_are_refused(tmp_path):
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
    assert again.weights_sha256


@pytest.mark.slow
@pytest.mark.parametrize("way", ["folder", "checkpoint"])
def test_a_voice_that_began_from_whisper_is_loaded_without_it(tmp_path, way):
    (tmp_path / "whisper").mkdir()
    extractor, encoder = MelSpectrogram(), begun(tmp_path / "whisper")
    voice = VoiceModel(extractor, ConvGenerator(Dims(80, content=6), width=8, layers=1), GriffinLim(extractor.spec),
                  content_encoder=encoder).eval()  # fmt: skip
    voice.normalizer.fit([torch.randn(1, 80, 30)])
    with torch.no_grad():
        encoder.leave.weight.mul_(2)  # trained since
    if way == "folder":
        save_voice(voice, path := tmp_path / "voice")
    else:
        state = {f"voice.{name}": weight for name, weight in voice.state_dict().items()}
        torch.save({"voice": describe_voice(voice), "state_dict": state}, path := tmp_path / "voice.ckpt")
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
    with pytest.raises(ConfigurationError, match="core is 5 but 4 in the pretrained weights"):
        make(**{**SMALL, "core": 5})


def test_other_weights_that_ship_are_loaded_by_name(tmp_path, monkeypatch):
    encoder = TransformerContentEncoder(Dims(80, frame_rate=100.0), channels=192, layers=4, pretrained="content_wide")
    assert encoder.weights_sha256
    assert not any(weight.requires_grad for weight in encoder.parameters())
    monkeypatch.chdir(tmp_path)
    save_part(small(), MelSpectrogram(n_mels=20).spec, tmp_path / "content_wide")
    assert small(pretrained="content_wide").core == SMALL["core"]  # a folder that is there comes first
    with pytest.raises(LVCError, match="content_wider"):
        small(pretrained="content_wider")
