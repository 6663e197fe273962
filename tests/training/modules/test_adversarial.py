"""The steps, on networks so small that every number can be worked out."""

import itertools
import math
from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from lightning_voiceclone.checkpoints.reader import read_checkpoint
from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Discriminator
from lightning_voiceclone.core.part import describe
from lightning_voiceclone.errors import ConfigurationError, NotFiniteError
from lightning_voiceclone.losses.adversarial import LeastSquaresLoss, MinMaxLoss, WassersteinLoss
from lightning_voiceclone.training.callbacks.run import LastCheckpoint
from lightning_voiceclone.training.checkpoint_io import WholeCheckpointIO
from lightning_voiceclone.training.discriminator_terms import _noise
from lightning_voiceclone.training.modules.adversarial import AdversarialModule
from lightning_voiceclone.training.step import StepSettings, TrainingPair


class OneLayer(Discriminator):
    def __init__(self, speaker: bool = False):
        super().__init__()
        self.linear = nn.Linear(4, 1)

    def forward(self, x, condition=None):
        return [[x * 1.0, self.linear(x)]]


class Tiny(AdversarialModule):
    """Real is a constant 2; the generator is one linear layer of the batch."""

    feature_extractor = None
    advice = None
    trained = "generator"

    def __init__(self, *, discriminator=True, generator=None, weights=None, loss=None, scheduler=None, **steps):
        torch.manual_seed(0)
        super().__init__(
            generator or nn.Linear(4, 4),
            OneLayer() if discriminator else None,
            loss or LeastSquaresLoss(),
            weights=weights or {"adversarial": 1.0},
            own_losses={"distance"},
            absent={"spectral": "there is no waveform"},
            generator_optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
            discriminator_optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
            scheduler=scheduler,
            steps=StepSettings(**{"gradient_clip": None, "average": None, **steps}),
        )
        self.trace = []

    def make_pair(self, batch):
        fake = self.generator(batch)
        losses = {"distance": (fake - 2).abs().mean()} if "distance" in self.weights else {}
        return TrainingPair(torch.full_like(fake, 2.0), fake, Condition(torch.ones(len(batch))), losses)

    def on_train_batch_end(self, outputs, batch, batch_idx):
        moved = {name: getattr(self, name).state_dict() for name in ("generator", "discriminator")
                 if getattr(self, name) is not None}  # fmt: skip
        self.trace.append({name: torch.cat([v.flatten().clone() for v in d.values()]) for name, d in moved.items()})


def train(module, batches=6, size=3, data=None, **trainer):
    torch.manual_seed(1)
    data = torch.randn(batches * size, 4) if data is None else data
    loader = DataLoader(list(data), batch_size=size)
    made = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=1, **trainer,
    )  # fmt: skip
    start = {name: torch.cat([v.flatten().clone() for v in getattr(module, name).state_dict().values()])
             for name in ("generator", "discriminator") if getattr(module, name) is not None}  # fmt: skip
    made.fit(module, loader)
    return made, [start, *module.trace]


def trained(module, data):
    train(module, data=data)
    return module


def moves(trace, name):
    return [not torch.equal(before[name], after[name]) for before, after in itertools.pairwise(trace)]


def test_a_step_is_a_batch_with_two_players():
    trainer, trace = train(Tiny(), batches=6)
    assert trainer.global_step == 6
    assert moves(trace, "generator") == moves(trace, "discriminator") == [True] * 6


def test_max_steps_counts_batches():
    trainer, trace = train(Tiny(), batches=6, max_steps=4)
    assert trainer.global_step == 4
    assert len(trace) == 5


def test_k_discriminator_steps_to_one_of_the_generator():
    trainer, trace = train(Tiny(discriminator_steps=3), batches=6)
    assert moves(trace, "generator") == [False, False, True, False, False, True]
    assert moves(trace, "discriminator") == [True] * 6
    assert trainer.global_step == 6


def test_warmup_leaves_the_discriminator_alone():
    module = Tiny(warmup=2, weights={"adversarial": 1.0, "distance": 1.0}, discriminator_steps=2)
    _, trace = train(module, batches=6)
    assert moves(trace, "discriminator") == [False, False, True, True, True, True]
    assert moves(trace, "generator") == [True, True, False, True, False, True]


