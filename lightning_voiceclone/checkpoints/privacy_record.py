"""What a model states of the differential privacy of its training: in its description, its card, and in lines."""

from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def in_words(record: Record) -> str:
    """The guarantee in one line."""
    return (
        f"epsilon {record['epsilon']:.4g} at delta {record['delta']:g} for one {record['unit']}, after"
        f" {record['steps']:,} steps; noise multiplier {record['noise_multiplier']:.4g}, gradients clipped to"
        f" {record['clip']:g}, probability of a {record['unit']} in a step {record['probability']:.4g}"
    )


def together(records: Sequence[Record | None]) -> Record | None:
    """The guarantee of what is made of several models: losses add up; None if one of them has none."""
    first, *others = records
    if first is None or any(record is None for record in others):
        return None
    sums = {name: first[name] + sum(record[name] for record in others if record is not None)
            for name in ("epsilon", "delta", "steps")}  # fmt: skip
    return {**first, **sums} if others else first


def card(record: Record) -> str:
    """A model card of the guarantee."""
    unit = record["unit"]
    return f"""# Model card

Trained with differential privacy, of which the unit is the {unit}: without all recordings of any one {unit}, the \
training would have made any set of models nearly as likely, by a factor of exp(epsilon) at most and but for delta.

| epsilon | delta | unit | noise multiplier | clipped to | probability in a step | steps |
|---|---|---|---|---|---|---|
| {record["epsilon"]:.4g} | {record["delta"]:g} | {unit} | {record["noise_multiplier"]:.4g} | {record["clip"]:g} | \
{record["probability"]:.4g} | {record["steps"]:,} |

Counted by the accountant of Rényi differential privacy of Opacus. It covers the recordings of the training split of \
`lvc fit`, and the weights. It does not cover the recordings that the training began from (`model.start`, pretrained \
encoders), those by which checkpoints were chosen, a {unit} to whom the model was adapted later, or the run's metrics \
and checkpoints.
"""
