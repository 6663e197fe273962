"""lvc tune and lvc.train, with trainings."""

import contextlib
import gc
import importlib
import signal
import time
from pathlib import Path

import pytest
import yaml
from forks import Fork, forked

import lightning_voiceclone as lvc
from lightning_voiceclone.checkpoints.checkpoint_file import CheckpointFile
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.cli.train import option_words
from lightning_voiceclone.core import registry
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.training.modules.adversarial import AdversarialModule
from lightning_voiceclone.utils.files import ENDING

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPE = str(REPOSITORY / "recipes/librispeech.yaml")
SMALL = {
    "data.corpus": "SpeakerFolders", "data.validation": 2, "data.segment_seconds": 0.4, "data.reference_seconds": 0.5,
    "data.batch_size": 4, "model.generator.width": 16, "model.generator.layers": 2, "trainer.max_time": None,
    "trainer.enable_progress_bar": False, "model.steps.warmup": 2, "trainer.val_check_interval": 2,
    "trainer.max_steps": 4,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def imported():
    """What each fork would import anew."""
    importlib.import_module("lightning_voiceclone.cli.training")
    registry.load_all()
    with contextlib.suppress(ImportError):
        importlib.import_module("optuna")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {"metric": {"name": "validation/mel_l1", "goal": "minimize"},
             "parameters": {"model.generator_optimizer.lr": {"distribution": "log_uniform_values", "min": 1e-4,
                                                             "max": 1e-2}}}  # fmt: skip
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    return tmp_path


def words(corpus_folder, *more):
    given = [f"--{name}={'null' if value is None else value}" for name, value in SMALL.items()]
    return ["tune", "--config", RECIPE, "--space", "space.yaml", f"--data.root={corpus_folder}", *given, *more]


def modules_alive():
    gc.collect()
    # By type: `isinstance` also asks a weak reference's referent for its class, which may be gone.
    return sum(issubclass(type(one), AdversarialModule) for one in gc.get_objects())


@pytest.mark.slow
@forked
def test_train_is_fit(corpus_folder, folder):
    before = modules_alive()
    handlers = [signal.getsignal(number) for number in ENDING]
    result = lvc.train(RECIPE, SMALL | {"data.root": corpus_folder})
    assert [signal.getsignal(number) for number in ENDING] == handlers
    assert modules_alive() == before  # hundreds of trials take no more memory
    assert (result.step, result.interrupted) == (4, 0)
    assert result.folder == Path("runs/librispeech/version_0")
    assert result.checkpoint == result.folder / "checkpoints/last.ckpt"
    assert result.best is not None
    assert result.best.is_file()
    assert 0 < result.figures["validation/mel_l1"] < 10
    more = lvc.train(RECIPE, SMALL | {"data.root": corpus_folder, "trainer.max_steps": 6}, resume="last")
    assert more.step == 6
    with pytest.raises(ConfigurationError, match="widht"):
        lvc.train(RECIPE, {"model.generator.widht": 3})


def test_what_a_search_refuses(corpus_folder, folder, capsys, monkeypatch):
    pytest.importorskip("optuna", reason="a search needs Optuna")
    assert main(words(corpus_folder, "--seed", "-1")) == 2
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert main(words(corpus_folder)) == 2
    err = capsys.readouterr().err
    assert "--seed is -1" in err
    assert "trains a trial in one process" in err


@pytest.mark.parametrize("value", ["@corpus", "*x", "%x", "a: b: c", "1", "null", "", "plain name"])
def test_any_text_is_a_value(value):
    (word,) = option_words({"data.root": value})
    assert yaml.safe_load(word.removeprefix("--data.root=")) == value


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX only")
def test_a_killed_search_goes_on_with_its_training(corpus_folder, folder, capsys):
    pytest.importorskip("optuna", reason="a search needs Optuna")
    arguments = words(corpus_folder, "--trials", "1", "--trainer.max_steps=16", "--trainer.val_check_interval=4")
    with Fork(lambda: main(arguments), folder) as run:
        deadline = time.monotonic() + 200
        while not list(folder.glob("tune/librispeech/trial_000/**/step*.ckpt")) and time.monotonic() < deadline:
            assert run.returncode is None
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        run.communicate()
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "1 trials whose process ended are tried again" in out
    assert "trial 1: validation/mel_l1" in out
    runs = sorted(folder.glob("tune/librispeech/trial_000/runs/librispeech/version_*"))
    assert [run.name for run in runs] == ["version_0", "version_1"]
    assert CheckpointFile(runs[1] / "checkpoints/last.ckpt").values["global_step"] == 16
    first = (runs[1] / "metrics.csv").read_text().splitlines()
    steps = [int(line.split(",")[first[0].split(",").index("step")]) for line in first[1:]]
    assert min(steps) > 3  # it did not begin anew
    recipe = yaml.safe_load((folder / "tune/librispeech/trial_000.yaml").read_text())
    assert (recipe["ckpt_path"], recipe["trainer"]["max_steps"]) == (None, 16)
    assert main([*arguments, "--trainer.max_epochs=2"]) == 2
    assert "has another options" in capsys.readouterr().err


@pytest.mark.slow
@forked
def test_a_search_writes_recipes_that_run_alone(corpus_folder, folder, capsys):
    pytest.importorskip("optuna", reason="a search needs Optuna")
    assert main(words(corpus_folder, "--trials", "2")) == 0
    out = capsys.readouterr().out
    assert "the best: lvc fit --config tune/librispeech/trial_00" in out
    rates = [
        yaml.safe_load((folder / f"tune/librispeech/trial_00{n}.yaml").read_text())["model"]["init_args"]
        for n in (0, 1)
    ]
    assert rates[0]["generator_optimizer"] != rates[1]["generator_optimizer"]
    assert lvc.train("tune/librispeech/trial_001.yaml", {"trainer.default_root_dir": "again"}).step == 4
    assert main(words(corpus_folder, "--trials", "2")) == 0  # nothing is left to do
    assert "trial 2" not in capsys.readouterr().out
