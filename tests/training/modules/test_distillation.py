"""Teaching small encoders by large ones."""

import shutil
from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from lightning_voiceclone.audio.augmentation import RandomGain, RandomSpeed
from lightning_voiceclone.audio.preprocessing import NormalizePeak
from lightning_voiceclone.checkpoints.part_folder import load_part
from lightning_voiceclone.core.interfaces import ContentEncoder, Dims, SpeakerEncoder
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.data.corpora import SpeakerFolders
from lightning_voiceclone.data.datamodule import VoiceDataModule
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content_encoders.conv import ConvContentEncoder
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.networks.speaker_encoders.conv import ConvSpeakerEncoder
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.training.checkpoint_io import WholeCheckpointIO
from lightning_voiceclone.training.recipes import DistillationModule
from lightning_voiceclone.training.step import StepSettings

SMALL = {"channels": 8, "width": 16, "hidden": 16, "layers": 1}


class Loudness(ContentEncoder):
    """Says how loud each 20 ms are, and its negative, at 50 frames a second."""

    takes = "audio"
    channels = 2
    frame_rate = 50.0

    def __init__(self, dims):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, x, lengths=None):
        level = x[:, : x.shape[1] // 320 * 320].unflatten(1, (-1, 320)).square().mean(2).clamp(min=1e-6).log()
        return self.gain * torch.stack([level, -level], 1)


class Register(SpeakerEncoder):
    """Says how loud a recording is, and how bright."""

    takes = "audio"
    channels = 2

    def __init__(self, dims):
        super().__init__()

    def forward(self, x, lengths=None):
        return torch.stack([part.square().mean(1).clamp(min=1e-6).log() for part in (x, x.diff())], 1)


def module(**changes):
    torch.manual_seed(0)
    settings = {
        "feature_extractor": MelSpectrogram(n_mels=20),
        "encoder": partial(ConvContentEncoder, **SMALL),
        "teacher": Loudness,
        "optimizer": partial(torch.optim.AdamW, lr=5e-3),
        "steps": StepSettings(average=0.9),
    }
    return DistillationModule(**{**settings, **changes})


def fitted(made, root, folder, **changes):
    settings = {
        "accelerator": "cpu", "default_root_dir": folder, "logger": False, "enable_progress_bar": False,
        "enable_model_summary": False, "use_distributed_sampler": False, "num_sanity_val_steps": 0,
        "plugins": [WholeCheckpointIO()], "max_steps": 40, "limit_val_batches": 2, "val_check_interval": 1.0,
    }  # fmt: skip
    trainer = pl.Trainer(**{**settings, **changes})
    data = VoiceDataModule(SpeakerFolders, str(root), segment_seconds=0.5, batch_size=4, validation=2)
    trainer.fit(made, data)
    return trainer, data


@pytest.mark.slow
def test_a_student_of_content_learns_its_teachers_output(corpus_folder, tmp_path):
    made = module()
    trainer, data = fitted(made, corpus_folder, tmp_path, max_steps=120)
    distance = trainer.validate(made, data, verbose=False)[0]["validation/distance"]
    assert distance < 0.25  # 1 is what the mean would give
    trainer.save_checkpoint(tmp_path / "student.ckpt")
    state = torch.load(tmp_path / "student.ckpt", weights_only=True)["state_dict"]
    assert not any("gain" in name for name in state)  # the teacher stays out
    taken = load_part(tmp_path / "student.ckpt", "content_encoders")
    x = torch.randn(1, 20, 30)
    with made.averaged():
        assert torch.equal(taken(x), made.student.encoder.eval()(x))
    assert taken.features_spec == made.spec


@pytest.mark.slow
def test_a_student_of_speakers(corpus_folder, tmp_path):
    made = module(encoder=partial(ConvSpeakerEncoder, **SMALL), teacher=Register)
    trainer, data = fitted(made, corpus_folder, tmp_path, max_steps=150)
    assert trainer.validate(made, data, verbose=False)[0]["validation/distance"] < 0.7
    assert made.scale.scale.unique().numel() == 1


@pytest.mark.slow
def test_the_teacher_gets_the_original_and_the_student_the_augmented_audio(corpus_folder, tmp_path):
    made = module(augmentation=[RandomGain(-20, -20, probability=1.0)])
    _, data = fitted(made, corpus_folder, tmp_path, max_steps=1)
    batch = next(iter(data.train_dataloader()))
    frames, hop = batch.audio.shape[1] // 160 - 2 * batch.margin, 160
    inner = batch.audio[:, batch.margin * hop : -batch.margin * hop]
    assert torch.equal(made._target(batch, frames), made.teacher(inner))
    quiet = made.train()._student_features(batch, frames)
    heard = made.eval()._student_features(batch, frames)
    assert torch.allclose((heard - quiet)[heard > -6], torch.tensor(2.302585), atol=0.01)  # 20 dB


def test_shared_augmentation_reaches_teacher_and_student_in_training(monkeypatch):
    made = module(common_augmentation=[RandomGain(-20, -20, probability=1.0)],
                  augmentation=[RandomGain(-6, -6, probability=1.0)])  # fmt: skip
    audio = torch.from_numpy(speech_like(0.6).audio)[None]
    batch = Batch(audio, torch.tensor([54]), torch.zeros(1, 0), torch.zeros(1), ["a"], 3)
    heard = []
    for part in (made.teacher, made.extractor):
        part.register_forward_pre_hook(lambda part, args: heard.append(args[0].abs().max().item()))
    loudest = audio.abs().max().item()
    made.train().make_pair(batch)
    # The teacher's input is 20 dB quieter, the student's 26: its gain comes on top.
    assert heard == pytest.approx([loudest * 10 ** (-20 / 20), loudest * 10 ** (-26 / 20)], rel=1e-4)
    heard.clear()
    made.eval().make_pair(batch)
    assert heard == pytest.approx([loudest, loudest])
    assert torch.equal(batch.audio, audio)  # not changed in place


def test_what_moves_sounds_in_time_may_be_common_to_both():
    made = module(common_augmentation=[RandomSpeed(2.0, 2.0, probability=1.0)])
    made.fit_statistics([torch.from_numpy(speech_like(1.0).audio)])
    audio = torch.from_numpy(speech_like(1.02, seed=1).audio)[None]
    batch = Batch(audio, torch.tensor([96]), torch.zeros(1, 0), torch.zeros(1), ["a"], 3)
    torch.manual_seed(0)
    pair = made.train().make_pair(batch)
    played = made.common_augmentation[0](audio, 16000)
    assert not torch.equal(played, audio)
    inner = played[:, 3 * 160 : -3 * 160]
    torch.testing.assert_close(pair.real, made.scale(made.teacher(inner)))
    assert pair.real.shape == (1, 2, 48)


def paired(**changes):
    """A module, and a batch of 16 crops with quieter parallel recordings."""
    made = module(**changes)
    made.fit_statistics([torch.from_numpy(speech_like(1.0).audio)])
    audio = torch.from_numpy(speech_like(0.6).audio)[None].expand(16, -1)
    return made, Batch(
        audio, torch.full((16,), 54), torch.zeros(16, 0), torch.zeros(16), ["a"] * 16, 3, parallel=audio / 8
    )


def test_the_student_is_given_some_parallel_recordings_and_the_teacher_none():
    made, batch = paired()
    torch.manual_seed(0)
    heard = made.train()._student_features(batch, 54).flatten(1).mean(1)
    own = made.extractor(batch.audio)[..., 3:-3].flatten(1).mean(1)
    quieter = (heard - own) < -1
    assert 3 <= quieter.sum() <= 13
    torch.testing.assert_close(heard[~quieter], own[~quieter])
    answer = made.scale(made.teacher(batch.audio[:, 480:-480]))
    torch.testing.assert_close(made.make_pair(batch).real, answer)
    torch.testing.assert_close(made.eval()._student_features(batch, 54).flatten(1).mean(1), own)  # none in evaluation


def test_parallel_recordings_and_common_augmentation_do_not_go_together():
    made, batch = paired(common_augmentation=[RandomGain(-20, -20, probability=1.0)])
    with pytest.raises(ConfigurationError, match=r"parallel recordings.*common_augmentation"):
        made.train().make_pair(batch)
    with pytest.raises(ConfigurationError, match="parallel is 2"):
        module(parallel=2.0)


@pytest.mark.slow
def test_resuming_is_bit_exact(corpus_folder, tmp_path):
    whole, resumed = module(), module()
    fitted(whole, corpus_folder, tmp_path, max_steps=8)
    half, _ = fitted(module(), corpus_folder, tmp_path, max_steps=4)
    half.save_checkpoint(tmp_path / "half.ckpt")
    trainer = pl.Trainer(accelerator="cpu", logger=False, max_steps=8, enable_progress_bar=False, limit_val_batches=2,
                         enable_model_summary=False, use_distributed_sampler=False, plugins=[WholeCheckpointIO()],
                         default_root_dir=tmp_path)  # fmt: skip
    data = VoiceDataModule(SpeakerFolders, str(corpus_folder), segment_seconds=0.5, batch_size=4, validation=2)
    trainer.fit(resumed, data, ckpt_path=tmp_path / "half.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.slow
def test_a_checkpoint_of_another_student_is_refused(corpus_folder, tmp_path):
    trainer, data = fitted(module(), corpus_folder, tmp_path, max_steps=1)
    trainer.save_checkpoint(tmp_path / "student.ckpt")
    other = module(encoder=partial(ConvContentEncoder, **{**SMALL, "layers": 2}))
    with pytest.raises(SpecMismatchError, match="encoder is ConvContentEncoder"):
        trainer.fit(other, data, ckpt_path=tmp_path / "student.ckpt")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"teacher": None}, "there is no teacher"),
        ({"teacher": Register}, "Register is of speaker_encoders and cannot teach ConvContentEncoder"),
        ({"encoder": InstanceNormContentEncoder}, "InstanceNormContentEncoder cannot be trained by itself"),
        ({"augmentation": [RandomSpeed()]}, "RandomSpeed moves sounds in time"),
        ({"common_augmentation": [NormalizePeak()]}, "NormalizePeak works on whole recordings"),
        ({"encoder": ConvSpeakerEncoder, "teacher": StatisticsSpeakerEncoder}, "use a teacher of audio"),
    ],
)
def test_pairs_that_cannot_be_teacher_and_student(changes, words):
    with pytest.raises(ConfigurationError, match=words):
        module(**changes)


