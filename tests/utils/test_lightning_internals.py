"""What Lightning and jsonargparse keep private still does what it is used for."""

import importlib
import inspect
import pkgutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import lightning.pytorch as pl
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser, get_loader
from jsonargparse._loaders_dumpers import get_loader_exceptions
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.strategies.launchers import subprocess_script

import lightning_voiceclone
from lightning_voiceclone.utils import lightning_internals as internals


class Counted(BoringModel):
    """Steps two optimizers a batch, neither counted, and counts the batch."""

    def __init__(self, end_after=None):
        super().__init__()
        self.automatic_optimization = False
        self.end_after, self.done, self.validations = end_after, [], 0

    def configure_optimizers(self):
        return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            self.manual_backward(self(batch).sum())
            with internals.uncounted(optimizer):
                optimizer.step()
            optimizer.zero_grad()
        internals.count_batch(self.trainer)
        self.done.append(internals.batches_done(self.trainer))

    def on_train_batch_end(self, *_):
        if self.global_step == self.end_after:
            internals.stop_without_validation(self.trainer)

    def on_validation_epoch_start(self):
        self.validations += 1


def trained(tmp_path, **settings):
    module = Counted(settings.pop("end_after", None))
    trainer = pl.Trainer(default_root_dir=tmp_path, logger=False, enable_checkpointing=False, accelerator="cpu",
                         enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
                         limit_train_batches=5, limit_val_batches=1, max_epochs=2, **settings)  # fmt: skip
    before = module.layer.weight.detach().clone()
    trainer.fit(module)
    assert not torch.equal(module.layer.weight, before)
    return trainer, module


def test_a_batch_counts_once_whatever_optimizers_step(tmp_path):
    trainer, module = trained(tmp_path)
    assert trainer.global_step == 10
    assert module.done == [0, 1, 2, 3, 4] * 2  # of the epoch, before the batch that runs
    assert module.validations == 2


def test_hooks_of_an_optimizer_are_restored():
    optimizer = LightningOptimizer(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0))
    counted = []
    optimizer._on_before_step = optimizer._on_after_step = lambda: counted.append(1)  # as the training loop does
    with internals.uncounted(optimizer):
        optimizer._on_before_step()
        optimizer._on_after_step()
    assert counted == []
    optimizer._on_before_step()
    optimizer._on_after_step()
    assert counted == [1, 1]


def test_max_steps_are_batches(tmp_path):
    assert trained(tmp_path, max_steps=3)[0].global_step == 3


def test_training_stops_without_a_validation(tmp_path):
    trainer, module = trained(tmp_path, end_after=5)
    assert trainer.global_step == 5
    assert module.validations == 0  # though one is due after the epoch


@pytest.mark.parametrize("value", [True, False])
def test_the_trainer_states_whether_it_distributes_samplers(value):
    trainer = pl.Trainer(accelerator="cpu", use_distributed_sampler=value, logger=False, barebones=True)
    assert internals.distributes_samplers(trainer) is value


def test_the_launcher_calls_the_observer_by_its_name_in_the_module(monkeypatch):
    monkeypatch.setattr(subprocess_script, "_launch_process_observer", subprocess_script._launch_process_observer)
    assert list(inspect.signature(internals.LAUNCH_OBSERVER).parameters) == ["child_processes"]
    assert "_launch_process_observer" in subprocess_script._SubprocessScriptLauncher.launch.__code__.co_names
    seen = []
    internals.watch_children_with(seen.append)
    children: list[subprocess.Popen[bytes]] = []
    subprocess_script._launch_process_observer(children)
    assert seen == [children]


def test_the_command_line_calls_both_hooks_after_parsing_and_before_making_anything():
    order = [name for name in LightningCLI.__init__.__code__.co_names
             if name in ("parse_arguments", "_parse_ckpt_path", "_set_seed", "instantiate_classes")]  # fmt: skip
    assert order == ["parse_arguments", "_parse_ckpt_path", "_set_seed", "instantiate_classes"]
    assert list(inspect.signature(LightningCLI._parse_ckpt_path).parameters) == ["self"]
    assert list(inspect.signature(LightningCLI._set_seed).parameters) == ["self"]


@pytest.mark.parametrize("subcommand", ["", "fit"])
def test_settings_are_written_down_as_lightning_does(subcommand):
    top, arguments = parser(), [f"--model.part={__name__}.Part", "--model.part.width=3", "--model.steps.warmup=2"]
    if subcommand:
        below, top, arguments = top, ArgumentParser(exit_on_error=False), [subcommand, *arguments]
        top.add_subcommands().add_subcommand(subcommand, below)
    texts = []
    for made in (LightningCLI, internals.HookedCLI):
        cli = made.__new__(made)
        cli.parser, cli.config = top, top.parse_args(arguments)
        cli._dump_config()
        texts.append(yaml.safe_dump(cli.config_dump, sort_keys=False))
    assert texts[0] == texts[1]
    assert yaml.safe_load(texts[1])["model"]["part"]["init_args"] == {"width": 3}


def test_errors_of_restoring_are_distinguished_from_others(tmp_path):
    path, model = tmp_path / "a.ckpt", BoringModel()
    torch.save({"state_dict": model.state_dict(), "pytorch-lightning_version": pl.__version__, "global_step": 0,
                "epoch": 0, "loops": {}, "optimizer_states": ["none"], "lr_schedulers": []}, path)  # fmt: skip
    with pytest.raises((KeyError, TypeError)) as error:
        pl.Trainer(barebones=True, accelerator="cpu").fit(model, ckpt_path=path)
    assert internals.raised_while_restoring(error.value)
    assert not internals.raised_while_restoring(KeyError("elsewhere"))


