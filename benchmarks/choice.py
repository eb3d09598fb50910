"""How the command line of a benchmark chooses networks: by name, as a text, or drawn at random."""

from statistics import geometric_mean

from benchmarks.arguments import image_shape, whole_number
from benchmarks.drawn import draw
from benchmarks.networks import LARGE, NETWORKS, Problem


def add_networks(command_line, names):
    """Add the options that choose networks; `names` are those that --networks accepts."""
    choice = command_line.add_mutually_exclusive_group()
    choice.add_argument("--networks", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    choice.add_argument("--architecture", metavar="TEXT", help="a name or a text in the notation; needs --input")
    choice.add_argument("--random", type=whole_number(1), metavar="N", help="draw N networks: see benchmarks/drawn.py")
    command_line.add_argument("--input", type=image_shape, metavar="HxWxC", help="image shape of --architecture")
    command_line.add_argument("--classes", type=whole_number(1), help="of --architecture (default: 10)")
    command_line.add_argument("--seed", type=whole_number(0), help="of --random (default: 0)")


def chosen_networks(command_line, options, default):
    """Return the chosen problems by name; `default` is an iterable of names, for a command line that chooses none.

    A text that does not parse, or does not fit the input, is an error of the command line.
    """
    if (options.architecture is None) != (options.input is None):
        command_line.error("give --architecture and --input together, as in --architecture 'INPUT -> FC' --input 8x8x1")
    if options.classes is not None and options.architecture is None:
        command_line.error("--classes is of --architecture, so give both, or leave it out")
    if options.seed is not None and options.random is None:
        command_line.error("--seed is of --random, so give both, or leave it out")
    if options.architecture is not None:
        problem = Problem(options.input, options.architecture, options.classes or 10)
        try:
            problem.bind()
        except ValueError as error:
            command_line.error(f"argument --architecture: {error}")
        return {"text": problem}
    if options.random is not None:
        seed = options.seed or 0
        return {f"{seed}/{number}": draw(number, seed) for number in range(options.random)}
    return {name: (NETWORKS | LARGE)[name] for name in options.networks or default}


def print_texts(problems):
    """Print the text of each network that has no name of its own."""
    for name, problem in problems.items():
        if name not in NETWORKS | LARGE:
            height, width, depth = problem.image_shape
            print(f"{name}: {height}x{width}x{depth} {problem.architecture}")
    print()


def summary(ratios):
    """Return the geometric mean and the worst of ratios by name, in words."""
    worst = min(ratios, key=ratios.get)
    return f"geometric mean {geometric_mean(ratios.values()):.2f}, worst {ratios[worst]:.2f} ({worst})"
