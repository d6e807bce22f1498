"""Ctrl-C ends the command line without a traceback."""

import subprocess
import sys

LOADING = """
import sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, CtrlC())
from mtbert.__main__ import main
main()
"""


def test_ctrl_c_while_the_command_line_is_loaded_is_quiet():
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
