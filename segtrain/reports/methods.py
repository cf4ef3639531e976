"""The methods section of a comparison of losses, ready to paste: what was done, in numbers, and whom to cite.

It says what this sweep did and nothing that it did not: a test that had too few losses or patients is not claimed.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator

from segtrain.core.words import count
from segtrain.reports.contents import ComparisonReport, SweepFacts
from segtrain.reports.findings import listed
from segtrain.reports.shown_metric import shown_metrics
from segtrain.statistics.comparison import Comparison
from segtrain.statistics.intervals import DRAWS, NARROW_BELOW
from segtrain.statistics.verdict import FEWEST_PATIENTS

WIDTH = 100
"""Letters of a line."""

REFERENCES = {
    "bootstrap": "Efron B, Tibshirani RJ. An Introduction to the Bootstrap. Chapman & Hall, 1993.",
    "cluster": "Field CA, Welsh AH. Bootstrapping clustered data. J R Stat Soc B 69:369-390, 2007.",
    "wilcoxon": "Wilcoxon F. Individual comparisons by ranking methods. Biometrics Bulletin 1:80-83, 1945.",
    "holm": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 6:65-70, 1979.",
    "nadeau": "Nadeau C, Bengio Y. Inference for the generalization error. Machine Learning 52:239-281, 2003.",
    "frank": "Bouckaert RR, Frank E. Evaluating the replicability of significance tests for comparing learning "
    "algorithms. PAKDD 2004, LNCS 3056:3-12.",
    "friedman": "Friedman M. The use of ranks to avoid the assumption of normality implicit in the analysis of "
    "variance. J Am Stat Assoc 32:675-701, 1937.",
    "iman": "Iman RL, Davenport JM. Approximations of the critical region of the Friedman statistic. Commun Stat "
    "Theory Methods 9:571-595, 1980.",
    "nemenyi": "Nemenyi PB. Distribution-free multiple comparisons. PhD thesis, Princeton University, 1963.",
    "demsar": "Demšar J. Statistical comparisons of classifiers over multiple data sets. J Mach Learn Res 7:1-30, "
    "2006.",
    "jamieson": "Jamieson K, Talwalkar A. Non-stochastic best arm identification and hyperparameter optimization. "
    "AISTATS 2016, PMLR 51:240-248.",
    "hyperband": "Li L, Jamieson K, DeSalvo G, Rostamizadeh A, Talwalkar A. Hyperband: a novel bandit-based approach "
    "to hyperparameter optimization. J Mach Learn Res 18(185):1-52, 2018.",
    "kendall": "Kendall MG. A new measure of rank correlation. Biometrika 30:81-93, 1938.",
}


class _Cited:
    """References in the order in which they were first cited."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def cite(self, *names: str) -> str:
        """`[1, 3]`."""
        numbers = [self._numbers.setdefault(name, len(self._numbers) + 1) for name in names]
        return f"[{', '.join(map(str, numbers))}]"

    def lines(self) -> Iterator[str]:
        """The list at the end."""
        for name, number in self._numbers.items():
            yield textwrap.fill(f"[{number}] {REFERENCES[name]}", WIDTH, subsequent_indent="    ")


def methods_text(report: ComparisonReport) -> str:
    """Paragraphs and numbered references as plain text; ends with a line break."""
    cited = _Cited()
    paragraphs = [
        _training(report),
        _scoring(report),
        _halving(report, cited),
        *_statistics(report, cited),
        _software(report.made),
    ]
    filled = [textwrap.fill(" ".join(text.split()), WIDTH, break_on_hyphens=False) for text in paragraphs if text]
    references = [cited_lines] if (cited_lines := "\n".join(cited.lines())) else []
    return "\n\n".join([*filled, *references]) + "\n"


