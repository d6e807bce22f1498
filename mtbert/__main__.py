"""``python -m mtbert``."""

from mtbert.cli.main import main

main()
