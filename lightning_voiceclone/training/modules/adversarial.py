"""The adversarial training step, for features and for waveforms alike."""

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import ReduceLROnPlateau
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_voiceclone.core.interfaces import AdversarialLoss, Discriminator
from lightning_voiceclone.core.schedule import Schedule, Scheduled
from lightning_voiceclone.errors import ConfigurationError, NotFiniteError
from lightning_voiceclone.training.balance import LossBalancer
from lightning_voiceclone.training.callbacks.plateau import Plateau, plateaus_among
from lightning_voiceclone.training.discriminator_terms import discriminator_terms, generator_terms, penalty_names
from lightning_voiceclone.training.ema import WeightAverage
from lightning_voiceclone.training.finite import check_optimizer, check_taken_back, clip, fault_of
from lightning_voiceclone.training.loss_weights import checked_weights
from lightning_voiceclone.training.modules.base import TrainingModule
from lightning_voiceclone.training.private_steps import PrivateSteps, check_unchanged, seed_of, watched
from lightning_voiceclone.training.report import StepReport, accuracy_of, diversity_of, has_gradients, mean_losses
from lightning_voiceclone.training.sharing import share_weights
from lightning_voiceclone.training.step import StepSettings, TrainingPair
from lightning_voiceclone.training.undo import Undo
from lightning_voiceclone.utils.lightning_internals import count_batch, uncounted, validates_next

OptimizerFactory = Callable[[Any], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]
NamedPair = tuple[str, TrainingPair]  # with the speaker's name in a private training, and empty in others
NETWORKS = ("generator", "discriminator")  # in the order of their optimizers, named as in the settings


