"""What a fit says of its progress: with `verbose` a bar on a terminal or a line per epoch, else that it takes long."""

import logging
import sys
from contextlib import contextmanager
from threading import Event

_LONG = 60  # seconds
_log = logging.getLogger("skconvnet")
_has_told = Event()


def report_if_long(max_iter, n_images, n_epochs):
    """Make a report that says, once per process, that the fit takes more than another minute.

    It is one line of the logger "skconvnet": a warning would be an error for those who make errors of warnings.

    Parameters
    ----------
    max_iter : int
        The largest number of epochs.
    n_images : int
        Images in an epoch.
    n_epochs : int
        Epochs that ended before.

    Returns
    -------
    callable
        To be called after every epoch with the `History` and the images per second. Only the first call counts.
    """

    def report(history, images_per_second):
        n_left, seconds = max_iter - history.n_epochs, n_images / images_per_second
        if history.n_epochs == n_epochs + 1 and n_left * seconds > _LONG and not _has_told.is_set():
            _has_told.set()
            _log.warning(
                "This fit takes up to %.0f minutes more: %d epochs of %.0f s. verbose=1 shows the progress.",
                max(2, n_left * seconds / 60),
                n_left,
                seconds,
            )

    return report


@contextmanager
def epoch_report(max_iter, n_epochs, metric="accuracy"):
    """Show the epochs as they end. The bar needs rich; without it, lines are printed on a terminal too.

    Parameters
    ----------
    max_iter : int
        The largest number of epochs.
    n_epochs : int
        Epochs that ended before.
    metric : str, default="accuracy"
        What the score of an epoch is called.

    Yields
    ------
    callable
        To be called after every epoch with the `History` and the images per second.
    """
    progress = _bar()
    if progress is None:
        yield lambda *epoch: print(_line(max_iter, metric, *epoch))
        return

    def move(history, images_per_second):
        text = _line(max_iter, metric, history, images_per_second)
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


def _line(max_iter, metric, history, images_per_second):
    """Return the text about the last epoch."""
    score = f"   validation {history.validation_scores[-1]:.4f}" if history.validation_scores else ""
    return (
        f"epoch {history.n_epochs:{len(str(max_iter))}}/{max_iter}   loss {history.loss_curve[-1]:.4f}   "
        f"{metric} {history.accuracy_curve[-1]:.4f}{score}   {images_per_second:,.0f} images/s"
    )
