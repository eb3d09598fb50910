"""Search with Optuna
==================

Search over networks with Optuna, which stops bad trials early::

    python -m examples.search_optuna --trials 30 --plot trials.png

A callback reports the accuracy on validation images after every epoch. Optuna's pruner compares it with earlier trials
at the same epoch, and the callback stops the fit if the pruner says so. A network that does not fit is refused before
training. Callbacks need scikit-learn 1.9. The output below is of ``--trials 16 --plot trials.png``.
"""

import argparse
import sys

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skconvnet import ArchitectureError, ConvNetClassifier

try:
    import optuna
except ImportError:
    raise SystemExit("This example needs Optuna: pip install 'skconvnet[search]'") from None

ARCHITECTURE = "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC"


def main(arguments=None):
    """Search, print a line for each trial, and return the study."""
    options = parse(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the lines below say more
    X, y = (values[: options.images] for values in load_digits(return_X_y=True))
    parts = train_test_split(X, y, test_size=0.25, random_state=0, stratify=y)
    sampler = optuna.samplers.TPESampler(seed=0)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    study.optimize(lambda trial: objective(trial, parts, options.epochs), n_trials=options.trials)
    for trial in study.trials:
        accuracies = " ".join(f"{accuracy:.3f}" for _, accuracy in sorted(trial.intermediate_values.items()))
        print(f"{trial.number:3}  {trial.state.name:8}  {accuracies or trial.user_attrs.get('refused', '')}")
    print(f"the best: {study.best_value:.4f} with {study.best_params}")
    if options.plot:
        draw(study, options.plot)
    return study


def parse(arguments):
    """Read the command line."""
    command_line = argparse.ArgumentParser(description="Search over networks with Optuna.")
    command_line.add_argument("--trials", type=int, default=30)
    command_line.add_argument("--epochs", type=int, default=10, help="largest number of epochs of a trial")
    command_line.add_argument("--images", type=int, metavar="N", help="number of images (default: all)")
    command_line.add_argument("--plot", metavar="FILE", help="write a plot to this file; needs matplotlib")
    return command_line.parse_args(arguments)


def objective(trial, parts, n_epochs):
    """Return the accuracy on the validation images after the last epoch, or raise TrialPruned."""
    X_train, X_val, y_train, y_val = parts
    pruning = Pruning(trial, X_val, y_val)
    classifier = suggest(trial).set_params(max_iter=n_epochs).set_callbacks(pruning)
    try:
        classifier.fit(X_train, y_train)
    except ArchitectureError as error:
        trial.set_user_attr("refused", str(error).partition(". ")[0])
        raise optuna.TrialPruned from error
    if pruning.stopped:
        raise optuna.TrialPruned
    return classifier.score(X_val, y_val)


class Pruning:
    """A callback that reports to a trial, and stops the fit if the trial is to be pruned."""

    def __init__(self, trial, X_val, y_val):
        self.trial, self.X_val, self.y_val = trial, X_val, y_val
        self.stopped = False

    def setup(self, estimator, context):
        """Do nothing."""

    def teardown(self, estimator, context):
        """Do nothing."""

    def on_fit_task_begin(self, estimator, context):
        """Do nothing."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        """Report the accuracy after an epoch; return whether to stop."""
        if context.task_name == "epoch":
            self.trial.report(fitted_estimator.score(self.X_val, self.y_val), context.task_id)
            self.stopped = self.trial.should_prune()
        return self.stopped


def suggest(trial):
    """Return the classifier with the parameters that the trial suggests."""
    return ConvNetClassifier(
        ARCHITECTURE,
        F=trial.suggest_categorical("F", [3, 5]),
        S=trial.suggest_categorical("S", [1, 2]),
        P=trial.suggest_categorical("P", ["same", "valid"]),
        K=trial.suggest_categorical("K", [8, 16, 32]),
        N=trial.suggest_int("N", 1, 2),
        M=trial.suggest_int("M", 1, 2),
        alpha=trial.suggest_float("alpha", 1e-4, 1e-1, log=True),
        learning_rate_init=trial.suggest_float("learning_rate_init", 1e-4, 2e-2, log=True),
        random_state=0,
    )


def draw(study, file):
    """Draw the accuracy after each epoch: a line for each trial, which is grey if the trial was pruned."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(layout="constrained")
    for trial in study.trials:
        epochs, accuracies = list(trial.intermediate_values), list(trial.intermediate_values.values())
        pruned = trial.state == optuna.trial.TrialState.PRUNED
        ax.plot(
            epochs, accuracies, ".-", color="0.7" if pruned else None, label=None if pruned else f"trial {trial.number}"
        )
    ax.set(xlabel="epoch", ylabel="accuracy on the validation images")
    ax.legend()
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:  # a value on the command line
        sys.exit(f"error: {error}")
