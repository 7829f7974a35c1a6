"""What the teacher makes of crops."""

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RelabelConfig
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.studies.diagnose import crops_recognised


def test_crops_that_are_whole_images_are_recognised_as_these_are(
    tiny_teacher: Teacher, tiny_condensed: CondensedSet, cpu: Runtime
) -> None:
    seen = tiny_teacher.net(tiny_teacher.spec.normalize(tiny_condensed.images)).argmax(1)
    whole = RelabelConfig(epochs=2, crop="none", flip=0)
    found = crops_recognised(LiveLabels(tiny_teacher, tiny_condensed, whole, runtime=cpu), tiny_condensed, epochs=2)
    assert found == float((seen == tiny_condensed.labels).float().mean())


def test_small_crops_are_harder(tiny_teacher: Teacher, tiny_condensed: CondensedSet, cpu: Runtime) -> None:
    shares = [
        crops_recognised(
            LiveLabels(tiny_teacher, tiny_condensed, RelabelConfig(crop_scale=scale), runtime=cpu), tiny_condensed
        )
        for scale in ((0.8, 1.0), (0.05, 0.1))
    ]
    assert 0 <= shares[1] < shares[0] <= 1
