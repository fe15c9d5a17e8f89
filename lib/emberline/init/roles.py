"""What a column is for: by its name, in several languages, and by what stands in it."""

import re
import unicodedata
from collections.abc import Mapping

_NAMES: dict[str, str] = {
    "user_id": (
        "user customer client kunde kunden kundin benutzer nutzer besucher visitor member account"
        " reviewer person buyer shopper session utilisateur usager acheteur cliente usuario"
        " comprador utente klant gebruiker kund uid cust author"
    ),
    "item_id": (
        "item product produkt artikel article articulo producto prodotto articolo produit sku asin"
        " isbn ean gtin movie film book buch livre libro track song artist stock stockcode ware"
        " varenummer business recipe game anime content"
    ),
    "timestamp": (
        "timestamp time date datetime at when datum zeit zeitpunkt zeitstempel uhrzeit fecha hora"
        " data heure ts created invoicedate bestelldatum kaufdatum eventtime tidspunkt tijd"
    ),
    "rating": (
        "rating score stars star sterne bewertung note nota valoracion puntuacion vote overall rate"
        " punkte"
    ),
    "count": (
        "quantity qty count counts clicks plays playcount menge anzahl stueck stuck quantite"
        " cantidad quantita aantal antal views weight times purchases units"
    ),
    "event": "event action behavior behaviour aktion ereignis evenement evento accion eventtype",
    "title": (
        "title titel name description bezeichnung beschreibung produktname titre nom titulo nombre"
        " titolo nome descripcion"
    ),
    "text": (
        "text description beschreibung details summary plot overview abstract descripcion"
        " descrizione omschrijving"
    ),
    "genres": (
        "genre genres category categories kategorie kategorien categorie categoria warengruppe"
        " department"
    ),
    "tags": "tag tags keyword keywords schlagwort schlagworte stichwort",
    "number": (
        "price preis prix precio prezzo prijs pris cost year jahr annee ano anno age alter weightkg"
        " gewicht"
    ),
}
_ID = ["id", "ids", "nr", "no", "num", "number", "nummer", "key", "code", "ident"]
_WORD = re.compile(r"[a-z]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def by_name(names: tuple[str, ...]) -> dict[str, str]:
    """For each role the column whose name says so, the plainest first; a column has one role."""
    found: dict[str, str] = {}
    for role in _NAMES:
        scored = [
            (_score(name, role), -place, name)
            for place, name in enumerate(names)
            if name not in found.values()
        ]
        best = max(scored, default=(0, 0, ""))
        if best[0] > 0:
            found[role] = best[2]
    return found


def _score(name: str, role: str) -> int:
    """How much a name says of a role: 0 for nothing, most for its very word, or that and "id"
    where the role is an id's.
    """
    words = _words(name)
    known = set(_NAMES[role].split())
    hits = [word for word in words if word in known or _stem(word, known)]
    if not hits:
        return 0
    others = [word for word in words if word not in hits]
    is_id = any(word in _ID or word.endswith(("id", "nr", "nummer")) for word in words)
    if role in ("user_id", "item_id"):
        return 10 * (1 + is_id) - len(others)
    return 0 if is_id else 10 - len(others)


def _stem(word: str, known: set[str]) -> bool:
    """Words such as kundennr, customerid or produktnummer, in which the known one begins."""
    for ending in ("id", "ids", "nr", "no", "nummer", "number", "code", "key", "n", "en", "s"):
        rest = word.removesuffix(ending)
        if rest != word and rest in known:
            return True
    return False


def _words(name: str) -> list[str]:
    spaced = _CAMEL.sub(" ", name)
    plain = (
        unicodedata.normalize("NFKD", spaced.replace("ß", "ss"))
        .encode("ascii", "ignore")
        .decode()
        .lower()
    )
    return _WORD.findall(plain)


def in_order(kinds: Mapping[str, str]) -> dict[str, str]:
    """Roles of columns without names, as logs have them: user, item, then a number and a time.
    kinds: by column.
    """
    columns = list(kinds)
    found = dict(zip(("user_id", "item_id"), columns, strict=False))
    for column in columns[2:]:
        if kinds[column] == "time":
            found.setdefault("timestamp", column)
        elif kinds[column] == "number":
            found.setdefault("value", column)
    return found
