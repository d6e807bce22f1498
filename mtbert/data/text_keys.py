"""When two texts count as the same: for overlaps between data files, and within a batch of contrastive pairs."""

import re
import unicodedata
from functools import lru_cache

LONG = 32  # characters; in a text of this length, a missing or added space is a typing error, not another word

# white space, control characters, and punctuation of several scripts, for use in a character class
_PUNCTUATION = (
    r"""_.,;:!?'"`()\[\]{}/\\\x00-\x20\x7f-\xa1\xa8\xab\xad\xb4\xbb\xbf\u2000-\u206f\u3000-\u303f\ufe0f\ufeff"""
    r"""\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f-"""
)
_NOT_LETTERS = re.compile(rf"[<>|~^{_PUNCTUATION}]+")

# The patterns below see one chunk between white space at a time.
_EMOTICON = r"[:;=]['^-]?[()\[\]{}/\\](?!\w)|^[()\[\]{}]['^-]?[:;=]$|^[()]{2,}$"
_IN_NUMBER = r"(?<=\d)[.,:/-](?=\d)|(?<![\w.])[.-](?=\.?\d)"  # 1.5, 1/2, .5, -5
_ANGLE_BRACKETS = re.compile(r"<(\S+?)>")
_INSIDE_WORD = re.compile(r"['`\xb4\u2018\u2019]|(?<=[^\W\d_])\.(?=[^\W\d_])")  # don't, U.S.
_BETWEEN_WORDS = re.compile(rf"({_EMOTICON}|[^\w{_PUNCTUATION}])|(?!{_IN_NUMBER})[{_PUNCTUATION}]")
_GAP = re.compile(r"(?<!\d) | (?!\d)")  # not the space between two numbers


def canonical_text(text: str) -> str:
    """A key that texts share if they differ in nothing but case, spacing, and punctuation between words.

    What changes the meaning counts: symbols (C++ and C# differ), emoticons, and the marks in and before a number. So
    do the spaces between words ("the rapist" is no therapist), but not in a text of at least ``LONG`` characters.
    """
    text = _normalize(text)
    words = " ".join(key for chunk in text.split() if (key := _chunk_key(chunk)))
    joined = _GAP.sub("", words)
    return (joined if len(joined) >= LONG else words) or text


def letters(text: str) -> str:
    """A coarser key: the letters, digits and most symbols of a text, without spaces, case and punctuation."""
    return _NOT_LETTERS.sub("", _normalize(text))


def _normalize(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


@lru_cache(maxsize=2**16)
def _chunk_key(chunk: str) -> str:
    """The words and symbols of a chunk between white space, with a space between them."""
    chunk = _INSIDE_WORD.sub("", _ANGLE_BRACKETS.sub(r"\1", chunk))
    return " ".join(_BETWEEN_WORDS.sub(r" \1 ", chunk).split())
