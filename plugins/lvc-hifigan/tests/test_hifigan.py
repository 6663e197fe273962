import pytest

lvc_hifigan = pytest.importorskip("lvc_hifigan", reason="lvc-hifigan is not installed: pip install plugins/lvc-hifigan")

import copy  # noqa: E402 - after the skip
import dataclasses  # noqa: E402
import inspect  # noqa: E402
import math  # noqa: E402

import torch  # noqa: E402
from lvc_hifigan.vocoder import VERSIONS, HiFiGAN, upsampling_rates  # noqa: E402

from lightning_voiceclone.checkpoints.part_folder import save_part  # noqa: E402
from lightning_voiceclone.checkpoints.vocoder_choice import load_vocoder  # noqa: E402
from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice  # noqa: E402
from lightning_voiceclone.core.part import Dims, describe  # noqa: E402
from lightning_voiceclone.errors import ConfigurationError  # noqa: E402
from lightning_voiceclone.features.spectral import MelSpectrogram  # noqa: E402
from lightning_voiceclone.losses.mel import MultiResolutionMelLoss  # noqa: E402
from lightning_voiceclone.networks.generators.mlp import MLPGenerator  # noqa: E402
from lightning_voiceclone.testing import VocoderConformance, speech_like  # noqa: E402
from lightning_voiceclone.vocoders.vocos import Vocos  # noqa: E402
from lightning_voiceclone.voice.model import VoiceModel  # noqa: E402

SPEC = MelSpectrogram().spec


@pytest.mark.slow
class TestHiFiGANV1(VocoderConformance):  # and V2, which differs from it in the channels alone
    part = HiFiGAN
    arguments = {"channels": 32}

    def extractor(self):
        return MelSpectrogram()


class TestHiFiGANV3(TestHiFiGANV1):
    arguments = {"version": "v3", "channels": 32}

    def extractor(self):
        return MelSpectrogram(n_fft=1024, hop_length=256)


@pytest.mark.slow
class TestHiFiGANOfOddRates(TestHiFiGANV1):
    arguments = {"upsample_rates": [15, 11], "channels": 16}

    def extractor(self):
        return MelSpectrogram(hop_length=165)


@pytest.mark.slow
@pytest.mark.parametrize(("version", "millions"), [("v1", 13.0), ("v2", 0.92), ("v3", 1.46)])
def test_sizes_are_about_the_papers(version, millions):
    # Table 1: 13.92, 0.92 and 1.46 M for 22 kHz, whose first upsamplings have kernels of 16 rather than 10 and 8.
    size = sum(p.numel() for p in HiFiGAN(SPEC, version=version).parameters()) / 1e6
    assert size == pytest.approx(millions, rel=0.1)


def test_the_second_version_differs_from_the_first_in_its_channels_alone():
    first, second = (dataclasses.asdict(VERSIONS[name]) for name in ("v1", "v2"))
    assert {name for name in first if first[name] != second[name]} == {"width"}


@pytest.mark.parametrize(
    ("hop", "stages", "rates"),
    [(160, 4, [5, 4, 4, 2]), (160, 3, [8, 5, 4]), (256, 4, [4, 4, 4, 4]), (300, 4, [5, 5, 4, 3]), (161, 4, [23, 7])],
)
def test_rates_divide_the_hop(hop, stages, rates):
    assert upsampling_rates(hop, stages) == rates
    assert math.prod(rates) == hop


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{"version": "v1"}, {"version": "v3"}, {"upsample_rates": [5, 32]}])
def test_context_is_exact(arguments):
    torch.manual_seed(0)
    vocoder = HiFiGAN(SPEC, channels=16, **arguments).double()
    left, right = vocoder.context.left, vocoder.context.right
    features = torch.randn(1, SPEC.channels, left + right + 11, dtype=torch.float64, requires_grad=True)
    frame = left + 5
    vocoder(features)[0, frame * SPEC.hop_length : (frame + 1) * SPEC.hop_length].sum().backward()
    heard = features.grad.abs().sum((0, 1)).nonzero()[:, 0]
    assert (frame - int(heard.min()), int(heard.max()) - frame) == (left, right)


