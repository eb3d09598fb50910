"""Bands: output rows of a CONV that meet the same rows of the filter inside the volume."""

from dataclasses import dataclass
from itertools import groupby

__all__ = ["Band", "Taps"]


@dataclass(frozen=True)
class Band:
    """Consecutive positions along an axis that meet the same filter taps.

    Parameters
    ----------
    first, count : int
        The positions.
    tap, taps : int
        The first tap, and how many.
    """

    first: int
    count: int
    tap: int
    taps: int


@dataclass(frozen=True)
class Taps:
    """Where the taps of a filter fall along one axis: tap t of position i is at i*step + t*tap_step - before.

    Parameters
    ----------
    positions, taps : int
        How many there are.
    step, tap_step, before : int
        Of the formula.
    extent : int
        The volume's: a tap at 0 ... extent - 1 is inside it, and the others are in the border.
    """

    positions: int
    taps: int
    step: int
    tap_step: int
    before: int
    extent: int

    def bands(self, tap_flops, spared_flops):
        """Group positions by the taps that meet the volume; the others would only add zeros.

        Parameters
        ----------
        tap_flops : int
            Multiply-adds of one tap at one position; 0 where bands are not wanted.
        spared_flops : int
            Multiply-adds above which bands are worth their instructions.

        Returns
        -------
        list of Band
            A single one with everything where bands are not worth it.
        """
        everything = [Band(0, self.positions, 0, self.taps)]
        if tap_flops == 0 or self.taps == 0:
            return everything
        bands = []
        for (tap, taps), positions in groupby(range(self.positions), self._met):
            first, *others = positions
            bands.append(Band(first, 1 + len(others), tap, taps))
        spared = self.positions * self.taps - sum(band.count * band.taps for band in bands)
        return bands if spared * tap_flops > spared_flops else everything

    def _met(self, position):
        """Return the first tap that meets the volume and how many do: at least one, so that there is a sum."""
        first = position * self.step - self.before
        tap = min(max(0, -(first // self.tap_step)), self.taps - 1)
        return tap, max(1, min(self.taps, (self.extent - 1 - first) // self.tap_step + 1) - tap)
