"""What a Trainer or a callback cannot do is refused before training, with the setting to use instead."""

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import Callback, EarlyStopping, GradientAccumulationScheduler, ModelCheckpoint

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.training.callbacks.clone_quality import CloneQuality
from lightning_voiceclone.training.modules.voice import VoiceTraining
from lightning_voiceclone.training.trainer_checks import check_trainer

LOGGED = {"validation/mel_l1", "train/reconstruction", "train/generator"}


def trainer(*callbacks, **settings):
    return pl.Trainer(accelerator="cpu", logger=False, callbacks=list(callbacks), enable_progress_bar=False,
                      enable_model_summary=False, **settings)  # fmt: skip


class Foreign(Callback):
    """Of another package: nothing says what it logs."""


@pytest.mark.parametrize("callbacks", [
    [ModelCheckpoint(monitor="validation/mel_l1")],
    [EarlyStopping("train/generator")],
    [ModelCheckpoint(monitor="step")],
    [ModelCheckpoint(monitor=None)],
    [CloneQuality(measures=["similarity_reference"]), EarlyStopping("quality/similarity_reference")],
    [Foreign(), EarlyStopping("its/own")],
])  # fmt: skip
def test_metrics_that_are_logged_may_be_monitored(callbacks):
    check_trainer(trainer(*callbacks), LOGGED)


@pytest.mark.parametrize(("callbacks", "words"), [
    ([ModelCheckpoint(monitor="val_loss")],
     r"checkpoint\.monitor is 'val_loss', which this model does not log; it has validation/mel_l1, train/generator,"),
    ([EarlyStopping("validation/mel_11")],
     r"EarlyStopping\.monitor is 'validation/mel_11', .* \(did you mean validation/mel_l1\?\)"),
    ([EarlyStopping("step")], r"EarlyStopping\.monitor is 'step'"),
    ([ModelCheckpoint(monitor="quality/similarity_reference")], r"which this model does not log"),
    ([Foreign(), EarlyStopping("train/generatr")], r"did you mean train/generator"),
])  # fmt: skip
def test_a_monitor_that_nothing_logs_is_refused(callbacks, words):
    with pytest.raises(ConfigurationError, match=words):
        check_trainer(trainer(*callbacks), LOGGED)


@pytest.mark.parametrize(("callbacks", "settings", "words"), [
    ([], {"gradient_clip_val": 1.5}, r"gradient_clip_val is 1\.5, .* set model\.steps\.gradient_clip instead"),
    ([], {"accumulate_grad_batches": 4}, r"accumulate_grad_batches is 4, .* set model\.steps\.accumulate instead"),
    ([GradientAccumulationScheduler({0: 2})], {}, r"GradientAccumulationScheduler .* set model\.steps\.accumulate"),
])  # fmt: skip
def test_clipping_and_accumulation_by_the_trainer_are_refused(callbacks, settings, words):
    with pytest.raises(ConfigurationError, match=words):
        check_trainer(trainer(*callbacks, **settings), LOGGED)


def test_a_module_whose_metrics_are_not_known_may_log_any():
    check_trainer(trainer(EarlyStopping("anything")), ())


def test_a_module_names_what_it_logs_and_refuses_before_the_first_batch():
    module = VoiceTraining(small_voice(), weights={"reconstruction": 1.0})
    assert module.logged == {"validation/mel_l1", "train/reconstruction", "train/generator"}
    module.trainer = trainer(EarlyStopping("val_loss"))
    with pytest.raises(ConfigurationError, match="val_loss"):
        module.on_fit_start()
