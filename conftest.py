"""Counts what the tests cost, and fails a session whose process takes more memory than it should.

Costs are seconds of CPU, of the process itself and of those it started: unlike ``--durations``, they do not count the
time that a busy machine spends on others.
"""

import contextlib
import ctypes
import gc
import os
import resource
import sys
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

MOST_MEMORY = 2e9  # bytes resident, of a pytest process
GROWTH = 50e6  # bytes, after which freed memory is given back
M_MMAP_THRESHOLD = -3  # of glibc's malloc.h: from this size on, a block is given back as soon as it is freed
MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes

if "PYTEST_XDIST_WORKER" in os.environ:  # one of the processes that share the cores; torch is not imported yet
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A part is exported once: what torch.export keeps for the next time costs a third of its time, and is never used.
os.environ.setdefault("TORCH_FAKE_TENSOR_DISPATCH_CACHE", "0")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--costs", type=int, default=0, metavar="N", help="list the N tests that take most CPU seconds")
    parser.addoption("--costs-file", type=Path, help="append to this: CPU seconds, most MB so far, test")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Costs(config), "costs")
    config.pluginmanager.register(_Memory(), "memory")


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class _Memory:
    """Gives back what tests have freed.

    A trainer, its model and their data refer to each other, so that only Python's garbage collector frees them, which
    rarely looks at old objects; and what it frees, the C library keeps in pieces between what is still used.
    """

    def __init__(self) -> None:
        self.before = 0
        with contextlib.suppress(AttributeError, OSError):
            # By itself, glibc raises this up to 32 MB as such blocks are freed; then tensors lie between small objects.
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 20)

    def pytest_collection_finish(self) -> None:
        gc.collect()
        gc.freeze()  # what is imported stays, and need not be looked at again

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        result = yield
        if _memory() > self.before + GROWTH:
            gc.collect()
            with contextlib.suppress(AttributeError, OSError):  # not glibc
                ctypes.CDLL(None).malloc_trim(0)
            self.before = _memory()
        return result


class _Costs:
    """Of all tests; with pytest-xdist, the processes that run them send theirs along with the reports."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.counted = _cpu_seconds()
        self.seconds: dict[str, float] = defaultdict(float)
        self.peak = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        self.counted = _cpu_seconds()  # imports are no test's

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now = _cpu_seconds()
        report.cpu_seconds, self.counted = now - self.counted, now
        report.peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MEMORY_UNIT
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "cpu_seconds"):  # pytest-xdist's own, of a process that has crashed
            return
        self.seconds[report.nodeid] += report.cpu_seconds
        self.peak = max(self.peak, report.peak_memory)
        if (path := self.config.getoption("costs_file")) and report.when == "teardown" and not _is_worker(self.config):
            with path.open("a") as file:
                file.write(f"{self.seconds[report.nodeid]:.2f}\t{report.peak_memory / 1e6:.0f}\t{report.nodeid}\n")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.peak > MOST_MEMORY and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        costly = sorted(self.seconds.items(), key=lambda item: -item[1])
        for name, seconds in costly[: self.config.getoption("costs")]:
            terminalreporter.write_line(f"{seconds:7.1f} s of CPU  {name}")
        terminalreporter.write_line(
            f"{sum(self.seconds.values()):.0f} s of CPU; at most {self.peak / 1e9:.2f} GB resident in a pytest process"
            + (f", more than the {MOST_MEMORY / 1e9:g} GB allowed" if self.peak > MOST_MEMORY else ""),
            red=self.peak > MOST_MEMORY,
        )


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _memory() -> int:
    """Bytes resident now; 0 where that is not known."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
