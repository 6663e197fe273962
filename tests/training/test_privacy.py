"""Differential privacy: what one speaker can change, the noise, what is counted, and what is refused."""

import json
import math
from functools import partial

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import nn

from lightning_voiceclone.checkpoints.contents import first_difference
from lightning_voiceclone.checkpoints.privacy_record import together, with_joined
from lightning_voiceclone.checkpoints.voice_folder import CARD, load_voice, save_voice
from lightning_voiceclone.checkpoints.weight_average import mean_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.data.memory import MemoryDataModule
from lightning_voiceclone.data.poisson import SpeakerSampler, UnitSampling
from lightning_voiceclone.data.sampling import Growth
from lightning_voiceclone.data.utterances import Utterances
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.augmentation import WarpFrequency
from lightning_voiceclone.networks.discriminators.patch import PatchDiscriminator
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import GENERATOR, small_voice
from lightning_voiceclone.training import privacy
from lightning_voiceclone.training.checkpoint_io import WholeCheckpointIO
from lightning_voiceclone.training.modules.voice import VoiceTraining
from lightning_voiceclone.training.privacy import Plan, PrivacyLedger, PrivacySettings, epsilon_of, joint, noise_for
from lightning_voiceclone.training.private_gradients import PrivateGradients
from lightning_voiceclone.training.step import StepSettings

SPEAKERS = 6


def recordings(of_first=0):
    return [speech_like(1.0, speaker=9 + of_first if row == 0 else row, seed=row).audio for row in range(SPEAKERS)]


class Speakers(MemoryDataModule):
    """A recording of each of some speakers."""

    def __init__(self, audio=None, **settings):
        defaults = {"segment_seconds": 0.3, "reference_seconds": 0.3, "batch_size": 6}
        names = [f"s{row}" for row in range(SPEAKERS)]
        super().__init__(audio or recordings(), 16000, names, **{**defaults, **settings})


def module(discriminator=True, lr=0.1, weights=None, steps=None, dropout=0.0, norm="weight", **changes):
    """A small model that trains by plain gradient descent, so that a step is a gradient."""
    torch.manual_seed(0)
    voice = small_voice(generator=partial(GENERATOR, dropout=dropout))
    voice.train().requires_grad_(True)
    descent = partial(torch.optim.SGD, lr=lr)
    settings = StepSettings(gradient_clip=None, average=None, **{"privacy": PrivacySettings(crops=2), **(steps or {})})
    losses = {"reconstruction": 1.0, "adversarial": 1.0} if discriminator else {"reconstruction": 1.0}
    dims = Dims(20, content=4, speaker=8)
    against = PatchDiscriminator(dims, width=4, layers=2, norm=norm, dropout=dropout) if discriminator else None
    return VoiceTraining(voice, against, weights=weights or losses, generator_optimizer=descent,
                         discriminator_optimizer=descent, steps=settings, **changes)  # fmt: skip


@pytest.fixture
def one_key(monkeypatch):
    """Lets all trainings draw the same crops and noise."""
    monkeypatch.setattr(privacy, "secret_key", lambda: 7)


class SaveAt(pl.Callback):
    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def fit(made, data=None, *, steps=4, path=None, callbacks=(), **changes):
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, max_steps=steps,
        enable_checkpointing=False, use_distributed_sampler=False, limit_val_batches=0, callbacks=list(callbacks),
        plugins=[WholeCheckpointIO()], **changes,
    )  # fmt: skip
    trainer.fit(made, data or Speakers(), ckpt_path=path)
    return trainer


# Gradients ------------------------------------------------------------------------------------------------------------


def released(gradients, *, noise=0.0, clip=1.0, network=0, step=0):
    """What is made of so many gradients of one weight of 4 numbers."""
    weight = nn.Parameter(torch.zeros(4))
    made = PrivateGradients(clip, noise, 2.0, key=5)
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        made.add([weight])
        assert weight.grad is None
    made.release([weight], step, network)
    return weight.grad


