"""Fast paths compute what the plain ones do: bf16 within bounds; stacked, shared and compiled steps; the writer."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from sre2l_core import storage
from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.bn_stats import batchnorms, bn_statistics, layer_distances
from sre2l_core.config import RecoverConfig, ViewConfig
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan, recover
from sre2l_core.terms import ForwardPass, active, all_terms
from sre2l_core.views import apply, draw

NETWORKS = {
    "convnet": ("convnet", {"depth": 3, "width": 16}),
    "resnet": ("resnet18", {"width": 8}),
    "mobilenet": ("mobilenet_v2", {}),
}
CPU = torch.device("cpu")
BF16 = Runtime(CPU, "bf16")


def teacher_of(name, size=32):
    spec = DatasetSpec("speed", tuple("abcdefghij"), 3, size, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    backbone, options = NETWORKS[name]
    net = empty_network(backbone, spec, options).train()
    images = torch.randn(32, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for _ in range(20):  # until the running statistics are those of these images
            net(images)
    return Teacher(net, spec, backbone, options)


def loss_and_gradient(recovery):
    """Of the very first step, as `Recovery.step` has them."""
    views = recovery.images.detach().clone().requires_grad_()
    with bn_statistics(recovery.net, len(recovery.groups)) as stats, recovery.runtime.autocast():
        logits = recovery.net(recovery.runtime.batch(views))
    forward = ForwardPass(views, logits, recovery.targets, stats, len(recovery.groups), recovery.config)
    loss = sum(weight * all_terms()[name].function(forward).sum() for name, weight in active(recovery.config).items())
    return loss.item(), torch.autograd.grad(loss, views)[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_bf16_losses_and_gradients_stay_near_those_of_float32(cpu, name):
    teacher, config = teacher_of(name), RecoverConfig(ipc=2, steps=10, group_images=2)
    exact, rounded = (
        loss_and_gradient(Recovery(teacher, plan(config, teacher.spec), config, runtime=runtime))
        for runtime in (cpu, BF16)
    )
    assert rounded[0] == pytest.approx(exact[0], rel=0.02)
    assert F.cosine_similarity(exact[1].flatten(), rounded[1].flatten(), dim=0) > 0.97
    assert rounded[1].dtype == torch.float32
    assert rounded[1].norm() == pytest.approx(exact[1].norm().item(), rel=0.05)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_statistics_of_any_type_and_layout_are_summed_in_float32_or_more(dtype, layout):
    norm = torch.nn.BatchNorm2d(8).eval().to(torch.float64 if dtype == torch.float64 else torch.float32)
    x = (5 + 2 * torch.randn(6, 8, 24, 24, generator=torch.Generator().manual_seed(0))).to(dtype)
    with bn_statistics(torch.nn.Sequential(norm), groups=2) as stats:
        norm(x.contiguous(memory_format=layout))
    (layer,) = stats.layers
    parts = x.double().unflatten(0, (2, 3))
    assert layer.mean.dtype == layer.var.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(layer.mean.double(), parts.mean((1, 3, 4)), rtol=2e-5, atol=0)
    torch.testing.assert_close(layer.var.double(), parts.var((1, 3, 4), correction=0), rtol=2e-5, atol=0)
    assert norm.running_mean.eq(0).all()
    assert norm.running_var.eq(1).all()


def test_infinite_activations_leave_the_teacher_alone():
    norm = torch.nn.BatchNorm2d(2).eval()
    with bn_statistics(torch.nn.Sequential(norm)) as stats:
        norm(torch.full((2, 2, 4, 4), float("inf")))
    assert not stats.layers[0].var.isfinite().any()
    assert norm.running_mean.isfinite().all()
    assert norm.running_var.isfinite().all()


def test_statistics_that_match_exactly_have_no_distance_and_a_finite_gradient():
    norm = torch.nn.BatchNorm2d(2).eval()
    x = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1).expand(2, 2, 3, 3).clone().requires_grad_()
    with bn_statistics(torch.nn.Sequential(norm)) as stats:
        norm(x)
    distance = layer_distances(stats).sum()
    assert distance.item() == pytest.approx(0, abs=1e-9)
    assert torch.autograd.grad(distance, x)[0].isfinite().all()


def test_a_view_for_several_images_is_the_same_view_for_each():
    images = torch.randn(6, 3, 10, 12, generator=torch.Generator().manual_seed(0))
    config = ViewConfig(crop="padded", padding=3, roll=(0, 4))
    params, black = draw(config, seed=1, epoch=2, ids=torch.arange(2), size=(10, 12)), torch.tensor([1.0, 2.0, 3.0])
    shared = apply(images, params, size=8, black=black)
    each = apply(images, params[torch.tensor([0, 0, 0, 1, 1, 1])], size=8, black=black)
    torch.testing.assert_close(shared, each)
    assert shared.shape == (6, 3, 8, 8)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stacked_equals_unstacked(precision):
    teacher, config = teacher_of("resnet", 16), RecoverConfig(ipc=2, steps=1, group_size=5)
    runtime, groups = Runtime(CPU, precision), plan(config, teacher.spec)
    assert len(groups) == 4
    together = loss_and_gradient(Recovery(teacher, groups, config, runtime=runtime))
    alone = [loss_and_gradient(Recovery(teacher, [group], config, runtime=runtime)) for group in groups]
    assert together[0] == pytest.approx(sum(loss for loss, _ in alone), rel=1e-5 if precision == "fp32" else 1e-2)
    expected = torch.cat([gradient for _, gradient in alone])
    assert F.cosine_similarity(together[1].flatten(), expected.flatten(), dim=0) > (
        0.99999 if precision == "fp32" else 0.99
    )


def test_stack_auto_fills_a_pass_of_tiny_images_and_leaves_large_ones_alone(cpu, tiny_teacher):
    assert cpu.stack(5 * 8 * 8) > 4
    assert cpu.stack(100 * 64 * 64) == 1
    config = RecoverConfig(ipc=3, steps=2, stack="auto")
    alone = recover(tiny_teacher, config.but(stack=1), runtime=cpu)
    together = recover(tiny_teacher, config, runtime=cpu)
    assert (alone.images != together.images).float().mean() < 0.02
    for wrong in (0, "all"):
        with pytest.raises(ConfigError, match=r"RecoverConfig\.stack"):
            RecoverConfig(stack=wrong)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler")
def test_compiled_equals_eager_and_is_compiled_once(tiny_teacher, cpu):
    config = RecoverConfig(ipc=2, steps=6, alpha_bn=0.1, roll=(0, 2))
    groups, kinds = plan(config, tiny_teacher.spec), (cpu, Runtime(CPU, compile=True))
    torch.compiler.reset()
    for group, stance in zip(groups, ("default", "fail_on_recompile"), strict=True):  # nor for the next group
        with torch.compiler.set_stance(stance):
            made = [Recovery(tiny_teacher, [group], config, runtime=runtime) for runtime in kinds]
        with torch.compiler.set_stance("fail_on_recompile"):  # nor for another crop, nor by retuning
            for recovery in made:
                for step in range(6):
                    if step == 3:
                        recovery.retune(alpha_bn=0.3, lr=0.05)
                    recovery.step()
        torch.testing.assert_close(made[0].images, made[1].images, atol=1e-4, rtol=0)


class Operations(TorchDispatchMode):
    """Notes the names of all operations."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def test_no_step_asks_for_a_number(cpu, tiny_teacher):
    """On a GPU it would wait for all that is under way; the loss is looked at every CHECK_EVERY steps only."""
    config = RecoverConfig(ipc=1, steps=100, alpha_bn=0.1, alpha_tv=0.1, alpha_l2=0.1)
    recovery = Recovery(tiny_teacher, plan(config, tiny_teacher.spec), config, runtime=cpu)
    with Operations() as seen:
        recovery.step()
    assert "convolution" in seen.names
    assert "_local_scalar_dense" not in seen.names
    with Operations() as seen:
        float(recovery.step().metrics["loss"])
    assert "_local_scalar_dense" in seen.names


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_of_a_step_is_traced_as_one_graph(name):
    """Nothing but the drawing of crops, Adam and the clamp is left outside: a CUDA graph could hold all of it."""
    teacher, config, graphs = teacher_of(name), RecoverConfig(ipc=1, steps=2, alpha_tv=0.1, alpha_l2=0.1), []

    def note(graph, _):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    recovery = Recovery(teacher, plan(config, teacher.spec), config, runtime=BF16)
    recovery._objective = torch.compile(recovery.objective, dynamic=False, backend=note)
    recovery.step()
    assert len(graphs) == 1


