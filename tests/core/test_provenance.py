"""What other packages supply is named with its version: in stored voices, keys of stored features, and reports."""

import logging
from pathlib import Path

import pytest

from lightning_voiceclone.core import part as core_part
from lightning_voiceclone.core import registry
from lightning_voiceclone.core.interfaces import MetricSource
from lightning_voiceclone.core.part import Dims, build, describe
from lightning_voiceclone.data.stored_features import cached_features, features_key
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation.metrics.sources import provenance
from lightning_voiceclone.evaluation.metrics.waveform import SignalToNoise
from lightning_voiceclone.features.prosody import Energy
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.features.stack import Stack
from lightning_voiceclone.networks.generators.mlp import MLPGenerator


class SuppliedGenerator(MLPGenerator):
    """Of a package."""


class SuppliedFeatures(MelSpectrogram):
    """Of a package, with a setting that its spec does not carry."""

    def __init__(self, *, n_fft: int = 1024, taper: float = 1.0):
        super().__init__(n_fft=n_fft)


class SuppliedMetric(SignalToNoise):
    """Of a package; a formula."""


class SuppliedJudge(SignalToNoise):
    """Of a package; measures by a model."""

    source = MetricSource("Judge", "1.2", "ab" * 32)


@pytest.fixture
def installed(monkeypatch):
    """Makes the classes here parts of the package lvc-other, in a version."""
    ours = registry.installed()
    kinds = {SuppliedGenerator: "generators", SuppliedFeatures: "feature_extractors", SuppliedMetric: "metrics",
             SuppliedJudge: "metrics"}  # fmt: skip

    def set_version(version):
        named = [registry.Plugin(kind, cls.__name__, "lvc-other", version, f"{__name__}:{cls.__name__}")
                 for cls, kind in kinds.items()]  # fmt: skip
        monkeypatch.setattr(registry, "installed", lambda: (*ours, *named))
        monkeypatch.setattr(core_part, "_resolve", lambda kind, name, package: globals()[name])

    core_part._log_version.cache_clear()
    return set_version


def test_a_part_of_another_version_is_logged_once(installed, caplog):
    installed("1.0")
    described = describe(SuppliedGenerator(Dims(5, noise=2), hidden=8))
    assert (described["package"], described["version"]) == ("lvc-other", "1.0")
    with caplog.at_level(logging.WARNING):
        build(described)
        assert not caplog.records
        installed("1.1")
        build(described)
        build(described)
    (record,) = caplog.records
    assert record.getMessage() == (
        "SuppliedGenerator was stored by lvc-other 1.0, and 1.1 is installed: what it computes may differ; for the"
        " same, pip install lvc-other==1.0"
    )


def test_keys_of_stored_features_have_package_version_and_settings(installed):
    installed("1.0")
    others = SuppliedFeatures(taper=2.0), SuppliedFeatures(n_fft=512), Stack([MelSpectrogram(), SuppliedFeatures()])
    keys = {features_key(extractor) for extractor in (SuppliedFeatures(), *others)}
    installed("1.1")
    keys |= {features_key(SuppliedFeatures())}
    assert len(keys) == 5
    assert features_key(SuppliedFeatures()) == features_key(SuppliedFeatures())
    for own in (MelSpectrogram(), Stack([MelSpectrogram(), Energy()])):
        assert features_key(own) == own.spec.fingerprint  # folders of older versions keep their names


def test_features_of_another_version_are_refused(installed, tmp_path: Path):
    import yaml

    installed("1.0")
    folder = tmp_path / "features" / features_key(SuppliedFeatures())
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(yaml.safe_dump(SuppliedFeatures().spec.to_mapping()))
    cached_features(tmp_path, SuppliedFeatures())
    installed("1.1")
    with pytest.raises(ConfigurationError, match="of another version of the extractor's package"):
        cached_features(tmp_path, SuppliedFeatures())


def test_metrics_of_packages_name_package_and_version(installed):
    installed("1.0")
    assert provenance(SignalToNoise()) is None
    assert provenance(SuppliedMetric()) == MetricSource("SuppliedMetric, package lvc-other", "1.0")
    judged = provenance(SuppliedJudge())
    assert judged == MetricSource("Judge, by SuppliedJudge of the package lvc-other", "1.2, 1.0", "ab" * 32)
    installed("1.1")
    assert provenance(SuppliedMetric()) != MetricSource("SuppliedMetric, package lvc-other", "1.0")
