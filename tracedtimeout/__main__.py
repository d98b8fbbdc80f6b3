"""``python -m tracedtimeout COMMAND``: see `commands`."""

import sys

from tracedtimeout.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