def test_one_step_by_hand():
    """Least squares by SGD: both players against gradients of the formulas."""
    module = Tiny()
    x = torch.randn(3, 4)
    _, trace = train(module, data=x, size=3)
    torch.manual_seed(0)
    generator, discriminator = nn.Linear(4, 4), OneLayer()
    fake = generator(x)
    logits = discriminator.linear
    loss = ((logits(torch.full((3, 4), 2.0)) - 1) ** 2).mean() / 2 + (logits(fake.detach()) ** 2).mean() / 2
    loss.backward()
    with torch.no_grad():
        for p in discriminator.parameters():
            p -= 0.1 * p.grad
    ((discriminator.linear(fake) - 1) ** 2).mean().div(2).backward()
    with torch.no_grad():
        for p in generator.parameters():
            p -= 0.1 * p.grad
    expected = [torch.cat([v.flatten() for v in m.state_dict().values()]) for m in (generator, discriminator)]
    torch.testing.assert_close(trace[1]["generator"], expected[0])
    torch.testing.assert_close(trace[1]["discriminator"], expected[1])


def test_accumulation_equals_one_larger_batch():
    data = torch.randn(12, 4, generator=torch.Generator().manual_seed(2))
    settings = {"discriminator": False, "weights": {"distance": 1.0}}
    _, large = train(Tiny(**settings), data=data, size=6)
    trainer, small = train(Tiny(accumulate=2, **settings), data=data, size=3)
    torch.testing.assert_close(large[-1]["generator"], small[-1]["generator"])
    assert moves(small, "generator") == [False, True, False, True]
    assert trainer.global_step == 4


def test_accumulation_of_the_discriminator():
    data = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
    _, large = train(Tiny(), data=data, size=6)
    _, small = train(Tiny(accumulate=2), data=data, size=3)
    torch.testing.assert_close(large[-1]["discriminator"], small[-1]["discriminator"])
    assert moves(small, "discriminator") == moves(small, "generator") == [False, True]


def test_a_checkpoint_would_lack_gradients_that_wait():
    class Note(pl.Callback):
        seen = []

        def on_train_batch_end(self, trainer, pl_module, *_):
            self.seen.append(pl_module.between_steps)

    note = Note()
    train(Tiny(accumulate=3), batches=7, callbacks=[note])
    assert note.seen == [False, False, True, False, False, True, False]


def test_clipping_limits_the_step():
    limit = 1e-3
    _, trace = train(Tiny(gradient_clip=limit), batches=1)
    for name in ("generator", "discriminator"):
        assert float((trace[1][name] - trace[0][name]).norm()) == pytest.approx(0.1 * limit, rel=1e-3)


def test_average_follows_its_formula():
    module = Tiny(average=0.5)
    _, trace = train(module, batches=3)
    average = trace[0]["generator"]
    for count, weights in enumerate(trace[1:]):
        decay = min(0.5, (1 + count) / (10 + count))
        average = decay * average + (1 - decay) * weights["generator"]
    with module.averaged():
        inside = torch.cat([p.detach().flatten() for p in module.generator.parameters()])
    torch.testing.assert_close(inside, average)
    after = torch.cat([p.detach().flatten() for p in module.generator.parameters()])
    assert torch.equal(after, trace[-1]["generator"])


def test_schedulers_step_once_a_batch():
    module = Tiny(scheduler=lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=2, gamma=0.1))
    trainer, _ = train(module, batches=4)
    for optimizer in trainer.optimizers:
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.001)


def test_the_penalty_moves_the_discriminator():
    _, without = train(Tiny(loss=WassersteinLoss(penalty_weight=0)), batches=1)
    _, with_penalty = train(Tiny(loss=WassersteinLoss(penalty_weight=10)), batches=1)
    assert not torch.allclose(without[1]["discriminator"], with_penalty[1]["discriminator"])


def reports_of(module, **settings):
    """The report of each step of a training."""
    made = []
    module.on_train_batch_end = lambda outputs, batch, batch_idx: made.append(outputs["report"])
    train(module, **settings)
    return made


def test_loss_weights_follow_their_schedules():
    weights = {"adversarial": {"linear": {0: 0.0, 4: 2.0}}, "distance": {"steps": {0: 3.0, 3: 1.0}}}
    reports = reports_of(Tiny(weights=weights), batches=6)
    for report, adversarial, distance in zip(reports, (0, 0.5, 1, 1.5, 2, 2), (3, 3, 3, 1, 1, 1), strict=True):
        total = adversarial * report.losses["adversarial"] + distance * report.losses["distance"]
        assert float(report.losses["generator"]) == pytest.approx(float(total), rel=1e-6)


