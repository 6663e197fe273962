"""Speech from text: durations, breaks, rates, pitch, streams, levels, and models that cannot."""

from types import SimpleNamespace

import pytest
import torch

from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import AlignmentError, ConfigurationError
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.synthesis import POWER, Synthesizer
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.text_encoders import TableTextEncoder
from lightning_voiceclone.testing.voices import STREAMER, small_streaming_voice, small_voice
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.pronounced import Pause
from lightning_voiceclone.text.sentences import Sentences
from lightning_voiceclone.voice.ensemble import ensemble
from lightning_voiceclone.voice.speaker_prompt import StoredPrompt

TEXT = "Hello there, my friend. <prosody rate='150%'>How are <break time='200ms'/> you?</prosody> It is a fine day."


@pytest.fixture(scope="module")
def model():
    return Converter(small_streaming_voice(text_encoder=TableTextEncoder(STREAMER)), note=lambda line: None)


@pytest.fixture(scope="module")
def speaker(model):
    return model.speaker((speech_like(2.0).audio, 16000))


@pytest.fixture(scope="module")
def synthesizer(model, speaker):
    return model.synthesizer(speaker)


@pytest.fixture(scope="module")
def front():
    return FrontEnd()


def sentences(synthesizer, text):
    return list(Sentences(synthesizer.front, text))


def test_chunks_are_the_whole(synthesizer):
    whole, chunks = synthesizer.say(TEXT), list(synthesizer.stream(TEXT))
    assert len(chunks) > 4
    assert (torch.cat(chunks) - whole).abs().max() <= 1e-5
    assert 0.02 < whole.abs().max() <= 1


def test_long_sentences_come_in_chunks_that_grow(synthesizer, front):
    planned = synthesizer.plan(front.pronounce("one two three four five six seven " * 3))
    chunks = list(synthesizer.chunks(planned))
    assert len(chunks) >= 3
    assert len(chunks[0]) < 0.3 * 16000
    assert (torch.cat(chunks) - synthesizer.render(planned)).abs().max() <= 1e-5


def test_say_is_what_the_synthesizer_says(model, speaker, synthesizer):
    audio = model.say(TEXT, speaker)
    assert audio.sample_rate == 16000
    assert torch.equal(audio.samples, synthesizer.say(TEXT))
    _, seconds = synthesizer.timeline(synthesizer.pieces(sentences(synthesizer, TEXT)))
    assert len(audio.samples) == round(seconds * 16000)


@pytest.mark.parametrize("seconds", [0.0, 0.123, 0.5, 0.996])
def test_a_break_has_its_length_and_is_silent(synthesizer, front, seconds):
    planned = synthesizer.plan(front.pronounce(f"Hello <break time='{seconds}s'/> you, there."))
    at = next(at for at, owner in enumerate(planned.spoken.owners)
              if getattr(planned.spoken.items[owner], "seconds", None) is not None)  # fmt: skip
    assert abs(planned.durations[at] / 100 - seconds) <= 0.005
    samples = synthesizer.render(planned)
    begin, end = (160 * sum(planned.durations[:to]) for to in (at, at + 1))
    assert not samples[begin:end].any()
    assert samples[begin - 200 : begin].any()


def test_pauses_that_are_stated_do_not_follow_the_rate(model, speaker):
    fast = model.synthesizer(speaker, rate=2.0)
    gaps = [piece.gap for piece in fast.pieces(sentences(fast, "One. Two.<break time='1s'/>Three."))]
    assert gaps == [0, round(0.35 / 2 * 16000), 16000]


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.25, 2.0])
def test_rates_of_the_options_and_of_the_markup(model, speaker, synthesizer, front, rate):
    plain = front.pronounce("We all went away a year ago")
    usual = synthesizer.plan(plain).frames
    marked = front.pronounce(f"<prosody rate='{rate}'>We all went away a year ago</prosody>")
    assert synthesizer.plan(marked).frames == pytest.approx(usual / rate, rel=0.02)
    assert synthesizer.plan(plain, rate).frames == pytest.approx(usual / rate, rel=0.02)
    assert model.synthesizer(speaker, rate=rate).plan(plain).frames == pytest.approx(usual / rate, rel=0.02)


def test_no_phoneme_is_skipped_however_fast(model, speaker, front):
    fast = model.synthesizer(speaker, rate=4.0)
    planned = fast.plan(front.pronounce("<prosody rate='4'>sixths, strengths</prosody>"))
    marks = [isinstance(planned.spoken.items[owner], Pause) or token == 1
             for owner, token in zip(planned.spoken.owners, planned.spoken.tokens, strict=True)]  # fmt: skip
    assert all(count >= 1 or mark for count, mark in zip(planned.durations, marks, strict=True))


