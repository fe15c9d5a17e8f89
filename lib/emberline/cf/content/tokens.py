"""Words, lists of words and character n-grams as hashed tokens of rows."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from emberline.numeric import hashing
from emberline.numeric.arrays import Float32, Float64, Int64, UInt64
from emberline.numeric.groups import place_among

BUCKETS = 1 << 18
_LONGEST = 20_000  # characters of a text that are read
_LENGTHS = (3, 4, 5)  # of character n-grams
_WORD = r"[^\p{L}\p{N}]+"  # what stands between words


@dataclass(frozen=True)
class Tokens:
    """The row and the bucket of each token (n,), of so many rows."""

    rows: Int64
    buckets: Int64
    count: int

    @classmethod
    def of_lists(cls, lists: pa.ListArray) -> Self:
        """Each word of a list, whole."""
        rows = pc.list_parent_indices(lists).to_numpy()
        return cls(rows.astype(np.int64), buckets_of(pc.list_flatten(lists)), len(lists))

    @classmethod
    def of_labels(cls, labels: pa.StringArray) -> Self:
        """A text as one token; none where there is no text."""
        rows = np.flatnonzero(labels.is_valid().to_numpy(zero_copy_only=False))
        return cls(rows, _buckets(labels.drop_null()), len(labels))

    @classmethod
    def of_words(cls, texts: pa.StringArray) -> Self:
        """The words of texts: letters and digits of any script."""
        return cls.of_lists(words_of(texts))

    @classmethod
    def of_characters(cls, texts: pa.StringArray) -> Self:
        """Runs of three to five characters of texts, words being a space apart."""
        joined = pc.binary_join(words_of(texts), " ")
        spaced = pc.fill_null(pc.binary_join_element_wise(" ", joined, " ", ""), "  ")
        points, starts = _code_points(spaced)
        lengths = np.diff(starts)
        found = []
        for length in _LENGTHS:
            rows = np.repeat(np.arange(len(lengths)), np.maximum(lengths - length + 1, 0))
            found.append((rows, _runs(points, starts[rows] + place_among(rows), length)))
        rows, buckets = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return cls(rows, buckets, len(texts))

    def counts(self) -> sp.csr_matrix:
        """(rows, BUCKETS): how often a row has a token."""
        ones = np.ones(len(self.rows), np.float32)
        return sp.csr_matrix((ones, (self.rows, self.buckets)), shape=(self.count, BUCKETS))


def document_frequencies(counts: sp.csr_matrix) -> Float64:
    """(BUCKETS,): in how many rows a token is."""
    return np.bincount(counts.indices, minlength=BUCKETS).astype(np.float64)


def idf(frequencies: Float64, rows: int) -> Float32:
    """log((1 + rows) / (1 + df)) + 1, as scikit-learn's TfidfTransformer has it: (BUCKETS,)."""
    found: Float32 = (np.log((1 + rows) / (1 + frequencies)) + 1).astype(np.float32)
    return found


def words_of(texts: pa.StringArray) -> pa.ListArray:
    """The words of each text, in small letters; none where there is no text."""
    read = pc.utf8_lower(pc.utf8_slice_codeunits(texts, 0, _LONGEST))
    plain = pc.utf8_trim(pc.replace_substring_regex(read, _WORD, " "), " ")
    cut = pc.split_pattern(pc.fill_null(plain, ""), " ")
    words = pc.list_flatten(cut)
    is_word = pc.greater(pc.binary_length(words), 0)
    rows = pc.filter(pc.list_parent_indices(cut), is_word).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(texts)))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pc.filter(words, is_word))


def buckets_of(words: pa.StringArray) -> Int64:
    """The bucket of each word (n,), large letters being as small ones."""
    return _buckets(pc.utf8_lower(words))


def _buckets(words: pa.StringArray) -> Int64:
    """The bucket of each text (n,)."""
    if not len(words):
        return np.empty(0, np.int64)
    ends = np.frombuffer(words.buffers()[1], np.int32)[words.offset :][: len(words) + 1]
    content = np.frombuffer(words.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    return _in_range(hashing.of_texts(content, ends - ends[0]))


def _code_points(texts: pa.StringArray) -> tuple[UInt64, Int64]:
    """The code points of all texts, and where each text begins and the last one ends."""
    content = "".join(texts.to_pylist())
    points = np.frombuffer(content.encode("utf-32-le", "surrogatepass"), np.uint32)
    starts = np.concatenate([[0], np.cumsum(pc.utf8_length(texts).to_numpy())])
    return points.astype(np.uint64), starts


def _runs(points: UInt64, first: Int64, length: int) -> Int64:
    """The bucket of so many code points from each place on."""
    state = np.full(len(first), length, np.uint64)
    for at in range(length):
        state = hashing.mix(state ^ points[first + at])
    return _in_range(state)


def _in_range(hashes: UInt64) -> Int64:
    return (hashes % np.uint64(BUCKETS)).astype(np.int64)
