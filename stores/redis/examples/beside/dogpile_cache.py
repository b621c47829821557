"""A process that calls dogpile.cache once or many times, started by the example `beside`.

It says READY, waits for a line, calls, and says what came of it. All times are seconds of the clock of this
host.
"""

import sys
import time
import warnings

warnings.simplefilter("ignore")

from dogpile.cache import make_region  # noqa: E402
from dogpile.cache.api import NO_VALUE  # noqa: E402


def main():
    url, key, creation, limit, calls = sys.argv[1:6]
    creation, limit, calls = float(creation), float(limit), int(calls)
    arguments = {
        "url": url,
        "distributed_lock": True,
        # What dogpile.cache asks for where the lock is shared.
        "thread_local_lock": False,
        # Zero: without end, as it is by default.
        "lock_timeout": limit or None,
    }
    region = make_region().configure(
        "dogpile.cache.redis", expiration_time=300, arguments=arguments
    )
    # Connected, as ours is.
    assert region.get("nobody's") is NO_VALUE
    made = []

    def create():
        made.append(time.time())
        print(f"CREATES at={made[-1]:.6f}", flush=True)
        time.sleep(creation)
        return f"made at {made[-1]:.6f}"

    print("READY", flush=True)
    sys.stdin.readline()
    error = "none"
    for _ in range(calls):
        try:
            region.get_or_create(key, create)
        except Exception as e:  # what a caller would have to handle
            error = type(e).__name__
    print(
        f"DONE created={len(made)} at={time.time():.6f} error={error}",
        flush=True,
    )


main()
