import pytest

lvc_wavenet = pytest.importorskip("lvc_wavenet", reason="lvc-wavenet is not installed: pip install plugins/lvc-wavenet")

import inspect  # noqa: E402 - after the skip
import math  # noqa: E402
import time  # noqa: E402

import torch  # noqa: E402
from lvc_wavenet.generation import generate, generate_naively, in_double, pick  # noqa: E402
from lvc_wavenet.network import CLASSES, SILENCE, before, to_samples  # noqa: E402
from lvc_wavenet.vocoder import WaveNet, to_audio  # noqa: E402

from lightning_voiceclone.core.part import describe  # noqa: E402
from lightning_voiceclone.core.streaming import Context  # noqa: E402
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError  # noqa: E402
from lightning_voiceclone.features.spectral import MelSpectrogram  # noqa: E402
from lightning_voiceclone.testing import VocoderConformance, speech_like  # noqa: E402
from lightning_voiceclone.vocoders.vocos import Vocos  # noqa: E402

MEL = MelSpectrogram()
SMALL = {"channels": 8, "skip": 8, "condition": 8, "cycle_layers": 3, "cycles": 2}


def small(**settings):
    torch.manual_seed(0)
    return WaveNet(MEL.spec, **{**SMALL, **settings}).eval()


def recording(seconds=0.5):
    return torch.from_numpy(speech_like(seconds).audio)[None]


@pytest.mark.slow
class TestWaveNet(VocoderConformance):
    part = WaveNet
    arguments = SMALL
    seconds = 0.1

    def extractor(self):
        return MelSpectrogram()


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"cycles": 1, "cycle_layers": 4}, {"channels": 5, "skip": 3}])
@torch.no_grad()
def test_cached_equals_naive(settings):
    vocoder = small(**settings)
    network, features = in_double(vocoder.network), torch.randn(2, MEL.spec.channels, 11).double()
    draws = vocoder.draws(11 * 160)
    fast = generate(network, features, 160, draws)
    assert torch.equal(fast[:, :300], generate_naively(network, features, 160, draws[:300]))


@pytest.mark.slow
@torch.no_grad()
def test_generation_follows_the_distribution_that_training_sees():
    """Run over what was spoken, the network that trains gives each sample the class that was drawn."""
    vocoder = small()
    network, features = in_double(vocoder.network), torch.randn(2, MEL.spec.channels, 10).double()
    draws = vocoder.draws(1600)
    spoken = generate(network, features, 160, draws)
    logits = network(before(spoken), network.of_frames(features))
    redrawn = [pick(logits[..., index], draws[index : index + 1]) for index in range(1600)]
    assert torch.equal(torch.stack(redrawn, 1), spoken)
    assert len(spoken.unique()) > 100


@pytest.mark.slow
@torch.no_grad()
def test_cached_is_many_times_faster_than_naive():
    vocoder = small(cycle_layers=10, cycles=1)
    network, features = in_double(vocoder.network), torch.randn(1, MEL.spec.channels, 13).double()
    draws = vocoder.draws(13 * 160)
    generate(network, features[..., :1], 160, draws)
    start = time.perf_counter()
    generate(network, features, 160, draws)
    fast = (time.perf_counter() - start) / len(draws)
    classes = torch.full((1, network.receptive_field), SILENCE)
    conditions = to_samples(network.of_frames(features), 2080)[..., : classes.shape[1]]
    start = time.perf_counter()
    for _ in range(5):
        network(classes, conditions)
    # A loose bound for a tiny network on a busy machine; benchmarks/vocoder_speed.py takes the real one.
    assert (time.perf_counter() - start) / 5 > 2 * fast


@pytest.mark.slow
def test_chunks_of_any_size_and_rows_apart_give_the_same_samples():
    vocoder, features = small(), MEL(torch.cat([recording(0.2), recording(0.2).flip(1)]))
    whole, state, begin, spoken = vocoder(features), vocoder.init_state(2), 0, []
    for size in (1, 2, 9, 8):
        end = min(begin + size + 5, 20)
        audio, state = vocoder.forward_chunk(features[..., begin:end], state, ahead=end - begin - size)
        spoken.append(audio)
        begin += size
        if begin == 3:
            first = {name: value[:1] for name, value in state.items()}
    assert begin == 20
    assert torch.equal(torch.cat(spoken, 1), whole)
    assert torch.equal(vocoder.forward_chunk(features[:1, :, 3:], first)[0], whole[:1, 3 * 160 :])
    with pytest.raises(ConfigurationError, match="5 frames of which 5 are ahead"):
        vocoder.forward_chunk(features[..., :5], state, ahead=5)