def test_a_loss_whose_weight_is_0_for_now_trains_nothing():
    later = {"adversarial": 1.0, "distance": {"steps": {0: 0.0, 3: 1.0}}}
    _, trace = train(Tiny(weights=later), batches=5)
    _, without = train(Tiny(), batches=5)
    assert torch.equal(trace[3]["generator"], without[3]["generator"])
    assert not torch.equal(trace[4]["generator"], without[4]["generator"])


def test_discriminator_steps_follow_their_schedule():
    _, trace = train(Tiny(discriminator_steps={"steps": {0: 1, 3: 2}}), batches=7)
    assert moves(trace, "generator") == [True, True, True, True, False, True, False]


def test_schedules_go_on_where_a_checkpoint_was_written(tmp_path):
    weights = {"adversarial": {"linear": {0: 0.5, 8: 2.0}}, "distance": {"steps": {0: 3.0, 5: 1.0}}}
    settings = {"weights": weights, "discriminator_steps": {"steps": {0: 1, 6: 2}}, "balance": 0.9}
    data = torch.randn(24, 4, generator=torch.Generator().manual_seed(1))
    whole = trained(Stateful(**settings), data)
    first, _ = train(Stateful(**settings), data=data[:12])
    first.save_checkpoint(tmp_path / "a.ckpt")
    stored = torch.load(tmp_path / "a.ckpt", weights_only=True)["schedules"]
    assert stored == {"weights.adversarial": "{linear: {0: 0.5, 8: 2}}", "weights.distance": "{steps: {0: 3, 5: 1}}"}
    resumed = Stateful(**settings)
    loader = DataLoader(list(data[12:]), batch_size=3)
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                         enable_model_summary=False, max_epochs=2)  # fmt: skip
    trainer.fit(resumed, loader, ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    assert trainer.global_step == 8
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


def test_instance_noise_keeps_the_discriminator_from_being_sure():
    """Real is 2 and fake near 0: without noise it is right at once; with noise of 4 it cannot be, and then it falls."""
    still = reports_of(Tiny(loss=MinMaxLoss()), batches=60, size=32)
    noisy = reports_of(Tiny(loss=MinMaxLoss(), instance_noise=4.0), batches=60, size=32)
    falling = reports_of(Tiny(loss=MinMaxLoss(), instance_noise=4.0, noise_steps=30), batches=60, size=32)

    def accuracy(reports, part):
        return sum(float(report.accuracy) for report in reports[part]) / len(reports[part])

    first = slice(2, 12)
    assert accuracy(still, first) > 0.95
    assert accuracy(noisy, first) < 0.8
    assert accuracy(falling, first) < 0.85 < accuracy(falling, slice(45, 60))
    assert [StepSettings(instance_noise=4.0, noise_steps=30).noise_at(step) for step in (0, 15, 30, 90)] == [4, 2, 0, 0]
    assert StepSettings(instance_noise=4.0).noise_at(10_000) == 4


def test_noise_of_several_time_scales_survives_an_average_over_time():
    """As a discriminator averages: of 64 frames white noise leaves an eighth, noise that holds for them all of it."""
    torch.manual_seed(0)
    x = torch.zeros(400, 2, 64)
    for scales, left in (((1,), 1 / 8), ((64,), 1.0), ((1, 64), ((1 / 64 + 1) / 2) ** 0.5)):
        noise = _noise(x, scales)
        assert noise.std().item() == pytest.approx(1, abs=0.05)
        assert noise.mean(-1).std().item() == pytest.approx(left, rel=0.05)
    held = _noise(x, (10,))
    assert (held[..., :10] == held[..., :1]).all()
    assert (held[..., 9] != held[..., 10]).any()


def test_each_network_has_a_rate_of_its_own():
    def way(discriminator_lr):
        module = Tiny()
        module._make_optimizers = (
            partial(torch.optim.SGD, lr=0.1),
            partial(torch.optim.SGD, lr=discriminator_lr),
            None,
        )
        _, trace = train(module, batches=1)
        return {name: trace[1][name] - trace[0][name] for name in trace[0]}

    slow, fast = way(0.01), way(0.04)
    torch.testing.assert_close(fast["discriminator"], 4 * slow["discriminator"], rtol=1e-3, atol=1e-6)
    assert slow["generator"].norm() > 0


class Linked(Tiny):
    def __init__(self, **steps):
        super().__init__(generator=nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1), nn.Linear(1, 4)), **steps)


