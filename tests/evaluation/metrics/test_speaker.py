"""Measures of voices, with an encoder whose answers are known, and the equal-error rate by hand."""

import numpy as np
import pytest
import torch

from lightning_voiceclone.checkpoints.external_weights import refer_by_hash
from lightning_voiceclone.core.interfaces import SpeakerEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError, UndefinedMeasureError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.sources import embedding_of, metric_source
from lightning_voiceclone.evaluation.metrics.speaker import (
    NearerReference,
    ReferenceSimilarity,
    SourceSimilarity,
    SpeakerEqualErrorRate,
    equal_error_rate,
)
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder


class TwoSamples(SpeakerEncoder):
    """The first two samples are the embedding."""

    takes = "audio"
    channels = 2

    def __init__(self):
        super().__init__()
        self.asked = 0

    def forward(self, x, lengths=None):
        self.asked += len(x)
        return x[:, :2]


def voice(degrees):
    return torch.tensor([np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0.0]).float()


def case(clone, source=0.0, reference=90.0, genuine=90.0):
    return Case("a", voice(source), voice(reference), voice(clone), 16000, genuine=voice(genuine))


def test_cosines_by_hand():
    encoder = TwoSamples()
    assert ReferenceSimilarity(encoder).score(case(60.0)) == pytest.approx(np.cos(np.radians(30)), abs=1e-6)
    assert SourceSimilarity(encoder).score(case(60.0)) == pytest.approx(0.5, abs=1e-6)


def test_share_nearer_to_the_reference():
    measure = NearerReference(TwoSamples())
    for degrees in (30.0, 60.0, 80.0, 100.0):
        measure.update(case(degrees))
    assert float(measure.compute()) == 0.75


def test_each_recording_is_embedded_once():
    encoder = TwoSamples()
    measures = [cls(encoder) for cls in (ReferenceSimilarity, SourceSimilarity, NearerReference)]
    for degrees in (10.0, 20.0):
        for measure in measures:
            measure.update(case(degrees))
    assert encoder.asked == 4  # source, reference, two clones


def test_equal_error_rate_by_hand():
    # Between 0.4 and 0.7 one of four genuine trials is refused (0.3), and one of four impostors passes (0.75).
    genuine, impostor = np.array([0.9, 0.8, 0.7, 0.3]), np.array([0.1, 0.2, 0.4, 0.75])
    assert equal_error_rate(genuine, impostor)[0] == pytest.approx(0.25)
    assert equal_error_rate(genuine, genuine - 1)[0] == 0
    assert equal_error_rate(genuine, genuine)[0] == pytest.approx(0.5)
    assert equal_error_rate(genuine - 1, genuine)[0] == pytest.approx(1)
    assert equal_error_rate(np.array([0.5, 0.5]), np.array([0.5]))[0] == pytest.approx(0.5)


def test_equal_error_rate_of_cases():
    measure = SpeakerEqualErrorRate(TwoSamples())
    for clone, genuine in ((90.0, 80.0), (0.0, 85.0), (10.0, 95.0), (20.0, 130.0)):
        measure.update(case(clone, genuine=genuine))
    # One clone of four is nearer than every genuine trial, and three are farther: at any threshold between cos 40 and
    # cos 70 none is refused and a quarter passes; the curves cross where it falls, halfway between 0 and 1/4 at most.
    assert float(measure.compute()) == pytest.approx(0.25, abs=0.13)
    with pytest.raises(UndefinedMeasureError, match="no other recording"):
        measure.update(Case("b", voice(0), voice(90), voice(50), 16000))


def test_the_models_behind_the_metrics():
    torch.manual_seed(0)
    encoder = StatisticsSpeakerEncoder(Dims(20), channels=8, width=8)
    source = metric_source(encoder)
    assert (source.name, len(source.sha256)) == ("StatisticsSpeakerEncoder", 64)
    with torch.no_grad():
        next(encoder.parameters()).add_(1)
    assert metric_source(encoder).sha256 != source.sha256
    changed = metric_source(encoder)
    refer_by_hash(encoder)
    assert metric_source(encoder) == changed  # though its state holds no weights now
    with torch.no_grad():
        next(encoder.parameters()).add_(1)
    assert metric_source(encoder).sha256 != changed.sha256
    with pytest.raises(ConfigurationError, match="StatisticsSpeakerEncoder cannot measure speakers"):
        ReferenceSimilarity(encoder)


def test_cached_outputs_are_bounded(monkeypatch):
    monkeypatch.setattr("lightning_voiceclone.evaluation.metrics.sources.CACHED", 3)
    encoder = TwoSamples()
    for degrees in (1, 2, 3, 1, 4, 1, 2):
        embedding_of(encoder, voice(degrees))
    assert encoder.asked == 5  # 1 stays, being asked for; 2 was the oldest when 4 came
