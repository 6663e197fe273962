import io
import json

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.audio.preprocessing import integrated_loudness
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation.listening.kinds import ANCHOR, REFERENCE, SOURCE
from lightning_voiceclone.evaluation.listening.material import Material
from lightning_voiceclone.testing.reports import write_report


@pytest.mark.slow
def test_trials_of_every_condition_and_case(reports):
    material = Material(reports)
    assert material.systems == ["alpha", "beta", "gamma"]
    assert [len(material.trials(test)) for test in ("mos", "similarity", "abx", "mushra")] == [16, 16, 12, 4]
    keys = [trial.key for test in ("mos", "similarity", "abx", "mushra") for trial in material.trials(test)]
    assert len(set(keys)) == len(keys)


def test_conditions_sound_like_what_they_name_at_one_loudness(reports):
    material = Material(reports)
    sounds = {}
    for condition in ("alpha", "beta", SOURCE, REFERENCE, ANCHOR):
        audio, rate = soundfile.read(io.BytesIO(material.sound("b-to-c", condition)))
        assert rate == 16000
        loudness = integrated_loudness(audio[None], rate)
        assert loudness == pytest.approx(-23, abs=0.1) or np.abs(audio).max() == pytest.approx(
            10 ** (-1 / 20), abs=1e-3
        )
        sounds[condition] = audio
    for condition, role in (("alpha", "clone"), (SOURCE, "source"), (REFERENCE, "reference")):
        original, _ = soundfile.read(reports[0] / "audio" / f"b-to-c.{role}.wav")
        assert np.corrcoef(original, sounds[condition])[0, 1] > 0.9999
    assert np.corrcoef(sounds["alpha"], sounds["beta"])[0, 1] < 0.9
    power = {name: np.abs(np.fft.rfft(sounds[name])) ** 2 for name in (SOURCE, ANCHOR)}
    above = np.fft.rfftfreq(len(sounds[SOURCE]), 1 / 16000) > 4000
    share = {name: values[above].sum() / values.sum() for name, values in power.items()}
    assert share[ANCHOR] < 1e-5 < 1e-3 * share[SOURCE]


@pytest.mark.slow
def test_other_pairs_are_refused(reports, tmp_path):
    write_report(tmp_path / "delta", pairs_sha256="ff" * 32)
    with pytest.raises(ConfigurationError, match=r"ffffffffffff.*121212121212.*same pairs"):
        Material([reports[0], tmp_path / "delta"])


def test_a_report_without_recordings_is_refused_and_cases_without_are_left_out(reports, tmp_path):
    write_report(tmp_path / "delta", ["a-to-b", "b-to-c"])
    (tmp_path / "delta" / "audio" / "a-to-b.clone.wav").unlink()
    assert Material([reports[0], tmp_path / "delta"]).cases == ["b-to-c"]
    (tmp_path / "delta" / "audio" / "b-to-c.clone.wav").unlink()
    with pytest.raises(ConfigurationError, match="delta has no case with its recordings"):
        Material([reports[0], tmp_path / "delta"])


@pytest.mark.slow
def test_names_are_the_systems_own_else_the_folders(tmp_path):
    for name in ("one/report", "two/report", "three"):
        write_report(tmp_path / name, system={"name": "same"} if name != "three" else {})
    names = Material([tmp_path / "one/report", tmp_path / "three"]).systems
    assert names == ["report", "three"]
    assert Material([tmp_path / "one/report", tmp_path / "two/report"]).systems == [
        str(tmp_path / "one/report"),
        str(tmp_path / "two/report"),
    ]
    with pytest.raises(ConfigurationError, match="given twice"):
        Material([tmp_path / "three", tmp_path / "three"])
    write_report(tmp_path / "four", system={"name": SOURCE})
    with pytest.raises(ConfigurationError, match="rename it"):
        Material([tmp_path / "four"])


@pytest.mark.slow
def test_identity_follows_from_the_audio_and_not_from_the_figures(tmp_path):
    write_report(tmp_path / "one")
    before = Material([tmp_path / "one"]).identity
    report = json.loads((tmp_path / "one" / "metrics.json").read_text())
    report["system"]["warnings"] = ["another judge"]
    (tmp_path / "one" / "metrics.json").write_text(json.dumps(report))
    assert Material([tmp_path / "one"]).identity == before
    soundfile.write(tmp_path / "one" / "audio" / "a-to-b.clone.wav", np.zeros(8000), 16000)
    assert Material([tmp_path / "one"]).identity != before
