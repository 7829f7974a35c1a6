"""One JupyterLab for all browser tests."""

from collections.abc import Iterator

import lab_page
import pytest


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a JupyterLab with copies of all notebooks, to be run in fast mode."""
    names = sorted(path.name for path in (lab_page.ROOT / "notebooks").glob("*.ipynb"))
    with lab_page.serve(tmp_path_factory.mktemp("lab"), names) as address:
        yield address
