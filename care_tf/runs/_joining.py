"""Until all workers of a run are there: TensorFlow would wait without a word, for an hour or more."""

import socket
import sys
import time
from collections.abc import Iterable

from care_tf.errors import InputError
from care_tf.runs._tf_config import WorkerGroup

_ANSWER_SECONDS, _PAUSE_SECONDS = 2.0, 0.5
_UNANSWERED_CALLS = 1024  # that the system keeps for a listener, more than there are workers


def wait_for_workers(group: WorkerGroup, seconds: float) -> dict[str, str]:
    """Waits until every other worker has answered at its address, and says on stderr for whom.

    Each listens at its own address meanwhile. One that has reached all others goes on to join them, and its TensorFlow
    listens at the same address from then on, for those that have not.

    Args:
      group: The workers, and which of them this process is.
      seconds: How long to wait at most.

    Returns:
      Address -> why it did not answer, of all that never did.

    Raises:
      InputError: This process cannot listen at its own address.
    """
    own = group.addresses[group.number]
    others = [address for address in group.addresses if address != own]
    if not others:
        return {}
    end = time.monotonic() + seconds
    with _listener(own):
        missing = _without_answer(others, end)
        if missing:
            print(f"waiting for the workers {', '.join(missing)}, {seconds:g} s at most", file=sys.stderr, flush=True)
        while missing and time.monotonic() < end:
            time.sleep(_PAUSE_SECONDS)
            missing = _without_answer(missing, end)
    return missing


def _listener(address: str) -> socket.socket:
    """Takes calls at the port of an address, as TensorFlow's server will: nobody has to accept them."""
    is_dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual else socket.AF_INET
    port = _host_and_port(address)[1]
    try:
        return socket.create_server(("", port), family=family, backlog=_UNANSWERED_CALLS, dualstack_ipv6=is_dual)
    except OSError as error:
        raise InputError(
            f"TF_CONFIG must give this process a port that is free. Received {address}: {error.strerror or error}. End "
            "what listens there, such as an earlier start of this run, or choose another port for this worker in every "
            "TF_CONFIG."
        ) from error


def _without_answer(addresses: Iterable[str], end: float) -> dict[str, str]:
    """Calls at each address; those where nobody takes the call, and why."""
    found = {}
    for address in addresses:
        patience = max(0.1, min(_ANSWER_SECONDS, end - time.monotonic()))
        try:
            with socket.create_connection(_host_and_port(address), patience) as call:
                # The system may call from the very port that is called, of this machine: then the call meets itself.
                if call.getsockname() == call.getpeername():
                    found[address] = "nobody listens there"
        except OSError as error:
            found[address] = error.strerror or str(error)
    return found


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
