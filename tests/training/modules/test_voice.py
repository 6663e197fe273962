"""Training of whole voices on synthetic speakers: resuming, averaging, losses, two processes."""

import errno
import subprocess
import sys
import textwrap
from functools import partial
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from untrained_encoders import Levels, LowBands, Quarters, Spectrum

from lightning_voiceclone.audio.augmentation import RandomGain, RandomPitch
from lightning_voiceclone.checkpoints.voice_folder import load_voice
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.data.corpora import SpeakerFolders
from lightning_voiceclone.data.datamodule import VoiceDataModule
from lightning_voiceclone.data.prepare import prepare
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.augmentation import WarpFrequency
from lightning_voiceclone.features.prosody import Energy, Pitch
from lightning_voiceclone.features.spectral import MFCC, MelSpectrogram
from lightning_voiceclone.features.waveform import Waveform
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.networks.discriminators.mlp import MLPDiscriminator
from lightning_voiceclone.networks.discriminators.patch import PatchDiscriminator
from lightning_voiceclone.networks.discriminators.waveform import MultiPeriodDiscriminator
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.generators.mlp import MLPGenerator
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.networks.generators.vae import VAEGenerator
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.training.callbacks.run import LastCheckpoint
from lightning_voiceclone.training.checkpoint_io import WholeCheckpointIO
from lightning_voiceclone.training.cross_speaker import CrossSpeaker
from lightning_voiceclone.training.discriminator_terms import generator_terms
from lightning_voiceclone.training.losses import LossInputs
from lightning_voiceclone.training.recipes import VoiceModule
from lightning_voiceclone.training.step import StepSettings
from lightning_voiceclone.vocoders.unframe import Unframe
from lightning_voiceclone.vocoders.vocos import Vocos


def small_module(**changes):
    torch.manual_seed(0)
    settings = {
        "feature_extractor": MelSpectrogram(n_mels=20),
        "generator": partial(ConvGenerator, width=8, layers=2, dropout=0.1),
        "discriminator": partial(PatchDiscriminator, width=4, layers=2),
        "content_encoder": partial(InstanceNormContentEncoder, channels=4, width=8, layers=1),
        "speaker_encoder": partial(StatisticsSpeakerEncoder, channels=8, width=8, layers=1),
        "pitch": Pitch(),
        "energy": Energy(),
        "content_transforms": [WarpFrequency()],
        "weights": {"reconstruction": 5.0, "adversarial": 1.0, "feature_matching": 1.0},
        "noise": 2,
    }
    return VoiceModule(**{**settings, **changes})


def small_data(root, **changes):
    settings = {"segment_seconds": 0.4, "reference_seconds": 0.5, "batch_size": 4, "validation": 2}
    return VoiceDataModule(SpeakerFolders, str(root), **{**settings, **changes})


def small_trainer(folder, **changes):
    settings = {
        "accelerator": "cpu", "default_root_dir": folder, "logger": False, "enable_progress_bar": False,
        "enable_model_summary": False, "use_distributed_sampler": False, "num_sanity_val_steps": 0,
        "plugins": [WholeCheckpointIO()], "max_steps": 10,
    }  # fmt: skip
    return pl.Trainer(**{**settings, **changes})


def crops(rows=4, seconds=0.5, margin=3):
    """A batch of several speakers, each with a reference of as many frames."""
    samples = round(seconds * 16000)
    audio = [torch.from_numpy(speech_like(2.0, speaker=row, seed=row).audio) for row in range(rows)]
    frames = torch.full((rows,), samples // 160)
    return Batch(
        torch.stack([row[: samples + 2 * margin * 160] for row in audio]), frames,
        torch.stack([row[16000 : 16000 + samples] for row in audio]), frames.clone(),
        [f"{row}" for row in range(rows)], margin,
    )  # fmt: skip


class SaveAt(pl.Callback):
    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def assert_same_state(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


EXCHANGING = {
    "swap": 0.5, "speaker_noise": 0.3, "generator": partial(ReferenceGenerator, width=8, layers=2, dropout=0.1),
    "weights": {"reconstruction": 5.0, "adversarial": 1.0, "statistics": 1.0},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("step", "changes"), [(4, {}), (14, {}), (16, {}), (4, EXCHANGING)])
def test_resumed_training_is_bit_exact(corpus_folder, tmp_path, step, changes):
    """Fourteen batches an epoch: the checkpoint stands within an epoch, at its end, and in the second one."""
    path = tmp_path / "middle.ckpt"
    whole = small_module(**changes)
    trainer = small_trainer(tmp_path, max_steps=18, callbacks=[SaveAt(step, path)])
    trainer.fit(whole, small_data(corpus_folder))
    assert trainer.num_training_batches == 14
    resumed = small_module(**changes)
    again = small_trainer(tmp_path, max_steps=18)
    again.fit(resumed, small_data(corpus_folder), ckpt_path=path)
    assert again.global_step == 18
    assert again.current_epoch == trainer.current_epoch
    assert_same_state(whole.state_dict(), resumed.state_dict())
    for left, right in zip(trainer.optimizers, again.optimizers, strict=True):
        for mine, theirs in zip(left.state.values(), right.state.values(), strict=True):
            assert torch.equal(mine["exp_avg_sq"], theirs["exp_avg_sq"])


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 5])
def test_resuming_epochs_that_are_cut_short_is_bit_exact(corpus_folder, tmp_path, step):
    path, limits = tmp_path / "middle.ckpt", {"limit_train_batches": 5, "max_steps": 12}
    whole, resumed = small_module(), small_module()
    small_trainer(tmp_path, callbacks=[SaveAt(step, path)], **limits).fit(whole, small_data(corpus_folder))
    small_trainer(tmp_path, **limits).fit(resumed, small_data(corpus_folder), ckpt_path=path)
    assert_same_state(whole.state_dict(), resumed.state_dict())


