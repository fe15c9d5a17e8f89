"""How like each other items are, beside scikit-learn, loops, and dense systems of equations."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from emberline.cf.blocks import dense_block
from emberline.cf.content import selection
from emberline.cf.content.columns import Columns
from emberline.cf.content.features import Statistics, features_of, statistics_of, sum_up
from emberline.cf.content.kernels import blocks_of, kernel, mean_kernel
from emberline.cf.content.leaving import LeftOut
from emberline.cf.content.model import Likeness, Model, Nystrom
from emberline.cf.content.reasons import modalities_of, shares
from emberline.cf.content.regression import Root, predict, solve
from emberline.cf.content.selection import Judges, Sample, area_of, choose
from emberline.cf.content.tokens import Tokens
from emberline.cf.content.words import without_each
from emberline.cf.ridge import Moments

RNG = np.random.default_rng(4)
TITLES = [
    "Toy Story (1995)",
    "Das Süße Leben: Teil 2",
    "the toy story 2",
    "日本 の 夏 1995",
    "O'Brien's   Toys",
    "",
    None,
]
GENRES = [["Comedy", "Kids"], ["Drama"], ["Kids", "Comedy"], ["Drama", "War"], [], ["War"], []]
YEAR = Columns(("year",))
YEARS = [1995.0, 1960.0, 1999.0, 1995.0, 2001.0, None, 1e300]


def rows_of(titles: list, genres: list, numbers: list[list]) -> pa.RecordBatch:
    texts = {name: pa.nulls(len(titles), pa.string()) for name in ("text", "label")}
    lists = pa.list_(pa.string())
    return pa.record_batch(
        {
            "title": pa.array(titles, pa.string()),
            **texts,
            "genres": pa.array(genres, lists),
            "tags": pa.array([[]] * len(titles), lists),
            "numbers": pa.array(numbers, pa.list_(pa.float64())),
            "categories": pa.array([[]] * len(titles), lists),
            "lists": pa.array([[]] * len(titles), pa.list_(lists)),
        }
    )


ROWS = rows_of(TITLES[:-1], GENRES[:-1], [[year] for year in YEARS[:-1]])


def known_of(rows: pa.RecordBatch, columns: Columns = YEAR) -> Statistics:
    """From sums of two parts."""
    parts = (rows.slice(0, 2), rows.slice(2))
    return statistics_of(sum(sum_up(part, columns) for part in parts), rows, columns)


def compared(name: str) -> np.ndarray:
    known = known_of(ROWS)
    rows = features_of(ROWS, known)
    return kernel(name, rows, rows, known)


def test_runs_of_characters_are_those_of_scikit_learn() -> None:
    plain = ["toy story 1995", "das süße leben teil 2", "the toy story 2"]
    counts = Tokens.of_characters(pa.array(TITLES[:3])).counts()
    vectorizer = CountVectorizer(analyzer="char", ngram_range=(3, 5))
    expected = vectorizer.fit_transform([f" {title} " for title in plain])
    np.testing.assert_array_equal((counts @ counts.T).toarray(), (expected @ expected.T).toarray())


def test_words_are_letters_and_digits_of_any_script() -> None:
    counts = Tokens.of_words(pa.array(TITLES)).counts()
    words = ["toy story 1995", "das süße leben teil 2", "the toy story 2", "日本 の 夏 1995"]
    vectorizer = CountVectorizer(token_pattern=r"\S+")
    expected = vectorizer.fit_transform([*words, "o brien s toys", "", ""])
    np.testing.assert_array_equal((counts @ counts.T).toarray(), (expected @ expected.T).toarray())


def test_texts_are_alike_by_tf_idf() -> None:
    vectorizer = TfidfVectorizer(token_pattern=r"\S+")
    plain = ["toy story 1995", "das süße leben teil 2", "the toy story 2", "日本 の 夏 1995"]
    expected = vectorizer.fit_transform([*plain, "o brien s toys", ""])
    np.testing.assert_allclose(
        compared("title words"), (expected @ expected.T).toarray(), atol=1e-6
    )


def test_lists_are_alike_by_smoothed_cosine_plain_and_by_idf() -> None:
    idf = {word: np.log(7 / (1 + count)) + 1 for word, count in
           {"Comedy": 2, "Kids": 2, "Drama": 2, "War": 2}.items()}  # fmt: skip
    for name, weights, smoothing in (
        ("genres", dict.fromkeys(idf, 1.0), 0.5),
        ("genres by idf", idf, 1.0),
    ):
        found = compared(name)
        for i, own in enumerate(GENRES[:-1]):
            for j, other in enumerate(GENRES[:-1]):
                both = sum(weights[word] ** 2 for word in set(own) & set(other))
                lengths = [sum(weights[word] ** 2 for word in some) ** 0.5 for some in (own, other)]
                expected = both / (lengths[0] * lengths[1] + smoothing)
                assert found[i, j] == pytest.approx(expected, abs=1e-6)


def test_numbers_are_alike_within_a_width_and_a_missing_one_is_like_nothing() -> None:
    years = np.array([year for year in YEARS[:-1] if year is not None])
    deviation = np.clip(years, *np.quantile(years, [0.05, 0.95])).std()
    for name, width in (("year near", 0.35), ("year very near", 0.1)):
        found = compared(name)
        assert found[0, 2] == pytest.approx(np.exp(-((4 / deviation) ** 2) / (2 * width**2)))
        assert found[0, 3] == 1
        assert (found[5] == 0).all() and (found[:, 5] == 0).all()


def test_a_product_of_two_is_alike_by_both() -> None:
    np.testing.assert_allclose(
        compared("genres x year near"), compared("genres") * compared("year near"), atol=1e-7
    )
    same = compared("same genres x year near")
    assert same[0, 2] == pytest.approx(compared("year near")[0, 2]) and same[0, 1] == 0
    assert same[1, 3] == 0  # Drama, and Drama and War


def test_what_is_the_same_everywhere_or_nowhere_tells_nothing_apart() -> None:
    rows = rows_of(["a film"] * 3, [["x"]] * 3, [[7.0, None], [7.0, None], [7.0, 1.0]])
    known = known_of(rows, Columns(("price", "weight")))
    assert not known.frequencies and not known.numbers and blocks_of(known) == []


def test_a_number_as_large_as_there_are_makes_no_other_one_useless() -> None:
    numbers = [[1e300], [None], *([float(year)] for year in range(1950, 2000))]
    rows = rows_of([None] * len(numbers), [[]] * len(numbers), numbers)
    known = known_of(rows)
    found = features_of(rows, known)
    values = kernel("year near", found, found, known)
    assert values[0].tolist() == [1.0] + [0.0] * 51
    assert values[2, 3] > 0.95 and values[2, 51] < 0.01


def test_with_all_as_landmarks_the_regression_is_kernel_ridge_regression() -> None:
    """Weighted, with a mean that is not held back, solved beside by its normal equations."""
    points, targets = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 2)).astype(np.float32)
    distances = ((points[:, None] - points) ** 2).sum(axis=2)
    whole = np.exp(-distances / 2).astype(np.float32)
    weights = RNG.uniform(0.2, 1, 30)
    root = Root.of(whole[:30, :30])
    features = root.features(whole[:, :30])
    moments = Moments.of(features[:30], targets[:30], weights)
    found = predict(features[30:], solve(moments, 0.7))
    # minimise sum w (y - K a - m)^2 + 0.7 a' K a
    k, y, w = whole[:30, :30].astype(float), targets[:30].astype(float), np.diag(weights)
    one = np.ones((30, 1))
    left = np.block([[w @ k + 0.7 * np.eye(30), w @ one], [one.T @ w @ k, one.T @ w @ one]])
    solution = np.linalg.solve(left, np.vstack([w @ y, one.T @ w @ y]))
    expected = whole[30:, :30] @ solution[:-1] + solution[-1]
    np.testing.assert_allclose(found, expected, atol=2e-3)


# --------------------------------------------------------------------------------------------------
# what proves itself

ITEMS, TASTES = 240, 6


def sample(seed: int = 1, of_number: float | None = None) -> tuple[Sample, list[selection.Block]]:
    """Items of six kinds, which users like or do not; a text says nothing of that, and a number
    says the half of it, or, where it is told how much, something else.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, TASTES, ITEMS)
    centres = rng.normal(size=(TASTES, 8)) * 2
    numbers = kinds // 2 if of_number is None else rng.uniform(size=ITEMS)
    bend = np.outer(np.sin(6 * numbers), np.ones(8)) * (of_number or 0.0)
    factors = (centres[kinds] + bend + rng.normal(size=(ITEMS, 8))).astype(np.float32)
    users = rng.normal(size=(60, 8)).astype(np.float32)
    scores = users @ factors.T + rng.normal(size=(60, ITEMS))
    liked_by, liked = np.nonzero(scores > np.quantile(scores, 0.9, axis=1)[:, None])
    words = [f"{a} {b}" for a, b in rng.choice(list("abcdefghij"), (ITEMS, 2))]
    rows = rows_of(
        words, [[f"kind {kind}"] for kind in kinds], [[float(number)] for number in numbers]
    )
    known = known_of(rows)
    features = features_of(rows, known)
    blocks = blocks_of(known)
    kernels = {block.name: kernel(block.name, features, features, known) for block in blocks}
    of_users = dense_block(np.arange(60, dtype=np.int32), users)
    places = np.arange(0, ITEMS, 2)
    judges = Judges(of_users, liked_by, liked)
    return Sample(kernels, factors, np.ones(ITEMS), places, judges), blocks


