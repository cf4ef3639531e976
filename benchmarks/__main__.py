"""Run benchmarks and print their tables: `python -m benchmarks`, or some of them by name."""

import sys
from importlib import import_module

NAMES = (
    "startup",
    "demo",
    "hippocampus",
    "ablation",
    "training",
    "brain_tumour",
    "network_step",
    "losses",
    "loss_maps",
    "metrics",
    "augmentation",
    "store",
    "fit_memory",
    "predict",
    "predict_memory",
    "ranks",
    "sweep",
    "halving",
    "executors",
    "gpu",
    "race",
)


def main() -> int:
    chosen = sys.argv[1:] or list(NAMES)
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in chosen:
        print(f"## {name}\n", flush=True)
        import_module(f"benchmarks.{name}").main()
        print(flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