@pytest.mark.slow
def test_a_run_that_ended_within_an_epoch_goes_on_exactly(corpus_folder, tmp_path):
    whole = small_module()
    small_trainer(tmp_path, max_steps=20).fit(whole, small_data(corpus_folder))
    first = small_trainer(tmp_path, max_steps=9)
    first.fit(small_module(), small_data(corpus_folder))
    first.save_checkpoint(tmp_path / "ended.ckpt")
    resumed = small_module()
    small_trainer(tmp_path, max_steps=20).fit(resumed, small_data(corpus_folder), ckpt_path=tmp_path / "ended.ckpt")
    assert_same_state(whole.state_dict(), resumed.state_dict())


@pytest.mark.slow
def test_a_training_that_ended_with_its_epochs_goes_on_with_the_next_one(corpus_folder, tmp_path):
    """Lightning would begin with the crops of the first epoch again."""
    path = tmp_path / "ended.ckpt"

    def trained(epochs, resumed=None):
        module = small_module(discriminator=None, weights={"reconstruction": 1.0}, pitch=None, energy=None)
        trainer = small_trainer(tmp_path, max_steps=-1, max_epochs=epochs, check_val_every_n_epoch=2,
                                limit_train_batches=2, limit_val_batches=1)  # fmt: skip
        trainer.fit(module, small_data(corpus_folder), ckpt_path=resumed)
        return module, trainer

    whole, _ = trained(3)
    trained(1)[1].save_checkpoint(path)
    resumed, trainer = trained(3, path)
    assert (trainer.global_step, trainer.current_epoch) == (6, 3)
    assert_same_state(whole.state_dict(), resumed.state_dict())


@pytest.mark.slow
def test_checkpoint_clones_with_averaged_weights_and_without_lightning(corpus_folder, tmp_path):
    module = small_module(steps=StepSettings(average=0.9))
    trainer = small_trainer(tmp_path, max_steps=5)
    trainer.fit(module, small_data(corpus_folder))
    trainer.save_checkpoint(tmp_path / "voice.ckpt")
    voice = load_voice(tmp_path / "voice.ckpt")
    with module.averaged():
        expected = {name: p.detach().clone() for name, p in module.voice.named_parameters()}
    for name, parameter in voice.named_parameters():
        assert torch.equal(parameter, expected[name]), name
    assert bool(voice.normalizer.fitted)


@pytest.mark.slow
def test_normaliser_makes_training_features_standard(corpus_folder, tmp_path):
    module = small_module()
    data = small_data(corpus_folder)
    small_trainer(tmp_path, max_steps=1).fit(module, data)
    features = torch.cat(
        [module.voice.analyze(audio[None]).features[0] for audio in data.calibration_audio(1000)], dim=1
    )
    assert features.mean(1).abs().max() < 0.05
    assert (features.std(1) - 1).abs().max() < 0.05


@pytest.mark.slow
def test_stored_voice_of_another_spec_is_refused(corpus_folder, tmp_path):
    trainer = small_trainer(tmp_path, max_steps=1)
    trainer.fit(small_module(), small_data(corpus_folder))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    other = small_module(feature_extractor=MelSpectrogram(n_mels=20, fmax=7000.0))
    with pytest.raises(SpecMismatchError, match=r"fmax is 8000.* in the checkpoint but 7000"):
        small_trainer(tmp_path).fit(other, small_data(corpus_folder), ckpt_path=tmp_path / "a.ckpt")
    module = small_module(discriminator=partial(PatchDiscriminator, width=8, layers=2))
    with pytest.raises(SpecMismatchError, match=r"discriminator is PatchDiscriminator\(.*width=4"):
        small_trainer(tmp_path).fit(module, small_data(corpus_folder), ckpt_path=tmp_path / "a.ckpt")
    wider = small_module(generator=partial(ConvGenerator, width=16, layers=2, dropout=0.1))
    with pytest.raises(SpecMismatchError, match=r"width=8.* in the checkpoint but .*width=16"):
        small_trainer(tmp_path).fit(wider, small_data(corpus_folder), ckpt_path=tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"energy": Energy(log="e")}, r"energy must be .* but Energy gives energy on a logarithmic scale \(e\)"),
        ({"pitch": Energy()}, "pitch must be an extractor of pitch on a linear scale, but Energy gives energy"),
    ],
)
def test_what_is_no_pitch_and_no_linear_energy_is_refused(changes, words):
    with pytest.raises(SpecMismatchError, match=words):
        small_module(**changes)


