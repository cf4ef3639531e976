import pytest
import torch

from segtrain.losses.memory import unfilled


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_memory_has_the_form_that_was_asked_for(dtype):
    found = unfilled((2, 3, 5), dtype, torch.device("cpu"))
    assert found.shape == (2, 3, 5)
    assert found.dtype == dtype
    assert found.is_contiguous()
    found.fill_(7)
    assert found.sum() == 7 * 30


def test_a_gradient_made_of_it_can_be_stepped_and_saved(tmp_path):
    x = torch.zeros(4, requires_grad=True)
    x.grad = unfilled((4,), torch.float32, x.device).fill_(2)
    torch.optim.SGD([x], lr=0.5).step()
    assert x.tolist() == [-1] * 4
    torch.save(x.grad, tmp_path / "gradient.pt")
    assert torch.load(tmp_path / "gradient.pt").tolist() == [2] * 4
