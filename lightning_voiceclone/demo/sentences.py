"""English sentences for the demonstration, composed from a small grammar of our own: 2 to 5 seconds each."""

import random
from collections.abc import Collection

WHO = (
    "The old baker", "My younger sister", "A tall stranger", "Our noisy neighbour", "The ship's captain", "Every child",
    "The village doctor", "A brown dog", "The quiet gardener", "Someone upstairs", "The train driver", "A young judge",
    "His favourite uncle", "The choir leader", "A grey heron", "The weather station", "Her oldest friend",
    "The museum guard", "A careful thief", "The whole family",
)  # fmt: skip
DID = (
    "carried a heavy basket", "painted the garden gate", "found three silver coins", "watched the yellow boats",
    "sang a very short song", "opened the wrong letter", "measured the deep well", "borrowed a wooden ladder",
    "followed a narrow path", "chose the cheapest jacket", "built a house of cards", "heard a strange voice",
    "shared the last orange", "cooked fish and onions", "repaired the kitchen clock", "threw pebbles at the moon",
    "joined the long queue", "pushed a rusty bicycle", "drew a map of the island", "forgot the usual greeting",
)  # fmt: skip
WHERE = (
    "across the wet courtyard", "near the stone bridge", "behind the old theatre", "under a broken umbrella",
    "beside the frozen lake", "at the edge of the forest", "in the empty market", "on the way to church",
    "above the chemist's shop", "outside the bank", "between two tall hedges", "through the thick fog",
    "along the southern shore", "in a room full of books", "on the fourth floor", "inside the dark barn",
)  # fmt: skip
WHEN = (
    "before sunrise", "on Thursday evening", "just after lunch", "in the middle of winter", "without a word",
    "as usual", "for the first time", "while it rained", "twice a week", "with great joy", "during the storm",
    "in early June", "until midnight", "far too late", "for no good reason", "when nobody looked",
)  # fmt: skip


def compose(count: int, seed: int, without: Collection[str] = ()) -> list[str]:
    """``count`` distinct sentences, none of them in ``without``; the same for the same seed.

    There are 20 * 20 * 16 + 20 * 20 * 16 = 12,800 to choose from: who did what, and either where or when.
    """
    draw = random.Random(f"sentences {seed}")
    taken = set(without)
    sentences: list[str] = []
    while len(sentences) < count:
        ending = draw.choice(WHERE if draw.random() < 0.5 else WHEN)
        sentence = f"{draw.choice(WHO)} {draw.choice(DID)} {ending}."
        if sentence not in taken:
            taken.add(sentence)
            sentences.append(sentence)
    return sentences