def test_pitch_on_another_grid_is_refused():
    with pytest.raises(SpecMismatchError, match="hop_length is 160 in the feature extractor but 200 in pitch"):
        small_module(pitch=Pitch(hop_length=200))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights": {"reconstruction": 1.0, "adversarial": 1.0, "kl": 1.0}}, "variational"),
        ({"weights": {"adversarial": 1.0, "spectral": 1.0}}, "it compares waveforms"),
        (
            {
                "content_encoder": None,
                "content_transforms": None,
                "weights": {"adversarial": 1.0, "reconstruction": 1.0},
            },
            "from noise alone",
        ),
        ({"weights": {"reconstructoin": 1.0}}, "did you mean reconstruction"),
        ({"weights": {"adversarial": 1.0, "speaker": 1.0}}, "StatisticsSpeakerEncoder is trained too .* give it"),
        ({"weights": {"adversarial": 1.0, "content": 1.0}}, "InstanceNormContentEncoder is trained too .* give it"),
        (
            {"weights": {"adversarial": 1.0, "speaker": 1.0}, "speaker_encoder": None},
            "there is no speaker encoder to compute it with",
        ),
        (
            {"weights": {"adversarial": 1.0, "confusion": 1.0}},
            r"confusion is 1\.0 but .* was removed",
        ),
        ({"weights": {"adversarial": 1.0, "statistics": 1.0}}, r"cross-speaker rows only, and model\.swap is 0"),
        (
            {"weights": {"adversarial": 1.0, "statistics": 1.0}, "swap": 0.5, "steps": StepSettings(warmup=1)},
            r"there are no cross-speaker rows, so that statistics would train nothing; set it to 0",
        ),
        (
            {
                "weights": {"adversarial": 1.0, "content": 1.0},
                "swap": 0.5,
                "content_encoder": LowBands,
                "steps": StepSettings(warmup=1),
            },
            "there are no cross-speaker rows, so that content would train nothing",
        ),
        (
            {"weights": {"reconstruction": 1.0}, "swap": 0.5, "discriminator": None},
            r"swap is 0\.5, but cross-speaker rows need a discriminator",
        ),
        (
            {
                "weights": {"adversarial": 1.0, "statistics": 1.0},
                "swap": 0.5,
                "feature_extractor": Waveform(hop_length=160),
                "vocoder": Unframe,
                "pitch": None,
                "energy": None,
            },
            "it compares spectra",
        ),
        (
            {"weights": {"adversarial": 1.0, "reconstruction": 1.0, "feature_matching": 1.0}, "swap": 1.0},
            "so that reconstruction and feature_matching would train nothing",
        ),
        ({"augmentation": [RandomPitch()]}, "RandomPitch would change the speaker of the crops but not of their ref"),
        (
            {
                "content_encoder": None,
                "content_transforms": [WarpFrequency()],
                "pitch": None,
                "energy": None,
                "weights": {"adversarial": 1.0},
            },
            "but there is no content encoder; set it to null",
        ),
        ({"weights": {"adversarial": 1.0, "words": 1.0}}, r"there is no listener; name one with model\.listener"),
        (
            {"weights": {"adversarial": 1.0, "likeness": 1.0}},
            r"no speaker_listener; name one with model\.speaker_listener",
        ),
        ({"speaker_listener": Levels}, "model.speaker_listener is set, but the loss likeness has no weight"),
        ({"listener": Quarters}, "model.listener is set, but the loss words has no weight"),
        ({"listener": LowBands, "weights": {"adversarial": 1.0, "words": 1.0}}, "LowBands, which takes features; name"),
        ({"listener": Quarters, "weights": {"adversarial": 1.0, "words": 1.0}}, "GriffinLim is not differentiable"),
        ({"swap": 1.5}, r"model\.swap is 1\.5; it must be from 0 to 1"),
        ({"swap": 0.25, "speaker_encoder": None}, r"model\.swap is 0\.25, but only a model .* set it to 0"),
    ],
)
def test_weights_without_effect_are_refused(changes, words):
    with pytest.raises(ConfigurationError, match=words):
        small_module(**changes)


