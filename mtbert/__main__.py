"""``python -m mtbert``, and the console script ``mtbert``."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, even while it is being loaded."""
    try:
        from mtbert.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
