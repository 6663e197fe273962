"""Send hostile requests to a listening test's server: which answers come, what it keeps in memory, and who is served.

    python benchmarks/hostile_requests.py --count 3000

Starts ``lvc listen`` on two synthetic reports with its own bounds (10 s for a request, 60 s for an answer), so that it
takes some minutes. Ends with status 1 where an answer is 5xx, the memory grows by 50 MB, a connection stays, or an
ordinary listener is not served afterwards. Linux only.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hostile import requests as hostile

from lightning_voiceclone.evaluation.listening.bounds import READ_SECONDS, RESPONSE_SECONDS
from lightning_voiceclone.testing.reports import write_report

MOST_GROWTH = 50e6  # bytes


def main() -> int:
    """Send and print; 1 if a request did harm."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--count", type=int, default=300)
    made.add_argument("--seed", type=int, default=1)
    options = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reports = [Path(folder) / name for name in ("alpha", "beta")]
        for seed, report in enumerate(reports):
            write_report(report, seed=seed)
        command = [sys.executable, "-m", "lightning_voiceclone", "listen", *map(str, reports), "--port", "0",
                   "--database", f"{folder}/listen.sqlite"]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                printed = server.stdout.readline() + server.stdout.readline()
                address = re.search(r"http://[\d.:]+", printed)
                assert address, printed
                return _attack(address[0], server.pid, options.count, options.seed)
            finally:
                server.kill()


def _attack(address: str, pid: int, count: int, seed: int) -> int:
    target, _ = hostile.begin(address)
    limit = READ_SECONDS + RESPONSE_SECONDS + 10
    hostile.send_all(target, 42, seed + 1, limit)
    before = hostile.memory(pid)
    sent = hostile.send_all(target, count, seed, limit)
    growth = hostile.memory(pid) - before
    for kind in dict.fromkeys(name for name, _, _ in sent):
        statuses = Counter(status for name, found, _ in sent if name == kind for status in found)
        slowest = max(seconds for name, _, seconds in sent if name == kind)
        print(f"{kind:28} {slowest:6.1f} s  {dict(sorted(statuses.items()))}")
    failures = sum(status >= 500 for _, found, _ in sent for status in found)
    stayed = sum(seconds >= limit for _, _, seconds in sent)
    served = hostile.begin(address)[1]["trial"] is not None
    print(f"{count} requests: {failures} answers of 5xx, {stayed} connections stayed, memory {growth / 1e6:+.1f} MB;"
          f" an ordinary listener is {'' if served else 'not '}served afterwards")  # fmt: skip
    return int(bool(failures or stayed or growth >= MOST_GROWTH or not served))


if __name__ == "__main__":
    sys.exit(main())