# jsonargparse --------------------------------------------------------------------------------------------------------


class Part:
    def __init__(self, width: int = 1):
        pass


@dataclass
class Steps:
    warmup: int = 0


class Model:
    def __init__(
        self,
        part: Part | None = None,
        made: Callable[[int], Part] | None = None,
        steps: Steps = Steps(),  # noqa: B008
        count: int = 1,
    ):
        pass


def parser():
    made = ArgumentParser(exit_on_error=False)
    made.add_class_arguments(Model, "model")
    return made


def test_names_and_types_of_options():
    names = internals.option_names(parser())
    assert {"model.part", "model.made", "model.count"} <= set(names)
    assert not [name for name in names if "help" in name]
    assert internals.option_types(parser())["model.count"] is int
    assert internals.option_types(parser())["model.part"] == Part | None


def test_a_class_path_is_imported_as_the_parser_does():
    assert internals.imported("collections.OrderedDict").__name__ == "OrderedDict"
    with pytest.raises((ImportError, AttributeError, ValueError)):
        internals.imported("collections.Nothing")


@pytest.mark.parametrize("mode", ["yaml", "omegaconf+"])
def test_a_loader_is_wrapped(mode):
    internals.wrap_loader(mode, lambda load: load)  # registers it
    kept, texts = get_loader(mode), []

    def wrapper(load):
        def wrapped(text, *rest, **named):
            texts.append(text)
            return load(text, *rest, **named)

        return wrapped

    try:
        internals.wrap_loader(mode, wrapper)
        made = ArgumentParser(parser_mode=mode, exit_on_error=False)
        made.add_argument("--given", type=dict)
        assert made.parse_args(["--given", "{a: 1}"]).given == {"a": 1}
        assert "{a: 1}" in texts
    finally:
        internals.wrap_loader(mode, lambda load: kept)
        assert get_loader_exceptions(mode) == get_loader_exceptions("yaml") == (yaml.YAMLError,)


@pytest.mark.parametrize(("pattern", "arguments", "found"), [
    ("UNKNOWN", ["--modle.x", "3"], "modle.x"),
    ("UNKNOWN", ["--model.part=Part", "--model.part.widht=3"], "widht"),
    ("BARE", ["recipe.yaml"], "recipe.yaml"),
    ("VALUELESS", ["--model.count"], "model.count"),
    ("NO_CLASS", ["--model.part", "Nope"], "Nope"),
    ("NO_CLASS", ["--model.made", "Nope"], "Nope"),
    ("FOREIGN", ["--model.made", "collections.OrderedDict"], "collections.OrderedDict"),
    ("NO_CONFIG", ["--model.steps", "3"], "3"),
    ("WANTED", ["--model.count", "x"], "<class 'int'>"),
    ("GIVEN", ["--model.count", "x"], "x"),
    ("GIVEN", ["--model.part", "Nope"], "Nope"),
    ("KEY", ["--model.count", "x"], "model.count"),
    ("NESTED", ["--model.part=Part", "--model.part.width=x"], "width"),
    ("ALTERNATIVES", ["--model.part", "Nope"], "Expected a dot import path string: Nope"),
])  # fmt: skip
def test_messages_of_the_parser_have_what_is_looked_for(pattern, arguments, found):
    with pytest.raises(Exception) as error:  # noqa: PT011 (of several types)
        parser().parse_args(arguments)
    message = " ".join(str(error.value).split())
    match = getattr(internals, pattern).search(message)
    assert match, message
    assert found in match.groups(), message


# Everywhere ----------------------------------------------------------------------------------------------------------


def test_no_class_replaces_a_private_method_of_another_package():
    """What a new version may rename without a word; the one class that has to is in the internals, and watched."""
    names = [info.name for info in pkgutil.walk_packages(lightning_voiceclone.__path__, "lightning_voiceclone.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    found = set()
    for made in {value for module in modules for value in vars(module).values() if inspect.isclass(value)}:
        foreign = [base for base in made.__mro__ if not base.__module__.startswith("lightning_voiceclone")]
        if made.__module__.startswith("lightning_voiceclone"):
            found |= {(made.__name__, name) for name in vars(made) for base in foreign
                      if name in vars(base) and name[0] == "_" and name[:2] != "__" and name != "_abc_impl"
                      and callable(getattr(base, name))}  # fmt: skip
    assert found == {("HookedCLI", name) for name in ("_parse_ckpt_path", "_set_seed", "_dump_config")}


class Base:
    """Of the option."""


class Left(Base):
    def __init__(self, width: int = 1, depth: int = 2, left: int = 3):
        pass


class Right(Base):
    def __init__(self, width: int = 4, depth: int = 5, right: int = 6):
        pass


def test_a_class_in_anothers_place_keeps_the_arguments_that_both_have():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--part", type=Base)
    parser.add_argument("--config", action="config")
    given = yaml.safe_dump({"part": {"class_path": f"{__name__}.Left", "init_args": {"width": 7, "left": 8}}})
    before, changes = internals._typehints.discard_init_args_on_class_path_change, []
    with internals.class_changes(changes):
        parsed = parser.parse_args(["--config", given, f"--part={__name__}.Right"])
    assert internals._typehints.discard_init_args_on_class_path_change is before
    assert (parsed.part.init_args.width, parsed.part.init_args.depth) == (7, 5)
    assert changes[0] == internals.ClassChange(f"{__name__}.Left", f"{__name__}.Right", {"width": 7})