def test_a_modality_of_taste_proves_itself_and_one_of_noise_does_not() -> None:
    choice = choose(*sample(), seed=1)
    proofs = {proof.modality: proof for proof in choice.proofs}
    first = choice.proofs[0]
    assert first.is_used and "genres" in first.modality and first.gain > 0.2 and first.z > 5
    assert not proofs["title",].is_used
    assert proofs.keys() == {("genres",), ("title",), ("year",), ("genres", "year")}
    assert choice.area > 0.75
    assert not any("title" in kernel for kernel in choice.weights)
    assert choice.penalty in selection.PENALTIES


def test_what_says_little_of_taste_adds_that_by_a_small_weight() -> None:
    """As much as the number says, and no more: with the weight of the genres it makes ranking
    worse.
    """
    whole, blocks = sample(of_number=0.4)
    some = [block for block in blocks if block.modality in (("genres",), ("year",))]
    choice = choose(whole, some, seed=1)
    genres, year = choice.proofs
    assert genres.modality == ("genres",) and genres.is_used and genres.weight == 1
    assert year.is_used and year.weight < 1 and year.gain > 0
    kernels = [whole.kernels[block.name][:, whole.landmarks] for block in some]
    alike = np.mean(kernels, axis=0, dtype=np.float32)
    alone = np.mean(kernels[:2], axis=0, dtype=np.float32)
    assert area_of(whole, alike) < area_of(whole, alone) < choice.area


