"""A configuration has nothing called that is not of the kind that its option wants."""

import typing
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch.loggers import Logger

from lightning_voiceclone.cli.class_paths import classes, refusals
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.cli.training import build_cli
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.utils.lightning_internals import option_types

RECIPE = str(Path(__file__).resolve().parents[2] / "recipes/librispeech.yaml")
PLACES = [
    "model", "model.generator", "model.discriminator", "model.content_encoder", "model.speaker_encoder",
    "model.vocoder", "model.feature_extractor", "model.adversarial_loss", "model.generator_optimizer",
    "model.discriminator_optimizer", "model.scheduler", "data.corpus", "trainer.logger", "trainer.callbacks",
    "trainer.plugins", "trainer.strategy", "trainer.profiler", "trainer.accelerator", "model.content_transforms",
]  # fmt: skip
NESTED = {
    "trainer.callbacks": "lightning.pytorch.callbacks.LambdaCallback/on_fit_start",
    "model.scheduler": "torch.optim.lr_scheduler.LambdaLR/lr_lambda",
    "trainer.strategy": "lightning.pytorch.strategies.DDPStrategy/checkpoint_io",
    "trainer.plugins": "lightning.pytorch.plugins.AsyncCheckpointIO/checkpoint_io",
}


@pytest.fixture(scope="module")
def parser():
    """As lvc fit has it."""
    return build_cli(["fit", "--config", RECIPE, "--trainer.logger", "false"], run=False).parser


def settings(place, value):
    """A configuration that has ``value`` at ``place``, a list where there are several."""
    *outer, last = place.split(".")
    value = {last: [value] if last in ("callbacks", "plugins", "content_transforms") else value}
    if outer == ["model"]:
        return {"model": {"class_path": "VoiceModule", "init_args": value}}
    return {outer[0]: value} if outer else value


@pytest.fixture
def marked(tmp_path):
    """A file that is there if something was called."""
    return tmp_path / "called"


def called(marked):
    """What is to be called, by its path; each would make the file."""
    return {
        "os.system": {"command": f"touch {marked}"},
        "subprocess.Popen": {"args": ["touch", str(marked)]},
        "builtins.eval": {"source": f"open({str(marked)!r}, 'w')"},
        "lightning_voiceclone.utils.files.atomic_file": {"path": str(marked)},
        "lightning_voiceclone.checkpoints.voice_folder.load_voice": {"path": str(marked)},
        "torch.utils.tensorboard.SummaryWriter": {"log_dir": str(marked)},
    }


def refused(parser, config, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(LVCError) as error:
        parser.instantiate_classes(parser.parse_args(["--config", RECIPE, "--config", str(path)]))
    return " ".join(str(error.value).split())


@pytest.mark.slow
@pytest.mark.parametrize(("number", "place"), list(enumerate(PLACES)))
def test_what_is_no_class_of_the_kind_is_not_called(parser, number, place, marked, tmp_path):
    command, *others = called(marked).items()
    for path, arguments in (command, others[number % len(others)]):
        message = refused(parser, settings(place, {"class_path": path, "init_args": arguments}), tmp_path)
        assert message.startswith(f"--{place}: "), message
    assert not marked.exists()


@pytest.mark.slow
@pytest.mark.parametrize("place", NESTED)
def test_nor_what_an_argument_of_a_class_names(parser, place, marked, tmp_path):
    path, argument = NESTED[place].split("/")
    for deeper in ("os.system", {"class_path": "os.system", "init_args": {"command": f"touch {marked}"}}):
        message = refused(parser, settings(place, {"class_path": path, "init_args": {argument: deeper}}), tmp_path)
        assert message.startswith(f"--{place}"), message
    assert not marked.exists()


@pytest.mark.slow
def test_the_line_states_what_is_wanted(parser, tmp_path):
    evil = {"class_path": "os.system", "init_args": {"command": "true"}}
    assert refused(parser, settings("model.generator", evil), tmp_path) == (
        "--model.generator: os.system is no Generator, and is not called; name a class of that kind"
    )
    other = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 1, "out_features": 1}}
    assert refused(parser, settings("data.corpus", other), tmp_path) == (
        "--data.corpus: torch.nn.Linear is no Corpus, and is not called; name a class of that kind"
    )
    assert "is no LRScheduler" in refused(parser, settings("model.scheduler", "os.system"), tmp_path)


@pytest.mark.slow
def test_classes_of_the_kind_are_called_by_path_and_by_name(parser):
    made = parser.instantiate_classes(
        parser.parse_args(["--config", RECIPE, "--data.corpus", "Table", "--data.corpus.where", "null",
                           "--model.generator", "lightning_voiceclone.networks.generators.mlp.MLPGenerator",
                           "--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "."])
    )  # fmt: skip
    assert isinstance(made.model.voice.generator, Generator)
    assert isinstance(made.trainer.logger, Logger)


@pytest.mark.slow
def test_a_configuration_beside_a_checkpoint_is_no_way_around(tmp_path, marked, capsys):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/last.ckpt").write_bytes(b"not looked at")
    config = settings("data.corpus", {"class_path": "os.system", "init_args": {"command": f"touch {marked}"}})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    for command in ("validate", "test", "predict"):
        assert main([command, "--ckpt_path", str(tmp_path / "checkpoints/last.ckpt")]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error == (
            "lvc: error: --data.corpus: os.system is no Corpus, and is not called; name a class of that kind"
        )
    assert not marked.exists()


class Some:
    def __init__(self, one: Callable[[Dims], Generator] | None = None, any_: typing.Any = None, plain: int = 0):
        pass


def test_what_the_parser_keeps_private_is_still_there():
    """Of jsonargparse: the types of options, and values whose class_path stays until they are made."""
    parser = ArgumentParser()
    parser.add_class_arguments(Some, "some")
    types = option_types(parser)
    assert {"some.one", "some.any_", "some.plain"} <= set(types)
    assert list(classes(types["some.one"])) == [Generator, type(None)]
    given = Namespace(some=Namespace(one=Namespace(class_path="os.system"), any_=None, plain=1))
    assert [option for option, _ in refusals(parser, given)] == ["some.one"]
    given = Namespace(some=Namespace(one=None, any_=Namespace(class_path="CSVLogger"), plain=1))
    assert list(refusals(parser, given)) == [
        ("some.any_", "CSVLogger is not called: no class or function can be given here")
    ]
    given = Namespace(some=Namespace(one=Namespace(class_path=f"{Generator.__module__}.Generator"), any_=[1]))
    assert list(refusals(parser, given)) == []
