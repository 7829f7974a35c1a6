"""Units of work, and the executors that run them: a process pool, Dask, or whatever else has `submit`."""

from sre2l_core.work.units import Shared, Unit, run_units

__all__ = ["Shared", "Unit", "run_units"]
