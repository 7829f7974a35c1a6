"""Units of work, and the executors that run them: a pool of processes, Dask, or whatever else has `submit`."""

from sre2l_core.work.running import Workers, run_units, threads_of
from sre2l_core.work.units import Shared, Unit

__all__ = ["Shared", "Unit", "Workers", "run_units", "threads_of"]