def _training(report: ComparisonReport) -> str:
    made = report.made
    network = f" of {_either([f'{n:,}' for n in made.parameters])} parameters" if made.parameters else ""
    steps = f", for {_either([str(n) for n in made.steps])} steps ({count(made.epochs, 'epoch')})" if made.steps else ""
    patches = f", on patches of {_either(made.patches)}" if made.patches else ""
    whole = len(made.losses) * made.folds * len(made.seeds)
    scans = f"{count(made.cases, 'case')} of {count(made.patients, 'patient')}"
    scans = f"{scans} were divided by patient"
    if not made.patients_known:
        scans = f"{count(made.cases, 'case')}, each taken for a patient of its own, were divided"
    seeds = f"seeds {listed([str(seed) for seed in made.seeds])}" if len(made.seeds) > 1 else f"seed {made.seeds[0]}"
    differ = "; ".join(f"{loss}: {text}" for loss, text in report.declared)
    differ = f", but for what follows ({differ})" if differ else ""
    return f"""We compared {len(made.losses)} loss functions ({listed(made.losses)}) by training the same
        network{network} with each{steps}{patches}. The {scans} into {made.folds} folds; with {seeds} this makes
        {whole} trainings. Folds, initial weights, patches and their augmentation, the number of steps and the schedule
        were the same for every loss{differ}. {_lost(report)}"""


def _lost(report: ComparisonReport) -> str:
    """Trainings without a result, by loss."""
    made = report.made
    told = [f"{loss} has failed: it {why}." for loss, why in report.found_nothing.items()]
    for word, names in (("diverged", made.failed), ("did not end", made.unfinished)):
        losses = Counter(name.partition(",")[0] for name in names)
        by_loss = ", ".join(f"{loss} {number}" for loss, number in losses.items())
        told += [f"{count(len(names), 'training')} {word} ({by_loss})."] if names else []
    return " ".join(told)


def _scoring(report: ComparisonReport) -> str:
    names = [metric.heading for metric in shown_metrics(report.comparisons, report.definitions)]
    if not names:
        return ""
    over = "labels, then over seeds" if len(report.made.seeds) > 1 else "labels"
    if report.made.patients_known:
        over += ", and those of a patient over cases before losses were compared"
    rest = f"; the headline metric is {names[0]}, named before the trainings" if len(names) > 1 else ""
    return f"""Each case was segmented by the network that was not trained on it, with the weights of its last step, so
        that no case chose the weights that it judged, and scored on its own grid by {listed(names)}{rest}. Scores of a
        case were averaged over {over}. A structure that the reference lacks counts where any network drew it: as the
        worst for that one, and as the best for those that did not."""


def _statistics(report: ComparisonReport, cited: _Cited) -> Iterator[str]:
    if not report.comparisons:
        return
    made, comparison = report.made, next(iter(report.comparisons.values()))
    unit = made.unit
    n = len(comparison.against_baseline) + comparison.rules.dropped
    boot = cited.cite("bootstrap", "cluster") if made.patients_known else cited.cite("bootstrap")
    gone = any(rung.dropped for rung in report.halving.rungs) if report.halving else False
    lost = gone or any(row.p is None for row in comparison.against_baseline)
    counted = ", those of losses that were dropped or failed counted as not rejected" if lost else ""
    narrow = f"""With fewer than {NARROW_BELOW} {unit}s these intervals are too narrow.""" if _few(comparison) else ""
    yield f"""The unit of analysis was the {unit} (n = {comparison.n_patients}). Intervals are 95 % percentile intervals
        of {DRAWS:,} bootstrap draws over {unit}s {boot}. {narrow} Each loss was compared with {made.baseline}, which
        had been named as the baseline, by the mean paired difference with its interval and by the two-sided Wilcoxon
        signed-rank test {cited.cite("wilcoxon")}, corrected over {count(n, "comparison")} by Holm's method
        {cited.cite("holm")}, for each metric by itself{counted}. Only where ranks and mean point the same way is
        a loss called better or worse. A difference whose whole interval, and Student's beside it, lies within the
        margin is called equivalent ({margin_words(report)}), each pair by itself; under {FEWEST_PATIENTS} {unit}s no
        verdict is given."""
    folds, ranks = _folds(comparison, made, cited), _ranks(comparison, unit, cited)
    yield f"{folds} {ranks} {_seeds(made)} {_agreement(report, cited)}"


