import pytest

pytest.importorskip("lvc_tacotron", reason="lvc-tacotron is not installed: pip install plugins/lvc-tacotron")

import torch
from lvc_tacotron import text_encoder
from lvc_tacotron.network import TacotronNetwork
from lvc_tacotron.text_encoder import ATTEMPTS, TacotronTextEncoder

from lightning_voiceclone.checkpoints.voice_folder import load_voice
from lightning_voiceclone.core.conditions import Script, SpeakerPrompt
from lightning_voiceclone.core.durations import by_frame
from lightning_voiceclone.core.part import Dims, describe
from lightning_voiceclone.errors import AlignmentError, ConfigurationError
from lightning_voiceclone.testing import TextEncoderConformance
from lightning_voiceclone.text.inventory import NUMBER

SMALL = {"width": 16, "decoder": 16, "attention": 16, "prenet": 16, "postnet": 16, "frames_per_step": 4}
SOUNDS = 6
DIMS = Dims(8, content=8, speaker=2)


class UnrefusedTacotron(TacotronTextEncoder):
    """Whatever attention does is taken: without training it follows no text."""

    def _faults(self, *arguments):
        return []


@pytest.mark.slow
class TestTacotron(TextEncoderConformance):
    part = UnrefusedTacotron
    arguments = {**SMALL, "vocabulary": 20}


@pytest.fixture(autouse=True)
def soon_given_up(monkeypatch):
    monkeypatch.setattr(text_encoder, "MOST_FRAMES", 5)
    monkeypatch.setattr(text_encoder, "FEWEST", 20)


def small(dims=DIMS, **settings):
    torch.manual_seed(0)
    return TacotronTextEncoder(dims, **{**SMALL, "vocabulary": SOUNDS + 1, "phonemes": 1, **settings})