class AdversarialModule(TrainingModule):
    """Alternates the steps of a discriminator and of a generator, by manual optimization.

    A subclass computes real and fake, with its own losses, from a batch (:meth:`make_pair`). Without a discriminator
    the generator trains by those losses alone. A batch counts as one step everywhere (``global_step``, ``max_steps``,
    schedulers, checkpoints), whether generator, discriminator or both are updated in it.
    All randomness of a step follows from the seed, the step's number and the process's rank, so that a resumed
    training continues exactly like one that was never stopped. A step that meets a value that is not finite is taken
    back, and its batch left out, as if it had never come; the third in a row ends the training.
    With ``steps.privacy`` a batch is one of each speaker, and networks are updated by the noisy sum of the gradients of
    each.

    Args:
        generator_side: everything that trains with the generator; becomes the attribute that ``trained`` names.
        discriminator: classifies real and generated data; None for none.
        adversarial_loss: loss on the discriminator's logits.
        weights: of the losses, by name; each a number or a schedule (:class:`Schedule`).
        absent: losses that this combination does not compute, each with the reason.
        own_losses: names of the losses that :meth:`make_pair` computes.
        generator_optimizer: makes the optimizer of the generator's side.
        discriminator_optimizer: makes the discriminator's.
        scheduler: makes the learning-rate scheduler of each; stepped once a batch.
        steps: how the two alternate.
    """

    may_be_private: ClassVar[bool] = False  # whether nothing but the steps depends on training recordings

    def __init__(
        self,
        generator_side: nn.Module,
        discriminator: Discriminator | None,
        adversarial_loss: AdversarialLoss,
        *,
        weights: Mapping[str, Scheduled],
        own_losses: set[str],
        absent: Mapping[str, str],
        generator_optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None,
        steps: StepSettings,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        adversarial = discriminator is not None
        self.weight_schedules = checked_weights(
            weights, own_losses, absent, adversarial=adversarial, warmup=steps.warmup
        )
        self.discriminator = discriminator
        self.adversarial_loss = adversarial_loss
        self.weights = {name: schedule.at(0) for name, schedule in self.weight_schedules.items()}  # of this step
        self.steps = steps
        self.average = None if steps.average is None else WeightAverage(generator_side, steps.average, self.trained)
        setattr(self, self.trained, generator_side)
        if steps.shared:
            if discriminator is None:
                raise ConfigurationError("steps.shared is set, but there is no discriminator; set it to null")
            share_weights(discriminator, generator_side, steps.shared)
        self.balancer = None if steps.balance is None else LossBalancer(self.weights, steps.balance)
        self._make_optimizers = (generator_optimizer, discriminator_optimizer, scheduler)
        self._undo = Undo(self.discriminator, generator_side)
        self._taken_back = 0  # steps in a row
        self.plateaus: list[ReduceLROnPlateau] = []
        self.private: PrivateSteps | None = None
        self._stored_privacy: Mapping[str, Any] | None = None  # of the checkpoint that a training goes on from
        self.report = StepReport(0)
        self.spreads_every = 0  # steps; set by the callback that watches them
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", "0"))  # of the steps; another may be set before the training

    @property
    def logged(self) -> set[str]:
        """Names of all metrics that a training logs, for callbacks to monitor; empty if ``figures`` are not known."""
        if not self.figures:
            return set()
        losses = {*self.weights, "generator"}
        if self.discriminator is not None:
            losses |= {"adversarial", "discriminator", *penalty_names(self.adversarial_loss, self.steps)}
        return {f"validation/{name}" for name in self.figures} | {f"train/{name}" for name in losses}

    # Optimizers ------------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LRScheduler]]:
        """Optimizers of the generator and of the discriminator, in this order, each with its scheduler if any."""
        make_generator, make_discriminator, make_scheduler = self._make_optimizers
        try:
            optimizers = [self.generator_optimizer(make_generator)]
            if self.discriminator is not None:
                optimizers.append(make_discriminator(self.discriminator.parameters()))
            schedulers = [make_scheduler(optimizer) for optimizer in optimizers] if make_scheduler else []
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"an optimizer or its scheduler cannot be made: {error}") from error
        self.plateaus = plateaus_among(schedulers)
        for name, optimizer, scheduler in itertools.zip_longest(NETWORKS[: len(optimizers)], optimizers, schedulers):
            check_optimizer(name, optimizer, scheduler)
        return optimizers, schedulers

    def generator_optimizer(self, make: OptimizerFactory) -> Optimizer:
        """Optimizer of the generator's side: one group of all that trains."""
        return make([p for p in self.generator_side.parameters() if p.requires_grad])

    def _backward(self, index: int, total: Tensor) -> None:
        """Add a loss's gradient to those of a network; of one speaker, where the training is private."""
        self.manual_backward(total / self.steps.accumulate)
        if self.private is not None:
            self.private.gradients.add(self._weights_of(index))

    def _optimizer(self, index: int) -> LightningOptimizer:
        made = self.optimizers(use_pl_optimizer=True)
        return made[index] if isinstance(made, list) else made

    def _weights_of(self, index: int) -> list[nn.Parameter]:
        return [weight for group in self._optimizer(index).param_groups for weight in group["params"]]

    def _update(self, index: int, losses: Mapping[str, Tensor], batch: int) -> None:
        """Every ``accumulate`` batches clip and step, without counting it as a Lightning step."""
        optimizer, of_noise = self._optimizer(index), not losses
        if self.private is not None:
            losses = {}  # one that is not finite counted as 0: a step that is left out would show what it met
            self.private.gradients.release(self._weights_of(index), batch, index)
        steps = (batch + 1) % self.steps.accumulate == 0
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None  # which skips infinite gradients
        norm = clip(optimizer.optimizer, self.steps.gradient_clip) if steps and not scaled else None
        self._check(fault_of(NETWORKS[index], losses, norm))
        if norm is not None and not of_noise:
            self.report.gradient_norms[NETWORKS[index]] = norm.detach()
        if not steps:
            return
        with uncounted(optimizer):
            optimizer.step()
        optimizer.zero_grad()

    def _check(self, fault: str | None) -> None:
        """Refuse the step if something is not finite, in any process: all of them must take it back."""
        if self.trainer.world_size > 1:
            fine = self.trainer.strategy.reduce_boolean_decision(fault is None, all=True)
            fault = fault or (None if fine else "a loss or gradient of another process is not finite")
        if fault:
            raise NotFiniteError(fault)

    def _count_batch(self) -> None:
        count_batch(self.trainer)
        for scheduler in self._schedulers():
            if scheduler not in self.plateaus:
                scheduler.step()

    @property
    def plateaus_of(self) -> dict[str, ReduceLROnPlateau]:
        """The schedulers that follow a figure, by their network."""
        return dict(zip(NETWORKS, self.plateaus, strict=False))

    def configure_callbacks(self) -> list[Callback]:
        """What steps schedulers that follow a figure."""
        return [Plateau()]

    @property
    def between_steps(self) -> bool:
        """Whether a checkpoint of now is complete: no gradients are accumulated, and no rate waits for a figure."""
        if self.global_step % self.steps.accumulate:
            return False
        return not (self.plateaus and validates_next(self.trainer))

    def _schedulers(self) -> list[LRScheduler]:
        schedulers = self.lr_schedulers()
        return schedulers if isinstance(schedulers, list) else [schedulers] if schedulers is not None else []

    # The step --------------------------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """As of all modules; with privacy, plan the noise.

        Raises:
            ConfigurationError: as of all modules; if privacy cannot be had with these settings and data, or the module
                was trained already and does not go on from a checkpoint, which counts what was spent.
        """
        if self.steps.privacy is not None:
            stored, self._stored_privacy = self._stored_privacy, None
            if stored is None and self.private is not None and self.private.ledger.history:
                raise ConfigurationError(
                    "model.steps.privacy is set, but this module was trained before, and another training would draw"
                    " the same noise; go on from its checkpoint (--ckpt_path), or make a new module"
                )
            self.private = PrivateSteps(self, self.trainer, stored)
        super().on_fit_start()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Derive the step's randomness from its number, also for the batch after a step that was taken back."""
        torch.manual_seed((self.seed * 1_000_003 + self.global_step * 1_009 + self.global_rank) % 2**63)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, StepReport]:
        """One batch: generate the fake once, update the discriminator with it detached, then the generator.

        Returns:
            The step's report, under ``report``.

        Raises:
            NotFiniteError: if a loss or gradient is not finite in the third step in a row.
        """
        step = self.global_step
        self._follow_schedules(step)
        self.report = StepReport(step)
        begins = step % self.steps.accumulate == 0
        for name, network in zip(NETWORKS, (self.generator_side, self.discriminator), strict=True):
            if begins and network is not None and has_gradients(network):
                self.report.stale.append(name)
        optimizers = self.optimizers(use_pl_optimizer=False)
        updated = optimizers[1] if self.playing and isinstance(optimizers, list) else None
        self._undo.take(updated)
        try:
            self._step(batch, step)
        except NotFiniteError as error:
            self._undo.restore()
            self._taken_back += 1
            self.report.undone = str(error)
            check_taken_back(self._taken_back, step, str(error))
            return {"report": self.report}
        self._taken_back = 0
        if self.private is not None:
            self.private.ledger.count(len(self.updated(step)))
        self._count_batch()
        return {"report": self.report}

    @property
    def schedules(self) -> dict[str, Schedule]:
        """Settings that may change with the step, by name; checkpoints hold them."""
        return {f"weights.{name}": schedule for name, schedule in self.weight_schedules.items()}

    def _follow_schedules(self, step: int) -> None:
        """Give settings their values in that step, and log those that change."""
        for name, schedule in self.weight_schedules.items():
            self.weights[name] = schedule.at(step)
        if self.balancer is not None:
            self.balancer.weights.update(self.weights)
        for name, schedule in self.schedules.items():
            if not schedule.constant:
                self.log(f"schedule/{name}", schedule.at(step))

    def _step(self, batch: Any, step: int) -> None:
        adversarial, private = self.playing, self.private
        updates_generator = "generator" in self.updated(step)
        # With shared weights the discriminator's update changes what a graph of before it would need.
        anew = adversarial and updates_generator and bool(self.steps.shared)
        units = [batch] if private is None else batch
        before = {} if private is None else watched(self)
        with torch.set_grad_enabled(updates_generator and not anew):
            pairs = self._pairs(units, step, "pair")
        if private is None:  # a speaker's rows say nothing of how speakers differ
            self._measure(pairs[0][1], step)
        if adversarial:
            assert self.discriminator is not None
            self._seed(step, "begin", "")
            self.discriminator.begin_step()
            self._discriminator_step(pairs, step)
        if anew:
            pairs = self._pairs(units, step, "anew")
        if updates_generator:
            self._generator_step(pairs, step, adversarial)
        if private is not None:
            check_unchanged(self, before)

    def _pairs(self, units: Sequence[Any], step: int, task: str) -> list[NamedPair]:
        made = []
        for unit in units:
            name = "" if self.private is None else unit.speakers[0]
            self._seed(step, task, name)
            made.append((name, self.make_pair(unit)))
        return made

    def _seed(self, step: int, task: str, speaker: str) -> None:
        """In a private training, make what is drawn next independent of the other speakers of the step."""
        if self.private is not None:
            torch.manual_seed(seed_of(self.seed, step, task, speaker))

    def _measure(self, pair: TrainingPair, step: int) -> None:
        self.report.diversity = diversity_of(pair)
        if self.spreads_every and step % self.spreads_every == 0:
            self.report.spreads = self.spreads(pair)

    @property
    def playing(self) -> bool:
        """Whether the discriminator takes part in the current or next step: there is one, and warm-up is over."""
        return self._plays(self.global_step)

    def _plays(self, step: int) -> bool:
        return self.discriminator is not None and step >= self.steps.warmup

    def updated(self, step: int) -> list[str]:
        """Names of the networks that are updated in the step of that number, from 0."""
        if not self._plays(step):
            return ["generator"]
        return ["generator", "discriminator"] if self.steps.updates_generator(step) else ["discriminator"]

    def _discriminator_step(self, pairs: Sequence[NamedPair], step: int) -> None:
        assert self.discriminator is not None
        with self._only(1):
            before = has_gradients(self.generator_side)
            made = []
            for name, pair in pairs:
                self._seed(step, NETWORKS[1], name)
                terms = discriminator_terms(self.discriminator, self.adversarial_loss, pair, self.steps, step)
                self._backward(1, terms.total)
                made.append(terms)
            losses = mean_losses([terms.losses for terms in made])
            if made:
                self.report.losses["discriminator"] = losses["discriminator"].detach()
                self.report.accuracy = torch.stack([accuracy_of(t.real_logits, t.fake_logits) for t in made]).mean()
            for name, loss in losses.items():
                self._log(name, loss)
            self._update(1, losses, step)
        if not before and has_gradients(self.generator_side):
            self.report.leaked.append("generator")

    def _generator_step(self, pairs: Sequence[NamedPair], step: int, adversarial: bool) -> None:
        with self._only(0):
            before = self.discriminator is not None and has_gradients(self.discriminator)
            made = []
            for name, pair in pairs:
                self._seed(step, NETWORKS[0], name)
                made.append(self._generator_backward(pair, step, adversarial))
            losses, used = mean_losses([losses for losses, _ in made]), mean_losses([used for _, used in made])
            total = used.pop("generator", None)
            self._update(0, used, step)
        if self.balancer is not None:
            self.balancer.accept()
            self.report.shares = self.balancer.shares
        if self.discriminator is not None and not before and has_gradients(self.discriminator):
            self.report.leaked.append("discriminator")
        if self.average is not None and (step + 1) % self.steps.accumulate == 0:
            self.average.update(self.generator_side)
        if total is None:  # a private step without a speaker
            return
        self.report.losses |= {name: loss.detach() for name, loss in losses.items()} | {"generator": total.detach()}
        for name, loss in losses.items():
            self._log(name, loss)
        self._log("generator", total, prog_bar=True)

    def _generator_backward(
        self, pair: TrainingPair, step: int, adversarial: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The generator's losses of one pair, and those that count with their sum, ``generator``."""
        rows = dict(pair.losses)
        if adversarial:
            assert self.discriminator is not None
            rows |= generator_terms(self.discriminator, self.adversarial_loss, pair, self.steps, step, self.weights)
        losses = {name: loss.mean() for name, loss in rows.items()}
        used = {name: losses[name] for name, weight in self.weights.items() if weight > 0 and name in losses}
        factors = self._factors(used, pair)
        total = torch.stack([factors[name] * loss for name, loss in used.items()]).sum()
        self._backward(0, total)
        return losses, used | {"generator": total}

    def _factors(self, used: Mapping[str, Tensor], pair: TrainingPair) -> Mapping[str, Any]:
        """By what each loss is multiplied: its weight, or what gives it the weight's share of the gradient."""
        if self.balancer is None:
            return self.weights
        alone = self.trainer.world_size == 1
        mean = None if alone else functools.partial(self.trainer.strategy.reduce, reduce_op="mean")
        output = pair.fake if pair.output is None else pair.output
        if not output.requires_grad:
            raise ConfigurationError(
                f"model.steps.balance is {self.steps.balance}, but {type(self).__name__} has no output from which all"
                " losses come; set it to null"
            )
        return self.balancer.scales(used, output, mean)

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """As of all modules; store what privacy was spent."""
        super().on_save_checkpoint(checkpoint)
        if self.private is not None:
            checkpoint["privacy"] = self.private.ledger.state()

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """As of all modules; take what privacy was spent.

        Raises:
            ConfigurationError: if one of checkpoint and settings has privacy and the other has not.
        """
        stored = checkpoint.get("privacy")
        if self.fits and (stored is None) != (self.steps.privacy is None):
            theirs, ours = ("without", "sets it") if stored is None else ("with", "does not set it")
            raise ConfigurationError(
                f"the checkpoint was trained {theirs} model.steps.privacy, and this configuration {ours}: no privacy"
                " would hold for the two together; set it as there, or take the weights alone (model.start)"
            )
        self._stored_privacy = stored if self.fits else None
        super().on_load_checkpoint(checkpoint)

    @contextmanager
    def _only(self, index: int) -> Iterator[None]:
        """Compute gradients for one optimizer's weights only, which DDP needs and which is faster."""
        optimizers = self.optimizers()
        if not isinstance(optimizers, list):
            yield
            return
        self.toggle_optimizer(optimizers[index])
        try:
            yield
        finally:
            self.untoggle_optimizer(optimizers[index])

    def _log(self, name: str, value: Tensor, *, prog_bar: bool = False) -> None:
        self.log(f"train/{name}", value.detach(), prog_bar=prog_bar)
