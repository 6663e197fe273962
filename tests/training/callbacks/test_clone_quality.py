"""Figures of clones in training: logged, to choose checkpoints by, and without any effect on the training itself."""

import math
from functools import partial
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_voiceclone.data.corpora import SpeakerFolders
from lightning_voiceclone.data.datamodule import VoiceDataModule
from lightning_voiceclone.errors import ConfigurationError, PluginError
from lightning_voiceclone.evaluation import panel
from lightning_voiceclone.evaluation.metrics.metric import Metric
from lightning_voiceclone.evaluation.metrics.prosody import VoicingError
from lightning_voiceclone.features.prosody import Pitch
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder
from lightning_voiceclone.training.callbacks.clone_quality import CloneQuality, _drawn
from lightning_voiceclone.training.checkpoint_io import WholeCheckpointIO
from lightning_voiceclone.training.recipes import VoiceModule
from lightning_voiceclone.training.step import StepSettings
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim

MEASURES = ("mcd_db", "voicing_error")  # need no weights


def module(**changes):
    torch.manual_seed(0)
    settings = {
        "feature_extractor": MelSpectrogram(n_mels=20),
        "generator": partial(ConvGenerator, width=8, layers=2, dropout=0.1),
        "content_encoder": partial(InstanceNormContentEncoder, channels=4, width=8, layers=1),
        "speaker_encoder": partial(StatisticsSpeakerEncoder, channels=8, width=8, layers=1),
        "pitch": Pitch(),
        "vocoder": partial(GriffinLim, iterations=2),
        "steps": StepSettings(average=0.9),
    }
    return VoiceModule(**{**settings, **changes})


def data(root):
    return VoiceDataModule(SpeakerFolders, str(root), segment_seconds=0.4, reference_seconds=0.5, batch_size=4,
                           validation=2)  # fmt: skip


def trainer(folder, **changes):
    settings = {
        "accelerator": "cpu", "default_root_dir": folder, "logger": False, "enable_progress_bar": False,
        "enable_model_summary": False, "use_distributed_sampler": False, "num_sanity_val_steps": 0,
        "plugins": [WholeCheckpointIO()], "max_steps": 12, "val_check_interval": 4, "check_val_every_n_epoch": None,
        "limit_val_batches": 1, "enable_checkpointing": False,
    }  # fmt: skip
    return pl.Trainer(**{**settings, **changes})


def quality(**changes):
    return CloneQuality(**{"every": 4, "count": 2, "measures": MEASURES, **changes})


@pytest.mark.slow
def test_figures_audio_and_the_best_checkpoint(corpus_folder, tmp_path):
    best = ModelCheckpoint(dirpath=tmp_path / "best", monitor="quality/mcd_db", mode="min", save_top_k=1)
    ran = trainer(tmp_path, callbacks=[quality(), best], enable_checkpointing=True,
                  logger=TensorBoardLogger(tmp_path, name="", version="log"))  # fmt: skip
    ran.fit(module(), data(corpus_folder))
    assert 0 < float(ran.callback_metrics["quality/mcd_db"]) < 60
    assert 0 <= float(ran.callback_metrics["quality/voicing_error"]) <= 1
    assert float(best.best_model_score) <= float(ran.callback_metrics["quality/mcd_db"])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(tmp_path / "log")).Reload()
    assert [event.step for event in log.Audio("quality/1")] == [4, 8, 12]
    assert len(log.Scalars("quality/mcd_db")) == 3


@pytest.mark.slow
def test_training_goes_on_as_without_it(corpus_folder, tmp_path):
    with_it, without = module(), module()
    trainer(tmp_path, callbacks=[quality()]).fit(with_it, data(corpus_folder))
    trainer(tmp_path).fit(without, data(corpus_folder))
    for name, weight in without.state_dict().items():
        assert torch.equal(weight, with_it.state_dict()[name]), name


