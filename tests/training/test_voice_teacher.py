"""A generator that is taught by what another model generates."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from untrained_encoders import LowBands, Spectrum

from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.prosody import Energy, Pitch
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.training.cross_speaker import CrossSpeaker
from lightning_voiceclone.training.modules.voice import VoiceTraining
from lightning_voiceclone.training.recipes import build_model
from lightning_voiceclone.voice.options import RenderOptions

HOP, MARGIN, FRAMES = 160, 3, 40


def model(seed=0, **changes):
    torch.manual_seed(seed)
    settings = {
        "generator": partial(ConvGenerator, width=16, layers=2), "content_encoder": LowBands,
        "speaker_encoder": Spectrum, "pitch": Pitch(), "energy": Energy(),
    }  # fmt: skip
    made = build_model(MelSpectrogram(n_mels=20), **{**settings, **changes})[0]
    made.normalizer.fit_once([made.feature_extractor(torch.from_numpy(speech_like(2.0).audio)[None])])
    return made.eval()


def crops(rows=4):
    audio = [torch.from_numpy(speech_like(2.0, speaker=row, seed=row).audio) for row in range(rows)]
    lengths, samples = torch.full((rows,), FRAMES), (FRAMES + 2 * MARGIN) * HOP
    references = torch.stack([row[16000 : 16000 + FRAMES * HOP] for row in audio])
    names = [f"{row}" for row in range(rows)]
    return Batch(torch.stack([row[:samples] for row in audio]), lengths, references, lengths.clone(), names, MARGIN)


def training(student, teacher, **changes):
    settings = {"weights": {"teacher": 1.0}, "swap": 0.5}
    return VoiceTraining(student, teacher=teacher, **{**settings, **changes}).train()


def rows(pair):
    return pair.losses["teacher"].values


@pytest.mark.parametrize("generator", [ConvGenerator, ReferenceGenerator])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(generator):
    made = [model(generator=partial(generator, width=8, layers=2)) for _ in range(2)]
    module = training(*made)
    pair = module.make_pair(crops())
    assert pair.unpaired == 2  # without a discriminator too
    assert rows(pair).abs().max() < 1e-5
    module = training(made[0], model(1, generator=partial(generator, width=8, layers=2)))
    assert rows(module.make_pair(crops())).min() > 0.01


def test_converted_rows_are_guided_as_when_the_teacher_clones():
    teacher, student = model(1), model()
    teacher.guidance = 0.7
    module, batch = training(student, teacher), crops()
    source, reference = module._analyze(batch)
    taught = module.teacher.features(student, source, reference, CrossSpeaker(4, 2))
    for row in range(4):
        target = (row + 1) % 4 if row < 2 else row
        prompt = teacher.prompt_from_analysis(reference.rows(slice(target, target + 1)))
        script = teacher.script_from_analysis(source.rows(slice(row, row + 1)), speaker=True)
        if row >= 2:  # its own register: f0 stays as it is
            prompt = replace(prompt, register=script.register)
        heard = []
        teacher.vocoder.register_forward_pre_hook(lambda _, given, heard=heard: heard.append(given[0]))
        teacher.render(script, prompt, RenderOptions(guidance=0.7 if row < 2 else 0.0))
        expected = student.normalizer(heard[0])
        torch.testing.assert_close(taught[row : row + 1], expected, atol=1e-4, rtol=1e-4)


def test_nothing_is_taught_beyond_the_end_of_a_crop():
    module, batch = training(model(), model(1)), crops()
    batch.lengths[1] = 25
    taught = module.teacher.features(module.voice, *module._analyze(batch), CrossSpeaker(4, 2))
    assert taught[1, :, 25:].abs().max() == 0
    assert taught[1, :, :25].abs().min() > 0
    assert torch.isfinite(taught).all()


def test_a_student_comes_near_to_its_teacher():
    student, teacher = model(), model(1)
    module, batch = training(student, teacher), crops()
    optimizer = torch.optim.Adam(student.generator.parameters(), 0.01)
    distances = []
    for _ in range(60):
        loss = rows(module.make_pair(batch)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        distances.append(loss.item())
    assert distances[-1] < 0.3 * distances[0]
    assert all(weight.grad is None for weight in teacher.parameters())
    assert not any("teacher" in name for name in module.state_dict())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"teacher": None, "swap": 0.0}, r"teacher is 1\.0 but would have no effect: .* name one with model\.teacher"),
        ({"teacher": None, "weights": {"reconstruction": 1.0}}, "need a discriminator or a teacher, and there is neit"),
        ({"teacher": {}, "weights": {"reconstruction": 1.0}}, "model.teacher is set, but the loss teacher has no wei"),
        ({"teacher": {"content_encoder": None}}, "converts no recordings to another speaker"),
        ({"teacher": {"pitch": Pitch(fmax=300.0)}}, r"fmax.* 300.* as pitch, and this one has"),
        ({"teacher": {}, "swap": 1.0, "weights": {"teacher": 1.0, "reconstruction": 1.0}}, "would train nothing"),
    ],
)
def test_teachers_that_cannot_teach_are_refused(changes, words):
    teacher = changes.pop("teacher")
    with pytest.raises(ConfigurationError, match=words):
        training(model(), None if teacher is None else model(1, **teacher), **changes)


def test_a_teacher_of_other_features_is_refused():
    generator = partial(ConvGenerator, width=8, layers=1)
    other = build_model(MelSpectrogram(n_mels=24), generator, content_encoder=LowBands)[0]
    with pytest.raises(SpecMismatchError, match=r"model\.teacher.*channels"):
        training(model(), other)
