import resource
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.audio.quality import measure
from lightning_voiceclone.audio.segment_selection import clearest, join
from lightning_voiceclone.audio.speaker_change import SameSpeakerCheck
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.features.prosody import Pitch
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.inference.screening import DENOISE, LONGEST_SECONDS, screen_references, screen_source
from lightning_voiceclone.testing.signals import speech_like

RATE = 16000
SPEC = MelSpectrogram(sample_rate=RATE).spec
SPEECH = Path(__file__).parents[2].parent / "shared" / "speech" / "LibriSpeech" / "test-other"


def phrases(seconds=6.0, speaker=0, seed=0):
    """(N,): speech in phrases of 1.2 s with pauses of 0.4 s, and a room's noise 40 dB below it."""
    random = np.random.default_rng([seed, 3])
    pieces = []
    for index in range(int(seconds / 1.6) + 1):
        audio = speech_like(1.2, speaker=speaker, seed=1000 * seed + index).audio
        pieces += [audio, np.zeros(round(0.4 * RATE), np.float32)]
    audio = np.concatenate(pieces)[: round(seconds * RATE)]
    return torch.from_numpy(audio + 1e-3 * random.standard_normal(len(audio)).astype(np.float32))


def white(samples, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(samples).astype(np.float32))


def coloured(samples, slope):
    """(N,) noise whose power falls with the frequency to the ``slope``."""
    spectrum = np.fft.rfft(white(samples).numpy())
    noise = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), 1) ** (slope / 2), samples)
    return torch.from_numpy(noise.astype(np.float32))


def chords(samples, seconds=0.5):
    """(N,) triads of five partials each, struck every so many seconds."""
    times = np.arange(samples) / RATE
    since, which = times % seconds, (times / seconds).astype(int) % 4
    roots = np.array([220.0, 196.0, 246.9, 174.6])[which]
    partials = [
        np.sin(2 * np.pi * roots * ratio * partial * since) / partial
        for ratio in (1, 1.26, 1.5)
        for partial in range(1, 6)
    ]
    return torch.from_numpy((sum(partials) * np.exp(-1.2 * since)).astype(np.float32))


def mixed(audio, other, decibels):
    """Audio with another, ``decibels`` weaker, on the whole."""
    return audio + other * float(audio.square().mean() / other.square().mean() * 10 ** (-decibels / 10)) ** 0.5


def telephone(audio):
    narrow = soxr.resample(audio.numpy(), RATE, 8000)
    return torch.from_numpy(soxr.resample(narrow, 8000, RATE)[: len(audio)])


def pitches(audio):
    """Embeddings (B, 2) of audio (B, N): the median pitch, as an angle. It tells these synthetic speakers apart."""
    f0, voicing = Pitch(sample_rate=RATE)(audio).unbind(1)
    angle = torch.where(voicing > 0.7, f0, torch.nan).nanmedian(1).values.div(90).log2()
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def steps_of(audio):
    return [(mixed(audio, white(len(audio)), decibels), decibels) for decibels in (20, 10, 0)]


@pytest.mark.slow
@pytest.mark.parametrize("speaker", range(4))
def test_the_ratio_of_speech_to_noise_is_known_within_three_db(speaker):
    found = [measure(noisy, RATE).snr for noisy, _ in steps_of(phrases(speaker=speaker))]
    assert found == pytest.approx([20, 10, 0], abs=3)
    assert measure(phrases(speaker=speaker), RATE).snr > 25


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1.0, 1.5, 6.0, 30.0])
def test_clean_speech_is_left_as_it_is(seconds):
    audio = phrases(seconds, speaker=1)
    heard = screen_source(audio, SPEC)
    assert heard.audio is audio
    assert heard.notes == ()
    references, notes = screen_references([("a.wav", audio), ("b.wav", phrases(2.0, speaker=1, seed=1))], SPEC)
    assert references[0] is audio
    assert len(references) == 2
    assert notes == ()


@pytest.mark.slow
def test_what_is_silent_short_or_not_finite_is_refused_by_name():
    unfit = {
        "b.wav is silent": torch.zeros(2 * RATE),
        "b.wav lasts 0.45 s, at least 0.5 s": phrases(0.45),
        "b.wav has samples that are not finite": phrases(2.0) * torch.nan,
    }
    for reason, audio in unfit.items():
        with pytest.raises(RecordingError, match=reason):
            screen_references([("a.wav", phrases()), ("b.wav", audio)], SPEC)
    with pytest.raises(RecordingError, match=r"a\.wav is silent"):
        screen_source(torch.zeros(RATE), SPEC, "a.wav")