# Exchanged voices -----------------------------------------------------------------------------------------------------


def converting(**changes):
    settings = {"swap": 0.5, "generator": partial(ConvGenerator, width=8, layers=2), "content_transforms": []}
    return small_module(**{**settings, **changes}).train()


@pytest.mark.slow
def test_cross_speaker_rows_have_the_reference_of_the_next_and_are_not_compared():
    module, batch = converting(), crops()
    torch.manual_seed(0)
    pair = module.make_pair(batch)
    source, reference = module._analyze(batch)
    assert pair.unpaired == 2
    assert torch.equal(pair.real, torch.cat([reference.features[1:3], source.features[2:]]))
    told = module.voice.prompt_from_analysis(reference).speaker
    assert torch.equal(pair.condition.speaker, told[[1, 2, 2, 3]])
    assert torch.equal(pair.condition.content, module.voice.content(source))
    f0, registers = pair.condition.f0, module.voice.prompt_from_analysis(reference).register
    for row, register in ((0, registers[1]), (1, registers[2])):
        torch.testing.assert_close(f0[row][f0[row] > 0].median(), register, rtol=1e-5, atol=0)
    assert torch.equal(f0[2:], source.f0[2:])
    expected = (pair.fake[2:] - pair.real[2:]).abs().mean()
    torch.testing.assert_close(pair.losses["reconstruction"].mean(), expected)


@pytest.mark.slow
def test_references_of_cross_speaker_rows_do_not_move_the_reconstruction():
    module, batch = converting(), crops()
    pair = module.make_pair(batch)
    source, reference = module._analyze(batch)
    prompt = module.voice.prompt_from_analysis(reference)
    heard = torch.ones(4, 1, 1, dtype=torch.bool)

    def reconstruction(real):
        made = LossInputs(source, reference, prompt, CrossSpeaker(4, 2), pair.condition, pair.fake, real, heard, True)
        return module.losses(module.voice, made)["reconstruction"].mean().item()

    first, last = pair.real.clone(), pair.real.clone()
    first[:2] += 100
    last[3:] += 100
    assert reconstruction(first) == reconstruction(pair.real)
    assert reconstruction(last) > reconstruction(pair.real) + 10


@pytest.mark.slow
def test_cross_speaker_rows_are_in_training_alone_and_after_the_warmup():
    batch = crops()
    assert converting().make_pair(batch).unpaired == 2
    assert converting().eval().make_pair(batch).unpaired == 0
    assert converting(steps=StepSettings(warmup=1)).make_pair(batch).unpaired == 0
    assert converting().make_pair(batch.head(1)).unpaired == 0  # nobody else is there


@pytest.mark.slow
def test_all_rows_may_be_cross_speaker_rows(corpus_folder, tmp_path):
    weights = {"adversarial": 1.0, "reconstruction": 1.0, "feature_matching": 1.0}
    module = converting(swap=1.0, weights=weights, steps=StepSettings(warmup=1))
    pair = module.make_pair(crops())
    assert pair.unpaired == 0  # until the discriminator plays
    trainer = small_trainer(tmp_path, max_steps=2)
    trainer.fit(module, small_data(corpus_folder))
    pair = module.train().make_pair(crops())
    assert pair.unpaired == 4
    assert pair.losses["reconstruction"].mean().item() == 0
    assert trainer.callback_metrics["train/feature_matching"] == 0
    assert all(value.isfinite() for value in trainer.callback_metrics.values())


@pytest.mark.slow
def test_cross_speaker_waveforms_are_compared_as_features_are():
    module = converting(
        feature_extractor=Waveform(hop_length=160), vocoder=Unframe,
        discriminator=partial(MultiPeriodDiscriminator, width=4), weights={"adversarial": 1.0, "spectral": 1.0},
        pitch=None, energy=None,
    )  # fmt: skip
    batch = crops()
    batch.reference = batch.reference[:, : 30 * 160]
    batch.reference_lengths[:] = 30
    pair = module.make_pair(batch)
    source, _ = module._analyze(batch)
    assert torch.equal(pair.real[:2, 0, : 30 * 160], batch.reference[1:3])
    assert not pair.real[:2, 0, 30 * 160 :].any()
    assert torch.equal(pair.real[2:, 0], source.audio[2:])
    assert pair.condition.lengths.tolist() == [30, 30, 50, 50]
    torch.testing.assert_close(
        pair.losses["spectral"].mean(), module.losses.spectral(pair.fake[2:, 0], source.audio[2:]).mean()
    )


@pytest.mark.slow
def test_noise_on_the_speaker_is_of_the_training_alone():
    batch = crops()
    plain, noisy = converting(swap=0.0), converting(swap=0.0, speaker_noise=0.5)
    own = plain.make_pair(batch).condition.speaker
    assert not torch.allclose(noisy.make_pair(batch).condition.speaker, own, atol=0.05)
    torch.testing.assert_close(
        noisy.eval().make_pair(batch).condition.speaker, plain.eval().make_pair(batch).condition.speaker
    )


