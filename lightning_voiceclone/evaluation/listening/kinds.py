"""The kinds of listening test: what a trial plays, its question, and what an answer means.

Besides the systems' clones, three recordings of a case are conditions of their own, which listeners do not see named:
the source (natural speech, the upper limit of a clone's quality, in another voice than the reference's), the reference,
and the source low-passed at 3.5 kHz, the low anchor of ITU-R BS.1534.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

SOURCE, REFERENCE, ANCHOR = "(source recording)", "(reference recording)", "(low-pass anchor)"
HIDDEN = (SOURCE, REFERENCE, ANCHOR)
Conditions = tuple[str, ...]


class ListeningTest(ABC):
    """One kind of test.

    A trial is a case with the conditions that it compares. An arrangement maps each place to a condition.

    Args of an answer: one whole number from ``least`` to ``greatest`` for each place that is rated.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    places: ClassVar[tuple[str, ...]]
    scale: ClassVar[Mapping[int, str]]
    least: ClassVar[int]
    greatest: ClassVar[int]
    least_systems: ClassVar[int] = 1
    sliders: ClassVar[bool] = False

    @abstractmethod
    def conditions(self, systems: Sequence[str]) -> list[Conditions]:
        """Conditions that the trials of each case compare."""

    @abstractmethod
    def arrangements(self, conditions: Conditions) -> list[Conditions]:
        """All orders of play that are used equally often; each has a condition for every place."""

    @abstractmethod
    def ratings(self, arrangement: Conditions, values: Sequence[int]) -> dict[str, float]:
        """The ratings of each condition in an answer."""

    def labels(self, arrangement: Conditions) -> tuple[str, ...]:
        """Labels of the places."""
        return self.places

    def count(self, arrangement: Conditions) -> int:
        """Number of values in an answer."""
        return 1


class MOS(ListeningTest):
    """Naturalness of one recording from 1 to 5: absolute category rating, ITU-T P.800 and P.808.

    The natural source recordings are included, unnamed, as the upper end of the scale.
    """

    name = "mos"
    title = "Naturalness"
    question = "How natural does the speech sound?"
    places = ("Recording",)
    scale = {1: "Bad: completely unnatural", 2: "Poor", 3: "Fair", 4: "Good", 5: "Excellent: a human speaks"}
    least, greatest = 1, 5

    def conditions(self, systems: Sequence[str]) -> list[Conditions]:
        """Each system, and the source."""
        return [(system,) for system in (*systems, SOURCE)]

    def arrangements(self, conditions: Conditions) -> list[Conditions]:
        """There is only one place."""
        return [conditions]

    def ratings(self, arrangement: Conditions, values: Sequence[int]) -> dict[str, float]:
        """The category's number."""
        return {arrangement[0]: float(values[0])}


class Similarity(ListeningTest):
    """Whether two recordings are of the same speaker, on four points (Wester et al. 2016, Voice Conversion Challenge).

    A clone is paired with the reference, each first equally often. The source is paired with the reference too: two
    different speakers, as the lower end of the scale, which shows who does not listen.
    """

    name = "similarity"
    title = "Same speaker?"
    question = "Could the same person have said both? Listen to the voice, and ignore noise and distortion."
    places = ("Recording 1", "Recording 2")
    scale = {1: "Different, absolutely sure", 2: "Different, not sure", 3: "Same, not sure", 4: "Same, absolutely sure"}
    least, greatest = 1, 4

    def conditions(self, systems: Sequence[str]) -> list[Conditions]:
        """Each system, and the source."""
        return [(system,) for system in (*systems, SOURCE)]

    def arrangements(self, conditions: Conditions) -> list[Conditions]:
        """The reference first, or second."""
        return [(REFERENCE, *conditions), (*conditions, REFERENCE)]

    def ratings(self, arrangement: Conditions, values: Sequence[int]) -> dict[str, float]:
        """The point of the scale, for the recording paired with the reference."""
        return {condition: float(values[0]) for condition in arrangement if condition != REFERENCE}


class ABX(ListeningTest):
    """Whether two systems can be distinguished: A and B are clones of one case by two systems, X is one of them again.

    A rating is 1 where the listener finds which, else 0; guessing gives 0.5. It does not measure which system is
    better: MOS and MUSHRA do. All four orders (which is A, which is X) are used equally often.
    """

    name = "abx"
    title = "Which is X?"
    question = "X is the same recording as A or as B. Which?"
    places = ("A", "B", "X")
    scale = {1: "X is A", 2: "X is B"}
    least, greatest = 1, 2
    least_systems = 2

    def conditions(self, systems: Sequence[str]) -> list[Conditions]:
        """Each pair of systems."""
        return list(itertools.combinations(systems, 2))

    def arrangements(self, conditions: Conditions) -> list[Conditions]:
        """Which is A, and which is X."""
        return [(*order, x) for order in itertools.permutations(conditions) for x in order]

    def ratings(self, arrangement: Conditions, values: Sequence[int]) -> dict[str, float]:
        """1 where X was found, else 0, for the pair."""
        pair = " / ".join(sorted(arrangement[:2]))
        return {pair: float(arrangement[values[0] - 1] == arrangement[2])}


class MUSHRA(ListeningTest):
    """Quality of all systems side by side, 0 to 100 each, with hidden reference and anchor (after ITU-R BS.1534-3).

    All have the words of one case. The open reference is the natural source recording; it is hidden among the samples
    again, as is its low-pass anchor. A clone has another voice on purpose, which listeners are asked to ignore: they
    rate how natural and how clean it sounds. Each sample is at each place equally often.
    """

    name = "mushra"
    title = "Side by side"
    question = (
        "How natural and clean is each sample beside the reference? One of them is the reference itself: rate it 100."
        " Some have another voice on purpose: ignore that."
    )
    places = ("Reference",)
    scale = {10: "Bad", 30: "Poor", 50: "Fair", 70: "Good", 90: "Excellent"}
    least, greatest = 0, 100
    sliders = True

    def conditions(self, systems: Sequence[str]) -> list[Conditions]:
        """All systems, the source and the anchor at once."""
        return [(*systems, SOURCE, ANCHOR)]

    def arrangements(self, conditions: Conditions) -> list[Conditions]:
        """All rotations of the samples and of their reverse, after the open reference."""
        orders = (conditions, conditions[::-1])
        return [(SOURCE, *order[shift:], *order[:shift]) for order in orders for shift in range(len(order))]

    def labels(self, arrangement: Conditions) -> tuple[str, ...]:
        """The reference, and the samples by their numbers."""
        return (*self.places, *(f"Sample {place}" for place in range(1, len(arrangement))))

    def count(self, arrangement: Conditions) -> int:
        """All but the open reference are rated."""
        return len(arrangement) - 1

    def ratings(self, arrangement: Conditions, values: Sequence[int]) -> dict[str, float]:
        """The sliders' values."""
        return dict(zip(arrangement[1:], map(float, values), strict=True))


TESTS: Mapping[str, ListeningTest] = {test.name: test for test in (MOS(), Similarity(), ABX(), MUSHRA())}
