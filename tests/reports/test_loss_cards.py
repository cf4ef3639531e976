"""The page of all losses is made from the code, and is as new as the code."""

from pathlib import Path

from segtrain.losses import list_losses
from segtrain.losses.card import cards
from segtrain.reports.loss_cards import cards_page

PAGE = Path(__file__).parents[2] / "docs" / "losses.md"


def test_every_loss_has_its_card_and_every_option_its_row():
    page = cards_page(cards())
    for card in cards():
        assert f"### `{card.name}`" in page
        assert f"- Good for: {card.good_for}.\n- Bad at: {card.bad_at}.\n" in page
        assert not card.caution or f"- Caution: {card.caution}.\n" in page
        for option in card.options:
            assert f"| `{option.name}` |" in page
    assert page.count("\n### ") == len(list_losses())


def test_the_page_in_docs_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == cards_page(cards()), "run make docs"
