"""What reading images warns of, as texts that may be shown."""

import contextlib
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def reading_warnings() -> Iterator[list[str]]:
    """Collects the block's warnings, each text once; the list is filled at the end.

    What pydicom warns of is left out: it may quote a patient's data.
    """
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", module=r"pydicom(\..*)?")
        yield texts
    texts += dict.fromkeys(str(each.message) for each in caught if each.category is UserWarning)
