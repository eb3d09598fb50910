"""Bands: rows of a CONV by the filter taps that meet the volume."""

from hypothesis import given
from hypothesis import strategies as st

from skconvnet.engine.plan.steps.bands import Taps


@given(
    st.integers(1, 9), st.integers(1, 7), st.integers(1, 4), st.integers(1, 3), st.integers(0, 6), st.integers(1, 12)
)
def test_bands_hold_every_tap_that_meets_the_volume(positions, taps, step, tap_step, before, extent):
    filter_taps = Taps(positions, taps, step, tap_step, before, extent)
    bands = filter_taps.bands(tap_flops=1, spared_flops=0)
    assert [position for band in bands for position in range(band.first, band.first + band.count)] == [
        *range(positions)
    ]
    for band in bands:
        assert 0 <= band.tap < band.tap + band.taps <= taps
        for position in range(band.first, band.first + band.count):
            inside = [t for t in range(taps) if 0 <= position * step + t * tap_step - before < extent]
            if len(bands) > 1 and inside:
                assert [*range(band.tap, band.tap + band.taps)] == inside
            assert {*inside} <= {*range(band.tap, band.tap + band.taps)}
    assert len(filter_taps.bands(tap_flops=0, spared_flops=0)) == 1
