"""Planted faults are named, with figure and remedy; a healthy training is silent."""

import warnings
from functools import partial
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR
from torch.utils.data import DataLoader

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Discriminator
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.adversarial import LeastSquaresLoss
from lightning_voiceclone.training.callbacks import health
from lightning_voiceclone.training.callbacks.health import GANHealth
from lightning_voiceclone.training.modules.adversarial import AdversarialModule
from lightning_voiceclone.training.step import StepSettings, TrainingPair

CHANNELS, FRAMES = 3, 4


class Layers(Discriminator):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Conv1d(CHANNELS, 8, 1), nn.Conv1d(8, 1, 1)

    def forward(self, x, condition=None):
        hidden = torch.relu(self.inner(x))
        return [[hidden, self.outer(hidden)]]


class Healthy(AdversarialModule):
    """Real is normal noise around a level a row; the generator maps the level and noise to the same."""

    feature_extractor = None
    advice = None
    trained = "generator"

    def __init__(self, *, weights=None, generator_lr=2e-3, discriminator_lr=1e-3, optimizer=torch.optim.Adam,
                 scheduler=None, **steps):  # fmt: skip
        torch.manual_seed(0)
        super().__init__(
            nn.Conv1d(CHANNELS + 1, CHANNELS, 1),
            Layers(),
            LeastSquaresLoss(),
            weights=weights or {"adversarial": 1.0, "distance": 1.0},
            own_losses={"distance"},
            absent={},
            generator_optimizer=lambda p: optimizer(p, lr=generator_lr),
            discriminator_optimizer=lambda p: optimizer(p, lr=discriminator_lr),
            scheduler=scheduler,
            steps=StepSettings(average=None, **steps),
        )

    def generate(self, level):
        noise = torch.randn(len(level), CHANNELS, FRAMES)
        return self.generator(torch.cat([level[:, None].expand(-1, 1, FRAMES), noise], 1))

    def real(self, level):
        return level[:, None] + 0.5 * torch.randn(len(level), CHANNELS, FRAMES)

    def make_pair(self, batch):
        real, fake = self.real(batch), self.generate(batch)
        losses = {"distance": (fake.mean(-1) - real.mean(-1)).abs().mean()}
        return TrainingPair(real, fake, Condition(torch.full((len(batch),), FRAMES)), losses)


def findings(module, steps=90, *, window=30, every=10):
    watch = GANHealth(window=window, every=every)
    torch.manual_seed(1)
    loader = DataLoader(list(torch.randn(8 * steps, 1)), batch_size=8)
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=1, callbacks=[watch],
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, loader)
    return {finding.cause: (step, finding.text) for step, finding in watch.findings}, trainer


@pytest.mark.slow
def test_a_healthy_training_is_silent_and_logs_its_figures():
    found, trainer = findings(Healthy())
    assert found == {}
    figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("health/")}
    assert set(figures) == {
        "health/accuracy", "health/diversity", "health/gradient_generator", "health/gradient_discriminator",
        "health/loss_ratio", "health/steps_taken_back"}  # fmt: skip
    assert 0.3 < figures["health/accuracy"] < 0.95
    assert figures["health/diversity"] > 0.2
    assert figures["health/steps_taken_back"] == 0


class EasyToTell(Healthy):
    def real(self, level):
        return super().real(level) + 100


class Collapsed(Healthy):
    def generate(self, level):
        return super().generate(torch.zeros_like(level)).mean((0, 2), keepdim=True) + 0 * super().generate(level)


class ComesApart(Healthy):
    """Rows that are alike at first, and come apart by a twelfth with each step."""

    def generate(self, level):
        share = min(0.002 * 1.083**self.global_step, 1.0)
        fake = super().generate(level)
        return share * fake + (1 - share) * fake.mean((0, 2), keepdim=True)


@pytest.mark.slow
def test_rows_that_come_apart_are_no_collapse():
    found, trainer = findings(ComesApart(), steps=40)
    assert float(trainer.callback_metrics["health/diversity"]) < health.COLLAPSED
    assert "collapse" not in found


class Forgetful(torch.optim.Adam):
    def zero_grad(self, set_to_none=True):
        pass


class NeverLearns(Healthy):
    def configure_optimizers(self):
        nn.init.zeros_(self.discriminator.outer.weight)
        nn.init.zeros_(self.discriminator.outer.bias)
        return super().configure_optimizers()


@pytest.mark.slow
@pytest.mark.parametrize(("module", "cause", "words"), [
    (lambda: EasyToTell(discriminator_lr=0.1, weights={"adversarial": 1e-3}), "the discriminator wins",
     "lower model.discriminator_optimizer.lr"),
    (lambda: NeverLearns(discriminator_lr=0.0), "the discriminator is dead", "which is chance"),
    (Collapsed, "collapse", "all speakers sound alike"),
    (lambda: Healthy(scheduler=partial(ExponentialLR, gamma=1.12), gradient_clip=None), "the generator's loss explodes",
     "lower the learning rates"),
    (lambda: Healthy(generator_lr=0.0), "the generator is stuck", "have not moved in"),
    (lambda: Healthy(optimizer=Forgetful), "gradients not cleared", "zero_grad is missing"),
], ids=lambda value: value if isinstance(value, str) and "." not in value else "")  # fmt: skip
def test_a_planted_fault_is_named_within_90_steps(module, cause, words):
    found, _ = findings(module())
    assert cause in found
    step, text = found[cause]
    assert step < 90
    assert words in text


