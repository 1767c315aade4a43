"""Which samples count: the undisturbed ones, if every loop has some."""

import pytest

from bench.machine import Machine
from bench.results import Results
from bench.throughput import BARE, FAUST, Sample


def _sample(rate: float, others: float) -> Sample:
    return Sample(rate, 1.0, 1_000, {}, others, {})


@pytest.mark.parametrize(
    ("bare", "faust", "rates"),
    [
        pytest.param([(10_000, 0), (2_000, 1.5), (8_000, 0.1)], [(5_000, 0)], (9_000, 5_000), id="disturbed left out"),
        pytest.param([(10_000, 0), (2_000, 1.5)], [(3_000, 1.0)], (6_000, 3_000), id="all count if one has none"),
    ],
)
def test_medians_are_of_what_was_measured_alike(
    bare: list[tuple[float, float]], faust: list[tuple[float, float]], rates: tuple[float, float]
) -> None:
    results = Results(date="", machine=Machine("", 2, 1.0, "", 0.0), versions={})
    results.take_samples({BARE.name: [_sample(*each) for each in bare], FAUST.name: [_sample(*each) for each in faust]})
    assert (results.bare_documents_per_second, results.documents_per_second) == rates
    assert results.ratio == pytest.approx(rates[1] / rates[0], abs=0.001)
