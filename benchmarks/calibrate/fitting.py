"""The fit of the resource model to vendor results, its errors, and the file that it makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from calibrate.rows import Row, measured_knots
from scipy.optimize import nnls

from muxflow.dataflow.fit.resource_model import FORMAT, PARTS

Resource = Literal["lut", "ff"]
Units = dict[str, float]
Floats = npt.NDArray[np.float64]

ORDER = (
    "WeightStreamer",
    "MVAU",
    "StreamingFIFO",
    "StreamingFIFO_vivado",
    "StreamingDataWidthConverter",
    "StreamingMaxPool",
    "ConvolutionInputGenerator",
    "FMPadding",
    "LabelSelect",
    "Thresholding",
)
"""Each op is fitted alone; units that an earlier one has (weight streams inside matrix-vector units) are kept."""

DERIVED: Mapping[Resource, Units] = {
    "lut": {
        "matrix_vector.accumulator_bit": 1.0,
        "threshold.comparison_bit": 0.5,
        "width_converter.narrowed_bit": 1.0,
        "weight_stream.bit": 0.5,
    },
    "ff": {"finn_slice.weight_bit": 2.0},
}
"""What is not fitted, because few rows tell it from the rest: an adder is a LUT a bit, a comparison or a choice of two half
of one, a bit of a shift register that can be loaded a whole one. A register slice on a stream, which FINN's units have and
ours have as a FIFO: two flip-flops a bit and that choice."""

STATED: Mapping[Resource, Units] = {"lut": {"matrix_vector.sign_2": 5.0}, "ff": {"matrix_vector.sign_2": 1.3}}
"""No node with such a product is in the tables. LUTs: Yosys' count of our own step (`make calibrate-yosys`); the published
CNV W1A2 less W1A1 leaves about 7 a product for all that widens with the codes. FF: as between 1 and 4 bits."""

TURNS = 30
OUTLIER = 0.1
"""Relative errors beyond it weigh linearly, not squared."""

DRAWS, SUMMED = 4000, 20
"""Sums that the spread is taken from, and nodes in each."""

PROBABILITIES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Fitted:
    """Units by "part.amount" for LUTs and flip-flops, and the knots of products that the rows had."""

    units: Mapping[Resource, Units]
    knots: tuple[tuple[int, ...], tuple[int, ...]]

    def predict(self, row: Row, resource: Resource) -> float | None:
        """Estimate a row; None for one with an amount that no fitted row had."""
        units = self.units[resource]
        features = row.features(*self.knots)
        if any(amount not in units for amount, number in features.items() if number):
            return None
        known = row.known if resource == "lut" else 0.0
        return known + sum(number * units[amount] for amount, number in features.items() if number)


def fit(rows: Sequence[Row], kept: Mapping[Resource, Units] | None = None) -> Fitted:
    """Fit all units by non-negative least squares of relative errors, robust; `kept`: units that are known before."""
    knots = measured_knots(rows)
    units: dict[Resource, Units] = {"lut": {}, "ff": {}}
    for resource, found in units.items():
        known = dict(kept[resource]) if kept else {}
        for op in ORDER:
            part = [row for row in rows if row.op == op]
            if part:
                known |= _fit_op(part, resource, known | DERIVED[resource], knots)
        found |= known
    return Fitted(units, knots)


def _fit_op(
    rows: Sequence[Row], resource: Resource, fixed: Units, knots: tuple[tuple[int, ...], tuple[int, ...]]
) -> Units:
    features = [row.features(*knots) for row in rows]
    present = {amount for one in features for amount, number in one.items() if number}
    free = sorted(present - set(fixed))
    measured = np.array([getattr(row, resource) for row in rows], np.float64)
    known = np.array([row.known if resource == "lut" else 0.0 for row in rows])
    known += [sum(one.get(amount, 0.0) * unit for amount, unit in fixed.items()) for one in features]
    matrix = np.array([[one.get(amount, 0.0) for amount in free] for one in features])
    # A campaign of a thousand rows says less than a thousand times what one of one row says.
    counts = Counter(row.campaign for row in rows)
    base = np.array([counts[row.campaign] ** -0.25 for row in rows])
    weights, solution = base, np.zeros(len(free))
    for _ in range(TURNS):
        scaled = weights / measured
        solution = nnls(matrix * scaled[:, None], (measured - known) * scaled)[0]
        errors = np.abs((matrix @ solution + known) / measured - 1)
        weights = base / np.sqrt(np.maximum(1, errors / OUTLIER))
    kept = {amount: fixed[amount] for amount in sorted(present & set(fixed))}
    return kept | dict(zip(free, map(float, solution), strict=True))


def held_out(rows: Sequence[Row]) -> dict[str, Fitted]:
    """Fit without each campaign in turn."""
    campaigns = sorted({row.campaign for row in rows})
    return {one: fit([row for row in rows if row.campaign != one]) for one in campaigns}


def ratios(rows: Sequence[Row], models: Mapping[str, Fitted] | Fitted, resource: Resource) -> Floats:
    """Give estimate over measured for the rows that can be predicted; `models`: one for all, or one by campaign."""
    found = []
    for row in rows:
        model = models if isinstance(models, Fitted) else models[row.campaign]
        predicted = model.predict(row, resource)
        if predicted is not None:
            found.append(predicted / getattr(row, resource))
    return np.array(found)


def spread(rows: Sequence[Row], whole: Fitted, without: Mapping[str, Fitted], resource: Resource) -> Floats:
    """Give quantiles of measured over estimated for sums of nodes, at PROBABILITIES.

    A campaign of at least SUMMED rows is drawn, then SUMMED of its rows, each predicted without that campaign where the
    others tell enough.
    """
    campaigns: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        predicted = without[row.campaign].predict(row, resource)
        predicted = whole.predict(row, resource) if predicted is None else predicted
        assert predicted is not None
        measured, estimated = campaigns.setdefault(row.campaign, ([], []))
        measured.append(getattr(row, resource))
        estimated.append(predicted)
    names = sorted(name for name, (measured, _) in campaigns.items() if len(measured) >= SUMMED)
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        measured, estimated = campaigns[names[int(generator.integers(len(names)))]]
        chosen = generator.integers(len(measured), size=SUMMED)
        drawn.append(np.array(measured)[chosen].sum() / np.array(estimated)[chosen].sum())
    return np.quantile(drawn, PROBABILITIES)


def file_text(fitted: Fitted, spreads: Mapping[Resource, Floats], source: str) -> str:
    """Write the calibration file; same rows, same bytes."""
    lines = [
        "# Written by `make calibrate`: LUTs and flip-flops of one unit of each amount, as docs/design/resources.md explains.",
        f"# Fitted to {source}.",
        f"format = {FORMAT}",
    ]
    for part, amounts in PARTS.items():
        lines += ["", f"[{part}]"]
        for amount in amounts:
            name = f"{part}.{amount}"
            both = [fitted.units[one].get(name, STATED[one].get(name)) for one in ("lut", "ff")]
            lines.append(f"{amount} = [{', '.join(_number(one) for one in both)}]")
    lines += ["", "# Probability that the ratio of measured to estimated, in sums of nodes, is below.", "[spread]"]
    for resource, quantiles in spreads.items():
        pairs = ", ".join(f"[{p:g}, {_number(q)}]" for p, q in zip(PROBABILITIES, quantiles, strict=True))
        lines.append(f"{resource} = [{pairs}]")
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    if value is None:
        raise ValueError("an amount of the model that no row has")
    return repr(round(float(value), 3))