@pytest.mark.slow
def test_losses_of_encoders_on_the_output_by_hand():
    """Losses of frozen encoders by hand: of the speaker in all rows, of the content in those that are exchanged."""
    module = converting(
        content_encoder=LowBands, speaker_encoder=Spectrum, weights={"adversarial": 1.0, "speaker": 1.0, "content": 1.0}
    )
    pair = module.make_pair(crops())
    source, reference = module._analyze(crops())
    told, wanted = pair.fake.mean(2), reference.features.mean(2)[[1, 2, 2, 3]]
    cosine = torch.nn.functional.cosine_similarity
    torch.testing.assert_close(pair.losses["speaker"].mean(), (1 - cosine(told, wanted, 1)).mean())
    heard, said = pair.fake[:2, :4], source.features[:2, :4]
    torch.testing.assert_close(pair.losses["content"].mean(), (1 - cosine(heard, said, 1)).mean())
    (pair.losses["speaker"].mean() + pair.losses["content"].mean()).backward()
    assert module.voice.generator.leave.weight.grad.any()
    alone = module.eval().make_pair(crops())  # nothing is exchanged: all rows count
    expected = (1 - cosine(alone.fake[:, :4], source.features[:, :4], 1)).mean()
    torch.testing.assert_close(alone.losses["content"].mean(), expected)


@pytest.mark.slow
def test_cross_speaker_rows_are_to_have_the_statistics_of_their_target():
    module, batch = converting(weights={"adversarial": 1.0, "statistics": 1.0}), crops()
    pair = module.make_pair(batch)
    source, reference = module._analyze(batch)
    expected = []
    for row in range(2):  # which speak as the rows after them
        made = pair.fake[row][:, source.voicing[row] > 0.5]
        wanted = reference.features[row + 1][:, reference.voicing[row + 1] > 0.5]
        means, deviations = ((part(made) - part(wanted)).square().mean() for part in (
            lambda x: x.mean(1), lambda x: x.std(1, unbiased=False)
        ))  # fmt: skip
        expected.append(means + deviations)
    torch.testing.assert_close(pair.losses["statistics"].mean(), sum(expected) / 2, rtol=1e-3, atol=1e-4)
    assert "statistics" not in module.eval().make_pair(batch).losses  # nothing is exchanged


# Recordings without high frequencies ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_is_learnt_where_a_recording_has_nothing():
    module = small_module(
        content_encoder=LowBands, speaker_encoder=Spectrum, content_transforms=[],
        weights={"reconstruction": 1.0, "adversarial": 1.0, "feature_matching": 1.0, "speaker": 1.0, "content": 1.0},
        generator=partial(ConvGenerator, width=8, layers=2), noise=0,
    ).train()  # fmt: skip
    high = module.feature_extractor.channel_frequencies() > 6500
    assert high.tolist() == [False] * 19 + [True]
    batch = crops(rows=2)
    batch.features = torch.randn(2, 20, 50)

    def losses(changed, *bandwidths):
        batch.features[:, changed] += 3
        batch.bandwidth = torch.tensor(bandwidths)
        pair = module.make_pair(batch)
        batch.features[:, changed] -= 3
        judged = [maps[-1] for maps in module.discriminator(pair.real, pair.condition)]
        of_discriminator = generator_terms(
            module.discriminator, module.adversarial_loss, pair, module.steps, 0, module.weights
        )
        return {
            name: loss.mean().item()
            for name, loss in {
                **pair.losses, **of_discriminator, "judged": judged[0],
                "discriminator": module.adversarial_loss.discriminator(judged, judged),
            }.items()
        }  # fmt: skip

    none = torch.zeros(20, dtype=torch.bool)
    expected = losses(none, 6500.0, 6500.0)
    assert losses(high, 6500.0, 6500.0) == pytest.approx(expected, rel=1e-5)
    for moved in (losses(high, 6500.0, 8000.0), losses(~high, 6500.0, 6500.0)):
        for name in ("reconstruction", "feature_matching", "judged"):
            assert moved[name] != pytest.approx(expected[name], rel=1e-4), name
    batch.bandwidth = torch.tensor([6500.0, 8000.0])
    pair = module.make_pair(batch)
    assert torch.equal(pair.real[0, -1], pair.fake[0, -1])
    assert torch.equal(pair.real[1], batch.features[1])


@pytest.mark.slow
def test_cross_speaker_rows_have_the_bandwidth_of_their_target():
    module, batch = converting(swap=0.25), crops()
    batch.bandwidth = torch.tensor([8000.0, 6500.0, 8000.0, 8000.0])
    pair = module.make_pair(batch)
    alike = (pair.real == pair.fake).all(2)[:, -1]
    assert alike.tolist() == [True, True, False, False]
    batch.reference_bandwidth = torch.tensor([8000.0, 8000.0, 6500.0, 8000.0])  # the other recording is a better one
    pair = module.make_pair(batch)
    assert (pair.real == pair.fake).all(2)[:, -1].tolist() == [False, True, False, False]