@pytest.mark.parametrize("seconds", [0.5, 1.9])
def test_a_short_reference_is_used_as_it_is_with_a_note_of_the_cost(seconds):
    given = phrases(seconds)
    used, notes = screen_references([("b.wav", given)], SPEC)
    assert len(used) == 1
    assert used[0] is given
    assert [note.partition(" is little")[0] for note in notes] == [f"b.wav: {seconds} s of reference"]
    assert "0.72 from 0.5 s" in notes[0]


def test_short_references_that_are_enough_together_have_no_note():
    assert screen_references([("a.wav", phrases(0.9)), ("b.wav", phrases(1.2, seed=1))], SPEC)[1] == ()


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["white", "pink", "brown", "hum", "clicks"])
def test_noise_without_speech_is_refused_as_a_reference_and_noted_as_a_source(noise):
    samples = 6 * RATE
    times = torch.arange(samples) / RATE
    audio = {
        "white": white(samples),
        "pink": coloured(samples, 1),
        "brown": coloured(samples, 2),
        "hum": sum(torch.sin(2 * torch.pi * 100 * partial * times) / partial for partial in range(1, 6)),
        "clicks": (torch.arange(samples) % 4000 == 0).float(),
    }[noise]
    audio = audio / audio.abs().max() / 2
    with pytest.raises(RecordingError, match=r"no speech found in b\.wav: .* .least .*; give a recording of someone"):
        screen_references([("b.wav", audio)], SPEC)
    heard = screen_source(audio, SPEC, "a.wav")
    assert heard.audio is audio
    assert any(note.startswith("no speech found in a.wav") for note in heard.notes)


@pytest.mark.slow
@pytest.mark.parametrize("decibels", [10, 5, 0])
def test_noisy_recordings_are_denoised_unless_that_is_off(decibels):
    clean = phrases()
    noisy = mixed(clean, white(len(clean)), decibels)
    heard = screen_source(noisy, SPEC, "a.wav")
    (note,) = heard.notes
    assert note.startswith("a.wav is noisy, its speech about ")
    assert note.endswith("denoised (denoise off leaves it)")
    assert heard.audio.shape == noisy.shape
    assert (heard.audio - clean).square().mean() < 0.5 * (noisy - clean).square().mean()
    (reference,), notes = screen_references([("b.wav", noisy)], SPEC)
    assert torch.equal(reference, heard.audio)
    assert notes == (note.replace("a.wav", "b.wav"),)
    assert screen_source(noisy, SPEC, denoise="off").audio is noisy
    assert screen_source(noisy, SPEC, denoise="off").notes == ()


