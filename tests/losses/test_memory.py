import pytest
import torch

from segtrain.losses.memory import LARGE, unfilled

CPU = torch.device("cpu")
LARGE_SHAPE = (2, LARGE // 8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2, 3, 5), LARGE_SHAPE])
def test_memory_has_the_form_that_was_asked_for(dtype, shape):
    found = unfilled(shape, dtype, CPU)
    assert found.shape == shape
    assert found.dtype == dtype
    assert found.is_contiguous()
    assert (found.fill_(7) == 7).all()


def test_a_gradient_made_of_it_can_be_stepped_and_saved(tmp_path):
    x = torch.zeros(LARGE, requires_grad=True)
    x.grad = unfilled((LARGE,), torch.float32, CPU).fill_(2)
    torch.optim.SGD([x], lr=0.5).step()
    assert (x == -1).all()
    torch.save(x.grad[:4].clone(), tmp_path / "gradient.pt")
    assert torch.load(tmp_path / "gradient.pt").tolist() == [2] * 4