def test_pitch_of_the_markup_is_that_of_its_words_alone(synthesizer, front, monkeypatch):
    monkeypatch.setattr(synthesizer, "_f0", lambda script: script.f0[0])  # a generator that follows it all
    words = "Hello", "<prosody pitch='+2st'>there</prosody>", "<prosody pitch='-10%'>you</prosody>"
    plain, marked = (synthesizer.plan(front.pronounce(" ".join(texts)))
                     for texts in (("Hello", "there", "you"), words))  # fmt: skip
    assert plain.durations == marked.durations
    before, after = synthesizer.script(plain).f0[0], synthesizer.script(marked).f0[0]
    ratios = {round(12 * float((one / other).log2()), 3) for one, other in zip(after, before, strict=True) if other > 0}
    assert ratios == {0.0, 2.0, round(12 * torch.tensor(0.9).log2().item(), 3)}


def test_all_speakers_are_as_loud(model):
    for number in (0, 3):
        synthesizer = model.synthesizer(model.speaker((0.1 * speech_like(2.0, speaker=number).audio, 16000)))
        power = float(synthesizer.say("The birch canoe slid on the smooth planks.").square().mean())
        assert POWER / 4 < power < 2 * POWER


def test_signs_that_are_not_spoken_are_noted(model, speaker):
    notes = []
    noting = Converter(model.voice, note=notes.append)
    noting.say("Hello ☃ there", noting.speaker((speech_like(2.0).audio, 16000)))
    assert notes == ["☃ (SNOWMAN) at character 7 is not spoken"]


@pytest.mark.parametrize(
    ("options", "words"), [({"rate": 5.0}, "rate is 5"), ({"pitch": 30.0}, "24"), ({"seed": -1}, "seed")]
)
def test_options_out_of_range_are_refused(model, speaker, options, words):
    with pytest.raises(ConfigurationError, match=words):
        model.synthesizer(speaker, **options)


def test_models_that_cannot_are_refused_in_a_line(model, speaker):
    without = Converter(small_voice())
    with pytest.raises(ConfigurationError, match=r"no text encoder.*--checkpoint"):
        without.say("Hello")
    with pytest.raises(ConfigurationError, match="no reference"):
        model.say("Hello")
    flat = Converter(small_voice(Dims(20, content=4, speaker=8), text_encoder=TableTextEncoder(Dims(20, content=4))))
    flat_speaker = flat.speaker((speech_like(2.0).audio, 16000))
    with pytest.raises(ConfigurationError, match="takes no pitch"):
        flat.say("<prosody pitch='+2st'>Hello</prosody>", flat_speaker)


def test_several_models_together_are_refused_in_a_line():
    voices = {name: small_streaming_voice(text_encoder=TableTextEncoder(STREAMER)) for name in ("one", "other")}
    with pytest.raises(ConfigurationError, match="a mean of several models cannot speak text; name one"):
        Converter(ensemble(voices)).say("Hello")


def test_an_adapted_model_speaks_as_its_own_speaker(model, speaker, synthesizer, monkeypatch):
    monkeypatch.setattr(model.voice, "own", StoredPrompt(speaker.prompt))
    assert torch.equal(model.say("Hello there").samples, synthesizer.say("Hello there"))


def test_durations_that_are_no_numbers_are_refused(model, speaker, monkeypatch):
    monkeypatch.setattr(TableTextEncoder, "durations", lambda self, tokens, *_: torch.full(tokens.shape, torch.nan))
    with pytest.raises(ConfigurationError, match="not finite"):
        model.say("Hello", speaker)


def test_a_sentence_that_cannot_be_aligned_is_named(synthesizer, monkeypatch):
    def fails(*_):
        raise AlignmentError("it skips HH")

    monkeypatch.setattr(synthesizer.encoder, "durations", fails)
    with pytest.raises(AlignmentError, match="'hello there' cannot be spoken: it skips HH"):
        synthesizer.say("Hello there.")
    with pytest.raises(AlignmentError, match=r"the sentence that sets the level \(the birch canoe"):
        synthesizer._calibrate()


@pytest.mark.parametrize("first", [Context(9, 9), Context(65, 65, 2)])
@pytest.mark.parametrize("grid", [2, 64])
def test_the_first_chunk_of_a_stream_is_long_enough_to_give_sound(first, grid):
    parts = [SimpleNamespace(context=first), SimpleNamespace(context=Context(150, 57, grid))]
    voice = SimpleNamespace(generator=parts[0], vocoder=parts[1])
    made = SimpleNamespace(_voice=voice, encoder=SimpleNamespace(frame_rate=100.0))
    ends = Synthesizer._chunk_ends(made, 3000)
    assert ends[-1] == 3000
    assert ends == sorted(set(ends))
    generated = [(end - first.right) // first.grid * first.grid for end in ends[:-1]]
    ready = [(count - 57) // grid * grid for count in generated]  # what the vocoder can give of it
    assert ready[0] == (20 if grid == 2 else 64)
    assert ends[0] <= first.right + 57 + first.grid - 1 + ready[0]