def test_gradients_are_clipped_one_by_one_and_divided_by_the_expected_number():
    small, large = [0.3, 0.0, 0.0, 0.4], [0.0, 3.0, 4.0, 0.0]
    torch.testing.assert_close(released([small, large]), torch.tensor([0.15, 0.3, 0.4, 0.2]))
    assert released([]).tolist() == [0.0] * 4


def test_a_gradient_that_is_not_finite_counts_as_nothing():
    good = [0.1, 0.2, 0.0, 0.0]
    for bad in (math.nan, math.inf):
        assert torch.equal(released([good, [bad, 0.0, 0.0, 1.0]]), released([good]))


def test_noise_has_its_deviation_and_follows_from_key_step_and_network():
    weight = nn.Parameter(torch.zeros(100, 1000))
    PrivateGradients(0.5, 3.0, 6.0, key=5).release([weight], 0, 0)
    assert float(weight.grad.std()) == pytest.approx(3.0 * 0.5 / 6.0, rel=0.01)
    assert float(weight.grad.mean()) == pytest.approx(0, abs=0.003)
    assert torch.equal(released([], noise=1.0), released([], noise=1.0))
    others = [released([], noise=1.0, step=1), released([], noise=1.0, network=1)]
    assert not any(torch.equal(released([], noise=1.0), other) for other in others)


# Speakers -------------------------------------------------------------------------------------------------------------


def sampler(probability=0.25, crops=3, key=5, speeds=()):
    found = Utterances.of(Speakers()._utterances + Speakers()._utterances[:2])  # two of the speakers have two
    found = found.also_played(speeds) if speeds else found
    counts = np.arange(1, len(found) + 1)
    return found, SpeakerSampler(counts, found.people, UnitSampling(key, probability, crops), 1, Growth())


