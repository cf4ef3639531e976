"""segtrain: train and evaluate medical image segmentation networks, and find the loss that suits your data."""
