"""What a row is: files to validated rows, word pieces, packed batches, and which rows come next."""

from mtbert.data.batch import PackedBatch, pack
from mtbert.data.read import Example, Rows, data_folder, overlap, read_rows, read_split
from mtbert.data.sampling import SAMPLERS, LengthGrouped, Mixed, Pace, RoundRobin, Sequential, apportion
from mtbert.data.tasks import TASKS, Task, get_task
from mtbert.data.tokens import SequenceTable, TokenTable, WordPieces

__all__ = [
    "SAMPLERS", "TASKS", "Example", "LengthGrouped", "Mixed", "Pace", "PackedBatch", "RoundRobin", "Rows",
    "SequenceTable", "Sequential", "Task", "TokenTable", "WordPieces", "apportion", "data_folder", "get_task",
    "overlap", "pack", "read_rows", "read_split",
]  # fmt: skip