@pytest.mark.slow
def test_fused_weights_give_the_same_at_full_size():
    torch.manual_seed(0)
    plain = HiFiGAN(SPEC).eval()
    folded = copy.deepcopy(plain)
    folded.fuse()
    features = torch.randn(1, SPEC.channels, 50)
    with torch.inference_mode():
        expected, actual = plain(features), folded(features)
    assert 0.01 < expected.std() < 0.5
    assert (actual - expected).abs().max() < 1e-5


@pytest.mark.slow
def test_other_weights_drop_what_was_folded():
    torch.manual_seed(0)
    first, second = (HiFiGAN(SPEC, channels=16).eval() for _ in range(2))
    features = torch.randn(1, SPEC.channels, 5)
    first.fuse()
    first.load_state_dict(second.state_dict())
    assert torch.equal(first(features), second(features))


def test_training_moves_every_weight_after_inference():
    torch.manual_seed(0)
    vocoder = HiFiGAN(SPEC, channels=16).eval()
    vocoder.fuse()
    vocoder.train()
    vocoder(torch.randn(1, SPEC.channels, 40)).square().mean().backward()
    assert [name for name, weight in vocoder.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_settings_are_not_taken_over_from_the_default_vocoder():
    """A class that replaces another on the command line keeps what both have: nothing must mean two things."""
    shared = inspect.signature(HiFiGAN).parameters.keys() & inspect.signature(Vocos).parameters.keys()
    assert shared == {"spec", "pretrained", "finetune"}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_fresh_weights_are_used(version):
    """Below the floor of a mel loss no gradient comes back."""
    torch.manual_seed(0)
    with torch.inference_mode():
        assert 0.01 < HiFiGAN(SPEC, version=version)(torch.randn(1, SPEC.channels, 20)).std() < 0.3


@pytest.mark.slow
def test_output_has_the_features_own_precision_under_autocast():
    vocoder = HiFiGAN(MelSpectrogram().spec, version="v2")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert vocoder(torch.randn(1, 80, 8)).dtype == torch.float32


@pytest.mark.slow
def test_learns_one_utterance():
    torch.manual_seed(0)
    mel, loss = MelSpectrogram(), MultiResolutionMelLoss(SPEC.sample_rate)
    audio = torch.from_numpy(speech_like(0.3).audio)[None]
    features = mel(audio)
    vocoder = HiFiGAN(SPEC, version="v2", channels=32)
    vocoder.fit_statistics([features])
    optimizer = torch.optim.Adam(vocoder.parameters(), lr=3e-3)
    distances = []
    for _ in range(40):
        distance = loss(vocoder(features), audio).mean()
        optimizer.zero_grad()
        distance.backward()
        optimizer.step()
        distances.append(distance.item())
    assert distances[-1] < 0.6 * distances[0]


def test_description_names_the_package():
    assert describe(HiFiGAN(SPEC, channels=16))["package"] == "lvc-hifigan"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"version": "v4"}, "version is 'v4'"),
        ({"upsample_rates": [8, 8]}, r"\[8, 8\], whose product is 64, but the features' hop is 160"),
        ({"channels": 8}, r"channels / 2 \*\* 4 is 0"),
    ],
)
def test_bad_settings_are_reported(settings, told):
    with pytest.raises(ConfigurationError, match=told):
        HiFiGAN(SPEC, **settings)


@pytest.mark.slow
def test_what_is_loaded_for_inference_is_fused(tmp_path):
    torch.manual_seed(0)
    vocoder = HiFiGAN(SPEC, channels=16).eval()
    features = torch.randn(1, SPEC.channels, 12)
    save_part(vocoder, vocoder.spec, tmp_path / "vocoder")
    loaded = load_vocoder(tmp_path / "vocoder")
    assert loaded.enter.folded is not None
    assert (loaded(features) - vocoder(features)).abs().max() < 1e-5
    save_part(loaded, loaded.spec, tmp_path / "again")  # what is folded is not written
    assert torch.equal(load_vocoder(tmp_path / "again")(features), loaded(features))


@pytest.mark.slow
def test_a_model_that_is_loaded_for_inference_is_fused(tmp_path):
    torch.manual_seed(0)
    voice = VoiceModel(
        MelSpectrogram(), MLPGenerator(Dims(SPEC.channels, noise=2)), HiFiGAN(SPEC, channels=16), noise=2
    )
    save_voice(voice, tmp_path / "voice")
    assert load_voice(tmp_path / "voice").vocoder.enter.folded is not None
