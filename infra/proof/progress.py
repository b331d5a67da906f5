"""A progress bar over a tape, where somebody sees it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from infra.proof.recordings import Recording


@contextmanager
def reading(
    name: str, recording: Recording, until: int | None = None
) -> Iterator[Callable[[int], None]]:
    """A function to be told the tape offset that comes next."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _offset: None
        return
    end = recording.span("tape").end if until is None else until + 1
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=end)
        yield lambda offset: progress.update(task, completed=offset)
