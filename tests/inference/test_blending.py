"""All boxes of a scan come once, with what all networks say there together."""

import numpy as np
import torch

from segtrain.inference.blending import BlendedScan
from segtrain.inference.blocks import divided, undivided
from segtrain.inference.place import Placement
from segtrain.inference.planes import CPU, Store
from tests.inference.straightforward import Convolved, all_logits
from tests.inference.test_predict import MANY, NATIVES, predictor
from tests.phantoms import scan
from tests.plans import small_plan


def test_the_mean_of_the_logits_is_that_of_all_held_at_once(monkeypatch):
    monkeypatch.setattr("segtrain.inference.blocks.CHUNK_BYTES", 2**13)
    image, _ = scan(NATIVES["oblique and flipped"])
    plans = small_plan(spacing_mm=(0.9, 1.5, 1.3)), small_plan(spacing_mm=(1.4, 1.0, 2.0))
    members = [predictor(Convolved(9, seed), plan, MANY) for seed, plan in enumerate(plans)]
    from segtrain.inference.predict import Ensemble

    ready = Ensemble(tuple(members)).prepare("a", image)
    readers = [m.reader(i, g, ready.native) for m, i, g in zip(members, ready.images, ready.grids, strict=True)]
    extents = [reader.extent for reader in readers]
    blocks = divided(extents, undivided(extents).open_bytes // 4)
    assert len(blocks.boxes) > 2
    found = np.full((9, *image.grid.shape), np.nan, np.float32)
    for box, logits in BlendedScan(readers, Placement(Store(CPU, torch.float32), blocks, None)):
        assert np.isnan(found[(slice(None), *box)]).all()
        found[(slice(None), *box)] = logits
    assert np.array_equal(found, all_logits(members, image))