@pytest.mark.slow
def test_statistics_leave_out_what_the_reference_does_not_have():
    module, batch = converting(swap=0.25, weights={"adversarial": 1.0, "statistics": 1.0}), crops()
    batch.bandwidth = torch.full((4,), 8000.0)

    def distance(*bandwidths):
        batch.reference_bandwidth = torch.tensor(bandwidths)
        torch.manual_seed(0)
        return module.make_pair(batch).losses["statistics"].mean().item()

    whole, narrow = distance(8000.0, 8000.0, 8000.0, 8000.0), distance(8000.0, 6500.0, 8000.0, 8000.0)
    assert narrow != pytest.approx(whole, rel=1e-4)
    assert distance(6500.0, 8000.0, 6500.0, 6500.0) == pytest.approx(whole)  # of the row that is taken alone


@pytest.mark.slow
def test_an_untrained_model_is_not_validated(corpus_folder, tmp_path):
    with pytest.raises(ConfigurationError, match="not been trained yet"):
        small_trainer(tmp_path).validate(small_module(), small_data(corpus_folder), verbose=False)


def test_a_scheduler_that_waits_for_a_figure_without_a_name_is_refused(corpus_folder, tmp_path):
    module = small_module(scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau)
    with pytest.raises(ConfigurationError, match="ReduceLROnPlateau without a figure to monitor"):
        small_trainer(tmp_path).fit(module, small_data(corpus_folder))


@pytest.mark.slow
def test_variational_generator_trains_by_its_own_loss(corpus_folder, tmp_path):
    module = small_module(
        generator=partial(VAEGenerator), weights={"reconstruction": 1.0, "adversarial": 1.0, "kl": 0.1}
    )
    trainer = small_trainer(tmp_path, max_steps=2)
    trainer.fit(module, small_data(corpus_folder))
    assert float(trainer.callback_metrics["train/kl"]) > 0


@pytest.mark.slow
@pytest.mark.parametrize("extractor", [MFCC(n_mfcc=13, n_mels=40), Waveform(hop_length=160)])
def test_textbook_gan_from_noise_alone(corpus_folder, tmp_path, extractor):
    module = small_module(
        feature_extractor=extractor, generator=partial(MLPGenerator, hidden=8, layers=2),
        discriminator=partial(MLPDiscriminator, hidden=8, layers=2), content_encoder=None, speaker_encoder=None,
        pitch=None, energy=None, content_transforms=None, weights={"adversarial": 1.0}, noise=10,
        **({"vocoder": Unframe} if extractor.spec.kind == "waveform" else {}),
    )  # fmt: skip
    trainer = small_trainer(tmp_path, max_steps=3)
    trainer.fit(module, small_data(corpus_folder, segment_seconds=0.01))
    figures = trainer.validate(module, small_data(corpus_folder, segment_seconds=0.01), verbose=False)[0]
    assert {"validation/mean_gap", "validation/spread_low", "validation/spread_high"} <= figures.keys()


def test_the_distributed_sampler_of_lightning_is_refused(corpus_folder, tmp_path):
    trainer = small_trainer(tmp_path, use_distributed_sampler=True)
    data = small_data(corpus_folder)
    data.prepare_data()
    data.trainer = type("T", (), {"world_size": 2, "_accelerator_connector": trainer._accelerator_connector})()
    with pytest.raises(ConfigurationError, match="use_distributed_sampler"):
        data.setup("fit")


@pytest.mark.slow
def test_a_discriminator_of_waveforms_needs_a_differentiable_vocoder(corpus_folder, tmp_path):
    discriminator = partial(MultiPeriodDiscriminator, width=4)
    with pytest.raises(ConfigurationError, match="GriffinLim is not differentiable"):
        small_module(discriminator=discriminator)
    module = small_module(
        feature_extractor=Waveform(hop_length=160), vocoder=Unframe, discriminator=discriminator,
        weights={"adversarial": 1.0, "feature_matching": 1.0, "spectral": 1.0},
    )  # fmt: skip
    trainer = small_trainer(tmp_path, max_steps=2)
    trainer.fit(module, small_data(corpus_folder))
    assert {"train/spectral", "train/feature_matching", "train/discriminator"} <= trainer.callback_metrics.keys()


