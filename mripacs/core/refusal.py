"""What a settings key allows, in words, and what is wrong with a value: the text of a SettingsError.

Everything is read from the JSON Schema that pydantic derives from the models, so nothing is said twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

Schema = Mapping[str, Any]
Location = Sequence[str | int]

# A field whose pattern says little to people gives its own words: Field(json_schema_extra={ALLOWED: "..."}).
ALLOWED = "allowed"


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Each problem of `error` as "key = value: allowed is ...", joined by semicolons and led by `where`.

    Passwords in URLs are replaced by ***; the values of unknown keys are not repeated, for they may be secrets.
    """
    return f"{where}: " + "; ".join(_explain_one(problem, model) for problem in error.errors())


def allowed(model: type[BaseModel], location: Location) -> str:
    """What the key at `location` below `model` takes: "integer from 1 to 65535", '"derive" or "keep"', "list of text".

    location : keys and list indices from the root table down, ("dimse", "port") for instance.
    KeyError when `model` has no such key.
    """
    root = model.model_json_schema()
    return _words(_schema_at(root, location), root)


def known_keys(model: type[BaseModel], location: Location = ()) -> str:
    """The keys of the table at `location` below `model`, joined by commas."""
    return ", ".join(_schema_at(model.model_json_schema(), location)["properties"])


def _explain_one(problem: Mapping[str, Any], model: type[BaseModel]) -> str:
    *table, last = location = problem["loc"]
    key = ".".join(str(part) for part in location)
    match problem["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key; known here: {known_keys(model, table)}"
        case "missing":
            return f"{key}: must be given; allowed is {allowed(model, location)}"
        case "value_error":  # a rule between several keys, in the words of its validator
            return f"{key}: {problem['ctx']['error']}"
    value = re.sub(r":(//?)?.*@", r":\1***@", repr(problem["input"]))  # also where the scheme is mistyped
    if last == "[key]":  # pydantic's mark for a key of a free table
        key, location = ".".join(str(part) for part in table[:-1]), (*table[:-1], last)
    return f"{key} = {value}: allowed is {allowed(model, location)}"


def _schema_at(root: Schema, location: Location) -> Schema:
    schema = root
    for part in location:
        schema = _resolved(schema, root)
        if isinstance(part, int):
            schema = schema["items"]
        elif part == "[key]":
            schema = schema["propertyNames"]
        elif "properties" in schema:
            schema = schema["properties"][part]
        else:  # a free table: every key leads to the same kind of value
            (schema,) = schema.get("patternProperties", {"": schema.get("additionalProperties")}).values()
    return _resolved(schema, root)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """What a reference leads to, also that of an optional table."""
    references = [each["$ref"] for each in (schema, *schema.get("anyOf", ())) if "$ref" in each]
    reference: str | None = references[0] if references else None
    return root["$defs"][reference.rpartition("/")[2]] if reference else schema


def _words(schema: Schema, root: Schema) -> str:
    if ALLOWED in schema:
        return str(schema[ALLOWED])
    if "anyOf" in schema:  # optional values: null is said by leaving the key out
        return " or ".join(_words(each, root) for each in schema["anyOf"] if each.get("type") != "null")
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return " or ".join(f'"{choice}"' for choice in choices)
    if schema["type"] == "array":
        return f"list of {_words(_resolved(schema['items'], root), root)}"
    return TYPE_WORDS[schema["type"]](schema)


def _number_words(schema: Schema) -> str:
    low = f"above {schema['exclusiveMinimum']:g}" if "exclusiveMinimum" in schema else f"from {schema['minimum']}"
    return f"{schema['type']} {low} to {schema['maximum']}" if "maximum" in schema else f"{schema['type']} {low}"


def _text_words(schema: Schema) -> str:
    if "maxLength" in schema:
        return f"text of {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    return "text, not empty" if schema.get("minLength") else {"path": "path"}.get(schema.get("format", ""), "text")


TYPE_WORDS: Mapping[str, Callable[[Schema], str]] = {
    "boolean": lambda _: "true or false",
    "integer": _number_words,
    "number": _number_words,
    "object": lambda _: "table",
    "string": _text_words,
}
