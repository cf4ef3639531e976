import pytest

from segtrain.core.errors import ConfigError
from segtrain.metrics.chosen import chosen_metrics, require_tolerances, settings_of
from segtrain.metrics.settings import EvaluationSettings

OWN = """
from segtrain.metrics.overlap import Dice
from segtrain.metrics.registry import MetricCard
from segtrain.metrics.empties import WhenEmpty

class Missed:
    card = MetricCard("missed", "Voxels that were missed.", "", (0.0, float("inf")), "lower", WhenEmpty(None, None))
    def measure(self, pair):
        return float(pair.counts.fn)

class Needs(Dice):
    def __init__(self, *, tolerance_mm: float): ...

class Breaks(Dice):
    def __init__(self): raise RuntimeError("no table")

class Cardless:
    def measure(self, pair): return 1.0
"""


def test_metrics_are_built_with_what_the_settings_say():
    settings = EvaluationSettings(metrics=("surface_dice", "hd95"), nsd_tolerance_mm={"liver": 3, "tumour": 1.5})
    nsd, hd95 = chosen_metrics(settings).values()
    assert nsd.card.definition.endswith("Tolerance: liver 3 mm, tumour 1.5 mm.")
    assert hd95.card.unit == "mm"


def test_all_that_cannot_be_used_are_told_at_once(tmp_path):
    (tmp_path / "metric.py").write_text(OWN)
    assert [m.card.best for m in chosen_metrics(of("dice", "metric.py:Missed"), tmp_path).values()] == [
        "higher",
        "lower",
    ]
    wrong = [f"metric.py:{name}" for name in ("Needs", "Breaks", "Cardless", "Absent")]
    with pytest.raises(ConfigError) as error:
        chosen_metrics(of("iuo", "nsd", *wrong), tmp_path)
    told = [str(problem) for problem in error.value.problems]
    words = (
        "no metric is called 'iuo'",
        "nsd needs a tolerance",
        "tolerance_mm",
        "no table",
        "is no metric",
        "has no 'Absent'",
    )
    assert [word in text for word, text in zip(words, told, strict=True)] == [True] * 6


def of(*names):
    return EvaluationSettings(metrics=names)


def test_wrong_values_are_told_with_their_key():
    assert settings_of({"metrics": ["iou"]}).metrics == ("iou",)
    with pytest.raises(ConfigError, match=r"lesion_match_iou: must be below 1[\s\S]*evaluation"):
        settings_of({"lesion_match_iou": 3})


def test_tolerances_are_those_of_the_structures():
    settings = EvaluationSettings(metrics=("nsd",), nsd_tolerance_mm={"liver": 1, "livr": 2})
    with pytest.raises(ConfigError) as error:
        require_tolerances(settings, ["liver", "tumour"])
    (problem,) = error.value.problems
    assert (problem.what, problem.hint) == ("there is no structure 'livr'", "did you mean 'liver'?")
    with pytest.raises(ConfigError, match="nsd has no tolerance for tumour"):
        require_tolerances(EvaluationSettings(metrics=("nsd",), nsd_tolerance_mm={"liver": 1}), ["liver", "tumour"])
    require_tolerances(EvaluationSettings(nsd_tolerance_mm={"liver": 1}), ["liver", "tumour"])  # nobody asks for nsd
    require_tolerances(EvaluationSettings(metrics=("nsd",), nsd_tolerance_mm=1), ["liver", "tumour"])
