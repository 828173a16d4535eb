"""Run ipcctl: `python -m ipcctl`, and the `ipcctl` script."""

import gc
import gettext
import os
import sys

# A search for cycles after every 700 new objects is a twentieth of a short run: imports make many, and few cycles.
gc.set_threshold(50_000)
# click asks for a translation of each of its texts. There is none, and to look for it is a fiftieth of a short run.
gettext.gettext = str  # type: ignore[assignment]


def main() -> None:
    """Run the command line and end the process with its status."""
    try:
        from .cli import main as run

        status = run()
    except KeyboardInterrupt:  # Ctrl-C while modules are still being imported
        os._exit(130)
    if "multiprocessing" in sys.modules:  # it has servers and temporary directories to clear away at exit
        sys.exit(status)
    # Everything was written. Taking every module and object apart before the end costs a sixth of a short run.
    os._exit(status)


if __name__ == "__main__":
    main()
