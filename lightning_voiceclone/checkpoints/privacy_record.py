"""What a model states of the differential privacy of its training: in its description, its card, and in lines."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def in_words(record: Record) -> str:
    """The guarantee in one line."""
    return (
        f"epsilon {record['epsilon']:.4g} at delta {record['delta']:g} for one {record['unit']}, after"
        f" {record['steps']:,} steps; noise multiplier {record['noise_multiplier']:.4g}, gradients clipped to"
        f" {record['clip']:g}, probability of a {record['unit']} in a step {record['probability']:.4g}"
        f"{f'; not of the {_joined(record)}, joined later' if 'joined' in record else ''}"
    )


def with_joined(record: Record, parts: Iterable[str]) -> Record:
    """The guarantee of a model after parts of other trainings have joined it, to which it does not apply.

    Args:
        record: of the model before.
        parts: by their names in the model.
    """
    return {**record, "joined": sorted({*record.get("joined", ()), *parts})}


def _joined(record: Record) -> str:
    return " and ".join(part.replace("_", " ") for part in record["joined"])


def together(records: Sequence[Record | None]) -> Record | None:
    """The guarantee of what is made of several models: losses add up; None if one of them has none."""
    first, *others = records
    if first is None or any(record is None for record in others):
        return None
    sums = {name: first[name] + sum(record[name] for record in others if record is not None)
            for name in ("epsilon", "delta", "steps")}  # fmt: skip
    made = {**first, **sums} if others else first
    joined = {part for record in records if record is not None for part in record.get("joined", ())}
    return with_joined(made, joined) if joined else made


def card(record: Record) -> str:
    """A model card of the guarantee."""
    unit = record["unit"]
    joined = f"the {_joined(record)}, which joined later, " if "joined" in record else ""
    return f"""# Model card

Trained with differential privacy, of which the unit is the {unit}: without all recordings of any one {unit}, the \
training would have made any set of models nearly as likely, by a factor of exp(epsilon) at most and but for delta.

| epsilon | delta | unit | noise multiplier | clipped to | probability in a step | steps |
|---|---|---|---|---|---|---|
| {record["epsilon"]:.4g} | {record["delta"]:g} | {unit} | {record["noise_multiplier"]:.4g} | {record["clip"]:g} | \
{record["probability"]:.4g} | {record["steps"]:,} |

Counted by the accountant of Rényi differential privacy of Opacus. It protects the recordings that `lvc fit` trained \
on (its training split) from whoever has the weights. Epsilon is that of the steps before these weights. If they were \
chosen among later ones too, the privacy loss of the whole run holds, which is greater.

It does not cover {joined}the recordings that the training began from (`model.start`, pretrained parts), those by \
which checkpoints were chosen, a {unit} to whom the model was adapted later, or the run's metrics and checkpoints.
"""
