"""Training of text encoders: steps from recordings with transcripts, the cache, resuming, and what is refused."""

import csv
from dataclasses import replace
from functools import partial
from unittest.mock import Mock

import lightning.pytorch as pl
import pytest
import soundfile
import torch

from lightning_voiceclone.checkpoints.part_folder import load_part
from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.core.conditions import Script, SpeakerPrompt
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.data.corpora import Table
from lightning_voiceclone.data.datamodule import VoiceDataModule
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.networks.aligner import CLASSES, classes
from lightning_voiceclone.networks.content_encoders.transformer import TransformerContentEncoder
from lightning_voiceclone.networks.style_encoders.labels import StyleLabels
from lightning_voiceclone.networks.style_encoders.tokens import GlobalStyleTokens
from lightning_voiceclone.networks.text_encoders.parallel import ParallelTextEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.inventory import TOKENS, numbers
from lightning_voiceclone.training import aligned_texts, script_cache
from lightning_voiceclone.training.aligned_texts import AlignedTexts
from lightning_voiceclone.training.checkpoint_io import WholeCheckpointIO
from lightning_voiceclone.training.recipes import TextModule
from lightning_voiceclone.training.script_cache import ScriptCache, digest
from lightning_voiceclone.training.step import StepSettings

TEXTS = ["She had your suit.", "And a greasy wash", "in water, all year", "nobody knows", "some day", "we go"]
WIDTHS = Dims(20, content=8, speaker=8, pitch=True, energy=True)
SMALL = {"width": 64, "hidden": 32, "layers": 1, "frame_layers": 1}