@pytest.mark.slow
def test_gradients_that_reach_the_other_network_are_named():
    found, _ = findings(Connected(), steps=20)
    assert "gradients leak" in found


class Connected(Healthy):
    """A discriminator whose loss has the generator's weights in it."""

    def __init__(self):
        super().__init__()
        module = self

        class Loss(LeastSquaresLoss):
            def discriminator(self, real_logits, fake_logits):
                for weight in module.generator.parameters():
                    weight.requires_grad_(True)
                extra = sum(weight.square().sum() for weight in module.generator.parameters())
                return super().discriminator(real_logits, fake_logits) + 1e-6 * extra

        self.adversarial_loss = Loss()


def gradients(norms, **weights):
    """What is found where the generator's gradient has these norms, in a window of 10 steps."""
    watch = GANHealth(window=10, every=5)
    module = SimpleNamespace(weight_schedules=weights)
    found = []
    for norm in norms:
        watch._add("own", torch.tensor(norm))
        found.append(watch._explosion(module))
    return [one for one in found if one]


def test_a_gradient_that_is_small_at_first_does_not_explode():
    growing = [0.1 * 1.5**step for step in range(10)]  # as of recipes/textbook_mfcc.yaml
    assert gradients([*growing, *[8.0] * 20], adversarial=1.0) == []
    (first, *_) = gradients([*growing, *[8.0] * 20], adversarial=1.0, distance=1.0)
    assert (first.cause, first.text[:20]) == ("the generator's loss explodes", "its own losses are 8")
    (first, *_) = gradients([*growing, *[8.0] * 20, *[90.0] * 10], adversarial=1.0)
    assert first.cause == "the generator's gradient explodes"
    assert first.text.startswith("the norm of its gradient is 90, ")


@pytest.mark.slow
def test_steps_that_were_taken_back_are_counted():
    class Poisoned(Healthy):
        def make_pair(self, batch):
            pair = super().make_pair(batch)
            bad = torch.nan if self.global_step == 5 and not self._taken_back else 1.0
            return TrainingPair(pair.real, pair.fake * bad, pair.condition, pair.losses)

    found, trainer = findings(Poisoned(), steps=50)
    assert found == {}
    assert trainer.callback_metrics["health/steps_taken_back"] == 1


@pytest.mark.parametrize(("settings", "words"), [
    ({"window": 1}, "GANHealth: window is 1"), ({"every": 0}, "GANHealth: every is 0"),
    ({"window": 10, "every": 20}, "GANHealth: every is 20"),
])  # fmt: skip
def test_settings_that_cannot_work_are_refused(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        GANHealth(**settings)


@pytest.mark.slow
def test_a_look_before_the_generators_first_step_is_no_fault():
    found, trainer = findings(Healthy(discriminator_steps=30), steps=25)
    assert found == {}
    assert "health/loss_ratio" not in trainer.callback_metrics


@pytest.mark.slow
def test_a_loss_that_changes_its_sign_does_not_explode():
    class Signed(LeastSquaresLoss):
        def generator(self, fake_logits):
            return super().generator(fake_logits) - 0.5

    module = Healthy()
    module.adversarial_loss = Signed()
    assert findings(module)[0] == {}


class Ignoring(Healthy):
    """What the output does with the speaker falls from a half to a hundredth of real ones' in step 20."""

    name, generates_from_noise = "speakers", True

    def spreads(self, pair):
        ratio = torch.tensor(0.5 if self.global_step < 20 else 0.01)
        return {self.name: ratio**2, f"real_{self.name}": torch.tensor(1.0)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["speakers", "noise"])
def test_an_output_that_ceases_to_change_is_named(monkeypatch, name):
    monkeypatch.setattr(health, "SPREADS_EVERY", 2)
    monkeypatch.setattr(Ignoring, "name", name)
    found, trainer = findings(Ignoring(), steps=60)
    step, text = found[f"collapse over {name}"]
    assert 20 < step < 60
    assert f"with other {name} the output changes 0.010 times as much as real features (threshold 0.02" in text
    assert trainer.callback_metrics[f"health/diversity_{name}"] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.slow
def test_an_output_that_does_not_change_yet_is_no_fault(monkeypatch):
    monkeypatch.setattr(health, "SPREADS_EVERY", 2)
    monkeypatch.setattr(Ignoring, "spreads", lambda self, pair: {"speakers": torch.tensor(1e-6),
                                                                 "real_speakers": torch.tensor(1.0)})  # fmt: skip
    assert findings(Ignoring(), steps=40)[0] == {}


def test_windows_of_a_checkpoint_go_to_the_modules_device():
    before, again = GANHealth(), GANHealth()
    before._add("accuracy", torch.tensor(0.5))
    again.load_state_dict(before.state_dict())
    again.on_train_start(None, SimpleNamespace(device=torch.device("meta")))
    assert [value.device.type for value in again._figures["accuracy"]] == ["meta"]
    assert again._figures["accuracy"].maxlen == again.window
