import pytest
import torch

from sre2l_core.data.split import batch_count, epoch_order, stratified_split, train_id_batches


def test_order_is_a_permutation_that_depends_on_seed_and_epoch():
    orders = {(seed, epoch): epoch_order(50, seed=seed, epoch=epoch) for seed in (0, 1, 2**62) for epoch in (0, 1)}
    assert all(order.sort().values.equal(torch.arange(50)) for order in orders.values())
    assert len({tuple(order.tolist()) for order in orders.values()}) == len(orders)
    assert epoch_order(50, seed=1, epoch=1).equal(orders[1, 1])


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(8, 4, [4, 4]), (10, 4, [4, 4, 2]), (9, 4, [4, 4]), (3, 1, [1, 1, 1]), (1, 4, [1]), (3, 10, [3])],
)
def test_only_a_leftover_of_one_image_is_dropped(count, batch_size, sizes):
    batches = train_id_batches(count, batch_size=batch_size, seed=0, epoch=0)
    assert [len(batch) for batch in batches] == sizes
    assert batch_count(count, batch_size) == len(sizes)
    assert torch.cat(batches).equal(epoch_order(count, seed=0, epoch=0)[: sum(sizes)])


def test_stratified_split_takes_the_share_of_every_class():
    labels = torch.tensor([0] * 10 + [1] * 20 + [2] * 2 + [3] * 3)
    train, val = stratified_split(labels, val_share=0.2, seed=5)
    assert torch.cat([train, val]).sort().values.equal(torch.arange(35))
    assert labels[val].bincount().tolist() == [2, 4, 1, 1]
    assert not stratified_split(labels, val_share=0.2, seed=6)[1].equal(val)
    assert labels[stratified_split(labels, val_share=0.9, seed=5)[0]].bincount().tolist() == [1, 2, 1, 1]


def test_a_class_is_split_alike_whatever_classes_stand_beside_it():
    both = stratified_split(torch.tensor([0] * 30 + [1] * 30), val_share=0.3, seed=0)[1]
    alone = stratified_split(torch.tensor([0] * 30), val_share=0.3, seed=0)[1]
    assert both[both < 30].equal(alone)
    assert not (both[both >= 30] - 30).equal(alone)