def test_where_nothing_is_known_of_taste_nothing_is_chosen() -> None:
    whole, blocks = sample()
    noise = [block for block in blocks if block.modality == ("title",)]
    choice = choose(whole, noise, seed=1)
    assert choice.weights == {} and not any(proof.is_used for proof in choice.proofs)


def test_the_mean_of_kernels_weighs_them_as_told() -> None:
    known = known_of(ROWS)
    rows = features_of(ROWS, known)
    found = mean_kernel({"genres": 1.0, "year near": 3.0}, rows, rows, known)
    expected = compared("genres") / 4 + compared("year near") * 3 / 4
    np.testing.assert_allclose(found, expected, atol=1e-6)


# --------------------------------------------------------------------------------------------------
# why

WEIGHTS = {
    "genres": 1.0,
    "genres by idf": 0.5,
    "title words": 2.0,
    "title characters": 1.0,
    "year near": 1.0,
    "genres x year near": 3.0,
}


def fitted(rows: pa.RecordBatch = ROWS) -> Model:
    """A model whose landmarks are these rows, and add anything."""
    known = known_of(rows)
    likeness = Likeness(known, features_of(rows, known), WEIGHTS)
    added = np.random.default_rng(9).normal(size=(rows.num_rows, 3)).astype(np.float32)
    return Model(likeness, added, np.array([0.5, -1.0, 2.0], np.float32))


def test_modalities_and_the_mean_are_the_prediction_and_each_is_what_is_lost_without_it() -> None:
    model = fitted()
    found = {each.name: each.factors for each in modalities_of(model, ROWS)}
    assert found.keys() == {"genres", "title", "year", "genres x year"}
    np.testing.assert_allclose(sum(found.values()) + model.mean, model.predict(ROWS), atol=1e-5)
    blocks = {"genres": ["genres", "genres by idf"], "genres x year": ["genres x year near"]}
    total = sum(WEIGHTS.values())
    for name, own in blocks.items():
        others = [block for block in WEIGHTS if block not in own]
        left = sum(WEIGHTS[block] / total * compared(block) for block in others)
        without = left @ model.coefficients + model.mean
        np.testing.assert_allclose(model.predict(ROWS) - without, found[name], atol=1e-5)


def test_the_word_is_the_one_whose_loss_costs_its_modality_most() -> None:
    """Beside rows from which each word was taken by hand."""
    model, user = fitted(), np.array([[1.0, 2.0, -0.5]])
    row, titles, genres = 0, ["toy", "story", "1995"], ["Comedy", "Kids"]
    without = [
        rows_of([" ".join(set(titles) - {word})], GENRES[:1], [[YEARS[0]]]) for word in titles
    ] + [rows_of(TITLES[:1], [[kept]], [[YEARS[0]]]) for kept in reversed(genres)]
    whole = {each.name: each.factors[0] @ user[0] for each in modalities_of(model, ROWS)}
    left = [
        {each.name: each.factors[0] @ user[0] for each in modalities_of(model, rows)}
        for rows in without
    ]
    told = shares(modalities_of(model, ROWS), row, np.array([7]), user, 9)
    assert set(told.pairs) == {7}
    assert (np.diff(told.contributions) <= 0).all() and (told.contributions > 0).all()
    for name, word, value in zip(told.modalities, told.words, told.contributions, strict=True):
        assert value == pytest.approx(whole[name], abs=1e-5)
        of_titles = {w: whole[name] - one[name] for w, one in zip(titles, left[:3], strict=True)}
        of_genres = {w: whole[name] - one[name] for w, one in zip(genres, left[3:], strict=True)}
        expected = [max(of_titles, key=lambda w: of_titles[w])] if name == "title" else []
        expected += [max(of_genres, key=lambda w: of_genres[w])] if "genres" in name else []
        expected += ["1995"] if "year" in name else []
        assert word == ", ".join(expected)
    assert len(told.pairs) == sum(value > 0 for value in whole.values()) >= 2


