"""The cards of all losses as one Markdown page: `python -m segtrain.reports.loss_cards > docs/losses.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from segtrain.losses.card import LossCard, cards

HEADING = """\
# Losses

Made from the code by `make docs`; `segtrain losses NAME` shows the same in a terminal, `--plot out.png` draws how a
loss answers to errors. Any of them is one line of a config: `loss: {name: tversky, fn_weight: 0.8}`.

What a loss is good for and bad at is from its paper and from published comparisons, above all Ma 2021 (twenty losses on
four tasks, single runs: a few points tell little; `segtrain compare-losses` tells what holds for your data); where
nothing is published, it is what the formula implies. Under torch.distributed, `reduce_over: batch` and `flat` pool over
the batch of all ranks.

What only the source post does (a focal factor of the mean, a negated sum, one price before both terms) is no option of
the losses: it is there as `post/...` and `post-keras/...`, and nowhere else.

Symbols: p probability, g truth (0 or 1), TP = sum p g, FP = sum p (1 - g), FN = sum (1 - p) g, s = `smooth`, C classes.
"""


def cards_page(found: Iterable[LossCard]) -> str:
    """A section a family, a card a loss."""
    by_family: dict[str, list[LossCard]] = {}
    for card in found:
        by_family.setdefault(card.family, []).append(card)
    parts = [HEADING]
    for family, members in sorted(by_family.items()):
        parts += [f"\n## {family.capitalize()}\n", *("\n".join(_card(card)) for card in members)]
    return "\n".join(parts)


def _card(card: LossCard) -> Iterator[str]:
    also = f" (also `{'`, `'.join(card.aliases)}`)" if card.aliases else ""
    yield f"### `{card.name}`{also}\n"
    yield f"{card.description}\n"
    yield f"    {card.formula}\n"
    facts = [f"Modes: {', '.join(card.modes)}."]
    if card.paper:
        facts.insert(0, f"{card.paper}.")
    if card.optimum is None:
        facts.append("A perfect answer is not its minimum.")
    yield f"{' '.join(facts)}\n"
    caution = f"\n- Caution: {card.caution}." if card.caution else ""
    yield f"- Good for: {card.good_for}.\n- Bad at: {card.bad_at}.{caution}\n"
    if card.options:
        yield "| option | default | range | meaning |\n|---|---|---|---|"
        for option in card.options:
            yield f"| `{option.name}` | {_words(option.default)} | {option.range} | {option.doc} |"
        yield ""


def _words(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(cards_page(cards()))
