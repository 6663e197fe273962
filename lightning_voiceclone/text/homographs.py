"""Which pronunciation a word of several has, by the words around it: record, live, read, the.

Rules, not a tagger: they look at one word before and one after, and at a few words of time in the sentence.
"""

from collections.abc import Callable, Sequence

from lightning_voiceclone.text import dictionary
from lightning_voiceclone.text.scanning import Item

Rule = Callable[[str, str, set[str]], str]  # the word before, the word after, words nearby: the sense

# Nouns with the stress at the beginning, verbs with it later.
SHIFTED = set(
    "abstract accent addict affix ally attribute combat commune compact complex compound compress concert conduct"
    " confine conflict conscript console consort construct contest contract contrast converse convert convict default"
    " defect desert detail digest discharge discount entrance envelope escort excerpt exploit export extract ferment"
    " impact implant import impress imprint incense incline increase insert insult intrigue invite object overlap"
    " perfect perfume permit pervert present proceeds produce progress project protest rebel recall record refill"
    " refund refuse reject relapse retard segment subject survey suspect torment transfer transform transplant"
    " transport traverse upset".split()
)
# Verbs end in EY T, adjectives and nouns in AH T.
ENDING_ATE = set(
    "advocate aggregate alternate animate appropriate approximate articulate associate certificate coordinate delegate"
    " deliberate designate desolate duplicate elaborate estimate graduate initiate intimate moderate predicate"
    " separate subordinate syndicate".split()
)
# The first is the usual one.
LISTED: dict[str, dict[str, str]] = {
    "read": {"verb": "R IY1 D", "past": "R EH1 D"},
    "live": {"verb": "L IH1 V", "adjective": "L AY1 V"},
    "lives": {"noun": "L AY1 V Z", "verb": "L IH1 V Z"},
    "lead": {"verb": "L IY1 D", "metal": "L EH1 D"},
    "wind": {"noun": "W IH1 N D", "verb": "W AY1 N D"},
    "winds": {"noun": "W IH1 N D Z", "verb": "W AY1 N D Z"},
    "tear": {"noun": "T IH1 R", "verb": "T EH1 R"},
    "tears": {"noun": "T IH1 R Z", "verb": "T EH1 R Z"},
    "close": {"verb": "K L OW1 Z", "adjective": "K L OW1 S"},
    "use": {"noun": "Y UW1 S", "verb": "Y UW1 Z"},
    "uses": {"noun": "Y UW1 S IH0 Z", "verb": "Y UW1 Z IH0 Z"},
    "used": {"verb": "Y UW1 Z D", "habit": "Y UW1 S T"},
    "house": {"noun": "HH AW1 S", "verb": "HH AW1 Z"},
    "houses": {"noun": "HH AW1 Z IH0 Z", "verb": "HH AW1 Z IH0 Z"},
    "excuse": {"noun": "IH0 K S K Y UW1 S", "verb": "IH0 K S K Y UW1 Z"},
    "abuse": {"noun": "AH0 B Y UW1 S", "verb": "AH0 B Y UW1 Z"},
    "wound": {"noun": "W UW1 N D", "past": "W AW1 N D"},
    "minute": {"noun": "M IH1 N AH0 T", "adjective": "M AY0 N UW1 T"},
    "bow": {"noun": "B OW1", "verb": "B AW1"},
    "row": {"noun": "R OW1", "verb": "R OW1"},
    "dove": {"noun": "D AH1 V", "past": "D OW1 V"},
    "does": {"verb": "D AH1 Z", "noun": "D OW1 Z"},
    "content": {"noun": "K AA1 N T EH0 N T", "adjective": "K AH0 N T EH1 N T"},
    "bass": {"noun": "B EY1 S", "fish": "B AE1 S"},
}
TO_VERB = set(
    "to will would can could shall should may might must do did not don't didn't can't won't couldn't wouldn't"
    " shouldn't doesn't i you we they who let's please never always cannot"
    " i'll you'll we'll they'll he'll she'll it'll i'd"
    " you'd he'd she'd they'd we'd".split()
)
THIRD = set("he she it who that which everyone everybody somebody nobody".split())
TO_NOUN = set(
    "the a an this that these those my your his her its our their no some any every each of in on by for with from at"
    " into one two three many most more new old first last next good bad".split()
)
OBJECT = set("the a an this these those my your his her its our their it them him us me".split())
PERFECT = set("have has had having i've you've we've they've he's she's been was were be is are well".split())
BE = set(
    "is was are were am be been too so very how that's it's he's she's as came get getting stay stand quite".split()
)
PASSIVE = set("is was are were be been".split())
LIVE_THINGS = set("music show broadcast performance stream".split())
PAST_TIME = set("yesterday ago last once when after before had was were already".split())


