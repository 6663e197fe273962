"""Progress bar of long-running commands."""

import contextlib
from collections.abc import Callable, Iterator

from lightning_voiceclone.utils.terminal import printable


@contextlib.contextmanager
def progress_bar(doing: str, total: int, done: int = 0, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr, if that is a terminal; call the yielded function with the number of newly done items.

    Args:
        doing: label in front of the bar.
        total: how many there are.
        done: how many were done before.
        shown: whether to show it at all.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task(printable(doing), total=total, completed=done)
        yield lambda count: bar.advance(task, count)
