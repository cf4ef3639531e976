"""Small plans for tests."""

from segtrain.core.plan import ChannelIntensity, Plan


def small_plan(dims=3, channels=1, patch=(16, 12, 8), widths=(4, 8), spacing_mm=(1.0, 1.2, 2.5), batch=2) -> Plan:
    """A plan of few voxels and features; 2D cuts slices across the last axis."""
    flat = dims == 2
    stages = len(widths)
    return Plan(
        dims=dims,
        slice_axis=2 if flat else None,
        spacing_mm=(*spacing_mm[:2], None if flat else spacing_mm[2]),
        patch_size=(*patch[:2], 1 if flat else patch[2]),
        batch_size=batch,
        widths=widths,
        strides=((2, 2, 1) if flat else (2, 2, 2),) * (stages - 1),
        kernels=((3, 3, 1) if flat else (3, 3, 3),) * stages,
        convolutions=(1,) * stages,
        intensity=tuple(ChannelIntensity(channel=f"c{i}", rule="zscore") for i in range(channels)),
    )