@pytest.mark.slow
def test_draws_begin_anew_and_follow_the_seed():
    features = MEL(recording(0.1))
    first = small()(features)
    torch.manual_seed(7)
    before_call = torch.get_rng_state()
    assert torch.equal(small()(features), first)
    other = small(seed=1)
    torch.set_rng_state(before_call)
    assert not torch.equal(other(features), first)
    assert torch.equal(torch.get_rng_state(), before_call)


def test_no_sample_depends_on_later_ones():
    vocoder = small()
    network = vocoder.network
    classes = torch.randint(CLASSES, (1, 320))
    conditions = network.of_frames(torch.randn(1, MEL.spec.channels, 2))
    logits = network(before(classes), conditions)
    changed = classes.clone()
    changed[0, 200] = (changed[0, 200] + 9) % CLASSES
    differ = (network(before(changed), conditions) - logits).abs().sum(1)[0] > 0
    assert not differ[:201].any()
    assert differ[201 : 200 + network.receptive_field + 1].any()
    assert not differ[200 + network.receptive_field + 1 :].any()


def test_receptive_field_is_the_papers():
    assert small(cycle_layers=10, cycles=2).network.receptive_field == 2 * (2**10 - 1) + 1


@pytest.mark.slow
def test_features_beyond_the_context_change_nothing():
    vocoder = small()
    right = vocoder.context.right
    assert vocoder.context == Context(left=math.inf, right=5)
    features = MEL(recording(0.3))
    changed = features.clone()
    changed[..., 8 + right :] += 3
    assert torch.equal(vocoder(changed)[:, : 8 * 160], vocoder(features)[:, : 8 * 160])


def test_conditions_lie_on_the_middles_of_frames():
    ramp = torch.arange(5.0)[None, None]
    drawn = to_samples(ramp, 5 * 160)[0, 0]
    assert drawn[80 + 159 : 80 + 161].mean() == pytest.approx(1.0, abs=1e-4)
    assert drawn[0] == 0
    assert drawn[-1] == 4


def test_an_untrained_network_needs_eight_bits():
    vocoder = small()
    with torch.no_grad():
        vocoder.network.leave.weight.zero_()
        vocoder.network.leave.bias.zero_()
    audio = recording()
    assert vocoder.likelihood(MEL(audio), audio).item() == pytest.approx(8.0, abs=1e-5)


@pytest.mark.slow
def test_learns_one_utterance_and_not_noise():
    vocoder = small(channels=16, skip=32, cycle_layers=5).train()
    audio = recording(0.25)
    features = MEL(audio)
    optimizer = torch.optim.Adam(vocoder.parameters(), lr=5e-3)
    for _ in range(60):
        bits = vocoder.likelihood(features, audio)
        optimizer.zero_grad()
        bits.mean().backward()
        optimizer.step()
    torch.manual_seed(0)
    noise = 0.3 * torch.randn_like(audio)
    with torch.no_grad():
        assert vocoder.likelihood(features, audio) < 5.5
        assert vocoder.likelihood(features, noise) > vocoder.likelihood(features, audio) + 1


@pytest.mark.slow
def test_audio_of_another_length_is_reported():
    audio = recording()
    with pytest.raises(ConfigurationError, match=r"audio \(1, 7990\) for features .*\(1, 8000\)"):
        small().likelihood(MEL(audio), audio[:, :-10])
    with pytest.raises(SpecMismatchError, match="80, frames"):
        small().likelihood(MEL(audio)[:, 1:], audio)


def test_silence_is_the_class_of_zero():
    assert to_audio(torch.tensor([SILENCE])).abs() < 1e-3
    assert (to_audio(torch.arange(CLASSES)).diff() > 0).all()


def test_settings_are_not_taken_over_from_the_default_vocoder():
    """A class that replaces another on the command line keeps what both have: nothing must mean two things."""
    shared = inspect.signature(WaveNet).parameters.keys() & inspect.signature(Vocos).parameters.keys()
    assert shared == {"spec", "pretrained", "finetune"}


def test_description_names_the_package():
    assert describe(small())["package"] == "lvc-wavenet"


def test_bad_settings_are_reported():
    with pytest.raises(ConfigurationError, match="cycle_layers is 0"):
        small(cycle_layers=0)
