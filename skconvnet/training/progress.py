"""What `verbose` shows of the epochs: a bar on a terminal, plain lines elsewhere."""

import sys
from contextlib import contextmanager
from functools import partial


@contextmanager
def epoch_report(max_iter, n_epochs):
    """Show the epochs as they end; a bar needs rich, and without it there are lines on a terminal too.

    Parameters
    ----------
    max_iter : int
        The most epochs.
    n_epochs : int
        Those that were over before.

    Yields
    ------
    callable
        To be called with the `History` after every epoch.
    """
    progress = _bar()
    if progress is None:
        yield partial(_print_epoch, max_iter)
        return
    with progress:
        bar = progress.add_task("", total=max_iter, completed=n_epochs)
        yield partial(_move, progress, bar, max_iter)


def _bar():
    """Return rich's progress bar, or None where there can be none. It is drawn when it moves, by no other thread."""
    if not (hasattr(sys.stdout, "isatty") and sys.stdout.isatty()):
        return None
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    console = Console(file=sys.stdout)
    if console.is_dumb_terminal:
        return None
    bar, time = BarColumn(bar_width=None), TimeRemainingColumn(elapsed_when_finished=True)  # the bar fills the line
    return Progress(bar, TextColumn("{task.description}"), time, console=console, auto_refresh=False, expand=True)


def _move(progress, bar, max_iter, history):
    """Move the bar to the end of an epoch."""
    progress.update(bar, completed=history.n_epochs, description=_line(max_iter, history), refresh=True)


def _print_epoch(max_iter, history):
    """Print the line of an epoch."""
    print(_line(max_iter, history))


def _line(max_iter, history):
    """Return what there is to tell about the last epoch."""
    score = f"   validation {history.validation_scores[-1]:.4f}" if history.validation_scores else ""
    return (
        f"epoch {history.n_epochs:{len(str(max_iter))}}/{max_iter}   loss {history.loss_curve[-1]:.4f}   "
        f"accuracy {history.accuracy_curve[-1]:.4f}{score}   "
        f"{history.images_per_second:,.0f} images/s"
    )
