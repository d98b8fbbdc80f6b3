"""``python -m tracedtimeout.demo``, the same as ``python -m tracedtimeout demo``."""

import sys

from tracedtimeout.commands import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