class Scores:
    """Probabilities that depend on the samples alone, in the place of the classifier's."""

    fingerprint = "made"

    def __call__(self, audio):
        frames = audio[: len(audio) // 160 * 160].view(-1, 160)
        return (40 * frames[:, : len(CLASSES)]).log_softmax(1)


def half_rate_voice():
    """A model whose content has half the features' frame rate, as the one that ships."""
    torch.manual_seed(0)
    encoder = TransformerContentEncoder(Dims(20), channels=8, width=64, hidden=32, layers=1, core=8, edge=2)
    return small_voice(WIDTHS, content_encoder=encoder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A voice, and a table of recordings of three speakers; one of them is for validation."""
    folder = tmp_path_factory.mktemp("text")
    save_voice(half_rate_voice(), folder / "voice")
    with (folder / "table.tsv").open("w") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["path", "speaker", "text", "split"])
        for number, text in enumerate(TEXTS):
            soundfile.write(folder / f"{number}.wav", speech_like(1.2 + 0.1 * number, speaker=number % 3).audio, 16000)
            writer.writerow([f"{number}.wav", f"s{number % 3}", text, "validation" if number % 3 == 2 else "train"])
        soundfile.write(folder / "mute.wav", speech_like(1.0, speaker=0).audio, 16000)
        writer.writerow(["mute.wav", "s0", "", "train"])
    return folder


def module(corpus, folder, **changes):
    torch.manual_seed(0)
    settings = {
        "voice": str(corpus / "voice"), "text_encoder": partial(ParallelTextEncoder, **SMALL), "cache": str(folder),
        "segment_seconds": 1.0, "weights": {"content": 1.0, "duration": 1.0, "pitch": 1.0, "energy": 0.1},
        "optimizer": partial(torch.optim.AdamW, lr=1e-2), "steps": StepSettings(average=0.9),
    }  # fmt: skip
    return TextModule(**{**settings, **changes})


def fitted(made, corpus, folder, ckpt_path=None, batch_size=2, table=None, **changes):
    settings = {
        "accelerator": "cpu", "default_root_dir": folder, "logger": False, "enable_progress_bar": False,
        "enable_model_summary": False, "use_distributed_sampler": False, "num_sanity_val_steps": 0,
        "plugins": [WholeCheckpointIO()], "max_steps": 6, "check_val_every_n_epoch": 2,
    }  # fmt: skip
    trainer = pl.Trainer(**{**settings, **changes})
    data = VoiceDataModule(
        Table, str(table or corpus / "table.tsv"), segment_seconds=3.0, batch_size=batch_size, validation=None
    )
    trainer.fit(made, datamodule=data, ckpt_path=ckpt_path)
    return trainer


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(aligned_texts, "LOWEST_SCORE", 0.0)  # nothing is said here
    monkeypatch.setattr(aligned_texts, "PhoneScores", Scores)
    monkeypatch.setenv("LVC_CACHE", str(tmp_path / "lvc"))


@pytest.mark.slow
def test_it_learns_and_its_checkpoint_is_a_part(corpus, tmp_path):
    made = module(corpus, tmp_path)
    trainer = fitted(made, corpus, tmp_path, max_steps=30)
    assert {"validation/content", "validation/duration_ms", "validation/pitch_semitones"} <= set(
        trainer.callback_metrics
    )
    after = {name: float(trainer.callback_metrics[f"train/{name}"]) for name in ("content", "duration")}
    fresh = module(corpus, tmp_path)
    first = fitted(fresh, corpus, tmp_path, max_steps=1).callback_metrics
    assert after["content"] < 0.8 * float(first["train/content"])
    assert after["duration"] < float(first["train/duration"])
    trainer.save_checkpoint(tmp_path / "text.ckpt", weights_only=False)
    part = load_part(tmp_path / "text.ckpt", "text_encoders")
    tokens = torch.tensor([FrontEnd().pronounce("She had.").tokens])
    with made.averaged(), torch.no_grad():
        made.text_encoder.eval()
        ours = made.text_encoder(tokens, torch.tensor([tokens.shape[1]]))
    torch.testing.assert_close(part(tokens, torch.tensor([tokens.shape[1]])).content, ours.content)


@pytest.mark.slow
def test_what_the_cache_has_changes_no_training(corpus, tmp_path):
    class Drawing(Scores):
        def __call__(self, audio):
            torch.rand(7)  # as one that is built when it is first needed
            return super().__call__(audio)

    made = [module(corpus, tmp_path / "one", scores=Drawing()) for _ in range(2)]
    for one in made:  # the second finds all scripts and durations
        fitted(one, corpus, tmp_path, max_steps=3)
    states = [one.state_dict() for one in made]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def styled(corpus, folder, styles, **changes):
    """A module whose text encoder takes styles."""
    return module(corpus, folder, text_encoder=partial(ParallelTextEncoder, **SMALL, style_encoder=styles), **changes)


@pytest.fixture
def labelled(corpus):
    """The table of the recordings with styles; one has none."""
    with (corpus / "table.tsv").open() as file:
        first, *rows = csv.reader(file, delimiter="\t")
    path = corpus / "labelled.tsv"
    with path.open("w") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow([*first, "style"])
        writer.writerows([*row, ("happy", "sad", "")[number % 3]] for number, row in enumerate(rows))
    return path


@pytest.mark.slow
def test_styles_are_trained_and_kept_with_the_text_encoder(corpus, labelled, tmp_path):
    made = styled(corpus, tmp_path, StyleLabels(labels=["sad", "happy"], channels=4))
    before = made.text_encoder.style_encoder.table.weight.detach().clone()
    trainer = fitted(made, corpus, tmp_path, max_steps=2, table=labelled)
    assert (made.text_encoder.style_encoder.table.weight != before).any(1).all()
    trainer.save_checkpoint(tmp_path / "text.ckpt", weights_only=False)
    part = load_part(tmp_path / "text.ckpt", "text_encoders")
    assert part.style_encoder.labels == ["sad", "happy"]
    with made.averaged():
        assert torch.equal(part.style_encoder.table.weight, made.text_encoder.style_encoder.table.weight)
    tokens = torch.tensor([FrontEnd().pronounce("She had.").tokens])
    sad, happy = (SpeakerPrompt(torch.ones(1), style=part.style_encoder(part.style_encoder.read(name)[None]))
                  for name in ("sad", "happy"))  # fmt: skip
    lengths, ones = torch.tensor([tokens.shape[1]]), torch.ones_like(tokens)
    apart = part(tokens, lengths, sad, durations=ones).content - part(tokens, lengths, happy, durations=ones).content
    assert apart.abs().max() > 1e-4


@pytest.mark.slow
def test_pitch_is_over_the_usual_register_of_the_speaker(corpus, tmp_path):
    made = styled(corpus, tmp_path, GlobalStyleTokens(channels=8, tokens=2, heads=2, width=8, layers=1))
    seen = {}

    def kept(batch):
        if (rows := made._rows(batch, whole=True)) is not None:
            seen.update(zip(batch.speakers, rows.target.register.tolist(), strict=True))
        return make_pair(batch)

    make_pair, made.make_pair = made.make_pair, kept
    fitted(made, corpus, tmp_path, max_steps=3, batch_size=1, check_val_every_n_epoch=None, val_check_interval=100)
    for speaker, register in seen.items():
        found = [made.scripts.script(audio).register for audio in made.trainer.datamodule.of_speaker(speaker, 8)]
        assert len(found) >= 2
        assert register == pytest.approx(float(torch.cat(found).log2().mean().exp2()))
    assert seen


@pytest.mark.parametrize(("labels", "words"), [
    (["sad"], "the column style of the recordings: no style is called 'happy'; there are sad"),
    (None, "takes the styles of the column style, but no recording has one"),
])  # fmt: skip
def test_styles_that_are_not_there_are_refused_before_training(corpus, labelled, tmp_path, labels, words):
    made = styled(corpus, tmp_path, StyleLabels(labels=labels, channels=4))
    with pytest.raises(ConfigurationError, match=words):
        fitted(made, corpus, tmp_path, max_steps=1, table=labelled if labels else None)


def tacotron():
    """Settings of a Tacotron, whose batch norm and attention have states of their own; it can align nothing yet."""
    plugin = pytest.importorskip("lvc_tacotron.text_encoder", reason="lvc-tacotron is not installed")
    widths = dict.fromkeys(("width", "decoder", "attention", "prenet", "postnet"), 8)
    return {"text_encoder": partial(plugin.TacotronTextEncoder, frames_per_step=5, **widths),
            "weights": {"content": 1.0, "stop": 0.2, "attention": 1.0, "pitch": 1.0}}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "batch_size", "accumulate", "half_way", "end"), [
    (dict, 2, 1, 3, 5), (dict, 1, 2, 6, 8), (tacotron, 2, 1, 3, 5),
], ids=["batches", "one of them empty", "Tacotron"])  # fmt: skip
def test_resumed_training_equals_one_that_never_stopped(
    corpus, tmp_path, settings, batch_size, accumulate, half_way, end
):
    settings = {**settings(), "steps": StepSettings(average=0.9, accumulate=accumulate)}
    fit = partial(fitted, corpus=corpus, folder=tmp_path, batch_size=batch_size)
    whole = module(corpus, tmp_path / "a", **settings)
    assert fit(whole, max_steps=end).global_step == end
    assert whole._warned == (batch_size == 1)  # the recording without a transcript was a batch
    half = module(corpus, tmp_path / "b", **settings)
    trainer = fit(half, max_steps=half_way)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed = module(corpus, tmp_path / "b", **settings)
    fit(resumed, max_steps=end, ckpt_path=str(tmp_path / "half.ckpt"))
    assert resumed._warned == whole._warned
    for (name, ours), theirs in zip(resumed.state_dict().items(), whole.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def audio(seconds=1.0, speaker=0):
    samples = torch.from_numpy(speech_like(seconds, speaker=speaker).audio)
    return samples[: len(samples) // 160 * 160]


def test_scripts_are_those_of_the_model_and_are_stored(tmp_path):
    voice = half_rate_voice()
    scripts, recording = ScriptCache(voice, tmp_path), audio()
    first = scripts.script(recording)
    wanted = voice.script(recording, 16000)
    for name in ("content", "f0", "voicing", "energy"):
        torch.testing.assert_close(getattr(first, name), getattr(wanted, name), rtol=2e-3, atol=2e-3)
    assert first.speaker.shape == (1, 8)
    voice.content_encoder.forward = None  # must not be needed again
    again = ScriptCache(half_rate_voice(), tmp_path).script(recording)
    for name, value in first.tensors().items():
        assert torch.equal(again.tensors()[name], value), name
    assert len(list(scripts.folder.iterdir())) == 1


def test_another_recording_or_model_has_another_file(tmp_path):
    scripts = ScriptCache(half_rate_voice(), tmp_path)
    scripts.script(audio())
    scripts.script(-audio())
    assert len(list(scripts.folder.iterdir())) == 2
    other = half_rate_voice()
    with torch.no_grad():
        other.content_encoder.leave.bias[0] += 1
    assert ScriptCache(other, tmp_path).folder != scripts.folder
    assert digest(audio(), "a", "b") != digest(audio(), "ab")


def test_what_decides_the_stored_values_names_their_folders(tmp_path, monkeypatch):
    def folders():
        scripts = ScriptCache(half_rate_voice(), tmp_path)
        return scripts.folder, AlignedTexts(scripts.voice.spec, tmp_path, FrontEnd()).folder

    before = folders()
    assert folders() == before
    with monkeypatch.context() as changed:
        changed.setattr(aligned_texts, "TOKENS", TOKENS[:-1])
        assert folders()[0] == before[0]
        assert folders()[1] != before[1]
    with monkeypatch.context() as changed:
        for module in (aligned_texts, script_cache):
            changed.setattr(module, "__version__", "0.0.1")
        assert all(now != then for now, then in zip(folders(), before, strict=True))
    other = half_rate_voice()
    other.normalizer.mean[0] += 1
    assert ScriptCache(other, tmp_path).folder != before[0]


def test_a_damaged_file_is_computed_again(tmp_path):
    scripts = ScriptCache(half_rate_voice(), tmp_path)
    first = scripts.script(audio())
    (path,) = scripts.folder.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(scripts.script(audio()).content, first.content)


def test_durations_are_stored_by_text_and_classifier(tmp_path):
    voice = half_rate_voice()
    scripts, texts = ScriptCache(voice, tmp_path), AlignedTexts(voice.spec, tmp_path, FrontEnd())
    script = scripts.script(audio(1.5))
    timed = texts.timed(audio(1.5), "SHE HAD YOUR SUIT", script)
    assert timed.stop <= 150
    assert torch.equal(timed.tokens, texts.timed(audio(1.5), "she had your suit.", script).tokens)
    assert len(list(tmp_path.glob("times-*/*"))) == 2
    again = AlignedTexts(voice.spec, tmp_path, FrontEnd(), Mock(fingerprint="made", side_effect=AssertionError))
    assert torch.equal(again.timed(audio(1.5), "SHE HAD YOUR SUIT", script).durations, timed.durations)
    other = AlignedTexts(voice.spec, tmp_path, FrontEnd(), Mock(fingerprint="other"))
    assert other.folder != texts.folder


def test_times_and_pronunciations_are_those_of_the_recording(tmp_path):
    """Of "either" the second pronunciation, each phoneme 80 ms, from 0.2 s on; at another rate, too."""
    phonemes = ("AY1", "DH", "ER0")
    scores = torch.full((100, len(CLASSES)), -9.0)
    scores[:, 0] = -6.0
    for at, kind in enumerate(classes(phonemes)):
        scores[20 + 8 * at : 28 + 8 * at, kind] = -0.1
    lengths = []

    def given(samples):
        lengths.append(len(samples))
        return scores

    for rate in (16000, 22050):
        spec = replace(half_rate_voice().spec, sample_rate=rate, hop_length=rate // 50)
        texts = AlignedTexts(spec, tmp_path / str(rate), FrontEnd(), Mock(fingerprint="made", side_effect=given))
        timed = texts.timed(torch.randn(rate), "either", Script(torch.tensor([50]), torch.zeros(1, 8, 50)))
        assert timed.tokens.tolist()[:-1] == numbers(phonemes)
        assert (timed.start, timed.durations.tolist()[:-1]) == (10, [4, 4, 4])
    assert lengths == [16000, 16000]


def test_a_recording_that_says_something_else_is_refused(tmp_path, monkeypatch):
    voice = half_rate_voice()
    scripts = ScriptCache(voice, tmp_path)
    silence = torch.full((100, len(CLASSES)), -5.0)
    silence[:, 0] = -0.1
    texts = AlignedTexts(voice.spec, tmp_path, FrontEnd(), Mock(fingerprint="made", return_value=silence))
    monkeypatch.setattr(aligned_texts, "LOWEST_SCORE", 0.25)
    with pytest.raises(RecordingError, match=r"mean probability of 0\.01"):
        texts.timed(audio(), "she had", scripts.script(audio()))


def test_a_corpus_without_transcripts_is_refused(corpus, tmp_path):
    made = module(corpus, tmp_path)
    table = tmp_path / "table.tsv"
    table.write_text(f"path\tspeaker\tsplit\n{corpus / '0.wav'}\ta\ttrain\n")
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path,
                         enable_model_summary=False, use_distributed_sampler=False, max_steps=1)  # fmt: skip
    data = VoiceDataModule(Table, str(table), segment_seconds=3.0, validation=None)
    with pytest.raises(ConfigurationError, match="no training recording has one"):
        trainer.fit(made, datamodule=data)


def test_a_batch_without_a_usable_transcript_has_no_gradient(corpus, tmp_path):
    made = module(corpus, tmp_path)
    batch = Batch(audio()[None], torch.tensor([100]), torch.zeros(1, 0), torch.zeros(1), ["s0/a@0.00"], 0, texts=[""])
    with pytest.warns(UserWarning, match="no transcript of a batch can be used .*left out"):
        pair = made.make_pair(batch)
    assert set(pair.losses) == set(made.weights)
    sum(pair.losses.values()).backward()
    assert all(float(loss.detach()) == 0 for loss in pair.losses.values())
    assert all(torch.count_nonzero(weight.grad) == 0 for weight in made.text_encoder.parameters())
    made.evaluate(batch, "validation")  # the last of a split may be such a one
    for _ in range(98):
        made.make_pair(batch)
    with pytest.raises(RecordingError, match="in 100 batches in a row: correct the transcripts"):
        made.make_pair(batch)


def test_what_cannot_work_is_refused(corpus, tmp_path):
    with pytest.raises(ConfigurationError, match="no loss is called 'contents'"):
        module(corpus, tmp_path, weights={"contents": 1.0})
    with pytest.raises(ConfigurationError, match="gives 9 channels at 100 frames a second"):
        module(corpus, tmp_path, text_encoder=lambda dims: ParallelTextEncoder(replace(dims, content=9), **SMALL))
    save_voice(small_voice(Dims(20, noise=2)), tmp_path / "noise")
    with pytest.raises(ConfigurationError, match="no content encoder"):
        module(corpus, tmp_path, voice=str(tmp_path / "noise"))
    assert load_voice(corpus / "voice").content_encoder is not None
