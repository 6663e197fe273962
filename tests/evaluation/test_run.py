"""Evaluations from end to end: what the report holds, what is done again, and what becomes of bad input."""

import json
import os
import shutil

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.core.interfaces import MetricSource, Recognizer, SpeakerEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError, LVCError, PluginError
from lightning_voiceclone.evaluation import panel, stages, systems
from lightning_voiceclone.evaluation import run as module
from lightning_voiceclone.evaluation.metrics.spectral import MelCepstralDistortion
from lightning_voiceclone.evaluation.pairs import read_pairs
from lightning_voiceclone.evaluation.run import evaluate
from lightning_voiceclone.evaluation.systems import ClonedBy, Converted, Copy, GroundTruth, path_sha256
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice

SIGNAL = ("snr_db", "rmse", "mcd_db", "f0_correlation", "voicing_error", "duration_ratio")  # need no weights


class EightBands(SpeakerEncoder):
    """Levels in eight bands of the spectrum; of a name of its own, by which the voice folder finds it again."""

    takes = "audio"
    channels = 8

    def forward(self, x, lengths=None):
        power = torch.fft.rfft(x).abs().square()[:, : x.shape[1] // 4]
        return torch.stack([chunk.mean(1).add(1e-9).log() for chunk in power.chunk(8, 1)], 1)


class Deaf(Recognizer):
    """Hears nothing."""

    source = MetricSource("deaf", "1")

    def transcribe(self, audio, sample_rate):
        return ""


def judged(pairs, system, output, **options):
    options = {"measures": SIGNAL, "workers": 1, "draws": 200, "progress": False} | options
    report = evaluate(pairs, system, output, **options)
    return report, json.loads((output / "metrics.json").read_text())


@pytest.mark.slow
def test_the_report(pairs, tmp_path):
    report, told = judged(pairs, GroundTruth(), tmp_path / "report")
    assert {"pairs_sha256", "system", "metrics", "cases"} <= set(told)
    assert (told["system"]["kind"], told["system"]["warnings"]) == ("ground-truth", [])
    assert list(told["metrics"]) == [name for name in module.known_metrics() if name in SIGNAL]
    for name, value in {"snr_db": 100, "rmse": 0, "mcd_db": 0, "duration_ratio": 1}.items():
        metric = told["metrics"][name]
        assert (metric["mean"], metric["ci95"], metric["n"], metric["judge"]) == (value, [value, value], 6, None)
        assert metric["better"] in ("higher", "lower")
        assert all(case[name] == value and case["error"] is None for case in told["cases"])
    assert [case["case"] for case in told["cases"]] == [f"{s}-to-{t}" for s in range(3) for t in range(3) if s != t]
    for case in told["cases"]:
        for role in ("source", "reference", "clone"):
            info = soundfile.info(report.audio(case["case"], role))
            assert (info.subtype, info.channels) == ("PCM_16", 1)
    assert (tmp_path / "report/index.html").stat().st_size > 0


@pytest.mark.slow
def test_a_conversion_has_no_parallel_recording(pairs, converted, tmp_path):
    _, told = judged(pairs, Converted(converted()), tmp_path / "report")
    assert (told["metrics"]["snr_db"]["mean"], told["metrics"]["snr_db"]["n"]) == (None, 0)
    assert "no parallel recording" in told["metrics"]["snr_db"]["reason"]
    assert told["metrics"]["mcd_db"]["n"] == 6
    low, high = told["metrics"]["mcd_db"]["ci95"]
    assert 0 < low < told["metrics"]["mcd_db"]["mean"] < high
    for case in told["cases"]:
        assert (case["snr_db"], case["error"]) == (None, None)  # nothing is wrong with the case
        assert "no parallel recording" in case["reasons"]["snr_db"]


@pytest.mark.slow
def test_a_copy_by_the_default_vocoder(pairs, tmp_path):
    _, told = judged(pairs, Copy.named(), tmp_path / "report", limit=2, measures=["mcd_db", "snr_db"])
    assert told["metrics"]["snr_db"]["n"] == 2
    assert 0 < told["metrics"]["mcd_db"]["mean"] < 6
    assert told["system"]["name"] == "MelSpectrogram, GriffinLim(iterations=32, momentum=0.99)"


@pytest.fixture
def voice_folder(tmp_path):
    """A voice that was never trained, with an encoder of audio."""
    save_voice(small_voice(speaker_encoder=EightBands()), tmp_path / "voice")
    return tmp_path / "voice"


@pytest.mark.slow
def test_a_copy_refines_with_a_voices_features_as_without_and_leaves_the_voices_own(tmp_path):
    save_voice(small_voice(Dims(80, noise=4)), tmp_path / "voice")
    assert Copy.named(str(tmp_path / "voice"), "default").vocoder.refine == Copy.named(None, "default").vocoder.refine
    assert Copy.named(str(tmp_path / "voice")).vocoder.iterations == 2


@pytest.mark.slow
def test_clones_and_the_warning_of_an_encoder_used_in_training(pairs, voice_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(panel, "make_part", lambda kind, text: EightBands())
    names = ["similarity_reference", "nearer_reference", "speaker_eer", "duration_ratio", "snr_db"]
    _, told = judged(pairs, ClonedBy(voice_folder), tmp_path / "report", measures=names)
    assert told["system"]["speaker_encoders"] == ["EightBands"]
    assert len(told["system"]["sha256"]) == 64
    (warning,) = told["system"]["warnings"]
    assert "similarity is measured by EightBands, the speaker encoder that the model was trained with" in warning
    assert told["metrics"]["duration_ratio"]["mean"] == pytest.approx(1, abs=0.01)
    assert told["metrics"]["snr_db"]["n"] == 0
    eer, similar = told["metrics"]["speaker_eer"], told["metrics"]["similarity_reference"]
    assert (eer["n"], similar["n"]) == (6, 6)
    assert 0 <= eer["ci95"][0] <= eer["mean"] <= eer["ci95"][1] <= 1
    assert similar["judge"]["name"] == "EightBands"
    assert all(case["speaker_eer"] is None and len(case["scores"]["speaker_eer"]) == 2 for case in told["cases"])
    _, other = judged(pairs, GroundTruth(), tmp_path / "other", measures=names)
    assert other["system"]["warnings"] == []


@pytest.mark.slow
def test_two_processes_give_what_one_gives(pairs, converted, tmp_path):
    folder = converted()
    _, one = judged(pairs, Converted(folder), tmp_path / "one", workers=1)
    _, two = judged(pairs, Converted(folder), tmp_path / "two", workers=2)
    assert one["metrics"] == two["metrics"]
    assert one["cases"] == two["cases"]


# Going on -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def count(monkeypatch):
    """Which measures of which cases the panel was asked about."""
    asked = []
    measure_all = stages.measure_all

    def counted(jobs, settings, workers):
        asked.extend((job.case, name) for job in jobs for name in job.metrics)
        return measure_all(jobs, settings, workers)

    monkeypatch.setattr(stages, "measure_all", counted)
    return asked


@pytest.mark.slow
def test_goes_on_where_it_was_interrupted(pairs, tmp_path, monkeypatch, count):
    measure_all = stages.measure_all

    def interrupted(jobs, settings, workers):
        for place, told in enumerate(measure_all(jobs, settings, workers)):
            if place == 2:
                raise KeyboardInterrupt
            yield told

    monkeypatch.setattr(stages, "measure_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        judged(pairs, GroundTruth(), tmp_path / "report")
    assert not (tmp_path / "report/metrics.json").exists()
    monkeypatch.setattr(stages, "measure_all", measure_all)
    count.clear()
    _, told = judged(pairs, GroundTruth(), tmp_path / "report")
    assert {case for case, _ in count} == {"1-to-2", "2-to-0", "2-to-1", "1-to-0"}
    _, fresh = judged(pairs, GroundTruth(), tmp_path / "fresh")
    assert told["metrics"] == fresh["metrics"]
    assert told["cases"] == fresh["cases"]


@pytest.mark.slow
def test_only_what_is_missing_is_computed(pairs, converted, tmp_path, count):
    folder = converted()
    judged(pairs, Converted(folder), tmp_path / "report", limit=2, measures=["mcd_db"])
    assert len(count) == 2
    count.clear()
    judged(pairs, Converted(folder), tmp_path / "report", measures=["mcd_db", "voicing_error"])
    assert len(count) == 4 * 2 + 2
    count.clear()
    shutil.copy(folder / "0-to-1.wav", folder / "0-to-2.wav")  # another clone
    (tmp_path / "report/audio/1-to-0.clone.wav").unlink()  # lost, but known
    _, told = judged(pairs, Converted(folder), tmp_path / "report", measures=["mcd_db", "voicing_error"])
    assert {case for case, _ in count} == {"0-to-2"}
    assert told["metrics"]["mcd_db"]["n"] == 6
    assert (tmp_path / "report/audio/1-to-0.clone.wav").is_file()


@pytest.mark.slow
def test_other_targets_and_genuine_recordings_are_measured_anew(pairs, converted, tmp_path, count):
    lines = pairs.read_text().splitlines()
    pairs.write_text("\n".join([f"{lines[0]}\ttarget", f"{lines[1]}\ttarget.wav", *lines[2:]]) + "\n")
    audio, target = speech_like(1.5, speaker=1, seed=1).audio, pairs.parent / "target.wav"
    soundfile.write(target, audio, 16000)
    folder = converted()

    def told():
        count.clear()
        return judged(pairs, Converted(folder), tmp_path / "report", measures=["snr_db"])[1]["cases"][0]["snr_db"]

    first = told()
    soundfile.write(target, 0.5 * audio, 16000)
    assert told() != first
    assert {case for case, _ in count} == {"0-to-1"}
    rows = read_pairs(pairs).rows
    genuine = rows[0].genuine
    later = genuine.stat().st_mtime_ns + 10**9
    os.utime(genuine, ns=(later, later))
    told()
    assert {case for case, _ in count} == {r.case for r in rows if genuine in (r.genuine, r.source, r.reference)}


@pytest.mark.slow
def test_refuses_a_folder_of_something_else(pairs, converted, tmp_path):
    judged(pairs, GroundTruth(), tmp_path / "report")
    with pytest.raises(ConfigurationError, match="report of another system kind: ground-truth there, converted now"):
        judged(pairs, Converted(converted()), tmp_path / "report")
    pairs.write_text(pairs.read_text() + "more\t0-1-0001.wav\t1-1-0001.wav\t\n")
    with pytest.raises(ConfigurationError, match="report of another pairs"):
        judged(pairs, GroundTruth(), tmp_path / "report")


@pytest.mark.slow
def test_clones_made_without_guidance_are_not_taken_for_led_ones(pairs, tmp_path):
    save_voice(small_voice(), tmp_path / "voice")
    judged(pairs, ClonedBy(tmp_path / "voice"), tmp_path / "report", limit=1)
    with pytest.raises(ConfigurationError, match=r"another system guidance: 0\.0 there, 0\.4 now"):
        judged(pairs, ClonedBy(tmp_path / "voice", guidance=0.4), tmp_path / "report", limit=1)


@pytest.mark.slow
def test_a_checkpoint_that_is_replaced_while_it_is_read_is_refused(tmp_path, monkeypatch):
    save_voice(small_voice(), tmp_path / "voice")

    def load(*given):
        save_voice(small_voice(seed=1), tmp_path / "voice")
        return load_voice(*given)

    monkeypatch.setattr(systems, "load_voice", load)
    with pytest.raises(ConfigurationError, match="voice was replaced while it was read; try again"):
        ClonedBy(tmp_path / "voice")


# Bad input ------------------------------------------------------------------------------------------------------------


def marked(told, name):
    (case,) = (case for case in told["cases"] if case["case"] == name)
    assert all(case[measure] is None for measure in told["metrics"]), "counted"
    return case["error"]


@pytest.mark.slow
def test_bad_clones_are_marked_and_in_no_figure(pairs, converted, tmp_path):
    folder = converted()
    (folder / "0-to-1.wav").unlink()
    soundfile.write(folder / "0-to-2.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "1-to-0.wav", np.full(16000, np.nan, np.float32), 16000, subtype="FLOAT")
    (folder / "1-to-2.wav").write_bytes(b"not audio")
    soundfile.write(folder / "2-to-0.wav", np.ones(200) * 0.1, 16000)
    _, told = judged(pairs, Converted(folder), tmp_path / "report")
    assert "there is no such file" in marked(told, "0-to-1")
    assert "silent" in marked(told, "0-to-2")
    assert "NaN" in marked(told, "1-to-0")
    assert "not audio" in marked(told, "1-to-2")
    assert "too short" in marked(told, "2-to-0")
    assert told["metrics"]["mcd_db"]["n"] == 1
    assert told["metrics"]["mcd_db"]["mean"] == told["cases"][-1]["mcd_db"]
    assert any("5 of 6 cases could not be measured" in warning for warning in told["system"]["warnings"])
    page = (tmp_path / "report/index.html").read_text()
    assert "there is no such file" in page


@pytest.mark.slow
def test_converted_files_are_found_by_any_suffix_of_audio(pairs, converted, tmp_path):
    folder = converted()
    (folder / "0-to-1.wav").rename(folder / "0-to-1.WAV")
    audio, rate = soundfile.read(folder / "1-to-0.wav")
    soundfile.write(folder / "1-to-0.Flac", audio, rate, format="FLAC")
    found = [Converted(folder).file(row).name for row in read_pairs(pairs).rows]
    assert found[:3] == ["0-to-1.WAV", "0-to-2.wav", "1-to-0.wav"]  # of two, the uncompressed one
    (folder / "1-to-0.wav").unlink()
    _, told = judged(pairs, Converted(folder), tmp_path / "report", measures=["mcd_db"])
    assert told["metrics"]["mcd_db"]["n"] == 6


@pytest.mark.slow
def test_long_names_end_no_evaluation(pairs, converted, tmp_path):
    folder, name, lost = converted(), "x" * 240, "\u00e4" * 400
    lines = pairs.read_text().replace("0-to-1\t", f"{name}\t").replace("0-to-2\t", f"{lost}\t").splitlines()
    lines = [f"{lines[0]}\tsource_speaker\ttarget_speaker",
             *(f"{line}\t{who}\t{who}" for line, who in zip(lines[1:], "112233", strict=True))]  # fmt: skip
    lines[3] = lines[3].replace("1-1-0000.wav", "y" * 300 + ".wav")  # also another recording of the speaker for 1-to-2
    pairs.write_text("\n".join(lines) + "\n")
    (folder / "0-to-1.wav").rename(folder / f"{name}.wav")
    report, told = judged(pairs, Converted(folder), tmp_path / "report", measures=["mcd_db"])
    assert told["metrics"]["mcd_db"]["n"] == 4
    assert "there is no such file" in marked(told, lost)
    assert "File name too long" in marked(told, "1-to-0")
    for path in (report.audio(name, "reference"), tmp_path / "report/pictures" / report.audio(name, "clone").name):
        assert path.with_suffix(".wav" if "audio" in str(path.parent) else ".png").is_file()
        assert len(path.name.encode()) <= 214
    page = (tmp_path / "report/index.html").read_text()
    assert f'src="audio/{report.audio(name, "clone").name}"' in page
    _, own = judged(pairs, GroundTruth(), tmp_path / "own", measures=["mcd_db"])
    assert own["metrics"]["mcd_db"]["n"] == 5


@pytest.mark.slow
def test_a_damaged_recording_takes_no_other_pair_with_it(pairs, tmp_path):
    rows = read_pairs(pairs).rows
    damaged = rows[0].source
    assert damaged in {row.genuine for row in rows[1:]}
    damaged.write_bytes(damaged.read_bytes()[:20] + b"not audio")
    _, told = judged(pairs, GroundTruth(), tmp_path / "report")
    assert [case["case"] for case in told["cases"] if case["error"]] == [rows[0].case]
    assert told["metrics"]["mcd_db"]["n"] == 5


@pytest.mark.slow
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_without_a_number_is_left_out_and_computed_again(pairs, tmp_path, monkeypatch, value):
    score = MelCepstralDistortion.score
    monkeypatch.setattr(MelCepstralDistortion, "score", lambda self, case: value)
    _, told = judged(pairs, GroundTruth(), tmp_path / "report")
    assert (told["metrics"]["mcd_db"]["n"], told["metrics"]["rmse"]["n"]) == (0, 6)
    assert f"failed: ValueError: it gave [{value}]" in told["cases"][0]["reasons"]["mcd_db"]
    monkeypatch.setattr(MelCepstralDistortion, "score", score)
    _, told = judged(pairs, GroundTruth(), tmp_path / "report")
    assert told["metrics"]["mcd_db"]["n"] == 6


@pytest.mark.slow
def test_a_mended_clone_is_measured_the_next_time(pairs, converted, tmp_path):
    folder = converted()
    kept = (folder / "0-to-1.wav").read_bytes()
    (folder / "0-to-1.wav").unlink()
    judged(pairs, Converted(folder), tmp_path / "report")
    (folder / "0-to-1.wav").write_bytes(kept)
    _, told = judged(pairs, Converted(folder), tmp_path / "report")
    assert told["metrics"]["mcd_db"]["n"] == 6


@pytest.mark.slow
def test_missing_sources_and_references_are_marked(pairs, tmp_path):
    (pairs.parent / "0-1-0001.wav").unlink()
    (pairs.parent / "2-1-0002.wav").unlink()
    _, told = judged(pairs, GroundTruth(), tmp_path / "report")
    assert marked(told, "0-to-1").startswith("source: ")
    assert marked(told, "0-to-2").startswith("reference: ")
    assert told["metrics"]["rmse"]["n"] == 3


@pytest.mark.slow
def test_other_lengths_and_rates(pairs, tmp_path):
    lines = pairs.read_text().splitlines()
    header = lines[0] + "\ttarget"
    pairs.write_text("\n".join([header, *(f"{line}\t{line.split(chr(9))[1]}" for line in lines[1:])]) + "\n")
    folder = tmp_path / "converted"
    folder.mkdir()
    for line in lines[1:]:
        case, source = line.split("\t")[:2]
        shutil.copy(pairs.parent / source, folder / f"{case}.wav")
    audio, _ = soundfile.read(folder / "0-to-1.wav")
    soundfile.write(folder / "0-to-1.wav", audio[:8000], 16000)
    high = speech_like(1.5, speaker=0, seed=2, sample_rate=22050).audio
    soundfile.write(folder / "0-to-2.wav", high, 22050)
    _, told = judged(pairs, Converted(folder), tmp_path / "report")
    short, resampled = told["cases"][:2]
    assert "snr_db, rmse: the clone lasts 0.50 s and its parallel recording 1.50 s" in short["error"].replace(
        "rmse, snr_db", "snr_db, rmse"
    )
    assert (short["snr_db"], short["duration_ratio"]) == (None, pytest.approx(1 / 3))
    assert resampled["notes"] == ["the clone is at 22050 Hz and was measured at 16000 Hz"]
    assert resampled["duration_ratio"] == pytest.approx(1, abs=0.01)
    assert told["metrics"]["snr_db"]["n"] == 5


@pytest.mark.slow
def test_empty_transcripts_are_marked_and_count_for_no_words(pairs, tmp_path, monkeypatch):
    pytest.importorskip("jiwer", reason="jiwer is not installed")
    monkeypatch.setattr(panel, "make_part", lambda kind, text: Deaf())
    text = pairs.read_text().replace("\tWORDS", "\t", 1).replace("\tWORDS", "\t?!", 1)
    pairs.write_text(text)
    _, told = judged(pairs, GroundTruth(), tmp_path / "report", measures=["wer", "cer", "duration_ratio"])
    for case in told["cases"][:2]:
        assert case["error"] == "wer, cer: the transcript is empty; give one in the table of pairs"
        assert (case["wer"], case["cer"], case["duration_ratio"]) == (None, None, 1)
    wer = told["metrics"]["wer"]
    assert (wer["mean"], wer["n"], wer["normalizer"]) == (1, 4, "english-1")  # nothing was heard of four
    assert told["cases"][2]["heard"] == ""
    assert told["metrics"]["duration_ratio"]["n"] == 6


@pytest.mark.slow
def test_nothing_can_be_measured(pairs, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(LVCError, match=r"none of the 6 cases could be measured: .*no such file"):
        judged(pairs, Converted(tmp_path / "empty"), tmp_path / "report")
    assert (tmp_path / "report/metrics.json").is_file()
    with pytest.raises(ConfigurationError, match="there is no folder"):
        Converted(tmp_path / "nowhere")


@pytest.mark.slow
def test_absent_models_of_metrics_are_reported_or_refused(pairs, tmp_path, monkeypatch):
    def absent(kind, text):
        raise PluginError(f"the package of {text} is not installed; pip install it")

    monkeypatch.setattr(panel, "make_part", absent)
    with pytest.raises(PluginError, match="wer cannot be measured: the package of WhisperRecognizer is not installed"):
        judged(pairs, GroundTruth(), tmp_path / "asked", measures=["wer"])
    with pytest.raises(PluginError, match="the package of Other is not installed"):
        judged(pairs, GroundTruth(), tmp_path / "asked", measures=(), without=["dnsmos_ovrl"], recognizer="Other")
    without = ["dnsmos_ovrl", "pesq_wb", "stoi"]
    _, told = judged(pairs, GroundTruth(), tmp_path / "report", measures=(), without=without, limit=2)
    assert told["metrics"]["wer"] == told["metrics"]["wer"] | {"mean": None, "n": 0, "judge": None}
    assert "WhisperRecognizer is not installed" in told["metrics"]["wer"]["reason"]
    assert all("not installed" in case["reasons"]["similarity_reference"] for case in told["cases"])
    assert any("not measured: wer, cer, wer_self" in warning for warning in told["system"]["warnings"])


@pytest.mark.slow
def test_unknown_metrics(pairs, tmp_path):
    with pytest.raises(ConfigurationError, match=r"no metric is called 'snr' \(did you mean snr_db\?\)"):
        judged(pairs, GroundTruth(), tmp_path / "report", measures=["snr"])
    _, told = judged(pairs, GroundTruth(), tmp_path / "report", measures=["SignalToNoise"], limit=1)
    assert list(told["metrics"]) == ["snr_db"]


def test_a_model_is_the_same_whatever_its_card_contains(tmp_path):
    (tmp_path / "voice.yaml").write_text("a")
    (tmp_path / "MODEL_CARD.md").write_text("good")
    before = path_sha256(tmp_path)
    (tmp_path / "MODEL_CARD.md").write_text("better")
    assert path_sha256(tmp_path) == before
    (tmp_path / "voice.yaml").write_text("another")
    assert path_sha256(tmp_path) != before


@pytest.mark.slow
def test_a_report_is_not_written_over_what_it_measures(pairs, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report/audio").symlink_to(pairs.parent)
    before = sorted(pairs.parent.rglob("*"))
    with pytest.raises(ConfigurationError, match="input"):
        judged(pairs, GroundTruth(), tmp_path / "report")
    assert sorted(pairs.parent.rglob("*")) == before
