"""The output of `verbose`: a progress bar on a terminal, one line per epoch elsewhere."""

import sys
from contextlib import contextmanager


@contextmanager
def epoch_report(max_iter, n_epochs):
    """Show the epochs as they end. The bar needs rich; without it, lines are printed on a terminal too.

    Parameters
    ----------
    max_iter : int
        The largest number of epochs.
    n_epochs : int
        Epochs that ended before.

    Yields
    ------
    callable
        To be called after every epoch with the `History` and the images per second.
    """
    progress = _bar()
    if progress is None:
        yield lambda *epoch: print(_line(max_iter, *epoch))
        return

    def move(history, images_per_second):
        text = _line(max_iter, history, images_per_second)
        progress.update(bar, completed=history.n_epochs, description=text, refresh=True)

    with progress:
        bar = progress.add_task("", total=max_iter, completed=n_epochs)
        yield move


def _bar():
    """Return rich's progress bar, or None where it cannot be shown. It is drawn when it moves, not by a thread."""
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


def _line(max_iter, history, images_per_second):
    """Return the text about the last epoch."""
    score = f"   validation {history.validation_scores[-1]:.4f}" if history.validation_scores else ""
    return (
        f"epoch {history.n_epochs:{len(str(max_iter))}}/{max_iter}   loss {history.loss_curve[-1]:.4f}   "
        f"accuracy {history.accuracy_curve[-1]:.4f}{score}   {images_per_second:,.0f} images/s"
    )