def margin_words(report: ComparisonReport) -> str:
    """`±0.01 for Dice and IoU, ±1 for HD95 (mm), none for ASSD (mm)`."""
    by_margin: dict[str, list[str]] = {}
    for metric in shown_metrics(report.comparisons, report.definitions):
        margin = report.comparisons[metric.key].rules.margin
        by_margin.setdefault("none" if margin is None else f"±{margin:g}", []).append(metric.heading)
    return ", ".join(f"{margin} for {listed(names)}" for margin, names in by_margin.items())


def _halving(report: ComparisonReport, cited: _Cited) -> str:
    """How losses were dropped early, and which."""
    if report.halving is None:
        return ""
    rungs, unit = report.halving.rungs, report.made.unit
    if not rungs:
        return "Losses could be dropped early, but nothing was decided: runs broke off before they were judged."
    first, others = rungs[0].epoch, [str(rung.epoch) for rung in rungs[1:]]
    later = f"after epoch {listed(others)}" if others else "later"
    gone = [f"{loss} after epoch {rung.epoch}" for rung in rungs for loss in rung.dropped]
    said = f"dropped {listed(gone)}, which left out {100 * report.halving.saved:.0f} % of all steps" if gone else ""
    return f"""Losses could be dropped early, in the manner of successive halving
        {cited.cite("jamieson", "hyperband")}, but by tests: all were judged after epoch {first} of
        {report.made.epochs}, and {later} a loss was dropped if it was behind the best one by the Wilcoxon signed-rank
        test over {unit}s (p < 0.05, corrected by Holm's method over all pairs of losses at all rungs but the
        first, since the best one is chosen by the data), by an interval on one side of 0, by more than the margin, and
        also behind what the best one had had at the epoch before of these; never {report.made.baseline}, the baseline,
        and nobody under {FEWEST_PATIENTS} {unit}s. This {said or "dropped none"}. Dropped losses have no final score,
        and are not ranked."""


def _few(comparison: Comparison) -> bool:
    return comparison.n_patients < NARROW_BELOW


def _folds(comparison: Comparison, made: SweepFacts, cited: _Cited) -> str:
    if not any(pair.fold_p is not None for pair in comparison.pairs):
        return ""
    over = f"{made.folds} folds" + (f" of {len(made.seeds)} seeds" if len(made.seeds) > 1 else "")
    sources = ("nadeau", "frank") if len(made.seeds) > 1 else ("nadeau",)
    return f"""Since folds share what they are trained on, differences of the means of {over} were also tested by a
        t-test whose variance is corrected for that {cited.cite(*sources)}."""


def _ranks(comparison: Comparison, unit: str, cited: _Cited) -> str:
    found = comparison.friedman
    if found is None or found.n < FEWEST_PATIENTS:
        return ""
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
    return f"""Ranks within {unit}s were compared by Friedman's test {cited.cite("friedman")} with the F statistic of
        Iman and Davenport {cited.cite("iman")} ({p} over {found.n} {unit}s and {len(comparison.compared)} losses) and
        by Nemenyi's critical difference {cited.cite("nemenyi", "demsar")} ({found.critical_difference:.2f} ranks),
        whose units here are {unit}s and not data sets."""


def _seeds(made: SweepFacts) -> str:
    if len(made.seeds) == 1:
        return "One seed was used: the variation between seeds was not measured."
    return "Beside each difference stands its standard deviation over seeds."


def _agreement(report: ComparisonReport, cited: _Cited) -> str:
    if not any(tau is not None for _, _, tau in report.agreement):
        return ""
    return f"The orders that metrics put the losses in were compared by Kendall's tau b {cited.cite('kendall')}."


def _software(made: SweepFacts) -> str:
    versions = [f"{name} {version}" for name, version in made.versions.items()]
    on = f", trained on {_either([device.split(':')[0] for device in made.devices])}" if made.devices else ""
    return f"Made with {listed(versions)}{on}." if versions else ""


def _either(words: tuple[str, ...] | list[str]) -> str:
    """`a`, or `a or b (by fold)` where folds have plans of their own."""
    different = list(dict.fromkeys(words))
    return different[0] if len(different) == 1 else f"{' or '.join(different)} (by fold)"