def test_nothing_to_predict():
    with pytest.raises(ConfigurationError, match="outputs no audio to predict"):
        module().predict_step(None, 0)


def test_transcripts_are_learned_from_crops_that_hold_a_whole_recording():
    made, batch = paired(weights={"distance": 1, "ctc": 0.5})
    assert made.needs_transcripts
    assert made.figures == ("distance", "ctc")
    made.train()
    assert set(made.make_pair(batch).losses) == {"distance"}  # no texts
    batch.texts = [""] * 15 + ["a word"]
    losses = made.make_pair(batch).losses
    losses["ctc"].mean().backward()
    assert losses["ctc"].mean() > 1
    assert all(p.grad is not None for p in made.student.encoder.parameters())
    assert made.student.head.weight.grad is None


@pytest.mark.slow
def test_without_a_head_the_output_itself_is_to_be_the_teachers():
    teacher = partial(ConvContentEncoder, **SMALL)(Dims(20)).requires_grad_(False)
    teacher.normalized = False
    made = module(teacher=lambda dims: teacher, head=False)
    made.fit_statistics([torch.from_numpy(speech_like(1.0).audio)])
    _, batch = paired()
    made.student.encoder.load_state_dict(teacher.state_dict())
    assert made.eval().make_pair(batch).losses["distance"].mean() == 0
    assert {name.split(".")[0] for name, _ in made.student.named_parameters()} == {"encoder"}
    with pytest.raises(ConfigurationError, match="it has 8 channels and the teacher 2"):
        module(head=False)