def test_shared_weights_are_trained_by_both_and_stay_the_same(tmp_path):
    module = Linked(shared={"linear": "1"})
    assert module.discriminator.linear.weight is module.generator[1].weight
    trainer, trace = train(module, batches=3)
    assert all(moves(trace, "discriminator"))
    assert module.discriminator.linear.weight is module.generator[1].weight
    trainer.strategy.checkpoint_io = WholeCheckpointIO()
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    stored = read_checkpoint(tmp_path / "a.ckpt")["state_dict"]
    assert torch.equal(stored["discriminator.linear.weight"], stored["generator.1.weight"])
    alone = Linked()
    _, unshared = train(alone, batches=3)
    assert not torch.equal(unshared[-1]["discriminator"], trace[-1]["discriminator"])


@pytest.mark.parametrize(("steps", "words"), [
    ({"shared": {"linaer": "1"}}, r"the discriminator has no layer 'linaer' \(did you mean linear"),
    ({"shared": {"linear": "0"}}, r"linear of the discriminator has weights .*\(1, 4\).* but 0 has .*\(4, 4\)"),
    ({"shared": {"linear": "1"}, "accumulate": 2}, "accumulate is 2, but gradients of shared weights cannot wait"),
    ({"noise_scales": (0,), "instance_noise": 1.0}, r"steps.noise_scales is \[0\]"),
])  # fmt: skip
def test_weights_that_cannot_be_shared_are_named(steps, words):
    with pytest.raises(ConfigurationError, match=words):
        Linked(**steps)


def test_r1_flattens_the_discriminator_at_real_data():
    def slope(module):
        train(module, batches=60, size=32)
        return float(module.discriminator.linear.weight.detach().norm())

    assert slope(Tiny(loss=MinMaxLoss(), r1=2.0)) < 0.6 * slope(Tiny(loss=MinMaxLoss()))


def test_without_a_discriminator():
    module = Tiny(discriminator=False, weights={"distance": 1.0})
    trainer, trace = train(module, batches=50)
    assert trainer.global_step == 50
    first, last = (torch.nn.functional.linear(torch.ones(4), t["generator"][:16].view(4, 4), t["generator"][16:])
                   for t in (trace[0], trace[-1]))  # fmt: skip
    assert (last - 2).abs().mean() < (first - 2).abs().mean()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weights": {"adversarail": 1.0}}, "did you mean adversarial"),
        ({"weights": {"adversarial": 1.0, "spectral": 1.0}}, "there is no waveform"),
        ({"weights": {"adversarial": -1.0}}, "the weight of adversarial is -1; it must be from 0 to 1,000,000,000"),
        ({"weights": {"distance": 1.0}}, "there is a discriminator"),
        ({"weights": {"adversarial": 1.0}, "discriminator": False}, "there is no discriminator"),
        ({"weights": {"distance": 0.0}, "discriminator": False}, "no loss has a weight above 0"),
        ({"warmup": 5}, "no loss to train by"),
        ({"weights": {"adversarial": {"linear": {0: 0.0, 9: 1.0}}}}, "in step 0 no loss has a weight above 0"),
        ({"weights": {"adversarial": 1.0, "distance": {"steps": {3: -1.0}}}}, "the weight of distance at step 3 is -1"),
        ({"discriminator_steps": {"linear": {0: 1, 9: 2}}}, "steps.discriminator_steps is .* values by step"),
        ({"discriminator_steps": 0}, "must be from 1 to 1,000,000"),
        ({"average": 1.5}, "must be from 0 to 0.999999, or null for none"),
        *(
            ({name: value}, f"steps.{name} is {value}; it must be from")
            for name in ("gradient_clip", "average")
            for value in (math.nan, math.inf)
        ),
        ({"weights": {"adversarial": math.nan}}, "the weight of adversarial is nan"),
    ],
)
def test_settings_that_cannot_work(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        Tiny(**settings)


def test_what_a_checkpoint_cannot_store_is_refused_before_the_first_step():
    class Unstorable(Tiny):
        def on_save_checkpoint(self, checkpoint):
            checkpoint["part"] = describe(Weighted(torch.ones(2)))

    module = Unstorable()
    with pytest.raises(ConfigurationError, match="Weighted was made with an argument of type Tensor"):
        train(module)
    assert module.trace == []


class Weighted(LeastSquaresLoss):
    def __init__(self, weights):
        super().__init__()


def test_fp16_with_clipping_is_refused():
    module = Tiny(gradient_clip=1.0)
    module._trainer = type(
        "T", (), {"precision": "16-mixed", "callbacks": [], "gradient_clip_val": None, "accumulate_grad_batches": 1}
    )()
    with pytest.raises(ConfigurationError, match="bf16-mixed"):
        module.on_fit_start()


def poisoned(*batches, count=8, size=3):
    """Data of which some batches, from 0, have one number that is none; and the same without those batches."""
    torch.manual_seed(2)
    data = torch.randn(count, size, 4)
    good = torch.stack([batch for number, batch in enumerate(data) if number not in batches])
    for number in batches:
        data[number, 0, 0] = torch.nan
    return data.flatten(0, 1), good.flatten(0, 1)


class Stateful(Tiny):
    """With all that a step may change: batch norm, spectral norm, two optimizers with a state, an average."""

    def __init__(self, **settings):
        torch.manual_seed(0)
        generator = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        weights = {"adversarial": 1.0, "distance": 1.0}
        super().__init__(
            **{"generator": generator, "weights": weights, "average": 0.9, "gradient_clip": 1.0} | settings
        )
        torch.nn.utils.parametrizations.spectral_norm(self.discriminator.linear)
        adam = partial(torch.optim.Adam, lr=0.1)
        self._make_optimizers = (adam, adam, None)

    def make_pair(self, batch):
        pair = super().make_pair(batch)
        return TrainingPair(pair.real + torch.randn_like(pair.real), pair.fake, pair.condition, pair.losses)


@pytest.mark.filterwarnings("ignore:step")
@pytest.mark.parametrize("batches", [(0,), (3, 4), (2, 5, 6)])
@pytest.mark.parametrize("settings", [{}, {"accumulate": 2}, {"discriminator_steps": 2}, {"warmup": 3},
                                      {"balance": 0.9}, {"instance_noise": 0.5, "r1": 1.0}], ids=str)  # fmt: skip
def test_a_step_that_is_not_finite_leaves_no_trace(settings, batches):
    data, good = poisoned(*batches)
    ours, theirs = (trained(Stateful(**settings), given) for given in (data, good))
    expected = theirs.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())
    for one, other in zip(ours.optimizers(), theirs.optimizers(), strict=True):
        states = [optimizer.state_dict()["state"] for optimizer in (one, other)]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(value, states[1][key][name])
                   for key, state in states[0].items() for name, value in state.items())  # fmt: skip


