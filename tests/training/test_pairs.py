"""Every pair of parts that may meet meets in a run of one step and a clone; the others are refused with the reason."""

import itertools
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import pairs
import pytest
import torch
from torch.utils.data import DataLoader

from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.features.prosody import Energy, Pitch
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.training.recipes import VoiceModule

PAGE = Path(__file__).resolve().parents[2] / "docs/combinations.md"
PARTS = pairs.Parts()
FRAMES, HOP = 40, 160
SPEECH = [torch.from_numpy(speech_like(0.6, speaker=row, seed=row).audio) for row in range(2)]


def module_of(extractor, generator, discriminator, vocoder):
    """A small module of these four and the encoders around them."""
    torch.manual_seed(0)
    return VoiceModule(
        PARTS.extractor(extractor), PARTS.small("generators", generator), PARTS.small("discriminators", discriminator),
        content_encoder=partial(InstanceNormContentEncoder, channels=4, width=8, layers=1),
        speaker_encoder=partial(StatisticsSpeakerEncoder, channels=8, width=8, layers=1), pitch=Pitch(),
        energy=Energy(), vocoder=PARTS.small("vocoders", vocoder), noise=2,
        weights={"reconstruction": 1.0, "adversarial": 1.0, "feature_matching": 1.0},
    )  # fmt: skip


def batch_for(module):
    """Two crops, with their references."""
    samples = (FRAMES + 2 * module.margin) * HOP
    frames = torch.full((2,), FRAMES)
    audio = torch.stack([row.repeat(3)[:samples] for row in SPEECH])
    return Batch(audio, frames, torch.stack(SPEECH)[:, : FRAMES * HOP], frames.clone(), ["a", "b"], module.margin)


@pytest.mark.slow
@pytest.mark.parametrize("four", PARTS.quadruples(), ids="-".join)
def test_parts_that_fit_train_and_convert(four, tmp_path):
    module = module_of(*four)
    batch = batch_for(module)
    module.fit_statistics(SPEECH)
    module.voice.vocoder.fit_statistics([module.feature_extractor(row[None]) for row in SPEECH])  # as if trained
    before = [weight.detach().clone() for weight in module.voice.generator.parameters()]
    trainer = pl.Trainer(max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
                         default_root_dir=tmp_path)  # fmt: skip
    trainer.fit(module, DataLoader([batch], batch_size=None))
    weights = [*module.voice.generator.parameters()]
    assert all(weight.isfinite().all() for weight in weights)
    assert any(not torch.equal(weight, old) for weight, old in zip(weights, before, strict=True))
    voice = module.voice.eval()
    clone = voice.convert(SPEECH[0], voice.prompt([SPEECH[1]], 16000), 16000, seed=0)
    assert clone.shape == (len(SPEECH[0]) // HOP * HOP,)
    assert clone.isfinite().all()
    assert clone.abs().max() > 0


@pytest.mark.parametrize("pair", PARTS.refused, ids=lambda pair: "-".join(name for _, name in pair))
def test_parts_that_do_not_fit_are_refused_with_the_reason(pair):
    given = dict(pair)
    fours = itertools.product(*([given[role]] if role in given else PARTS.named[role] for role in pairs.ROLES))
    allowed = {(extractor, vocoder) for extractor in PARTS.named["feature_extractors"]
               for vocoder in PARTS.named["vocoders"]
               if (("feature_extractors", extractor), ("vocoders", vocoder)) not in PARTS.refused}  # fmt: skip
    four = next(four for four in fours if "feature_extractors" in given or (four[0], four[3]) in allowed)
    with pytest.raises(LVCError) as raised:
        module_of(*four)
    assert str(raised.value) == PARTS.refused[pair]


def test_every_pair_is_either_tried_or_refused():
    tried = {pair for four in PARTS.quadruples() for pair in pairs.pairs_of(four)}
    named = [[(role, name) for name in PARTS.named[role]] for role in pairs.ROLES]
    every = {pair for both in itertools.combinations(named, 2) for pair in itertools.product(*both)}
    assert tried | PARTS.refused.keys() == every
    assert not tried & PARTS.refused.keys()


def test_the_page_is_current():
    assert PAGE.read_text() == pairs.page(PARTS), "run: python tests/pairs.py > docs/combinations.md"