def test_a_row_of_which_nothing_is_known_has_no_word() -> None:
    model = fitted()
    found = modalities_of(model, rows_of([None], [[]], [[None]]))
    told = shares(found, 0, np.array([0]), np.array([[1.0, 1.0, 1.0]]), 9)
    assert len(told.pairs) == 0


def test_only_the_rarest_words_of_a_long_text_are_left_out_in_turn() -> None:
    titles = [" ".join(f"w{n}" for n in range(60)), " ".join(f"w{n}" for n in range(50)), "w1 w1"]
    known = known_of(rows_of(titles, [[]] * 3, [[None]] * 3))
    found = without_each(rows_of(titles, [[]] * 3, [[None]] * 3), "title", known)
    assert found is not None
    words = [found.words[at].as_py() for at in np.flatnonzero(found.row == 0)]
    assert len(words) == 20 and {f"w{n}" for n in range(50, 60)} <= set(words)
    assert found.rows["title"][-1].as_py() == ""  # both of them are gone
    assert found.words[-1].as_py() == "w1"


# --------------------------------------------------------------------------------------------------
# columns of names of one's own

NAMED = Columns(("year",), ("shelf", "brand"), ("awards", "cast"))


def with_names(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Brands that are alike where labels would be, and casts where genres are."""
    brands = [["s", brand] for brand in ("A", "B", "A", None, "B", "C")]
    casts = [[[], genres] for genres in GENRES[:-1]]
    own = {"categories": pa.array(brands, pa.list_(pa.string()))}
    own |= {"lists": pa.array(casts, pa.list_(pa.list_(pa.string())))}
    return pa.record_batch(
        [own.get(name, rows[name]) for name in rows.schema.names], names=rows.schema.names
    )


def test_named_categories_and_lists_are_alike_as_labels_and_genres_are() -> None:
    rows = with_names(ROWS)
    known = known_of(rows, NAMED)
    assert "shelf" not in known.frequencies and "awards" not in known.frequencies
    assert {"brand", "cast"} <= {block.name for block in blocks_of(known)}
    found = features_of(rows, known)
    for ours, plain in (("cast", "genres"), ("cast by idf", "genres by idf"),
                        ("cast x year near", "genres x year near")):  # fmt: skip
        np.testing.assert_allclose(kernel(ours, found, found, known), compared(plain), atol=1e-6)
    brands = kernel("brand", found, found, known)
    assert brands[0].tolist() == [1, 0, 1, 0, 0, 0] and not brands[3].any()


def test_a_word_of_a_named_list_and_a_category_are_left_out_in_turn() -> None:
    rows = with_names(ROWS)
    known = known_of(rows, NAMED)
    of_cast, of_brand = (without_each(rows, name, known) for name in ("cast", "brand"))
    assert of_cast is not None and of_brand is not None
    assert of_cast.words.to_pylist()[:2] == ["Comedy", "Kids"]
    assert of_cast.rows["lists"].to_pylist()[:2] == [[[], ["Kids"]], [[], ["Comedy"]]]
    assert of_cast.rows["genres"].to_pylist()[0] == ["Comedy", "Kids"]
    assert of_brand.rows["categories"].to_pylist() == [["s", None]] * 5


def test_the_regression_without_a_column_is_that_of_the_kernels_which_are_left() -> None:
    known = known_of(ROWS)
    likeness = Likeness(known, features_of(ROWS, known), WEIGHTS)
    ways = LeftOut.of(likeness)
    assert [way.name for way in ways.ways] == ["genres", "title", "year"]
    for way, found in zip(ways.ways, ways.features(ROWS), strict=True):
        left = {name: weight for name, weight in WEIGHTS.items() if way.name not in name}
        assert dict(way.weights) == left
        expected = Nystrom.of(Likeness(known, likeness.landmarks, left)).features(ROWS)
        np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-4)


def test_a_model_of_one_column_has_nothing_left_without_it() -> None:
    known = known_of(ROWS)
    assert not LeftOut.of(Likeness(known, features_of(ROWS, known), {"year near": 1.0})).ways
