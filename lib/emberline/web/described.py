"""What the server offers, as OpenAPI 3.1 says it, and as a page for people."""

from collections.abc import Sequence
from html import escape
from typing import Any

from emberline.cf.reason_kinds import ATTRIBUTE, EVENT, NEIGHBOR, POPULAR
from emberline.web.asked import MOST, MOST_EVENTS

Json = dict[str, Any]
_TEXT: Json = {"type": "string"}
_MAYBE_TEXT: Json = {"type": ["string", "null"]}
_MAYBE_NUMBER: Json = {"type": ["number", "null"]}
_K: Json = {"type": "integer", "minimum": 1, "maximum": MOST, "default": 10}
_WHY: Json = {"type": "boolean", "default": False}
_REASON: Json = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": [EVENT, NEIGHBOR, ATTRIBUTE, POPULAR]},
        "item_id": _MAYBE_TEXT,
        "title": _MAYBE_TEXT,
        "attribute": _MAYBE_TEXT,
        "word": _MAYBE_TEXT,
        "contribution": _MAYBE_NUMBER,
        "drop": _MAYBE_NUMBER,
    },
}
_PLACE: Json = {
    "type": "object",
    "properties": {
        "rank": {"type": "integer"},
        "item_id": _TEXT,
        "title": _MAYBE_TEXT,
        "score": {"type": "number"},
        "model": _TEXT,
        "because": {**_TEXT, "description": "Reasons in words, where they are asked for."},
        "reasons": {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}},
    },
    "required": ["rank", "item_id", "title", "score", "model"],
}
_LIST: Json = {
    "type": "object",
    "properties": {
        "release": _MAYBE_TEXT,
        "items": {"type": "array", "items": {"$ref": "#/components/schemas/Place"}},
        "unknown": {"type": "array", "items": _TEXT},
    },
    "required": ["release", "items"],
}
_EVENT: Json = {
    "oneOf": [_TEXT, {"type": "array", "prefixItems": [_TEXT, {"type": "number"}], "maxItems": 2}]
}
_EVENTS: Json = {
    "type": "object",
    "properties": {
        "events": {"type": "array", "items": _EVENT, "maxItems": MOST_EVENTS},
        "k": _K,
        "why": _WHY,
    },
    "required": ["events"],
    "examples": [{"events": ["i0815", ["i0042", 2]], "k": 5}],
}
_ERROR: Json = {"type": "object", "properties": {"error": _TEXT}, "required": ["error"]}


def specification(version: str) -> Json:
    """The document `/openapi.json`."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Emberline", "version": version},
        "paths": {
            "/users/{user_id}/recommendations": {
                "get": _asked(
                    "A user's published list; 404 for whoever is unknown.", "user_id", ["why"]
                )
            },
            "/recommendations": {"post": _folded()},
            "/items/{item_id}/similar": {"get": _asked("The items most like one.", "item_id")},
            "/popular": {"get": _asked("What somebody gets of whom nothing is known.")},
            "/healthz": {"get": _plain("Whether it answers, and from which release.")},
            "/metrics": {"get": _plain("Figures for Prometheus.")},
        },
        "components": {
            "schemas": {
                "Place": _PLACE,
                "Reason": _REASON,
                "List": _LIST,
                "Events": _EVENTS,
                "Error": _ERROR,
            }
        },
    }


def page(described: Json) -> str:
    """The same for people: needs no other file and no network."""
    rows = "".join(
        f"<tr><td><code>{method.upper()} {escape(path)}</code></td>"
        f"<td>{escape(what['summary'])}</td>"
        f"<td>{escape(', '.join(each['name'] for each in what.get('parameters', ())))}</td></tr>"
        for path, methods in described["paths"].items()
        for method, what in methods.items()
    )
    title = f"Emberline {escape(described['info']['version'])}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;"
        "padding:0 1rem}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:"
        ".4rem .8rem .4rem 0;border-bottom:1px solid #ccc}code{font-size:.9em}</style>"
        f"<h1>{title}</h1><table><tr><th>Request</th><th>Answer</th><th>Parameters</th></tr>{rows}"
        '</table><p>In full, for programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).'
        " A body of <code>POST /recommendations</code> is such as"
        f" <code>{escape(str(_EVENTS['examples'][0]).replace(chr(39), chr(34)))}</code>.</p></html>"
    )


def _asked(summary: str, of: str = "", more: Sequence[str] = ()) -> Json:
    parameters: list[Json] = [
        *({"name": name, "in": "path", "required": True, "schema": _TEXT} for name in [of] if name),
        {"name": "k", "in": "query", "schema": _K},
        *({"name": name, "in": "query", "schema": _WHY} for name in more),
    ]
    return {"summary": summary, "parameters": parameters, "responses": _responses()}


def _folded() -> Json:
    return {
        "summary": "A list for somebody with these events; 404 where no item of them is known.",
        "requestBody": {"required": True, "content": _json("Events")},
        "responses": _responses(),
    }


def _plain(summary: str) -> Json:
    return {"summary": summary, "responses": {"200": {"description": "It does."}}}


def _responses() -> Json:
    return {
        "200": {"description": "A list, the best first.", "content": _json("List")},
        "400": {"description": "What is asked is wrong: one line.", "content": _json("Error")},
        "404": {"description": "Nobody is called so: one line.", "content": _json("Error")},
    }


def _json(name: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
