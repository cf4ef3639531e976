from segtrain.metrics.registry import METRICS

CONTRACT = {"dice", "iou", "sensitivity", "precision", "specificity", "relative_volume_error", "volume_similarity"}
BOUNDARY = {"hd", "hd95", "hd95_pooled", "assd", "masd", "nsd"}
SHAPE = {"cldice", "lesion_f1", "lesion_sensitivity", "lesion_precision", "pq", "component_dice"}


def test_these_metrics_come_with_segtrain():
    assert set(METRICS.names()) == CONTRACT | BOUNDARY | SHAPE