def test_the_generators_loss_alone_takes_the_discriminators_update_back():
    class Late(Stateful):
        def make_pair(self, batch):
            pair = super().make_pair(batch.nan_to_num())
            bad = batch.isnan().any()
            return TrainingPair(pair.real, pair.fake, pair.condition, {"distance": pair.losses["distance"] / ~bad})

    data, good = poisoned(2)
    with pytest.warns(UserWarning, match=r"step 3: the loss distance is (inf|nan); the step was taken back"):
        ours = trained(Late(), data)
    expected = trained(Late(), good).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())


@pytest.mark.filterwarnings("ignore:step")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_training_stops_at_the_third_step_in_a_row_before_a_weight_moves(accumulate):
    data, _ = poisoned(2, 3, 4)
    module = Tiny(discriminator=False, weights={"distance": 1.0}, accumulate=accumulate)
    with pytest.raises(NotFiniteError, match=r"step 3: the loss distance is nan, for the 3rd time.*lower learning"):
        train(module, data=data)
    weights = torch.cat([value.flatten() for value in module.generator.state_dict().values()])
    assert torch.equal(weights, module.trace[1]["generator"])


@pytest.mark.filterwarnings("ignore:step")
def test_the_last_checkpoint_is_of_the_state_before_the_third(tmp_path):
    data, good = poisoned(2, 3, 4)
    with pytest.raises(NotFiniteError):
        train(Stateful(), data=data, callbacks=[LastCheckpoint()], default_root_dir=tmp_path)
    stored = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    assert stored["global_step"] == 2
    expected = trained(Stateful(), good[:6]).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in stored["state_dict"].items())


def test_a_report_has_the_figures_of_the_step():
    reports = []

    class Noting(Tiny):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            reports.append(outputs["report"])

    train(Noting(weights={"adversarial": 1.0, "distance": 1.0}, warmup=2))
    assert [report.step for report in reports] == list(range(6))
    assert reports[0].accuracy is None
    assert set(reports[0].losses) == {"distance", "generator"}
    last = reports[-1]
    assert set(last.losses) == {"distance", "generator", "adversarial", "discriminator"}
    assert last.losses["generator"] == pytest.approx(float(last.losses["adversarial"] + last.losses["distance"]))
    assert 0 <= float(last.accuracy) <= 1
    assert set(last.gradient_norms) == {"generator", "discriminator"}
    assert last.undone is None
    assert last.stale == last.leaked == []


