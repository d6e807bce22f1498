"""What several test modules share and no fixture can give."""

import logging

from mtbert.utils.logging import logger


class Listener(logging.Handler):
    """Keeps what the package logs from now on."""

    def __init__(self):
        super().__init__()
        self.messages: list[str] = []
        logger.addHandler(self)

    def emit(self, record):
        self.messages.append(record.getMessage())

    def close(self):
        logger.removeHandler(self)
        super().close()


def listen() -> list[str]:
    """A list that grows with what the package logs, until the process ends."""
    return Listener().messages