def test_the_head_of_transcripts_has_ten_times_the_rate():
    made, _ = paired(weights={"distance": 1, "ctc": 0.5})
    (optimizer,), _ = made.configure_optimizers()
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(5e-3), pytest.approx(5e-2)]
    sizes = [sum(p.numel() for p in group["params"]) for group in optimizer.param_groups]
    assert sizes[1] == sum(p.numel() for p in made.student.transcripts.parameters())
    assert sum(sizes) == sum(p.numel() for p in made.student.parameters())


def test_a_speaker_encoder_learns_no_transcripts():
    with pytest.raises(ConfigurationError, match=r"ctc.*a speaker encoder outputs no words"):
        module(encoder=partial(ConvSpeakerEncoder, **SMALL), teacher=Register, weights={"ctc": 1})


@pytest.mark.slow
def test_crops_too_short_for_transcripts_are_refused(corpus_folder, tmp_path):
    texts = sorted(corpus_folder.rglob("*.wav"))
    made = module(weights={"distance": 1, "ctc": 1})
    with pytest.raises(ConfigurationError, match="training learns from transcripts, but no training recording has one"):
        fitted(made, corpus_folder, tmp_path, max_steps=1)
    shutil.copytree(corpus_folder, tmp_path / "written")
    for path in texts:
        (tmp_path / "written" / path.relative_to(corpus_folder)).with_suffix(".txt").write_text("a word")
    with pytest.raises(ConfigurationError, match=r"data.segment_seconds is 0.5 and the shortest.* has \d.\d\d s"):
        fitted(made, tmp_path / "written", tmp_path, max_steps=1)