def test_a_failing_compiler_costs_a_warning(tiny_teacher, monkeypatch, cpu):
    def broken(*_, **__):
        def call(*_):
            raise RuntimeError("no compiler on this machine")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    config = RecoverConfig(ipc=1, steps=2)
    with pytest.warns(UserWarning, match=r"runs as it is \(no compiler on this machine\)"):
        found = recover(tiny_teacher, config, runtime=Runtime(CPU, compile=True))
    assert found.id == recover(tiny_teacher, config, runtime=cpu).id


def test_things_are_written_in_order_by_another_thread():
    written = []
    with storage.in_background() as do:
        for number in range(1000):
            do(lambda number: written.append((number, threading.current_thread().name)), number)
    assert [number for number, _ in written] == list(range(1000))
    assert threading.current_thread().name not in {name for _, name in written}


def test_an_error_of_the_writer_reaches_the_stage():
    def refuse():
        raise ArtifactError("the disk is full")

    with pytest.raises(ArtifactError, match="the disk is full"), storage.in_background() as do:
        do(refuse)


def test_what_was_given_before_an_interrupt_is_still_written():
    gate, written = threading.Event(), []

    def slow(number):
        gate.wait()
        written.append(number)

    def interrupted():
        with storage.in_background() as do:
            for number in range(5):
                do(slow, number)
            gate.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert written == list(range(5))