@pytest.mark.slow
def test_between_two_times_the_last_figures_stand_and_a_resumed_run_keeps_the_rhythm(corpus_folder, tmp_path):
    first = quality(every=8)
    ran = trainer(tmp_path, callbacks=[first], max_steps=8)
    ran.fit(module(), data(corpus_folder))
    assert first.state_dict()["due"] == 12  # measured after steps 4, and not after 8
    ran.save_checkpoint(tmp_path / "middle.ckpt")
    again = quality(every=8)
    resumed = trainer(tmp_path, callbacks=[again], max_steps=12)
    resumed.fit(module(), data(corpus_folder), ckpt_path=tmp_path / "middle.ckpt")
    assert again.state_dict()["due"] == 20
    assert math.isfinite(again.figures["mcd_db"])


@pytest.mark.slow
def test_pairs_of_a_table(corpus_folder, tmp_path):
    table = corpus_folder / "pairs.tsv"
    table.write_text("case\tsource\treference\na\tspeaker0/take0.wav\tspeaker1/take0.wav\n")
    ran = trainer(tmp_path, callbacks=[quality(pairs=str(table))], max_steps=4)
    ran.fit(module(), data(corpus_folder))
    assert math.isfinite(float(ran.callback_metrics["quality/mcd_db"]))
    table.unlink()


@pytest.mark.slow
def test_what_cannot_work_is_refused_before_training(corpus_folder, tmp_path, monkeypatch):
    with pytest.raises(ConfigurationError, match="every is 0"):
        CloneQuality(every=0)
    with pytest.raises(ConfigurationError, match="no metric is called 'mcd'"):
        CloneQuality(measures=["mcd"])
    with pytest.raises(ConfigurationError, match="CloneQuality needs a model that can clone"):
        quality().on_fit_start(trainer(tmp_path), pl.LightningModule())

    def absent(kind, text):
        raise PluginError("pip install it")

    monkeypatch.setattr(panel, "make_part", absent)
    with pytest.raises(PluginError, match="CloneQuality cannot measure similarity_reference: pip install it"):
        trainer(tmp_path, callbacks=[CloneQuality(measures=["similarity_reference"])]).fit(
            module(), data(corpus_folder)
        )


@pytest.mark.slow
def test_missing_pairs_are_reported_before_training(corpus_folder, tmp_path):
    def refused(match, given=None, **changes):
        stays = module()
        before = {name: weight.clone() for name, weight in stays.state_dict().items()}
        with pytest.raises(ConfigurationError, match=match):
            trainer(tmp_path, callbacks=[quality(**changes)]).fit(stays, given or data(corpus_folder))
        assert all(torch.equal(weight, before[name]) for name, weight in stays.state_dict().items())

    refused("there is no table of pairs at .*misspelt.tsv", pairs=str(tmp_path / "misspelt.tsv"))
    table = tmp_path / "pairs.tsv"
    speech = corpus_folder / "speaker0/take0.wav"
    table.write_text(f"case\tsource\treference\na\t{speech}\tmisspelt.wav\n")
    refused("the case 'a' of .* names .*misspelt.wav, where there is no file", pairs=str(table))
    single = data(corpus_folder)
    make = single._dataset

    def one_recording(split, *arguments):
        made = make(split, *arguments)
        if split == "validation":
            made.recordings.utterances = made.recordings.utterances[:1]
        return made

    single._dataset = one_recording
    refused("needs two validation recordings of 1.0 s, .* finds fewer among 1", given=single)


