"""A recipe's module and data, ready to be measured."""

from typing import Any

from lightning_voiceclone.cli.training import build_cli


def made(arguments: list[str]) -> tuple[Any, Any]:
    """The module of a recipe, its normaliser fitted, and its data, set up; no training has begun."""
    cli = build_cli(["fit", *arguments, "--trainer.logger=false"], run=False)
    module, data = cli.model, cli.datamodule
    data.trainer = cli.trainer
    cli.trainer.strategy.connect(module)
    data.prepare_data()
    data.setup("fit")
    module.fit_statistics(data.calibration_audio(60))
    return module, data


def first_batch(data: Any) -> Any:
    """The first batch of the first epoch."""
    return next(iter(data.train_dataloader()))
