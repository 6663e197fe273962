"""Learning rates of both networks fall when a figure stays where it is, and resumed trainings go on exactly."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import nn
from torch.utils.data import DataLoader

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Discriminator
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.adversarial import LeastSquaresLoss
from lightning_voiceclone.training.callbacks.health import GANHealth
from lightning_voiceclone.training.modules.adversarial import AdversarialModule
from lightning_voiceclone.training.step import StepSettings, TrainingPair

pytestmark = pytest.mark.slow
FIGURES = (5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.9, 3.9)  # of each validation, one after two batches


class Frames(Discriminator):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv1d(2, 1, 1)

    def forward(self, x, condition=None):
        return [[x * 1.0, self.layer(x)]]


class Watched(AdversarialModule):
    feature_extractor = None
    advice = None
    trained = "generator"
    figures = ("figure",)

    def __init__(self, monitor="validation/figure", **settings):
        torch.manual_seed(0)
        make = partial(torch.optim.Adam, lr=0.1)
        super().__init__(
            nn.Conv1d(2, 2, 1), Frames(), LeastSquaresLoss(), weights={"adversarial": 1.0}, own_losses=set(), absent={},
            generator_optimizer=make, discriminator_optimizer=make, steps=StepSettings(average=None),
            scheduler=partial(ReduceLROnPlateau, monitor=monitor, **{"factor": 0.5, "patience": 1, **settings}),
        )  # fmt: skip
        self.rates = []

    def make_pair(self, batch):
        fake = self.generator(batch + torch.randn_like(batch))
        return TrainingPair(batch, fake, Condition(torch.full((len(batch),), batch.shape[-1])))

    def evaluate(self, batch, stage):
        self.log("validation/figure", FIGURES[self.global_step // 2 - 1])

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.rates.append([optimizer.param_groups[0]["lr"] for optimizer in self.trainer.optimizers])


class SaveAt(pl.Callback):
    """At a batch's end, the next one if a validation follows it, as the callbacks here do; or after the validation."""

    def __init__(self, path, step, *, validated):
        self.path, self.step, self.validated = path, step, validated

    def on_train_batch_end(self, trainer, pl_module, *_):
        if trainer.global_step >= self.step and not self.validated and pl_module.between_steps:
            trainer.save_checkpoint(self.path)
            self.step = 10**6

    def on_train_epoch_end(self, trainer, *_):
        if trainer.global_step == self.step and self.validated:
            trainer.save_checkpoint(self.path)


def train(module, epochs=8, callbacks=(), path=None, **settings):
    data = torch.randn(4, 2, 6, generator=torch.Generator().manual_seed(1))
    loader = DataLoader([*data, *data], batch_size=4)  # two equal batches: this loader does not resume in an epoch
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, num_sanity_val_steps=0,
        enable_model_summary=False, max_epochs=epochs, callbacks=[GANHealth(window=2, every=2), *callbacks], **settings,
    )  # fmt: skip
    trainer.fit(module, loader, loader, ckpt_path=path, weights_only=True)
    return module


def test_both_rates_are_halved_when_the_figure_does_not_improve():
    rates = [epoch[0] for epoch in train(Watched()).rates[::2]]
    # Of validations 1 to 8 the 4th and the 6th are the second in a row without an improvement.
    assert rates == [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    module = train(Watched())
    assert all(generator == discriminator for generator, discriminator in module.rates)


@pytest.mark.parametrize("validated", [False, True], ids=["a batch later", "after it"])
@pytest.mark.parametrize("monitor", ["validation/figure", "health/accuracy"])
def test_a_resumed_training_is_exact(tmp_path, monitor, validated):
    path = tmp_path / "a.ckpt"
    whole = train(Watched(monitor, mode="max"), callbacks=[SaveAt(path, 8, validated=validated)])
    resumed = train(Watched(monitor, mode="max"), path=path)
    assert resumed.rates == whole.rates[8 if validated else 9 :]
    assert len({rate for rate, _ in whole.rates}) > 1
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


@pytest.mark.parametrize(("module", "settings", "words"), [
    (partial(Watched, "validation/figrue"), {}, r"model.scheduler.monitor is 'validation/figrue'.*did you mean"),
    (Watched, {"limit_val_batches": 0}, "after each validation, but there is none"),
])  # fmt: skip
def test_a_figure_that_never_comes_is_an_error_before_training(module, settings, words):
    with pytest.raises(ConfigurationError, match=words):
        train(module(), **settings)


def test_a_figure_that_is_no_number_counts_as_no_validation():
    class Silent(Watched):
        def evaluate(self, batch, stage):
            self.log("validation/figure", torch.nan)

    assert {rate for rate, _ in train(Silent()).rates} == {0.1}


def test_a_figure_that_is_not_measured_yet_counts_as_no_validation(caplog):
    with caplog.at_level("INFO", logger="lightning.pytorch"):
        assert {rate for rate, _ in train(Watched("health/diversity_noise"), epochs=2).rates} == {0.1}
    assert "health/diversity_noise is not measured yet; the learning rates stay" in caplog.text