@pytest.mark.slow
def test_what_breaks_down_is_left_out_and_training_goes_on(corpus_folder, tmp_path, caplog, monkeypatch):
    score = VoicingError.score

    def failing(measure, case):
        if case.name == "fails":
            raise IndexError("not foreseen")
        return score(measure, case)

    monkeypatch.setattr(VoicingError, "score", failing)
    table, lost = tmp_path / "pairs.tsv", tmp_path / "lost.wav"
    speech = [corpus_folder / f"speaker{number}/take0.wav" for number in (0, 1)]
    lost.write_bytes(speech[0].read_bytes())
    rows = [("gone", lost, speech[1]), ("fails", *speech), ("breaks", speech[1], speech[0]), ("works", *speech)]
    table.write_text("case\tsource\treference\n" + "".join(f"{a}\t{b}\t{c}\n" for a, b, c in rows))
    callback = quality(pairs=str(table), count=4)
    cloned = callback._cloned

    def breaking(trained, case):
        if case.name == "breaks":
            raise RuntimeError("out of\nmemory")
        return cloned(trained, case)

    monkeypatch.setattr(callback, "_cloned", breaking)
    trained = module()
    monkeypatch.setattr(trained, "on_train_start", lost.unlink)
    ran = trainer(tmp_path, callbacks=[callback], max_steps=4)
    ran.fit(trained, data(corpus_folder))
    assert ran.global_step == 4
    told = [record.getMessage() for record in caplog.records if record.name.endswith("clone_quality")]
    assert len(told) == 3
    assert told[0].startswith("CloneQuality leaves gone out: ")
    assert told[0].endswith("lost.wav: there is no such file")
    assert told[1:] == ["CloneQuality: no voicing_error of fails: failed: IndexError: not foreseen",
                        "CloneQuality leaves breaks out: RuntimeError: out of memory"]  # fmt: skip
    assert all(math.isfinite(figure) for figure in callback.figures.values())


@pytest.mark.slow
def test_figures_that_cannot_be_computed_are_not_a_number(corpus_folder, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(VoicingError, "summarize", lambda *_: 1 / 0)
    callback = quality()
    ran = trainer(tmp_path, callbacks=[callback], max_steps=4)
    ran.fit(module(), data(corpus_folder))
    assert ran.global_step == 4
    assert all(math.isnan(figure) for figure in callback.figures.values())
    assert "CloneQuality has no figures at step 4: ZeroDivisionError" in caplog.text


@pytest.mark.slow
def test_the_first_process_waits_for_no_other(corpus_folder, tmp_path, monkeypatch):
    """Measures bring processes together when they compute; here only one of them measures."""
    monkeypatch.setattr(Metric, "sync", lambda *_, should_sync=True, **__: pytest.fail("waits") if should_sync else 0)
    callback = quality()
    trainer(tmp_path, callbacks=[callback], max_steps=4).fit(module(), data(corpus_folder))
    assert all(math.isfinite(figure) for figure in callback.figures.values())


def test_a_failure_of_the_first_process_ends_the_others_too(tmp_path):
    told = []
    voice = SimpleNamespace(content_encoder=1, needs_reference=True, spec=SimpleNamespace(sample_rate=16000))
    strategy = SimpleNamespace(broadcast=lambda value: told.append(value) or told[0])
    with pytest.raises(ConfigurationError, match="there is no table of pairs"):
        quality(pairs="misspelt.tsv").on_fit_start(
            SimpleNamespace(is_global_zero=True, strategy=strategy), SimpleNamespace(voice=voice)
        )
    with pytest.raises(ConfigurationError, match="the first process could not begin: there is no table of pairs"):
        quality(pairs="misspelt.tsv").on_fit_start(
            SimpleNamespace(is_global_zero=False, strategy=strategy), SimpleNamespace(voice=voice)
        )


def test_pairs_are_drawn_alike_and_of_different_speakers():
    utterances = [SimpleNamespace(speaker=str(i % 3), seconds=0.5 if i == 4 else 2.0) for i in range(12)]
    pairs = _drawn(utterances, 5, seed=1)
    assert pairs == _drawn(utterances, 5, seed=1)
    assert len(pairs) == 5
    assert all(utterances[a].speaker != utterances[b].speaker for a, b in pairs)
    assert 4 not in np.array(pairs)


def test_no_recording_is_its_own_reference():
    alone = [SimpleNamespace(speaker="a", seconds=2.0) for _ in range(3)]
    for seed in range(20):
        pairs = _drawn(alone, 3, seed)
        assert len(pairs) == 3
        assert all(first != second for first, second in pairs)
    assert _drawn([*alone[:1], SimpleNamespace(speaker="a", seconds=0.5)], 2, seed=0) == []