def test_weights_are_shares_where_losses_are_balanced():
    reports = []

    class Noting(Tiny):
        def on_train_batch_end(self, outputs, batch, batch_idx):
            reports.append(outputs["report"])

    module = Noting(weights={"adversarial": 1.0, "distance": 4.0}, balance=0.9, warmup=2)
    train(module, batches=12)
    assert set(reports[0].shares) == {"distance"}
    assert {name: round(float(share), 4) for name, share in reports[2].shares.items()} == {
        "adversarial": 0.2, "distance": 0.8,
    }  # fmt: skip
    assert reports[3].shares == {}
    assert {"balancer.norms", "balancer.counts"} <= set(module.state_dict())


def test_training_stops_at_a_gradient_that_is_not_finite_though_the_loss_is():
    class Steep(Tiny):
        def make_pair(self, batch):
            pair = super().make_pair(batch)
            return TrainingPair(
                pair.real, pair.fake, pair.condition, {"distance": (pair.fake * 0).square().sum().sqrt()}
            )

    module = Steep(discriminator=False, weights={"distance": 1.0}, gradient_clip=1.0)
    with pytest.raises(NotFiniteError, match="step 1: the norm of the generator's gradient is nan"):
        train(module)
    assert all(value.isfinite().all() for value in module.generator.state_dict().values())


def test_the_networks_own_loss_is_named():
    data = torch.full((18, 4), torch.inf)
    with pytest.raises(NotFiniteError, match=r"step 1: the loss discriminator is (nan|inf)"):
        train(Tiny(), data=data)


def test_a_checkpoint_that_is_not_finite_does_not_replace_the_last_good_one(tmp_path):
    good, path = {"state_dict": {"a": torch.zeros(2)}}, tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint(good, path)
    for bad in (torch.nan, torch.inf):
        with pytest.raises(NotFiniteError, match=r"^a has numbers that are infinite or none"):
            WholeCheckpointIO().save_checkpoint({"state_dict": {"a": torch.tensor([0.0, bad])}}, path)
    assert WholeCheckpointIO().load_checkpoint(path)["state_dict"]["a"].tolist() == [0, 0]
    assert [found.name for found in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize(
    ("rate", "gamma", "words"),
    [
        (math.inf, 0.9, r"model\.generator_optimizer\.lr is inf; it must be from -1,000,000,000,000 to 1,0"),
        (0.1, math.nan, r"model\.scheduler\.gamma is nan; it must be from"),
    ],
)
def test_settings_of_optimizers_are_finite(rate, gamma, words):
    module = Tiny(scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma))
    module._make_optimizers = (lambda p: torch.optim.SGD(p, lr=rate), *module._make_optimizers[1:])
    with pytest.raises(ConfigurationError, match=words):
        module.configure_optimizers()


class Counting(torch.optim.SGD):
    """Keeps numbers that are no tensors, as schedule-free optimizers do."""

    def step(self, closure=None):
        for group in self.param_groups:
            group["k"] = group.get("k", 0) + 1
            for weight in group["params"]:
                self.state[weight]["count"] = self.state[weight].get("count", 0) + 1
        return super().step(closure)


@pytest.mark.filterwarnings("ignore:step")
def test_numbers_of_an_optimizer_are_taken_back_too():
    class Late(Tiny):
        def make_pair(self, batch):
            pair = super().make_pair(batch.nan_to_num())
            return TrainingPair(pair.real, pair.fake, pair.condition,
                                {"distance": pair.losses["distance"] / ~batch.isnan().any()})  # fmt: skip

    data, _ = poisoned(3)
    module = Late(weights={"adversarial": 1.0, "distance": 1.0})
    module._make_optimizers = (partial(Counting, lr=0.1),) * 2 + (None,)
    train(module, data=data)
    for optimizer in module.optimizers(use_pl_optimizer=False):
        assert optimizer.param_groups[0]["k"] == 7
        assert {state["count"] for state in optimizer.state.values()} == {7}


@pytest.mark.filterwarnings("ignore:step")
def test_a_training_without_a_step_names_the_data():
    with pytest.raises(NotFiniteError, match="no step was made: look at the recordings"):
        train(Tiny(), data=torch.full((18, 4), torch.nan))