@pytest.mark.slow
@torch.no_grad()
def test_it_is_the_tacotron_of_torchaudio():
    torch.manual_seed(0)
    network = TacotronNetwork(7, 6, 0, width=16, decoder=16, attention=16, prenet=16, postnet=16).eval()
    network._drops = lambda *_: iter([None] * 100)  # F.dropout, of which the next line makes nothing
    tokens, lengths, target = torch.tensor([[1, 2, 3, 4], [5, 6, 1, 2]]), torch.tensor([4, 4]), torch.randn(2, 6, 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "dropout", lambda x, *_, **__: x)
        run = network.decode(network.encode(tokens, lengths, None), lengths, target=target)
        refined = network.refine(run.frames, torch.tensor([9, 9]))
        wanted = network.tacotron(tokens, lengths, target, torch.tensor([9, 9]))
    for ours, theirs in zip((run.frames, refined, run.stop, run.attention), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.slow
def test_batch_norm_in_training_knows_no_padding():
    network = TacotronNetwork(7, 6, 0, width=16, decoder=16, attention=16, prenet=16, postnet=16).train()
    network.encode(torch.tensor([[1, 2, 3, 0]]), torch.tensor([3]), None)
    statistics = {name: value.clone() for name, value in network.named_buffers()}
    other = TacotronNetwork(7, 6, 0, width=16, decoder=16, attention=16, prenet=16, postnet=16).train()
    other.load_state_dict({name: value for name, value in network.state_dict().items() if "running" not in name
                           and "tracked" not in name}, strict=False)  # fmt: skip
    other.encode(torch.tensor([[1, 2, 3]]), torch.tensor([3]), None)
    norm = "tacotron.encoder.convolutions.0.1.running_mean"
    torch.testing.assert_close(dict(other.named_buffers())[norm], statistics[norm])


def corpus(rows, random):
    """Texts of 4 to 6 of six sounds, each with a spectrum of its own for 3 or 6 frames, by two speakers."""
    table = torch.randn(SOUNDS + 1, 8, generator=torch.Generator().manual_seed(0))
    lengths = torch.randint(4, 7, (rows,), generator=random)
    tokens = torch.randint(1, SOUNDS + 1, (rows, 6), generator=random)
    tokens = torch.where(torch.arange(6) < lengths[:, None], tokens, 0)
    durations = torch.where(tokens > 0, 3 + 3 * (tokens % 2), 0)
    speaker = torch.randint(0, 2, (rows,), generator=random)
    content = by_frame(table[tokens].transpose(1, 2), durations)
    content = torch.where(content != 0, content + 0.5 * (2.0 * speaker - 1)[:, None, None], 0.0)
    return tokens, lengths, durations, Script(durations.sum(1), content, speaker=torch.eye(2)[speaker])


def attention_of(encoder, tokens, lengths, script):
    memory = encoder.network.encode(tokens, lengths, script.speaker)
    return encoder.network.decode(memory, lengths, target=encoder._steps(encoder._target(script))).attention


@pytest.fixture(scope="module")
def trained():
    """A small Tacotron after some steps on texts of which it is not told when what is spoken."""
    encoder, random = small(width=32, decoder=64, attention=32, prenet=32, postnet=32, frames_per_step=3), None
    optimizer = torch.optim.Adam(encoder.parameters(), lr=5e-3)
    random = torch.Generator().manual_seed(1)
    for _ in range(60):
        tokens, lengths, _, script = corpus(8, random)
        loss = sum(value.mean() for value in encoder.losses(tokens, lengths, script).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
    return encoder.eval()


@pytest.mark.slow
@torch.no_grad()
def test_attention_learns_to_be_diagonal(trained):
    """On texts that it has not met: within one token of the path in 9 of 10 steps; before training in 5."""
    tokens, lengths, durations, script = corpus(32, torch.Generator().manual_seed(9))
    near, off = {}, {}
    for name, encoder in {"before": small(frames_per_step=3).eval(), "after": trained}.items():
        attention = attention_of(encoder, tokens, lengths, script)
        path = by_frame(torch.arange(6).expand_as(durations), durations)[:, 1::3]
        real = torch.arange(path.shape[1]) < -(-script.lengths // 3)[:, None]
        near[name] = float(((attention.argmax(2)[:, : path.shape[1]] - path).abs() <= 1)[real].float().mean())
        off[name] = float(encoder.attention_off(attention, lengths, script.lengths, durations).mean())
    assert near["after"] > 0.9
    assert near["after"] > near["before"] + 0.3
    assert off["after"] < 0.1
    assert off["after"] < 0.4 * off["before"]


@pytest.mark.slow
@torch.no_grad()
def test_the_speaker_and_the_durations_are_the_callers(trained):
    tokens, lengths, durations, script = corpus(16, torch.Generator().manual_seed(9))
    own = trained(tokens, lengths, SpeakerPrompt(lengths, speaker=script.speaker), durations=durations).content
    other = trained(tokens, lengths, SpeakerPrompt(lengths, speaker=script.speaker.flip(1)), durations=durations)
    real = (script.content != 0).any(1)
    away = [(made - script.content).abs().mean(1)[real].mean() for made in (own, other.content)]
    assert away[0] < 0.8 * away[1]
    slow = trained(tokens, lengths, durations=2 * durations)
    assert slow.lengths.tolist() == (2 * script.lengths).tolist()


def test_attention_that_fails_is_an_error_after_other_attempts(monkeypatch):
    encoder = small().eval()
    tokens, lengths = torch.tensor([[1, 2, 3, 4, 5]]), torch.tensor([5])
    seeds = []
    decode = encoder.network.decode
    monkeypatch.setattr(encoder.network, "decode", lambda *given, **settings: seeds.append(settings["seed"])
                        or decode(*given, **{**settings, "most": torch.tensor([5])}))  # fmt: skip
    with pytest.raises(AlignmentError, match=r"in 3 attempts: .*; write the sentence otherwise or in two, or train"):
        encoder.durations(tokens, lengths)
    with pytest.raises(AlignmentError, match="does not follow the text"):
        encoder(tokens, lengths)
    assert seeds == [*range(ATTEMPTS)] * 2


def test_a_text_without_a_mark_at_its_end_is_read_with_a_full_stop():
    encoder = TacotronTextEncoder(Dims(8, content=8), **SMALL)
    tokens, lengths = torch.tensor([[20, 30, 40], [20, 6, 0], [20, 0, 0]]), torch.tensor([3, 2, 1])
    stop = NUMBER["."]
    longer, counts = encoder._stopped(tokens, lengths)
    assert longer.tolist() == [[20, 30, 40, stop], [20, 6, 0, 0], [20, stop, 0, 0]]
    assert counts.tolist() == [4, 2, 2]
    assert small()._stopped(tokens[:1], lengths[:1])[1].tolist() == [3]  # of another inventory


@torch.no_grad()
def test_a_text_takes_the_first_attempt_that_does_not_fail(monkeypatch):
    encoder = small().eval()
    tokens, lengths = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([3, 3])
    verdicts = iter([["it skips 1"], [], []])  # the first text fails once, the second never
    monkeypatch.setattr(encoder, "_faults", lambda *_: next(verdicts))
    both = encoder.durations(tokens, lengths)
    alone = [encoder.step * encoder.network.decode(encoder.network.encode(tokens[row : row + 1], lengths[:1], None),
                                                   lengths[:1], most=torch.tensor([5]), seed=seed).attention.sum(1)
             for row, seed in ((0, 1), (1, 0))]  # fmt: skip
    torch.testing.assert_close(both, torch.cat(alone))


def test_what_cannot_work_is_refused():
    assert describe(small())["package"] == "lvc-tacotron"
    with pytest.raises(ConfigurationError, match="width is 15; it must be even"):
        small(width=15)
    with pytest.raises(ConfigurationError, match="guide is 0; it must be from"):
        small(guide=0)
    with pytest.raises(ConfigurationError, match="content"):
        small(Dims(8))


@pytest.mark.slow
@pytest.mark.parametrize(("package", "name", "settings"), [
    ("lightning_voiceclone.vocoders.griffin_lim", "GriffinLim", {"iterations": 2}),
    ("lightning_voiceclone.vocoders.vocos", "Vocos", {"pretrained": "default"}),
    ("lvc_hifigan.vocoder", "HiFiGAN", {"version": "v3", "channels": 32}),
    ("lvc_wavenet.vocoder", "WaveNet", {"channels": 8, "skip": 8, "condition": 8, "cycle_layers": 3, "cycles": 1}),
], ids=lambda value: value if isinstance(value, str) and "." not in value else "")  # fmt: skip
def test_any_vocoder_makes_a_waveform_of_its_mel_bands(package, name, settings):
    module = pytest.importorskip(package, reason=f"{package} is not installed")
    voice = load_voice("mel", lambda spec: getattr(module, name)(spec, **settings))
    voice.text_encoder = small(Dims(80, content=80, speaker=256)).eval()
    tokens, durations = torch.tensor([[1, 2, 3]]), torch.tensor([[3, 4, 5]])
    prompt = SpeakerPrompt(torch.tensor([100]), speaker=torch.randn(1, 256))
    script = voice.text_encoder(tokens, torch.tensor([3]), prompt, durations=durations)
    samples = voice.render(script, prompt)
    assert len(samples) == 12 * 160
    assert samples.isfinite().all()
    assert samples.any()