@pytest.mark.slow
def test_each_speaker_is_in_a_batch_with_the_same_probability_and_with_own_crops_alone():
    found, made = sampler(speeds=[0.9])
    names = [f"s{row}" for row in range(SPEAKERS)]
    batches = [made._batch(number) for number in range(600)]
    sizes = []
    for batch in batches:
        assert all(found[draw.index].speaker.partition("@")[0].startswith(names[draw.unit]) for draw in batch)
        sizes.append(len(batch) // 3)
        assert len(batch) == 3 * len({draw.unit for draw in batch})
    assert np.mean(sizes) == pytest.approx(SPEAKERS * 0.25, rel=0.06)
    assert 0 in sizes
    shares = np.bincount([draw.unit for batch in batches for draw in batch], minlength=SPEAKERS) / 3 / len(batches)
    assert shares == pytest.approx(np.full(SPEAKERS, 0.25), abs=0.06)
    assert len({draw.index for batch in batches for draw in batch}) == len(found)


@pytest.mark.slow
def test_a_batch_follows_from_the_key_and_its_number():
    _, made = sampler()
    whole = list(made)
    made.start = 3
    assert list(made) == whole[3:]
    made.before = 1
    assert list(made)[:-1] == whole[1:]
    assert list(sampler(key=6)[1]) != whole


# The accountant -------------------------------------------------------------------------------------------------------


@pytest.fixture
def opacus():
    pytest.importorskip("opacus", reason="needs Opacus: pip install 'lightning-voiceclone[privacy]'")


def test_one_gaussian_mechanism_costs_what_the_formula_says(opacus):
    """Without sampling, order a costs a / (2 s^2) a step; the conversion to epsilon is that of Balle et al. 2020."""
    noise, delta = 2.0, 1e-5

    def epsilon(order):
        spent = 3 * order / (2 * noise**2)
        return spent + math.log((order - 1) / order) - (math.log(delta) + math.log(order)) / (order - 1)

    assert epsilon_of([(noise, 1.0, 3)], delta) == pytest.approx(
        min(epsilon(order) for order in range(2, 65)), rel=1e-6
    )


def test_two_networks_of_one_step_cost_as_much_as_two_releases_of_all(opacus):
    both = epsilon_of([(joint(3.0, 2), 1.0, 10)], 1e-5)
    assert both == pytest.approx(epsilon_of([(3.0, 1.0, 20)], 1e-5), rel=1e-9)


@pytest.mark.slow
def test_the_noise_is_just_enough(opacus):
    plan = Plan(200, 0.05, {1: 100, 2: 400})
    noise = noise_for(plan, PrivacySettings(epsilon=2.0))
    assert epsilon_of(plan.history(noise), 1e-5) <= 2.0 < epsilon_of(plan.history(noise * 0.99), 1e-5)


def test_an_epsilon_that_cannot_be_reached(opacus):
    with pytest.raises(
        ConfigurationError, match=r"epsilon is 0\.001, which cannot be reached.* 200 speakers.*raise it"
    ):
        noise_for(Plan(200, 1.0, {2: 1000}), PrivacySettings(epsilon=0.001))


def test_delta_must_be_below_one_over_the_speakers(opacus):
    with pytest.raises(ConfigurationError, match=r"delta is 0\.1; for 10 speakers it must be below 0\.1"):
        PrivacyLedger(PrivacySettings(delta=0.1), Plan(10, 0.1, {1: 1}))


# Trainings ------------------------------------------------------------------------------------------------------------


def weights_of(network):
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


@pytest.mark.slow
def test_one_speaker_moves_a_step_no_further_than_the_limit(opacus, one_key):
    """The other speaker's recordings replace the first one's: the sum differs by two clipped gradients at most."""
    clip, lr, moved = 1e-3, 100.0, []
    settings = {"privacy": PrivacySettings(epsilon=1e5, clip=clip, crops=1)}  # all six speakers are in every batch
    for of_first in (0, 1):
        made = module(lr=lr, steps=settings)
        fit(made, Speakers(recordings(of_first), batch_size=SPEAKERS), steps=1)
        moved.append(weights_of(made.discriminator))
    distance = float((moved[0] - moved[1]).norm())
    assert 0.05 * lr * clip / SPEAKERS < distance <= 2 * lr * clip / SPEAKERS * 1.001


class WithoutFirst(pl.Callback):
    """Leaves the first speaker out of each batch."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        del batch[0]


class Rest(pl.Callback):
    """One of the networks does not move, so that the other one's step does not depend on it."""

    def __init__(self, network):
        self.network = network

    def on_train_start(self, trainer, pl_module):
        trainer.optimizers[self.network].param_groups[0]["lr"] = 0.0


@pytest.mark.slow
@pytest.mark.parametrize("network", [0, 1])
def test_one_speaker_changes_nothing_that_is_drawn_for_the_others(opacus, one_key, network):
    """The sum differs by the one clipped gradient of the first speaker, though dropout and noise follow in order."""
    clip, lr, moved = 1e-3, 100.0, []
    settings = {"privacy": PrivacySettings(epsilon=1e5, clip=clip, crops=1), "instance_noise": 0.1, "noise_steps": 10}
    for changed in ([], [WithoutFirst()]):
        made = module(lr=lr, steps=settings, dropout=0.1, speaker_noise=0.1, content_transforms=[WarpFrequency()])
        fit(made, Speakers(batch_size=SPEAKERS), steps=1, callbacks=[Rest(1 - network), *changed])
        moved.append(weights_of(made.voice if network == 0 else made.discriminator))
    assert float((moved[0] - moved[1]).norm()) * SPEAKERS / lr == pytest.approx(clip, rel=1e-3)


class Broken(pl.Callback):
    """No speaker's loss is finite."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        for unit in batch:
            unit.audio.fill_(math.nan)


@pytest.mark.slow
def test_a_step_of_which_no_gradient_is_finite_is_noise_alone_and_counts(opacus):
    made = module()
    before = weights_of(made.voice.generator)
    fit(made, callbacks=[Broken()])
    after = weights_of(made.voice.generator)
    assert not torch.equal(before, after)
    assert bool(after.isfinite().all())
    assert made.private.ledger.record()["steps"] == 4


@pytest.mark.slow
def test_a_module_is_not_trained_twice_without_its_checkpoint(opacus, tmp_path):
    made, path = module(), tmp_path / "two.ckpt"
    fit(made, callbacks=[SaveAt(2, path)])
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="would draw the same noise; go on from its checkpoint"):
            fit(made)
    fit(made, path=path)
    assert made.private.ledger.record()["steps"] == 4
    with pytest.raises(ConfigurationError, match="this module was trained before"):
        fit(made)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_bit(opacus, tmp_path):
    whole, path = module(), tmp_path / "two.ckpt"
    fit(whole, callbacks=[SaveAt(2, path), SaveAt(4, tmp_path / "end.ckpt")])
    resumed = module()
    fit(resumed, path=path, callbacks=[SaveAt(4, tmp_path / "again.ckpt")])
    assert torch.equal(weights_of(whole.voice), weights_of(resumed.voice))
    assert torch.equal(weights_of(whole.discriminator), weights_of(resumed.discriminator))
    assert whole.private.ledger.history == resumed.private.ledger.history == [
        (joint(whole.private.ledger.noise_multiplier, 2), 0.5, 4)]  # fmt: skip
    assert first_difference(tmp_path / "end.ckpt", tmp_path / "again.ckpt") is None
    assert first_difference(path, tmp_path / "again.ckpt") is not None
    spent = whole.private.ledger.record()["epsilon"]
    assert 7.5 < spent <= 8.0
    with pytest.raises(ConfigurationError, match=r"would have spent .* after 400 steps; raise it, or lower"):
        fit(module(), path=path, steps=400)
    with pytest.raises(
        ConfigurationError, match=r"trained with model\.steps\.privacy, and this configuration does not"
    ):
        fit(module(steps={"privacy": None}), path=path)


@pytest.mark.slow
def test_the_guarantee_is_stored_with_the_model(opacus, tmp_path, capsys):
    path = tmp_path / "end.ckpt"
    made = module(discriminator=False)
    fit(made, callbacks=[SaveAt(4, path)])
    voice = load_voice(path)
    record = made.private.ledger.record()
    assert voice.privacy == record
    assert set(record) == {"unit", "epsilon", "delta", "noise_multiplier", "clip", "probability", "steps"}
    save_voice(voice, tmp_path / "voice")
    assert "key" not in (tmp_path / "voice/voice.yaml").read_text()
    assert f"| {record['epsilon']:.4g} | 1e-05 | speaker |" in (tmp_path / "voice" / CARD).read_text()
    for place in (path, tmp_path / "voice"):
        assert main(["checkpoint", str(place)]) == 0
        assert f"privacy: epsilon {record['epsilon']:.4g} at delta 1e-05 for one speaker, after 4 steps;" in (
            capsys.readouterr().out)  # fmt: skip
    assert main(["checkpoint", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["privacy"] == record
    mean = mean_voice({"one": load_voice(path), "two": load_voice(path)})
    assert mean.privacy["epsilon"] == 2 * record["epsilon"]
    assert mean_voice({"one": load_voice(path), "two": small_voice()}).privacy is None


@pytest.mark.slow
def test_a_part_that_joins_later_is_not_covered(tmp_path, capsys):
    record = {"unit": "speaker", "epsilon": 8.0, "delta": 1e-5, "noise_multiplier": 1.0, "clip": 1.0,
              "probability": 0.1, "steps": 4}  # fmt: skip
    private = small_voice()
    private.privacy = record
    save_voice(private, tmp_path / "before")
    assert "joined" not in (tmp_path / "before" / CARD).read_text()
    assert "steps before these weights. If they were chosen among later" in (tmp_path / "before" / CARD).read_text()
    words = ["save", str(tmp_path / "before"), "--vocoder", "GriffinLim", "--output", str(tmp_path / "after")]
    assert main(words) == 0
    assert load_voice(tmp_path / "after").privacy == {**record, "joined": ["vocoder"]}
    assert "It does not cover the vocoder, which joined later, the rec" in (tmp_path / "after" / CARD).read_text()
    capsys.readouterr()
    assert main(["checkpoint", str(tmp_path / "after")]) == 0
    assert "step 0.1; not of the vocoder, joined later" in capsys.readouterr().out
    text = (tmp_path / "after/voice.yaml").read_text()
    (tmp_path / "after/voice.yaml").write_text(text.replace("- vocoder", "- 3"))
    with pytest.raises(ConfigurationError, match=r"privacy\.joined has 3, which is no part of a model"):
        load_voice(tmp_path / "after")
    both = together([with_joined(record, ["vocoder"]), with_joined(record, ["text_encoder"])])
    assert both["joined"] == ["text_encoder", "vocoder"]


@pytest.mark.slow
def test_a_step_without_a_speaker_is_noise_alone(opacus):
    class Nobody(Speakers):
        def train_dataloader(self):
            self.trainer.lightning_module.private.sampling = UnitSampling(7, 0.0, 2)
            return super().train_dataloader()

    made = module()
    before = weights_of(made.voice.generator)
    fit(made, Nobody(), steps=2)
    assert not torch.equal(before, weights_of(made.voice.generator))
    assert made.private.ledger.record()["steps"] == 2


def with_batch_norm():
    made = module()
    made.voice.generator.register_module("counting", nn.BatchNorm1d(20))
    made.voice.generator.register_forward_hook(lambda part, given, out: part.counting(out))
    return made


REFUSED = {
    "trainer.max_steps is -1": (module, {}, {"steps": -1, "max_epochs": 1}),
    r"steps\.accumulate is 2; set it to 1": (partial(module, steps={"accumulate": 2}), {}, {}),
    r"steps\.balance measures gradients": (partial(module, steps={"balance": 0.9}), {}, {}),
    r"data\.speaker_seconds is set.* set it to null": (module, {"speaker_seconds": 9.0}, {}),
    r"data\.share is 0\.5": (module, {"share": 0.5}, {}),
    r"which is 8 speakers of 2 crops .* there are 6; it must be at most 12": (module, {"batch_size": 16}, {}),
    "counting.running_mean follows the recordings": (with_batch_norm, {}, {}),
    r"discriminator\..*running_mean follows": (partial(module, norm="batch", steps={"warmup": 2}), {}, {}),
    r"discriminator\..*\._[uv] follows the recordings": (partial(module, norm="spectral"), {}, {}),
    "precision is bf16-true, which": (module, {}, {"precision": "bf16-true"}),
    "reload_dataloaders_every_n_epochs is set.* set it to 0": (module, {}, {"reload_dataloaders_every_n_epochs": 1}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("line", REFUSED)
def test_what_would_carry_recordings_past_the_noise_is_refused(opacus, line):
    make, data, settings = REFUSED[line]
    with pytest.raises(ConfigurationError, match=line):
        fit(make(), Speakers(**data), **settings)


def test_statistics_of_private_recordings_are_refused(opacus):
    made = module()
    made.voice.normalizer.fitted.fill_(False)
    with pytest.raises(ConfigurationError, match="its statistics of the recordings would have no noise; begin with"):
        fit(made)
    assert not made.voice.normalizer.fitted


def test_rows_are_not_converted_to_another_speaker():
    with pytest.raises(ConfigurationError, match=r"model\.swap is 0\.5, but with model\.steps\.privacy"):
        module(swap=0.5)