def sense(items: Sequence[Item], at: int) -> str:
    """The sense of the word at an index: a key of ``LISTED``, or "verb" or "noun"; empty where none is suggested."""
    word = items[at].text
    before, after = _word(items, at - 1), _word(items, at + 1)
    special = _special(word, before, after, items, at)
    if special:
        return special
    if before in TO_NOUN:
        return "noun"
    third = word.endswith("s")
    if before in TO_VERB or (third and before in THIRD):
        return "verb"
    if after in OBJECT and (before or after != "of") and not third:
        return "verb"
    return ""


def _read(before: str, after: str, nearby: set[str]) -> str:
    if before in PERFECT or before in ("he", "she", "it"):
        return "past"
    pronoun = before in ("i", "you", "we", "they")
    return "past" if nearby & PAST_TIME and (pronoun or before not in TO_VERB) else "verb"


def _close(before: str, after: str, nearby: set[str]) -> str:
    near = after in ("to", "by", "friend", "friends", "up") and before not in TO_VERB
    return "adjective" if before in BE or near else "verb"


def _when(sense_then: str, otherwise: str, before: str = "", after: str = "") -> Rule:
    """A rule that gives one sense after some words or before others, and else another."""
    befores, afters = frozenset(before.split()), frozenset(after.split())
    return lambda b, a, _: sense_then if b in befores or a in afters else otherwise


# By word, for those whose sense the general rules do not find.
SPECIAL: dict[str, Rule] = {
    "read": _read,
    "close": _close,
    "used": lambda before, after, _: "habit" if after == "to" and before not in PASSIVE else "verb",
    "live": lambda before, after, _: "adjective" if before in TO_NOUN or after in LIVE_THINGS else "verb",
    "lead": _when("metal", "verb", "of contains", "pipe pipes paint poisoning pencil"),
    "tear": _when("verb", "", after="up down apart off through"),
    "bow": _when("verb", "", after="down before"),
    "wind": _when("verb", "", after="up down through"),
    "minute": _when("adjective", "noun", "so very most", "detail details amount amounts"),
    "dove": _when("past", "noun", "he she they it i we", "into"),
    "wound": _when("past", "noun", "he she they it i we", "up around"),
    "does": lambda *_: "verb",
    "content": lambda before, after, _: "adjective" if before in BE or after == "with" else "noun",
    "bass": _when("fish", "noun", "striped sea", "fishing fish"),
}


def _special(word: str, before: str, after: str, items: Sequence[Item], at: int) -> str:
    rule = SPECIAL.get(word)
    return rule(before, after, {item.text for item in items[max(0, at - 12) : at + 12]}) if rule else ""


def _word(items: Sequence[Item], at: int) -> str:
    return items[at].text if 0 <= at < len(items) and items[at].kind == "word" else ""


def chosen(word: str, meant: str) -> tuple[str, ...] | None:
    """Pronunciation of a word in a sense; None where it has no several ones, or the usual one of the dictionary."""
    if word in LISTED:
        options = LISTED[word]
        return tuple(options.get(meant, next(iter(options.values()))).split())
    stem = word[:-1] if word.endswith("s") and word not in SHIFTED else word
    if stem not in SHIFTED and stem not in ENDING_ATE:
        return None
    verb = meant == "verb"
    for said in dictionary.english().pronunciations(word):
        vowels = [phoneme for phoneme in said if phoneme[-1].isdigit()]
        late = vowels[0][-1] != "1" if stem in SHIFTED else vowels[-1].startswith("EY")
        if late == verb:
            return said
    return None


def has_senses(word: str) -> bool:
    """Whether a word may have several pronunciations."""
    return word in LISTED or word in SHIFTED or word in ENDING_ATE or word[:-1] in SHIFTED or word[:-1] in ENDING_ATE