@pytest.mark.slow
def test_denoising_can_be_asked_for_and_is_the_same_each_time():
    audio = phrases()
    first, second = (screen_source(audio, SPEC, denoise="on").audio for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, audio)
    short = audio[: RATE // 4]
    assert screen_source(short, SPEC, denoise="on").audio.shape == short.shape
    with pytest.raises(ConfigurationError, match=rf"'atuo' \(did you mean auto\?\); give {', '.join(DENOISE)}"):
        screen_source(audio, SPEC, denoise="atuo")


@pytest.mark.slow
@pytest.mark.parametrize("gain", [2.0, 4.0])
@pytest.mark.parametrize("resampled", [False, True])
def test_clipping_is_named_with_its_share(gain, resampled):
    rate = 44100 if resampled else RATE
    audio = phrases().numpy()
    loud = soxr.resample(audio, RATE, rate) * gain / np.abs(audio).max()
    clipped = np.clip(loud, -1, 1)
    share = float((np.abs(loud) >= 1).mean())
    heard = screen_source(torch.from_numpy(soxr.resample(0.5 * clipped, rate, RATE)), SPEC, "a.wav")
    (note,) = heard.notes
    assert note.startswith("a.wav is clipped: ")
    told = float(note.split("clipped: ")[1].split("%")[0]) / 100
    assert told == pytest.approx(share, rel=0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("gain", "words"), [(32768.0, "far beyond full scale"), (10 ** (-50 / 20), "very quiet")])
def test_audio_of_no_usable_level_is_scaled_with_a_note(gain, words):
    plain = phrases(5.0) / phrases(5.0).abs().max()
    source = screen_source(gain * plain, SPEC, "a.wav")
    (reference,), notes = screen_references([("b.wav", gain * plain)], SPEC)
    for audio in (source.audio, reference):
        torch.testing.assert_close(audio, plain / 2)
    assert f"a.wav is {words}" in source.notes[0]
    assert f"b.wav is {words}" in notes[0]
    assert len(source.notes) == len(notes) == 1


@pytest.mark.slow
def test_a_decoders_overshoot_is_left():
    audio = 1.2 * phrases(2.0) / phrases(2.0).abs().max()
    assert screen_source(audio, SPEC).audio is audio


@pytest.mark.slow
def test_a_telephones_band_is_noted_and_left_out_where_others_have_more():
    wide, narrow = phrases(), telephone(phrases(seed=1))
    assert screen_source(narrow, SPEC, "a.wav").notes[0].startswith("a.wav has nothing above 4 kHz")
    used, notes = screen_references([("b.wav", narrow)], SPEC)
    assert used[0] is narrow
    assert notes == ("b.wav has nothing above 4 kHz, as a telephone's recording: the voice is learnt without its top"
                     " band",)  # fmt: skip
    used, notes = screen_references([("b.wav", narrow), ("c.wav", wide)], SPEC)
    assert len(used) == 1
    assert used[0] is wide
    assert notes[0].endswith("left out, as the others have more")
    used, _ = screen_references([("b.wav", narrow), ("c.wav", wide[: 2 * RATE])], SPEC)
    assert len(used) == 2  # 2 s alone are too little


@pytest.mark.slow
def test_a_voice_of_a_telephones_rate_has_nothing_to_miss():
    narrow = torch.from_numpy(soxr.resample(phrases().numpy(), RATE, 8000))
    spec = MelSpectrogram(sample_rate=8000, n_fft=512, win_length=512, hop_length=80, fmax=4000).spec
    assert screen_source(narrow, spec).notes == ()


@pytest.mark.slow
@pytest.mark.parametrize("decibels", [15, 10, 5])
def test_music_is_noted_and_not_taken_for_noise(decibels):
    speech = phrases(10.0)
    audio = mixed(speech, chords(len(speech)), decibels)
    heard = screen_source(audio, SPEC, "a.wav")
    assert heard.audio is audio
    (note,) = heard.notes
    assert note.startswith("a.wav has steady tones beside the speech, as of music or a hum")


@pytest.mark.slow
def test_a_monotonous_voice_without_pauses_is_no_music():
    times = np.arange(4 * RATE) / RATE
    f0 = 200 + 15 * (np.floor(times / 0.6) % 2)  # holds each pitch for longer than a note has to be held
    level = 1 + 0.5 * np.sin(2 * np.pi * 4 * times)  # no pause
    partials = [np.sin(2 * np.pi * k * np.cumsum(f0) / RATE) / k for k in range(1, 15)]
    voice = torch.from_numpy((0.1 * level * sum(partials)).astype(np.float32))
    assert measure(voice, RATE).tones < 0.3
    hum = torch.from_numpy(sum(np.sin(2 * np.pi * 50 * k * times) / k for k in range(1, 30)).astype(np.float32))
    assert measure(mixed(voice, chords(len(voice)), 5), RATE).tones > 0.6
    assert measure(mixed(voice, hum, 5), RATE).tones > 0.6


@pytest.mark.slow
def test_of_two_speakers_the_one_who_speaks_longer_is_used():
    turns = [(0, 5.0), (2, 3.0), (0, 5.0), (2, 3.0)]
    audio = torch.cat([phrases(seconds, speaker, seed) for seed, (speaker, seconds) in enumerate(turns)])
    (used,), (note,) = screen_references([("b.wav", audio)], SPEC, same_speaker=SameSpeakerCheck(pitches, 0.9))
    assert note.startswith("b.wav seems to have two speakers: the one who speaks longer is used, ")
    assert 6.0 < len(used) / RATE <= 10.5
    alike = torch.nn.functional.cosine_similarity(pitches(used[None]), pitches(torch.stack([audio[: 5 * RATE],
                                                  audio[8 * RATE : 13 * RATE]])))  # fmt: skip
    other = torch.nn.functional.cosine_similarity(pitches(used[None]), pitches(audio[None, 5 * RATE : 8 * RATE]))
    assert alike.min() > other
    (whole,), notes = screen_references([("b.wav", audio)], SPEC)
    assert whole is audio  # nothing to tell speakers by
    assert notes == ()


@pytest.mark.slow
@pytest.mark.parametrize("speaker", range(4))
def test_one_speaker_is_not_taken_for_two(speaker):
    audio = phrases(12.0, speaker)
    (used,), notes = screen_references([("b.wav", audio)], SPEC, same_speaker=SameSpeakerCheck(pitches, 0.9))
    assert used is audio
    assert notes == ()


@pytest.mark.slow
def test_over_ten_minutes_the_clearest_minute_is_used_in_little_time_and_memory():
    quiet, loud = phrases(20.0), phrases(20.0, seed=1)
    poor = mixed(0.1 * quiet, white(len(quiet)), 15)
    audio = torch.cat([poor] * 15 + [loud] * 4 + [poor] * 13)
    assert len(audio) > 600 * RATE
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (used,), notes = screen_references(
        [("b.wav", audio)], SPEC, same_speaker=SameSpeakerCheck(pitches, 0.9), denoise="off"
    )
    assert time.monotonic() - begun < 60
    assert notes == ("b.wav lasts 640 s: the 60 s in which the voice is clearest are used",)
    assert len(used) / RATE == pytest.approx(LONGEST_SECONDS, abs=2)
    assert float(used.square().mean()) == pytest.approx(float(loud.square().mean()), rel=0.3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10 * audio.nbytes / 1024


@pytest.mark.slow
def test_the_clearest_is_chosen_over_all_references_and_keeps_their_order():
    noisy, clean = (mixed(phrases(50.0), white(50 * RATE), 5), phrases(50.0, seed=1))
    used, notes = screen_references([("b.wav", noisy), ("c.wav", clean)], SPEC, denoise="off")
    assert sum(len(audio) for audio in used) / RATE == pytest.approx(60, abs=2)
    assert len(used[1]) >= 48 * RATE
    assert notes == ("b.wav, c.wav together last 100 s: the 60 s in which the voice is clearest are used",)
    spans = clearest([measure(clean, RATE)], RATE, 20.0)[0]
    assert spans == sorted(spans)
    assert sum(end - begin for begin, end in spans) / RATE == pytest.approx(20, abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "count"), [(1.2, 60), (1.8, 40), (3.5, 20)])
def test_of_many_short_references_a_minute_is_used(seconds, count):
    recordings = [(f"{number}.wav", phrases(seconds, seed=number)) for number in range(count)]
    used, (note,) = screen_references(recordings, SPEC, denoise="off")
    together = sum(map(len, used)) / RATE
    assert LONGEST_SECONDS - 4 <= together <= LONGEST_SECONDS
    assert note.endswith(f"last {count * seconds:.0f} s: the {together:.0f} s in which the voice is clearest are used")
    assert min(map(len, used)) >= min(seconds, 2.0) * RATE - 512


def test_joined_segments_do_not_click():
    audio = torch.sin(torch.arange(4 * RATE) * 0.05) * 0.5
    joined = join(audio, [(0, RATE + 13), (2 * RATE + 50, 3 * RATE)], RATE)
    assert len(joined) == RATE + 13 + RATE - 50
    assert float(joined.diff().abs().max()) <= float(audio.diff().abs().max()) * 1.1
    assert join(audio, [(0, len(audio))], RATE) is audio


@pytest.mark.slow
def test_references_of_different_rates_are_one_voice(tmp_path):
    audio = phrases().numpy()
    for rate in (16000, 22050, 44100, 48000):
        soundfile.write(tmp_path / f"{rate}.wav", soxr.resample(audio, RATE, rate), rate)
    read = [(path.name, torch.from_numpy(read_audio(path, RATE)[0])) for path in sorted(tmp_path.glob("*.wav"))]
    used, notes = screen_references(read, SPEC)
    assert notes == ()
    for reference in used:
        assert len(reference) == pytest.approx(len(audio), abs=2)
        shared = min(len(reference), len(audio))
        lost = float((reference[:shared] - torch.from_numpy(audio[:shared])).square().mean())
        assert lost < 0.03 * float(np.square(audio).mean())  # what lies at the edge of the band


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 22050, 24000, 48000])
def test_other_rates_are_measured_alike(rate):
    noisy, decibels = steps_of(phrases())[1]
    audio = torch.from_numpy(soxr.resample(noisy.numpy(), RATE, rate))
    assert measure(audio, rate).snr == pytest.approx(decibels, abs=4)
    assert measure(audio, rate).voiced_seconds == pytest.approx(measure(noisy, RATE).voiced_seconds, rel=0.4)


@pytest.mark.slow
@pytest.mark.skipif(not SPEECH.is_dir(), reason=f"no real speech at {SPEECH}")
def test_real_speech_passes_screening_unchanged():
    files = sorted(SPEECH.rglob("*-0000.flac"))
    read = {path.name: torch.from_numpy(read_audio(path, RATE)[0]) for path in files}
    read = {name: audio for name, audio in read.items() if len(audio) > 3 * RATE}
    noted = {name: screen_source(audio, SPEC, name).notes for name, audio in read.items()}
    assert sum(bool(notes) for notes in noted.values()) <= 1
    for name, audio in read.items():
        assert any("noisy" in note for note in screen_source(mixed(audio, white(len(audio)), 10), SPEC, name).notes)
        assert any("4 kHz" in note for note in screen_source(telephone(audio), SPEC, name).notes)
        loud = (audio * 3 / audio.abs().max()).clamp(-1, 1)
        assert any("clipped" in note for note in screen_source(loud, SPEC, name).notes)
        assert any("tones" in note for note in screen_source(mixed(audio, chords(len(audio)), 10), SPEC, name).notes)