def test_narrow_networks_do_not_crash_in_float32():
    """torch's channels-last backward pass corrupts memory here: a process of its own, for it may die."""
    code = (
        "import torch; from sre2l_core import backbones; from sre2l_core.runtime import Runtime\n"
        "runtime = Runtime.auto('cpu', 'fp32')\n"
        "net = runtime.place(backbones.build('resnet10', num_classes=2, resolution=64, width=8, seed=0)).train()\n"
        "for _ in range(3): net(runtime.batch(torch.randn(20, 3, 64, 64))).sum().backward()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_folded_network_says_the_same_and_has_no_batchnorm_left(cpu, name):
    net, images = teacher_of(name).net.eval(), torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        folded = cpu.place_folded(net)
        torch.testing.assert_close(folded(images), net(images), rtol=1e-3, atol=1e-4)
    assert batchnorms(net)
    assert not batchnorms(folded)


def test_networks_of_other_threads_go_on_while_one_is_folded(cpu):
    net, other, images = (
        teacher_of(next(iter(NETWORKS))).net.eval(),
        torch.nn.Sequential(torch.nn.ReLU()),
        torch.randn(2, 3),
    )
    stop, failed = threading.Event(), []

    def work():
        try:
            while not stop.is_set():
                assert other(images).equal(images.relu())
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    with ThreadPoolExecutor(2) as pool:
        folded = list(pool.map(cpu.place_folded, [net] * 6))
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed
    assert not any(batchnorms(one) for one in folded)
    assert other(images).equal(images.relu())  # and PyTorch is as it was


class Branching(torch.nn.Module):
    """Cannot be traced: what it does depends on what it sees."""

    def forward(self, images):
        return images.flatten(1) if images.sum() > 0 else -images.flatten(1)


def test_a_network_that_cannot_be_folded_is_used_as_it_is(cpu):
    images = torch.randn(2, 3, 4, 4)
    net = Branching()
    assert cpu.place_folded(net)(images).equal(net(images))


class Noted(torch.nn.Module):
    """Says what an image's first pixel is; notes how many images it saw at once, with what, and where."""

    def __init__(self):
        super().__init__()
        self.counts, self.threads, self.names = [], [], []

    def forward(self, images):
        assert not torch.is_grad_enabled()
        self.counts.append(len(images))
        self.threads.append(torch.get_num_threads())
        self.names.append(threading.current_thread().name)
        return images[:, :, 0, 0].to(torch.bfloat16 if torch.is_autocast_enabled("cpu") else images.dtype)


@pytest.fixture
def use_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("threads", "workers", "each"), [(1, 1, 1), (2, 2, 1), (6, 3, 2)])
def test_logits_are_of_all_images_in_order_each_core_at_its_own_part(use_threads, threads, workers, each, precision):
    use_threads(threads)
    images, net = torch.arange(40.0)[:, None, None, None].expand(40, 1, 64, 64), Noted()
    found = Runtime(CPU, precision).logits(net, images)
    assert found.dtype == torch.float32
    assert found.flatten().tolist() == list(range(40))
    assert sorted(net.counts) == [8, 16, 16]
    assert net.threads == [each] * 3
    assert len(set(net.names)) <= workers
    assert (threading.current_thread().name in net.names) == (workers == 1)
    assert torch.get_num_threads() == threads  # neither here nor in threads to come
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == threads


def test_few_large_images_are_a_part(cpu):
    net = Noted()
    cpu.logits(net, torch.zeros(9, 3, 512, 512))
    assert net.counts == [4, 4, 1]


def test_an_error_of_a_network_reaches_who_asked_for_its_logits(use_threads, cpu):
    use_threads(2)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        cpu.logits(torch.nn.Linear(2, 2), torch.zeros(40, 1, 64, 64))


def test_auto_means_bf16_where_a_processor_multiplies_it(monkeypatch):
    for has, precision in (({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx2": True}, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: has, raising=False)
        assert Runtime.auto("cpu").precision == precision
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert Runtime.auto("cpu").precision == "fp32"