@pytest.mark.slow
def test_a_discriminator_of_waveforms_ignores_the_padding_of_short_crops():
    module = small_module(
        feature_extractor=Waveform(hop_length=160), vocoder=Unframe, weights={"adversarial": 1.0},
        discriminator=partial(MultiPeriodDiscriminator, width=4),
    )  # fmt: skip
    batch = crops()
    batch.lengths[1] = 20
    pair = module.train().make_pair(batch)
    for audio in (pair.real, pair.fake):
        assert audio.shape == (4, 1, 8000)
        assert not audio[1, 0, 20 * 160 :].any()
        assert audio[1, 0, : 20 * 160].any()
        assert audio[0, 0, 20 * 160 :].any()


END_TO_END = {
    "vocoder": partial(Vocos, width=16, hidden=32, layers=1), "weights": {"mel": 1.0, "adversarial": 1.0},
    "discriminator": partial(MultiPeriodDiscriminator, width=4),
}  # fmt: skip


@pytest.mark.slow
def test_a_vocoder_learns_together_with_the_generator():
    module = converting(**END_TO_END)
    batch = crops()
    batch.lengths[3] = 20
    pair = module.make_pair(batch)
    source, _ = module._analyze(batch)
    real = source.audio[2:].clone()
    real[1, 20 * 160 :] = 0  # rows 0 and 1 are converted; padding is not compared
    torch.testing.assert_close(pair.losses["mel"].mean(), module.losses.mel(pair.fake[2:, 0], real).mean())
    pair.losses["mel"].mean().backward()
    for part in (module.voice.generator, module.voice.vocoder):
        assert all(p.grad is not None for p in part.parameters() if p.requires_grad)
    trained = {id(p) for group in module.configure_optimizers()[0][0].param_groups for p in group["params"]}
    assert {id(p) for p in module.voice.vocoder.parameters() if p.requires_grad} <= trained


@pytest.mark.slow
def test_speaker_and_content_of_a_waveform_train_its_vocoder():
    losses = {"adversarial": 1.0, "speaker": 1.0, "content": 1.0}
    module = converting(**END_TO_END | {"weights": losses}, content_encoder=LowBands, speaker_encoder=Spectrum)
    pair = module.make_pair(crops())
    source, reference = module._analyze(crops())
    said = module.voice.normalizer(module.feature_extractor(pair.fake[:, 0]))
    cosine = torch.nn.functional.cosine_similarity
    wanted = reference.features.mean(2)[[1, 2, 2, 3]]
    torch.testing.assert_close(pair.losses["speaker"].mean(), (1 - cosine(said.mean(2), wanted, 1)).mean())
    expected = (1 - cosine(said[:2, :4], source.features[:2, :4], 1)).mean()
    torch.testing.assert_close(pair.losses["content"].mean(), expected)
    (pair.losses["speaker"].mean() + pair.losses["content"].mean()).backward()
    for part in (module.voice.generator.leave, module.voice.vocoder.head):
        assert part.weight.grad.any()


@pytest.mark.slow
def test_words_are_compared_by_what_a_listener_hears_in_the_waveform():
    losses = {"adversarial": 1.0, "words": 1.0}
    module = converting(**END_TO_END | {"weights": losses}, listener=Quarters)
    assert not any("listener" in name for name in module.state_dict())
    batch = crops()
    batch.lengths[3] = 19  # ten frames of the listener, the last of them half
    pair = module.make_pair(batch)
    source, _ = module._analyze(batch)
    said, wanted = (Quarters(None)(audio).detach() for audio in (pair.fake[:, 0], source.audio))
    rows = [(said[row], wanted[row]) for row in range(3)]
    waveform = module.voice.vocode(module.voice.generator(pair.condition), pair.condition.f0)  # not cut at its length
    rows.append((Quarters(None)(waveform).detach()[3, :, :10], wanted[3, :, :10]))
    said, wanted = (torch.cat(parts, 1) for parts in zip(*rows, strict=True))
    expected = ((said - wanted).square() / wanted.var(1, correction=0, keepdim=True)).mean()
    torch.testing.assert_close(pair.losses["words"].mean(), expected, rtol=1e-3, atol=0)
    pair.losses["words"].mean().backward()
    for part in (module.voice.generator.leave, module.voice.vocoder.head):
        assert part.weight.grad.any()
    with pytest.raises(SpecMismatchError, match="Quarters, takes audio at 16000 Hz, and this model has 8000"):
        converting(**END_TO_END | {"weights": losses}, listener=Quarters, pitch=None, energy=None,
                   feature_extractor=MelSpectrogram(sample_rate=8000, n_mels=20, hop_length=80))  # fmt: skip


@pytest.mark.slow
def test_speakers_are_compared_by_what_a_listener_hears_in_the_waveform():
    module = converting(**END_TO_END | {"weights": {"adversarial": 1.0, "likeness": 1.0}}, speaker_listener=Levels)
    assert not any("listener" in name for name in module.state_dict())
    pair = module.make_pair(crops())
    _, reference = module._analyze(crops())
    heard, wanted = Levels(None)(pair.fake[:, 0]), Levels(None)(reference.audio)[[1, 2, 2, 3]]
    expected = 1 - torch.nn.functional.cosine_similarity(heard, wanted, 1)
    torch.testing.assert_close(pair.losses["likeness"].values, expected)
    pair.losses["likeness"].mean().backward()
    for part in (module.voice.generator.leave, module.voice.vocoder.head):
        assert part.weight.grad.any()


