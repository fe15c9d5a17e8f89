"""The model `als`: users' and items' factors, whose product is the score, or the rating."""

from pyspark.sql import DataFrame

from emberline.cf import scoring
from emberline.models import ALS
from emberline.spark.models.offers import Known, Pieces
from emberline.spark.pieces import item_pieces, user_pieces
from emberline.spark.rated import Rated


def pieces(known: Known) -> Pieces:
    """The factors of both sides."""
    users, items = ALS.lists
    return user_pieces(known.tables[users]), item_pieces(known.listed(items))


def predict(pairs: DataFrame, rated: Rated) -> DataFrame:
    """Columns user, item and predicted: products of the factors that predict ratings."""
    users, items = (rated.tables[name] for name in ALS.ratings)
    return products(pairs, users, items)


def products(pairs: DataFrame, user_factors: DataFrame, item_factors: DataFrame) -> DataFrame:
    """Columns user, item and predicted, of those of the pairs whose both sides have factors."""
    joined = pairs.select("user", "item").join(
        user_factors.withColumnRenamed("factors", "user_factors"), "user"
    )
    joined = joined.join(item_factors.withColumnRenamed("factors", "item_factors"), "item")
    ordered = joined.select("user", "item", "user_factors", "item_factors")
    return ordered.mapInArrow(scoring.dot_products, "user int, item int, predicted float")
