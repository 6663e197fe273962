import pytest

from lightning_voiceclone.text import dictionary, letter_to_sound


@pytest.fixture(autouse=True, scope="module")
def _forget():
    """Give back the dictionary and the letter model, some 100 MB, which a process else keeps to its end."""
    yield
    letter_to_sound.Model._cost.cache_clear()
    for kept in (dictionary.english, letter_to_sound.english):
        kept.cache_clear()
