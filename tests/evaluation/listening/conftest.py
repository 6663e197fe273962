import contextlib
import os
import re

import pytest
from forks import Fork

from lightning_voiceclone.cli.main import main
from lightning_voiceclone.evaluation.listening import bounds
from lightning_voiceclone.evaluation.listening.material import Material
from lightning_voiceclone.evaluation.listening.schedule import Schedule
from lightning_voiceclone.evaluation.listening.store import Store
from lightning_voiceclone.testing.reports import write_report


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """Three systems on the same four cases."""
    root = tmp_path_factory.mktemp("reports")
    for seed, name in enumerate(("alpha", "beta", "gamma")):
        write_report(root / name, ["a-to-b", "b-to-c", "c-to-d", "d-to-a"], seed=seed)
    return [root / "alpha", root / "beta", root / "gamma"]


@pytest.fixture
def make_test(reports, tmp_path):
    """Makes material, store and schedule: ``make_test(tests, trials)``."""
    stores = []

    def make(tests=("mos", "similarity", "abx", "mushra"), trials=3, systems=3, seed=0):
        material = Material(reports[:systems])
        stores.append(Store(tmp_path / "listen.sqlite", material.identity))
        return material, stores[-1], Schedule({test: material.trials(test) for test in tests}, trials, seed)

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def serve(tmp_path):
    """Runs ``lvc listen`` as a process of its own: ``with serve(arguments) as (address, process)``.

    ``bounds`` are set in ``evaluation.listening.bounds`` before, ``errors`` is the file of the error output.
    """

    @contextlib.contextmanager
    def run(*arguments, errors=None, **set_bounds):
        def serve():
            vars(bounds).update(set_bounds)
            if errors is not None:
                os.dup2(errors.fileno(), 2)
            return main(["listen", *map(str, arguments), "--port", "0"])

        with Fork(serve, tmp_path) as process:
            told = [process.stdout.readline(), process.stdout.readline()]
            found = re.search(r"http://[\d.]+:\d+", told[1])
            assert found, told
            yield found[0], process

    return run
