"""The training commands, from recipes to checkpoints to clones, as a user types them."""

import gc
import importlib
import logging
import os
import re
import shutil
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from forks import Fork, forked

from lightning_voiceclone.checkpoints.part_folder import load_part
from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.cli.training import _claim, _keep_quiet
from lightning_voiceclone.core import registry
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.training import aligned_texts

REPOSITORY = Path(__file__).resolve().parents[2]
OVERLAYS = {
    "progressive": ["librispeech"],
    "clone_base": ["clone_small"],
    "clone_waveform": ["clone_small"],
    "clone_heard": ["clone_small", "clone_waveform"],
    "clone_live": ["clone_small", "clone_waveform"],
    "clone_taught": ["clone_small", "clone_live"],
    "vocoder_harmonic": ["vocoder_vocos"],
    "text_style": ["text_small"],
}  # each on top of the others
COMMANDS = [line.partition("#")[0].split() for line in (REPOSITORY / "recipes/README.md").read_text().splitlines()
            if line.startswith("    lvc fit --config")]  # fmt: skip
TRAINED = {Path(word).stem for words in COMMANDS for word in words if word.startswith("recipes/")}
RECIPES = [path for path in sorted((REPOSITORY / "recipes").glob("*.yaml")) if path.stem not in TRAINED]
SMALL = [
    "--config", str(REPOSITORY / "recipes/librispeech.yaml"), "--data.corpus", "SpeakerFolders",
    "--data.validation", "2", "--data.segment_seconds", "0.4", "--data.reference_seconds", "0.5",
    "--data.batch_size", "4", "--model.generator.width", "16", "--model.generator.layers", "2",
    "--trainer.max_time", "null", "--trainer.enable_progress_bar", "false", "--model.steps.warmup", "2",
    "--trainer.val_check_interval", "10",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(corpus_folder, tmp_path_factory):
    """Folder of a short run, with its checkpoints."""
    folder = tmp_path_factory.mktemp("trained")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["fit", *SMALL, "--data.root", str(corpus_folder), "--trainer.max_epochs", "2"]) == 0
    finally:
        os.chdir(before)
    return folder / "runs/librispeech/version_0"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    for name, speaker, rate in (("a", 1, 16000), ("b", 2, 44100), ("c", 2, 8000)):
        soundfile.write(folder / f"{name}.wav", speech_like(1.5, speaker=speaker, sample_rate=rate).audio, rate)
    soundfile.write(folder / "short.wav", speech_like(0.4).audio, 16000)
    soundfile.write(folder / "silent.wav", np.zeros(32000), 16000)
    return folder


def printed_config(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["fit", *arguments, "--print_config"])
    assert ended.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


def skip_without_its_plugin(recipe):
    needs = {"vocoder_hifigan": "HiFiGAN", "vocoder_wavenet": "WaveNet", "world": "World",
             "tacotron2": "TacotronTextEncoder"}.get(recipe)  # fmt: skip
    if needs and needs not in {plugin.name for plugin in registry.installed()}:
        package = needs.lower().removesuffix("textencoder")
        pytest.skip(f"{needs} is not installed: pip install ./plugins/lvc-{package}")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes_resolve(recipe, capsys):  # those that no command of the page below trains
    below = [REPOSITORY / f"recipes/{name}.yaml" for name in OVERLAYS.get(recipe.stem, [])]
    base = [word for path in below for word in ("--config", str(path))]
    skip_without_its_plugin(recipe.stem)
    settings = printed_config(capsys, *base, "--config", str(recipe))["model"]["init_args"]
    made = next(settings[name] for name in ("generator", "vocoder", "encoder", "text_encoder") if name in settings)
    assert made["class_path"].rsplit(".", 1)[-1] in {plugin.name for plugin in registry.installed()}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[2:])[:90])
