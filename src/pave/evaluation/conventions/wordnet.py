"""Singular of English nouns by WordNet 3.0, of which the one-word nouns and their irregular forms are shipped.

``wordnet_nouns/nouns.txt.gz`` is derived from WordNet's ``index.noun`` and ``noun.exc``: nouns one a line, a blank
line, then irregular forms with what they are forms of. Its licence stands beside it.
"""

from __future__ import annotations

import functools
import gzip
from importlib import resources

_ENDINGS = (
    ("s", ""),
    ("ses", "s"),
    ("ves", "f"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)
"""WordNet's endings of plurals and of what they are plurals (``morphy(7WN)``)."""


@functools.cache
def noun_lemma(word: str) -> str:
    """Return the shortest noun that a word may be a form of, or the word itself if there is none; case counts.

    Source: WordNet's morphy, shortest lemma as NLTK's ``WordNetLemmatizer`` takes it, for nouns only.
    """
    nouns, irregular = _lexicon()
    forms = irregular.get(word)
    if forms is None:
        forms = [word.removesuffix(plural) + single for plural, single in _ENDINGS if word.endswith(plural)]
    lemmas = [form for form in (word, *forms) if form in nouns]
    return min(lemmas, key=len) if lemmas else word


@functools.cache
def _lexicon() -> tuple[frozenset[str], dict[str, list[str]]]:
    packed = (resources.files("pave.evaluation.conventions") / "wordnet_nouns" / "nouns.txt.gz").read_bytes()
    nouns, irregular = gzip.decompress(packed).decode("ascii").split("\n\n")
    forms = (line.split() for line in irregular.splitlines())
    return frozenset(nouns.splitlines()), {form: of for form, *of in forms}
