"""Class-incremental learning with a memory of images (section 3.7, Figure 6), after GDumb (Prabhu et al., 2020) and DM.

Classes arrive in steps (`order`). The memory holds images of the classes seen so far (`memory`); after each step fresh
students learn from the memory alone and are tested on all classes seen (`learning`). Who made images and labels of a
class is its *expert*, and decides the setting:

- one expert for all classes, as in the reference: images and labels of early steps know the classes of later ones, so
  the future leaks into the past;
- an expert for each step, which saw that step's classes only: leak-free.
"""

from sre2l_core.continual.learning import Learning, Learnt, forgetting, learn, learning, seen_only
from sre2l_core.continual.memory import Expert, JoinedLabels, remember
from sre2l_core.continual.order import CONDENSED, SETTINGS, ContinualConfig, arrivals

__all__ = ["CONDENSED", "SETTINGS", "ContinualConfig", "Expert", "JoinedLabels", "Learning", "Learnt", "arrivals"]
__all__ += ["forgetting", "learn", "learning", "remember", "seen_only"]
