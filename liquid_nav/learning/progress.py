"""Progress bars of a training run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(console: Console, title: str, total: int) -> Iterator[Callable[..., None]]:
    """Show a progress bar.

    Args:
        console: where it is shown.
        title: what is going on, left of the bar.
        total: number of steps.

    Yields:
        A function that advances the bar by one step; its optional argument is a note that is shown
        right of the bar.

    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total, note="")
        yield lambda note="": progress.update(task, advance=1, note=note)
