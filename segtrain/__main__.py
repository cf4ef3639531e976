"""`python -m segtrain`, and what the command `segtrain` starts."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from segtrain.cli.app import run

    run()


if __name__ == "__main__":
    main()
