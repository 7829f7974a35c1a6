"""A program for two ranks: the command line, with a training in which the second rank fails in its third step."""

import sys

from sre2l_core.__main__ import main
from sre2l_core.errors import DataError
from sre2l_core.ranks import Ranks
from sre2l_core.stages.training import Trainer


def failing(step):
    """A step that fails."""
    taken = []

    def fails(trainer, *args):
        taken.append(1)
        if len(taken) == 3 and not Ranks.joined().first:
            raise DataError("picture 7 cannot be read.")
        return step(trainer, *args)

    return fails


if __name__ == "__main__":
    Trainer.step = failing(Trainer.step)
    sys.exit(main(sys.argv[1:]))