def test_a_checkpoint_with_another_vocoder_is_refused_where_the_vocoder_trains():
    checkpoint = {}
    converting(**END_TO_END).on_save_checkpoint(checkpoint)
    other = {**END_TO_END, "vocoder": partial(Vocos, width=24, hidden=32, layers=1)}
    with pytest.raises(SpecMismatchError, match=r"vocoder is Vocos\(width=16"):
        converting(**other).on_load_checkpoint(checkpoint)


@pytest.mark.parametrize(("stage", "times"), [("fit", 1), ("validate", 0), ("test", 0)])
def test_only_a_training_takes_its_position_in_the_data_from_a_checkpoint(stage, times):
    taken, checkpoint = [], {}
    module = converting()
    module.on_save_checkpoint(checkpoint)
    checkpoint["loops"] = {"fit_loop": {"state_dict": {"combined_loader": [{"epoch": 1, "batches": 2}]}}}
    trainer = SimpleNamespace(state=SimpleNamespace(fn=stage), datamodule=SimpleNamespace(resume_at=taken.append))
    module.trainer = trainer
    module.on_load_checkpoint(checkpoint)
    assert taken == times * [{"epoch": 1, "batches": 2}]


@pytest.mark.slow
def test_stored_features_are_the_computed_ones(corpus_folder, tmp_path):
    extractor = MelSpectrogram(n_mels=20)
    prepare(SpeakerFolders(corpus_folder), tmp_path, features=extractor, validation=2, workers=1, progress=False)
    batches = []
    for stored in (False, True):
        data = small_data(corpus_folder, manifest=str(tmp_path), cached_features=stored)
        module = small_module()
        small_trainer(tmp_path, max_steps=1).fit(module, data)
        batch = next(iter(data.train_dataloader()))
        batches.append((batch, module.voice.analyze(batch.audio, batch.lengths, margin=batch.margin).features))
        assert (batch.features is not None) == stored
    (_, computed), (batch, _) = batches
    from_store = module.voice.analyze(batch.audio, batch.lengths, margin=batch.margin, features=batch.features).features
    assert (computed - from_store).abs().max() < 0.02
    with pytest.raises(ConfigurationError, match="set one of the two aside"):
        small_trainer(tmp_path, max_steps=1).fit(small_module(augmentation=[RandomGain()]), data)


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path, monkeypatch):
    files, path = WholeCheckpointIO(), tmp_path / "last.ckpt"
    files.save_checkpoint({"step": 1}, path)

    def full(checkpoint, stream):
        stream.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        files.save_checkpoint({"step": 2}, path)
    assert files.load_checkpoint(path) == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.ckpt"]


TWO_PROCESSES = """
    import sys, torch
    from lightning_voiceclone.cli.training import build_cli

    if __name__ == "__main__":
        cli = build_cli(["fit", *sys.argv[1:]], run=True)
        torch.save(cli.model.state_dict(), f"rank{cli.trainer.global_rank}.pt")
"""


@pytest.mark.slow
def test_the_recipe_in_two_processes_keeps_equal_weights(corpus_folder, tmp_path, request):
    recipe = request.path.parents[3] / "recipes/librispeech.yaml"
    (tmp_path / "two.py").write_text(textwrap.dedent(TWO_PROCESSES))
    arguments = [
        "--config", str(recipe), "--data.root", str(corpus_folder), "--data.corpus", "SpeakerFolders",
        "--data.validation", "2", "--data.batch_size", "2", "--data.segment_seconds", "0.4",
        "--data.reference_seconds", "0.5", "--model.generator.width", "16",
        "--model.steps.warmup", "1", "--trainer.max_steps", "4", "--trainer.accelerator", "cpu",
        "--trainer.devices", "2",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "two.py", *arguments], cwd=tmp_path, capture_output=True, text=True,
                          timeout=300, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    left, right = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert_same_state(left, right)
    checkpoint = torch.load(tmp_path / "runs/librispeech/version_0/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4
    assert_same_state(checkpoint["state_dict"], left)


@pytest.mark.slow
def test_the_last_checkpoint_is_that_of_the_last_step(corpus_folder, tmp_path):
    last = LastCheckpoint(minutes=0.0)
    small_trainer(tmp_path, max_steps=5, callbacks=[last]).fit(small_module(), small_data(corpus_folder))
    assert last.path == tmp_path / "checkpoints/last.ckpt"
    assert torch.load(last.path, weights_only=True)["global_step"] == 5
