"""Statistics of the classes of a group as targets of R_BN."""

from __future__ import annotations

import pytest
import torch

from sre2l_core.bn_stats import bn_statistics, running_statistics
from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ConfigError
from sre2l_core.groups import Group
from sre2l_core.stages.recover import Recovery, class_statistics, plan, recover


def config(**settings):
    return RecoverConfig(**{"ipc": 1, "steps": 3, "lr": 0.1, "alpha_bn": 1.0, **settings})


def by_hand(net, images):
    """[2, C] over all images at once."""
    with bn_statistics(net) as stats, torch.no_grad():
        net(images)
    layers = stats.layers
    return torch.stack([torch.cat([s.mean[0] for s in layers]), torch.cat([s.var[0] for s in layers])])


@pytest.mark.parametrize("labels", [(1,), (0, 2)], ids=str)
@pytest.mark.parametrize("batch", [2, 1000])
def test_targets_are_statistics_of_all_real_images_of_the_classes(
    tiny_teacher, tiny_data, cpu, monkeypatch, labels, batch
):
    monkeypatch.setattr(class_statistics, "BATCH", batch)
    class_statistics._known.cache_clear()
    net, group = cpu.place(tiny_teacher.net), Group(0, labels, labels)
    found = class_statistics.targets(net, tiny_teacher, tiny_data, [group], 1.0, cpu)
    rows = [tiny_data.train_rows[label] for label in labels]
    assert len({len(own) for own in rows}) == 1  # classes weigh the same, and here they are as large
    images = tiny_data.spec.normalize(tiny_data.train.take(torch.cat(rows)))
    torch.testing.assert_close(found[:, 0], by_hand(net, images), atol=1e-4, rtol=1e-4)


def test_a_share_of_them_is_mixed_with_the_running_ones(tiny_teacher, tiny_data, cpu):
    net, groups = cpu.place(tiny_teacher.net), [Group(0, (0,), (0,)), Group(0, (1,), (1,))]
    whole, half, none = (
        class_statistics.targets(net, tiny_teacher, tiny_data, groups, share, cpu) for share in (1.0, 0.5, 0.0)
    )
    with bn_statistics(net) as stats:
        net(torch.zeros(1, 3, 8, 8))
    torch.testing.assert_close(none, running_statistics(stats).expand_as(none))
    torch.testing.assert_close(half, (whole + none) / 2)
    assert not whole[:, 0].allclose(whole[:, 1])


def test_a_recovery_wants_them(tiny_teacher, tiny_data, cpu):
    settings = config(class_bn=1.0, group_size=1)
    groups = plan(settings, tiny_teacher.spec)[:2]
    recovery = Recovery(tiny_teacher, groups, settings, runtime=cpu, data=tiny_data)
    plainly = Recovery(tiny_teacher, groups, config(group_size=1), runtime=cpu)
    assert recovery.step().value("r_bn") != plainly.step().value("r_bn")
    alone = recover(tiny_teacher, settings, runtime=cpu, data=tiny_data)
    assert recover(tiny_teacher, settings.but(stack=2), runtime=cpu, data=tiny_data).images.equal(alone.images)


def test_without_data_there_are_none(tiny_teacher, cpu):
    with pytest.raises(ConfigError, match=r"class_bn=0.5 needs the real data.*--data"):
        recover(tiny_teacher, config(class_bn=0.5), runtime=cpu)