@forked  # HiFi-GAN's and its discriminators' weights take hundreds of MB; what `trained` imported, the fork has
def test_commands_of_the_recipes_page_train(command, trained, corpus_folder, folder):
    skip_without_its_plugin(Path(command[3]).stem)
    words = [str(REPOSITORY / word) if word.startswith("recipes/") else word for word in command[1:]]
    small = ["--data.corpus", "SpeakerFolders", "--data.root", str(corpus_folder), "--data.validation", "2",
             "--data.segment_seconds", "0.4", "--data.batch_size", "2", "--trainer.max_steps", "2",
             "--trainer.limit_val_batches", "1", "--trainer.enable_progress_bar", "false",
             "--checkpoint.monitor", "null", "--trainer.val_check_interval", "2",
             "--trainer.check_val_every_n_epoch", "null"]  # fmt: skip
    if "librispeech" in words[2]:
        small += ["--model.steps.warmup", "1"]
    if "vocoder" in words[2]:
        small += ["--data.segment_seconds", "0.2"]
    if "wavenet" in words[2]:  # thirty layers of every sample, and validation generates one by one: a plugin's test
        small += ["--data.segment_seconds", "0.1", "--trainer.limit_val_batches", "0"]
    assert main([*words, *small]) == 0
    name = Path(command[-1] if command[-2] == "--config" else words[[*words].index("--data.root") - 1]).stem
    last = torch.load(folder / f"runs/{name}/version_0/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 2
    learning = ("voice.generator", "vocoder.", "student.")
    weights = [value for key, value in last["state_dict"].items() if key.startswith(learning)]
    assert weights
    assert all(bool(torch.isfinite(value).all()) for value in weights)


@pytest.mark.slow
def test_a_text_encoder_trains_and_a_voice_gets_it(folder, monkeypatch, capsys):
    monkeypatch.setenv("LVC_CACHE", str(folder / "cache"))
    monkeypatch.setattr(aligned_texts, "LOWEST_SCORE", 0.0)  # nothing is said here
    save_voice(small_voice(Dims(20, content=4, speaker=8, pitch=True, energy=True)), folder / "voice")
    rows = ["path\tspeaker\ttext\tsplit"]
    for number, text in enumerate(("we go", "nobody knows", "in water", "some day")):
        soundfile.write(folder / f"{number}.wav", speech_like(1.3, speaker=number).audio, 16000)
        rows.append(f"{number}.wav\ts{number}\t{text}\t{'validation' if number == 3 else 'train'}")
    (folder / "table.tsv").write_text("\n".join(rows) + "\n")
    recipe = [
        "--config", str(REPOSITORY / "recipes/text_small.yaml"), "--data.root", "table.tsv", "--data.validation",
        "null", "--data.segment_seconds", "2", "--data.batch_size", "2", "--model.voice", "voice",
        "--model.text_encoder.width", "64", "--model.text_encoder.hidden", "32", "--model.text_encoder.layers", "1",
        "--trainer.enable_progress_bar", "false", "--trainer.val_check_interval", "1",
    ]  # fmt: skip
    assert main(["fit", *recipe, "--trainer.max_steps", "2"]) == 0
    last = folder / "runs/text_small/version_0/checkpoints/last.ckpt"
    assert f"--text-encoder {last.relative_to(folder)}" in capsys.readouterr().out
    assert main(["fit", *recipe, "--trainer.max_steps", "4", "--ckpt_path", "last"]) == 0
    metrics = (folder / "runs/text_small/version_1/metrics.csv").read_text()
    assert "validation/duration_ms" in metrics
    assert main(["save", "voice", "--text-encoder", str(last), "--output", "speaking"]) == 0
    assert load_voice(folder / "speaking").text_encoder.channels == 4
    assert main(["save", str(last), "--bits", "8", "--output", "text"]) == 0
    assert load_part(folder / "text", "text_encoders").channels == 4


@pytest.mark.slow
def test_the_overlay_of_world_trains(corpus_folder, folder):
    skip_without_its_plugin("world")
    assert main(["fit", *SMALL, "--data.root", str(corpus_folder), "--config",
                 str(REPOSITORY / "plugins/lvc-world/recipe.yaml"), "--trainer.max_steps", "2",
                 "--trainer.val_check_interval", "2", "--trainer.limit_val_batches", "1", "--data.batch_size", "2",
                 "--data.segment_seconds", "0.2", "--data.reference_seconds", "0.2"]) == 0  # fmt: skip
    assert "validation/world_l1" in Path("runs/recipe/version_0/metrics.csv").read_text()


@pytest.mark.slow
def test_any_value_can_be_overridden(capsys):
    config = printed_config(
        capsys, "--config", str(REPOSITORY / "recipes/librispeech.yaml"), "--model.generator", "TransformerGenerator",
        "--model.generator.layers", "3", "--model.weights.reconstruction", "7",
    )  # fmt: skip
    settings = config["model"]["init_args"]
    assert settings["generator"]["class_path"].endswith("TransformerGenerator")
    assert settings["generator"]["init_args"]["layers"] == 3
    assert settings["weights"]["reconstruction"] == 7
    assert settings["weights"]["feature_matching"] == 2


@pytest.mark.slow
def test_fit_writes_what_the_recipes_page_lists(trained):
    names = {path.name for path in trained.rglob("*")}
    assert {"config.yaml", "metrics.csv", "last.ckpt"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    header = (trained / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/generator", "train/reconstruction", "validation/mel_l1", "step", "epoch"} <= set(header)


@pytest.mark.slow
def test_tensorboard_has_losses_pictures_and_sound(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained))
    events.Reload()
    tags = events.Tags()
    assert {"train/discriminator", "train/adversarial", "validation/mel_l1"} <= set(tags["scalars"])
    assert {"sample/0", "sample/1", "sample/2"} <= set(tags["images"])
    assert {"sample/0", "sample/1", "sample/2"} <= set(tags["audio"])


@pytest.mark.slow
def test_clone_from_checkpoint_and_from_folder_are_the_same(trained, recordings, folder, capsys):
    checkpoint = trained / "checkpoints/last.ckpt"
    cloning = [
        "--source",
        str(recordings / "a.wav"),
        "--reference",
        str(recordings / "b.wav"),
        str(recordings / "c.wav"),
    ]
    assert main(["clone", "--checkpoint", str(checkpoint), *cloning, "--output", "one.wav"]) == 0
    assert main(["save", str(checkpoint), "--output", "voice"]) == 0
    assert {path.name for path in Path("voice").iterdir()} == {"voice.yaml", "weights.safetensors"}
    assert main(["clone", "--checkpoint", "voice", *cloning, "--output", "two.wav"]) == 0
    one, rate = soundfile.read("one.wav")
    two, _ = soundfile.read("two.wav")
    assert rate == 16000
    assert len(one) == 24000
    assert np.abs(one).max() > 0.01
    assert np.array_equal(one, two)


@pytest.mark.slow
def test_several_checkpoints_are_saved_as_their_mean_with_another_vocoder(trained, folder, capsys):
    checkpoint = str(trained / "checkpoints/last.ckpt")
    assert main(["save", checkpoint, "--output", "alone", "--bits", "16"]) == 0
    assert main(["save", checkpoint, "alone", "--vocoder", "GriffinLim", "--output", "mean"]) == 0
    mean, alone = load_voice("mean"), load_voice(checkpoint)
    assert type(mean.vocoder).__name__ == "GriffinLim"
    for name, value in mean.generator.state_dict().items():
        assert torch.allclose(value, alone.generator.state_dict()[name], rtol=1e-3, atol=1e-6)
    for one, again in ((checkpoint, checkpoint), ("alone", "./alone/")):
        assert main(["save", one, again, "--output", "twice"]) == 2
        assert "named twice" in capsys.readouterr().err
    assert main(["save", "mean", "alone", "--part", "vocoder", "--output", "twice"]) == 2
    assert "further checkpoints have no effect on the vocoder" in capsys.readouterr().err
    assert main(["save", "mean", "--part", "vocoder", "--output", "spoken"]) == 0
    capsys.readouterr()
    assert main(["save", "mean", "nowhere.ckpt", "--output", "other"]) == 2
    assert "nowhere.ckpt" in capsys.readouterr().err


@pytest.mark.slow
def test_a_part_of_a_voice_is_saved_for_others_to_be_built_with(trained, folder, capsys):
    checkpoint = trained / "checkpoints/last.ckpt"
    assert main(["save", str(checkpoint), "--part", "content_encoder", "--output", "content"]) == 0
    saved, theirs = load_part("content", "content_encoders"), load_voice(checkpoint).content_encoder
    features = torch.randn(1, 80, 40)
    assert torch.equal(saved(features), theirs(features))
    assert main(["save", str(checkpoint), "--part", "vocoder", "--output", "content"]) == 0
    assert load_part("content", "vocoders").spec == load_voice(checkpoint).spec


@pytest.mark.slow
def test_evaluation_finds_the_configuration_beside_the_checkpoint(trained, folder, capsys):
    checkpoint = str(trained / "checkpoints/last.ckpt")
    assert main(["validate", "--ckpt_path", checkpoint]) == 0
    assert "validation/mel_l1" in capsys.readouterr().out
    assert main(["predict", "--ckpt_path", checkpoint]) == 0
    spoken = list(folder.rglob("predictions/*/*.wav"))
    assert len(spoken) == 2 * 2 * 7  # speakers, recordings, crops
    assert len({path.parent for path in spoken}) == 2
    assert soundfile.info(spoken[0]).samplerate == 16000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--reference", "short.wav"), "short.wav lasts 0.40 s, at least 0.5 s are needed"),
        (("--reference", "silent.wav"), "silent.wav is silent"),
        (("--source", "missing.wav"), "missing.wav"),
        (("--checkpoint", "nowhere"), "there is no model at nowhere"),
        (("--output", "/dev/null/c.wav"), "/dev/null"),
    ],
)
def test_clone_reports_in_one_line_what_is_wrong(trained, recordings, monkeypatch, capsys, change, words):
    monkeypatch.chdir(recordings)
    settings = {"--checkpoint": str(trained / "checkpoints/last.ckpt"), "--source": "a.wav", "--reference": "b.wav",
                "--output": "c2.wav"}  # fmt: skip
    settings[change[0]] = change[1]
    assert main(["clone", *[item for pair in settings.items() for item in pair]]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert len(error) == 1
    assert error[0].startswith("lvc: error: ")
    assert words in error[0]
    assert not Path("c2.wav").exists()


@pytest.mark.slow
def test_the_test_split_is_the_one_that_the_corpus_declares(trained, corpus_folder, folder, capsys):
    rows = [(path, path.parent.name) for path in sorted(corpus_folder.rglob("*.wav"))]
    lines = [f"{path}\t{speaker}\t{'test' if speaker == 'speaker5' else 'train'}" for path, speaker in rows]
    Path("table.tsv").write_text("\n".join(["path\tspeaker\tsplit", *lines]) + "\n")
    checkpoint = ["--ckpt_path", str(trained / "checkpoints/last.ckpt")]
    table = ["--data.corpus", "Table", "--data.root", "table.tsv", "--data.validation", "null"]
    assert main(["test", *checkpoint, *table]) == 0
    assert "test/mel_l1" in capsys.readouterr().out
    assert main(["test", *checkpoint]) == 2
    assert "no recording is in the split 'test'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_device_that_is_not_there(trained, recordings, folder, capsys):
    cloning = ["--source", str(recordings / "a.wav"), "--reference", str(recordings / "b.wav"), "--output", "c.wav"]
    assert main(["clone", "--checkpoint", str(trained / "checkpoints/last.ckpt"), *cloning, "--device", "gpu"]) == 2
    assert "--device is 'gpu' (did you mean cuda?), but must be one of cpu, cuda" in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkpoint_with_code_in_it_is_not_run(folder, recordings, capsys):
    class Attack:
        def __reduce__(self):
            return (os.system, ("touch attacked",))

    torch.save({"voice": Attack(), "state_dict": {}}, "bad.ckpt")
    assert main(["save", "bad.ckpt", "--output", "voice"]) == 2
    assert "could run code" in capsys.readouterr().err
    assert not Path("attacked").exists()
    Path("cut.ckpt").write_bytes(b"PK\x03\x04 cut short")
    assert main(["save", "cut.ckpt", "--output", "voice"]) == 2
    assert "cut.ckpt" in capsys.readouterr().err


@pytest.mark.slow
def test_a_voice_of_a_missing_plugin_names_its_package(trained, folder, capsys):
    assert main(["save", str(trained / "checkpoints/last.ckpt"), "--output", "voice"]) == 0
    description = yaml.safe_load(Path("voice/voice.yaml").read_text())
    description["parts"]["generator"] |= {"name": "FlowGenerator", "package": "lvc-flow"}
    Path("voice/voice.yaml").write_text(yaml.safe_dump(description))
    capsys.readouterr()
    assert main(["save", "voice", "--output", "other"]) == 2
    assert "pip install lvc-flow" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--model.generator", "ConvGenrator"],
            "--model.generator: no Generator is called 'ConvGenrator' (did you mean ConvGenerator?); installed:"
            " ConvGenerator, LinearGenerator, MLPGenerator",
        ),
        (
            ["--model.content_transforms", "[WarpFrequenc]"],
            "--model.content_transforms: no FeatureTransform is called 'WarpFrequenc' (did you mean WarpFrequency?);"
            " installed: SpecAugment, WarpFrequency",
        ),
        (["--model.scheduler", "ExponentialL"], "is called 'ExponentialL' (did you mean ExponentialLR?); installed: "),
        (["--model.scheduler", "ExpLR"], "is called 'ExpLR' (did you mean ExponentialLR?); installed: "),
        (["--model.start"], "--model, or an option that begins with --model., has no value after it"),
        (["--model.generator", "../configs/cnv.yaml"], "--model.generator: there is no file ../configs/cnv.yaml;"),
        (["--model.weights.reconstructoin", "1"], "did you mean reconstruction"),
        (
            ["--model.generator.widht", "16"],
            "--model.generator.widht: there is no such option (did you mean width?)",
        ),
        (["--model.steps.warmpu", "16"], "--model.steps.warmpu: there is no such option (did you mean warmup?)"),
        (["--trainer.max_stps", "16"], "--trainer.max_stps: there is no such option (did you mean max_steps?)"),
        (["--data.batch_size", "many"], "--data.batch_size: must be int, not 'many'"),
        (["--model.generator.layers", "many"], "--model.generator.layers: must be int, not 'many'"),
        (["--seed_everything", "many"], "--seed_everything: must be bool or int, not 'many'"),
        (
            ["--trainer.precision", "7"],
            "--trainer.precision: must be one of [64, 32, 16], one of ['transf",
        ),
        (["--model.energy", "true"], "--model.energy: no FeatureExtractor is called 'true'; installed: Energy"),
        (["--model.content_transforms", "WarpFrequency"], "must be a list, such as [WarpFrequency]"),
        (["--model.generator_optimizer.lr", "fast"], "--model.generator_optimizer.lr: must be float, not 'fast'"),
        (["--model.generator_optimizer.lr=-1"], "Invalid learning rate: -1"),
        (["--modle.swap", "0.5"], "--modle: there is no such option (did you mean model?)"),
        (["--optimizer", "Adam"], "--optimizer: there is no such option"),  # there are two players, each with its own
        (["--model.steps", "1500"], "--model.steps: must be a mapping, or the path of a YAML file that exists"),
        (["--model.steps.warmup=-5"], "steps.warmup is -5; it must be from 0 to 1,000,000,000,000"),
        (["--data.batch_size", "0"], "data.batch_size is 0; it must be from 1 to 100,000"),
        (["--data.workers=-1"], "data.workers is -1; it must be from 0 to 256"),
        (["--trainer.accelerator", "cuda0"], "cuda0"),
        (["--trainer.devices", "two"], "devices"),
        (
            ["--checkpoint.monitor", "validation/mell1"],
            "checkpoint.monitor is 'validation/mell1', which this model does not log (did you mean validation/mel_l1?)",
        ),
        (["--checkpoint.monitor", "val_loss"], "checkpoint.monitor is 'val_loss', which this model does not log"),
        (
            ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=validation/mel_11"],
            "EarlyStopping.monitor is 'validation/mel_11', which this model does not log (did you mean v",
        ),
        (["--trainer.gradient_clip_val", "1.0"], "set model.steps.gradient_clip instead"),
        (["--trainer.accumulate_grad_batches", "2"], "set model.steps.accumulate instead"),
        (["recipes/librispeech.yaml"], "is --config recipes/librispeech.yaml what you mean?"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (
            ["--data.corpus", "LibriSpeech", "--data.corpus.declare_splits", "3"],
            "--data.corpus.declare_splits: must be bool, not '3'",
        ),
        (["--data.root", "nowhere"], "nowhere"),
        (["--data.root", "null", "--data.corpus", "LibriSpeech"], "corpora/LibriSpeech"),
    ],
)
def test_fit_reports_in_one_line_what_is_wrong(folder, corpus_folder, capsys, arguments, words):
    assert main(["fit", *SMALL, "--data.root", str(corpus_folder), *arguments]) == 2
    error = capsys.readouterr().err
    last = error.splitlines()[-1]
    assert last.startswith("lvc: error: ")
    assert words in last
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["fit"], "lvc fit needs a recipe, such as --config recipes/librispeech.yaml"),
        (["test"], "lvc test needs a recipe, such as --config recipes/librispeech.yaml; or --ckpt_path CHECKPOINT"),
        (["test", "--ckpt_path", "none.ckpt"], "--ckpt_path: there is no file none.ckpt"),
        (["test", "--ckpt_path", "lone.ckpt"], "which lvc fit leaves; name the recipe: --config RECIPE"),
        (
            ["clone", "--refrence", "b.wav", "--source", "a", "--output", "b"],
            "no option --refrence (did you mean --ref",
        ),
        (["adapt", "--data", "d", "--output", "o", "--lr", "1"], "no option --lr (did you mean --learning-rate?)"),
        (["save", "x.ckpt"], "the following arguments are required: --output; lvc save --help"),
        (
            ["prepare", "LibriSpech", ".", "--output", "o"],
            "no corpus is called 'LibriSpech' (did you mean LibriSpeech?)",
        ),
    ],
)
def test_a_command_names_what_it_lacks(folder, capsys, command, words):
    Path("lone.ckpt").touch()
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lvc: error: ")
    assert words in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "mistaken", "words"),
    [
        (
            "channels: 16", "chanels: 16",
            "--model.content_encoder.chanels: there is no such option (did you mean channels?)",
        ),
        ("channels: 16", "channels: many", "--model.content_encoder.channels: must be int, not 'many'"),
        ("warmup: ", "warmpu: ", "--model.steps.warmpu: there is no such option (did you mean warmup?)"),
        ("WarpFrequency", "WarpFrequenzy", "--model.content_transforms: no FeatureTransform is called 'WarpFrequenzy'"),
        ("speaker_encoder:", "speakr_encoder:", "--model.speakr_encoder: there is no such option (did you mean spe"),
        ("features/mel.yaml", "features/mle.yaml", "--model.feature_extractor: there is no file"),
    ],
)  # fmt: skip
def test_mistakes_of_a_recipe_are_named_where_they_are(folder, capsys, line, mistaken, words):
    shutil.copytree(REPOSITORY / "configs", "configs")
    recipe = (REPOSITORY / "recipes/librispeech.yaml").read_text()
    assert line in recipe
    Path("recipes").mkdir()
    Path("recipes/mistaken.yaml").write_text(recipe.replace(line, mistaken))
    assert main(["fit", "--config", "recipes/mistaken.yaml", "--print_config"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"lvc: error: {words}")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_checkpoint_from_which_training_goes_on(trained, corpus_folder, folder, number, status):
    fit = ["fit", *SMALL, "--data.root", str(corpus_folder), "--trainer.limit_val_batches", "1",
           "--trainer.log_every_n_steps", "1"]  # fmt: skip
    with Fork(lambda: main(fit), folder) as run:
        metrics = folder / "runs/librispeech/version_0/metrics.csv"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and run.returncode is None and not metrics.is_file():
            time.sleep(0.05)
        run.send_signal(number)
        printed = "".join(run.communicate())
        assert run.returncode == status, printed
    assert "Traceback" not in printed
    step = int(re.search(r"interrupted after step (\d+)", printed)[1])
    checkpoint = folder / "runs/librispeech/version_0/checkpoints/interrupted.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == step
    if number != signal.SIGINT:  # the checkpoint of another signal is written by the same lines
        return
    assert main([*fit, "--ckpt_path", str(checkpoint), "--trainer.max_steps", str(step + 3)]) == 0
    last = folder / "runs/librispeech/version_1/checkpoints/last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == step + 3


@pytest.mark.slow
def test_wandb_offline_by_one_option(corpus_folder, folder, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for _ in range(2):
        steps = ["--trainer.max_steps", "2", "--trainer.val_check_interval", "2", "--trainer.limit_val_batches", "1"]
        logger = ["--trainer.logger", "WandbLogger", "--trainer.logger.offline", "true"]
        assert main(["fit", *SMALL, "--data.root", str(corpus_folder), *steps, *logger]) == 0
        wandb.finish()
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 2
    assert len(list(folder.rglob("config.yaml"))) >= 2
    assert len(list(folder.rglob("last.ckpt"))) == 2
    assert list((folder / "wandb").rglob("*.png"))
    assert list((folder / "wandb").rglob("*.wav"))


@pytest.mark.slow
def test_the_sweep_makes_commands_that_parse(folder, monkeypatch):
    sweeps = pytest.importorskip("sweeps")
    from lightning_voiceclone.cli.training import build_cli

    sweep = yaml.safe_load((REPOSITORY / "recipes/sweeps/librispeech.yaml").read_text())
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    generators = set()
    np.random.seed(0)
    for _ in range(2):
        run = sweeps.next_run(sweep | {"method": "random"}, [])
        values = {name: entry["value"] for name, entry in run.config.items()}
        arguments = [f"--{name}={value}" for name, value in values.items()]
        words = [word for part in sweep["command"] for word in (arguments if part == "${args}" else [part])]
        assert words[:2] == ["${env}", "${program}"]
        cli = build_cli([*words[2:], "--trainer.logger=false"], run=False)
        made = cli.model
        generators.add(type(made.voice.generator).__name__)
        assert type(made.voice.generator).__name__ == values["model.generator"]
        assert made.configure_optimizers()[0][0].param_groups[0]["lr"] == pytest.approx(
            values["model.generator_optimizer.lr"]
        )
    assert generators <= {"ConvGenerator", "RecurrentGenerator", "TransformerGenerator"}


@pytest.mark.slow
def test_each_run_has_a_folder_of_its_own_from_the_start_and_one_that_fails_leaves_none(folder, capsys):
    assert [_claim(Path("runs/a")) for _ in range(3)] == ["version_0", "version_1", "version_2"]
    assert main(["fit", *SMALL, "--data.root", "nowhere"]) == 2
    assert [path.name for path in Path("runs").iterdir()] == ["a"]


@pytest.mark.slow
def test_without_a_logger_no_configuration_is_replaced(folder, corpus_folder, capsys):
    Path("config.yaml").write_text("mine: true\n")
    arguments = ["fit", *SMALL, "--data.root", str(corpus_folder), "--trainer.max_steps", "1", "--trainer.logger=false"]
    assert main(arguments) == 2
    assert "would replace" in capsys.readouterr().err
    assert Path("config.yaml").read_text() == "mine: true\n"
    assert main([*arguments, "--trainer.default_root_dir", "elsewhere"]) == 0
    assert Path("elsewhere/config.yaml").is_file()


@pytest.mark.slow
def test_a_checkpoint_of_other_training_settings_is_reported_in_one_line(trained, folder, corpus_folder, capsys):
    checkpoint = str(trained / "checkpoints/last.ckpt")
    assert main(["fit", *SMALL, "--data.root", str(corpus_folder), "--model.steps.average", "null", "--ckpt_path",
                 checkpoint]) == 2  # fmt: skip
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("lvc: error: the weights of the checkpoint are not those of this configuration: Unexpected")


@pytest.mark.slow
def test_each_ablation_is_a_recipe_that_builds_a_voice(monkeypatch):
    from lightning_voiceclone.cli.training import build_cli

    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    ablations = importlib.import_module("ablations")
    variants = ablations.VARIANTS["clone_small"]
    found = {}
    for name, settings in variants.items():  # one at a time: all of them take 450 MB
        if name == ablations.START:  # the recipe's own settings again
            assert settings == variants[ablations.WHOLE]
            continue
        options = ["--config", str(REPOSITORY / "recipes/clone_small.yaml"), "--model.steps.warmup", "0", *settings]
        module = build_cli(["fit", *options, "--trainer.logger=false"], run=False).model
        found[name] = {
            "encoder": type(module.voice.content_encoder).__name__,
            "adversarial": module.discriminator is not None,
            "weights": set(module.weights),
            "perturbed": len(module.content_transforms) > 0,
            "retrieval": "reference_content" in module.voice.generator.needs,
        }
        del module
        gc.collect()
    whole = found["the recipe"]
    assert found["content by instance normalisation"]["encoder"] == "InstanceNormContentEncoder"
    assert whole["adversarial"]
    assert not found["no discriminator, no cross-speaker rows"]["adversarial"]
    assert whole["weights"] - found["no speaker loss"]["weights"] == {"speaker"}
    assert whole["perturbed"]
    assert not found["no perturbation"]["perturbed"]
    assert whole["retrieval"]
    assert not found["no retrieval"]["retrieval"]


@pytest.mark.slow
def test_the_ablation_of_time_scales_changes_features_and_vocoder_alone(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    variants = importlib.import_module("ablations").VARIANTS["librispeech"]
    recipe = ["--config", str(REPOSITORY / "recipes/librispeech.yaml")]
    whole, scales = (printed_config(capsys, *recipe, *variants[name])["model"]["init_args"]
                     for name in ("the recipe", "several time scales"))  # fmt: skip
    assert {name for name in whole if whole[name] != scales[name]} == {
        "feature_extractor", "vocoder", "content_transforms"}  # fmt: skip
    assert len(scales["feature_extractor"]["init_args"]["extractors"]) == 4
    assert scales["feature_extractor"]["init_args"]["extractors"][0] == whole["feature_extractor"]
    assert [transform["init_args"]["groups"] for transform in scales["content_transforms"]] == [[80, 20, 40]]


@pytest.mark.slow
def test_what_nobody_can_act_on_is_left_out():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _keep_quiet()
        scheduler.step()  # before the optimizer's
    assert not caught
    source = logging.getLogger("lightning.pytorch.trainer.connectors.checkpoint_connector")
    record = source.makeRecord(source.name, logging.INFO, "", 0, "`weights_only` was not set, defaulting to", (), None)
    assert not source.filter(record)
