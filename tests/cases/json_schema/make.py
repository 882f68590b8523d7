#!/usr/bin/env python3
"""Makes the cases that json_schema_test.cpp reads: pairs of a schema and an instance, with the verdict
of python3-jsonschema (Debian's), an implementation that shares nothing with ours.

  make.py          writes handwritten.json and generated.json beside this file
  make.py --check  says whether they still hold what the oracle says

Numbers are read as decimals, so that the oracle's multipleOf is exact. Where the oracle breaks the
standard (its unevaluated* are a heuristic) the verdict is written by hand beside the instance, with
the clause of the standard.
"""
import decimal
import json
import os
import random
import sys

import jsonschema

HERE = os.path.dirname(os.path.abspath(__file__))


def is_integer(_, value):
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or isinstance(value, decimal.Decimal) and value == value.to_integral_value()


decimal.getcontext().prec = 1000
BASE = jsonschema.Draft202012Validator
ORACLE = jsonschema.validators.extend(BASE, type_checker=BASE.TYPE_CHECKER.redefine("integer", is_integer))


def oracle(schema, instance):
    exact = lambda value: json.loads(json.dumps(value), parse_float=decimal.Decimal)
    return ORACLE(exact(schema)).is_valid(exact(instance))


# (name, schema, instances); an instance written as Spec(instance, valid, clause) overrules the oracle.
class Spec:
    def __init__(self, instance, valid, clause):
        self.instance, self.valid, self.clause = instance, valid, clause


TREE = {"$ref": "#/$defs/node",
        "$defs": {"node": {"type": "object", "required": ["v"], "additionalProperties": False,
                           "properties": {"v": {"type": "integer"},
                                          "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}}
ANY = [None, True, False, 0, 1, -1, 1.0, 1.5, 1e300, "", "a", "é", [], [1], {}, {"a": 1}]
HAND = [
    ("true", True, ANY),
    ("false", False, ANY),
    ("empty", {}, ANY),
    *((f"type {t}", {"type": t}, ANY) for t in
      ("null", "boolean", "integer", "number", "string", "array", "object")),
    ("types", {"type": ["string", "integer"]}, ANY),
    ("enum", {"enum": [1, "a", None, [1], {"a": 1, "b": [2]}]},
     ANY + [{"b": [2], "a": 1}, {"b": [2.0], "a": 1.0}, [1.0],
            Spec([True], False, "core 4.2.2: true is not 1; in Python it is")]),
    ("const number", {"const": 1}, ANY + [1.0, True]),
    ("const false", {"const": False}, [False, 0, 0.0, None, "", []]),
    ("const big", {"const": 9007199254740993}, [9007199254740993, 9007199254740992, 9007199254740994]),
    ("const object", {"const": {"a": 1, "b": 2}}, [{"b": 2, "a": 1}, {"a": 1}, {"a": 1, "b": 2, "c": 3}]),
    ("multipleOf 2", {"multipleOf": 2}, [4, 5, 0, -2, 4.0, 4.5, 1e300, "x", 18446744073709551614]),
    ("multipleOf 0.01", {"multipleOf": 0.01}, [0.01, 4.02, 4.025, 1.1, 19.99, 0.07, 1e20, 0]),
    ("multipleOf 1e-8", {"multipleOf": 1e-8}, [12391239123, 1e-8, 1e-9, 0.5]),
    ("multipleOf 0.3", {"multipleOf": 0.3}, [0.9, 0.6, 1, 3e30, 1e30]),
    ("multipleOf 1e20", {"multipleOf": 1e20}, [1e21, 1e19, 3e20, 1, 18446744073709551615]),
    ("multipleOf big", {"multipleOf": 1000000007}, [9223372036854775807, 1000000014000000049, 1000000007]),
    ("bounds", {"minimum": 1, "maximum": 3}, [0, 1, 2, 3, 4, 0.9999999, 3.0000001, "x", None]),
    ("exclusive", {"exclusiveMinimum": 1, "exclusiveMaximum": 3}, [1, 1.0000001, 2, 3, 2.9999999]),
    ("bounds beyond double", {"minimum": 9007199254740993}, [9007199254740992, 9007199254740993]),
    ("bounds unsigned", {"maximum": 18446744073709551614}, [18446744073709551614, 18446744073709551615, -1]),
    ("lengths", {"minLength": 2, "maxLength": 3},
     ["", "a", "ab", "abc", "abcd", "éé", "é", "\U0001f600\U0001f600", "\U0001f600", 5]),
    ("length as float", {"minLength": 2.0}, ["a", "ab"]),
    ("pattern", {"pattern": "^a+$"}, ["a", "aaa", "", "b", "ab", "ba", 5, None]),
    ("pattern not anchored", {"pattern": "b[0-9]{2}"}, ["ab12", "b1", "xb99y", ""]),
    ("pattern classes", {"pattern": r"^\d+\s\w+$"}, ["1 a", "12 ab_3", "x 1", "1a"]),
    ("pattern unicode", {"pattern": "^é.$"}, ["éa", "é\U0001f600", "é", "e"]),
    ("items", {"items": {"type": "integer"}}, [[], [1, 2], [1, "a"], ["a"], {"0": "a"}, "x"]),
    ("items false", {"items": False}, [[], [1]]),
    ("prefixItems", {"prefixItems": [{"type": "integer"}, {"type": "string"}]},
     [[], [1], [1, "a"], [1, 2], ["a"], [1, "a", None], {"0": "x"}]),
    ("prefixItems then items", {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}},
     [[], [1], [1, "a"], [1, 2], ["a", "a"], [1, "a", "b", 3]]),
    ("item counts", {"minItems": 1, "maxItems": 2}, [[], [1], [1, 2], [1, 2, 3], {}, "abc"]),
    ("uniqueItems", {"uniqueItems": True},
     [[], [1, 2], [1, 1], [1, 1.0], [1, True], [0, False], [{"a": 1, "b": 2}, {"b": 2, "a": 1}],
      [[1], [1.0]], [[1], [2]], ["a", "b", "a"], [None, None], [{}, []], [1, [1]], "aa"]),
    ("uniqueItems false", {"uniqueItems": False}, [[1, 1]]),
    ("contains", {"contains": {"minimum": 5}}, [[], [1], [5], [1, 6], "x", {}]),
    ("contains false", {"contains": False}, [[], [1]]),
    ("minContains", {"contains": {"const": 1}, "minContains": 2}, [[], [1], [1, 1], [1, 2, 1]]),
    ("minContains 0", {"contains": {"const": 1}, "minContains": 0}, [[], [2], [1]]),
    ("maxContains", {"contains": {"const": 1}, "maxContains": 1}, [[], [1], [1, 1], [1, 2]]),
    ("contains range", {"contains": {"const": 1}, "minContains": 1, "maxContains": 2},
     [[], [1], [1, 1], [1, 1, 1], [2]]),
    ("minContains alone", {"minContains": 2, "maxContains": 0}, [[], [1]]),
    ("properties", {"properties": {"a": {"type": "integer"}, "b": False}},
     [{}, {"a": 1}, {"a": "x"}, {"b": 1}, {"c": None}, [], "x"]),
    ("patternProperties", {"patternProperties": {"^a": {"type": "integer"}, "b$": {"minimum": 5}}},
     [{}, {"a": 1}, {"a": "x"}, {"ab": 1}, {"ab": 6}, {"xb": "y"}, {"xb": 1}]),
    ("additionalProperties false", {"properties": {"a": True}, "patternProperties": {"^x": True},
                                    "additionalProperties": False},
     [{}, {"a": 1}, {"x1": 1}, {"b": 1}, {"a": 1, "b": 2}, [1]]),
    ("additionalProperties schema", {"properties": {"a": True}, "additionalProperties": {"type": "string"}},
     [{"a": 1}, {"b": "x"}, {"b": 1}]),
    ("required", {"required": ["a", "b"]}, [{}, {"a": 1}, {"a": None, "b": None}, [], "a"]),
    ("required escaped", {"required": ["foo\nbar", "foo\"bar"]}, [{"foo\nbar": 1, "foo\"bar": 1}, {"foo": 1}]),
    ("member counts", {"minProperties": 1, "maxProperties": 2},
     [{}, {"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, [], "abc"]),
    ("propertyNames", {"propertyNames": {"maxLength": 2}}, [{}, {"ab": 1}, {"abc": 1}, [], "abc"]),
    ("dependentRequired", {"dependentRequired": {"a": ["b", "c"], "d": []}},
     [{}, {"b": 1}, {"a": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 1, "c": 1}, {"d": 1}, ["a"]]),
    ("dependentSchemas", {"dependentSchemas": {"a": {"required": ["b"]}, "x": False}},
     [{}, {"a": 1}, {"a": 1, "b": 1}, {"x": 1}, ["x"]]),
    ("allOf", {"allOf": [{"minimum": 2}, {"maximum": 4}]}, [1, 2, 3, 4, 5, "x"]),
    ("anyOf", {"anyOf": [{"type": "string"}, {"minimum": 2}]}, ["x", 1, 2, None]),
    ("oneOf", {"oneOf": [{"minimum": 2}, {"type": "integer"}]}, [1, 2, 2.5, 1.5, "x"]),
    ("not", {"not": {"type": ["string", "null"]}}, ["x", None, 1, []]),
    ("not not", {"not": {"not": {"type": "string"}}}, ["x", 1]),
    ("if then else", {"if": {"minimum": 10}, "then": {"multipleOf": 5}, "else": {"maximum": 3}},
     [10, 11, 15, 3, 4, "x"]),
    ("if then", {"if": {"required": ["a"]}, "then": {"required": ["b"]}}, [{}, {"a": 1}, {"a": 1, "b": 1}]),
    ("if else", {"if": {"required": ["a"]}, "else": {"required": ["b"]}}, [{}, {"a": 1}, {"b": 1}]),
    ("then without if", {"then": False, "else": False}, ANY),
    ("tree", TREE, [{"v": 1}, {"v": 1, "kids": [{"v": 2, "kids": []}]}, {"v": 1, "kids": [{"v": "x"}]},
                    {"v": 1, "kids": [{}]}, {"v": 1, "x": 1}, {"v": 1, "kids": [{"v": 1, "kids": [{"w": 1}]}]}]),
    ("ref to root", {"properties": {"a": {"$ref": "#"}}, "additionalProperties": False},
     [{}, {"a": {}}, {"a": {"a": {"b": 1}}}, {"b": 1}, {"a": 3}]),
    ("ref beside keywords", {"$defs": {"p": {"minimum": 0}}, "$ref": "#/$defs/p", "maximum": 5}, [-1, 0, 5, 6]),
    ("ref with escapes", {"$defs": {"a/b": {"type": "integer"}, "c~d": {"type": "string"}, "e%f": {"type": "null"}},
                          "properties": {"x": {"$ref": "#/$defs/a~1b"}, "y": {"$ref": "#/$defs/c~0d"},
                                         "z": {"$ref": "#/$defs/e%25f"}}},
     [{"x": 1}, {"x": "1"}, {"y": "s"}, {"y": 1}, {"z": None}, {"z": 1}]),
    ("ref to a property", {"properties": {"a": {"type": "integer"}, "b": {"$ref": "#/properties/a"}}},
     [{"b": 1}, {"b": "x"}]),
    ("ref into a list", {"prefixItems": [{"type": "integer"}, {"$ref": "#/prefixItems/0"}]}, [[1, 2], [1, "x"]]),
    ("ref to definitions", {"definitions": {"p": {"minimum": 0}}, "$ref": "#/definitions/p"}, [-1, 0]),
    ("member called $ref", {"properties": {"$ref": {"type": "string"}}}, [{"$ref": "a"}, {"$ref": 2}]),
    ("anchor", {"$defs": {"p": {"$anchor": "pos", "minimum": 0}}, "properties": {"a": {"$ref": "#pos"}}},
     [{"a": 0}, {"a": -1}]),
    ("id and ref", {"$id": "https://example.com/s", "$defs": {"p": {"minimum": 0}},
                    "properties": {"a": {"$ref": "https://example.com/s#/$defs/p"}}}, [{"a": 0}, {"a": -1}]),
    ("dynamicRef", {"$id": "https://example.com/t", "$dynamicAnchor": "node", "type": "object",
                    "properties": {"kids": {"type": "array", "items": {"$dynamicRef": "#node"}}},
                    "required": ["kids"]},
     [{"kids": []}, {"kids": [{"kids": []}]}, {"kids": [{}]}, {"kids": [1]}]),
    ("unevaluatedProperties false", {"properties": {"a": True}, "unevaluatedProperties": False},
     [{}, {"a": 1}, {"b": 1}, []]),
    ("unevaluatedProperties schema", {"properties": {"a": True}, "unevaluatedProperties": {"type": "string"}},
     [{"a": 1}, {"b": "x"}, {"b": 1}]),
    ("unevaluatedProperties allOf", {"allOf": [{"properties": {"a": True}}, {"patternProperties": {"^x": True}}],
                                     "unevaluatedProperties": False},
     [{"a": 1}, {"x1": 1}, {"a": 1, "x1": 2}, {"b": 1}]),
    ("unevaluatedProperties anyOf", {"anyOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]},
                                               {"properties": {"b": {"const": 2}}, "required": ["b"]}],
                                     "unevaluatedProperties": False},
     [{"a": 1}, {"b": 2}, {"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1, "c": 3}, {}]),
    ("unevaluatedProperties if", {"if": {"properties": {"k": {"const": "x"}}, "required": ["k"]},
                                  "then": {"properties": {"x": True}}, "else": {"properties": {"y": True}},
                                  "unevaluatedProperties": False},
     [{"k": "x", "x": 1}, {"k": "x", "y": 1}, {"y": 1}, {"x": 1},
      Spec({"k": "z", "y": 1}, False, "core 11.3: a failing 'if' evaluates nothing, so k is left over")]),
    ("unevaluatedProperties ref", {"$ref": "#/$defs/base", "$defs": {"base": {"properties": {"a": True}}},
                                   "properties": {"b": True}, "unevaluatedProperties": False},
     [{"a": 1, "b": 1}, {"a": 1}, {"c": 1}]),
    ("unevaluatedProperties not", {"not": {"not": {"properties": {"a": True}}}, "unevaluatedProperties": False},
     [{}, Spec({"a": 1}, False, "core 10.2.1.4: 'not' passes no annotations on")]),
    ("unevaluatedProperties dependentSchemas",
     {"properties": {"a": True}, "dependentSchemas": {"a": {"properties": {"b": True}}},
      "unevaluatedProperties": False}, [{"a": 1}, {"a": 1, "b": 1}, {"b": 1}]),
    ("unevaluatedProperties nested", {"properties": {"o": {"properties": {"a": True}}}, "unevaluatedProperties": False},
     [{"o": {"z": 1}}, {"z": {}}]),
    ("unevaluatedItems false", {"prefixItems": [{"type": "integer"}], "unevaluatedItems": False},
     [[], [1], [1, 2], ["a"]]),
    ("unevaluatedItems items", {"items": True, "unevaluatedItems": False}, [[], [1, 2]]),
    ("unevaluatedItems schema", {"prefixItems": [True], "unevaluatedItems": {"type": "string"}},
     [[1], [1, "a"], [1, 2]]),
    ("unevaluatedItems allOf", {"allOf": [{"prefixItems": [True, {"type": "integer"}]}], "unevaluatedItems": False},
     [[1], [1, 2], [1, 2, 3]]),
    ("unevaluatedItems contains", {"contains": {"const": 1}, "unevaluatedItems": {"const": 2}},
     [[1], [1, 2], Spec([2, 1, 2], True, "core 11.2: contains evaluates the items that fit"), [1, 3]]),
    ("unevaluatedItems anyOf", {"anyOf": [{"prefixItems": [{"const": 1}]},
                                          {"prefixItems": [{"const": 2}, True]}], "unevaluatedItems": False},
     [[1], [2, 3], Spec([1, 3], False, "core 11.2: the second alternative fails"), [2, 3, 4]]),
    ("format is an annotation", {"format": "ipv4"}, ["1.2.3.4", "nonsense", 5]),
    ("unknown keywords", {"x-ui": 1, "zzzz": {"type": 1}, "type": "integer"}, [1, "a"]),
    ("title and friends", {"title": "t", "description": "d", "default": 3, "examples": [1], "deprecated": True,
                           "$comment": "c", "type": "integer"}, [1, "a"]),
]


def random_instance(rng, depth=0):
    kind = rng.randrange(8 if depth < 3 else 6)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind in (1, 2):
        return rng.choice([-2, -1, 0, 1, 2, 3, 4, 5, 10, 1.0, 0.5, 2.5, 1e3, 100000000000])
    if kind < 6:
        return rng.choice(["", "a", "b", "ab", "abc", "aé", "1", "12"])
    if kind == 6:
        return [random_instance(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {key: random_instance(rng, depth + 1) for key in rng.sample(["a", "b", "c", "ab"], rng.randrange(4))}


def random_schema(rng, depth=0):
    """No unevaluated*: there the oracle is not one."""
    if depth >= 3:
        return rng.choice([True, {"type": "integer"}, {"type": "string"}, {"minimum": 1}, {"maxLength": 1}])
    inner = lambda: random_schema(rng, depth + 1)
    few = lambda: [inner() for _ in range(rng.randint(1, 3))]
    named = lambda: {key: inner() for key in rng.sample(["a", "b", "c"], rng.randint(1, 2))}
    makers = {
        "type": lambda: rng.choice(["integer", "number", "string", "array", "object", "null", "boolean",
                                    ["object", "array"], ["string", "integer", "object", "array"]]),
        "enum": lambda: [random_instance(rng, 2) for _ in range(4)],
        "const": lambda: random_instance(rng, 2),
        "multipleOf": lambda: rng.choice([1, 2, 0.5, 0.1, 3]),
        "minimum": lambda: rng.randint(-2, 3), "maximum": lambda: rng.randint(0, 5),
        "exclusiveMinimum": lambda: rng.choice([0, 0.5, 1]), "exclusiveMaximum": lambda: rng.choice([2, 2.5, 5]),
        "minLength": lambda: rng.randint(0, 2), "maxLength": lambda: rng.randint(0, 3),
        "pattern": lambda: rng.choice(["^a", "b$", "^[ab]*$", "[0-9]", "."]),
        "items": inner, "prefixItems": few, "contains": inner,
        "minItems": lambda: rng.randint(0, 2), "maxItems": lambda: rng.randint(0, 3),
        "minContains": lambda: rng.randint(0, 2), "maxContains": lambda: rng.randint(0, 2),
        "uniqueItems": lambda: rng.choice([True, False]),
        "properties": named, "patternProperties": lambda: {rng.choice(["^a", "b", "c$"]): inner()},
        "additionalProperties": inner, "propertyNames": lambda: rng.choice([{"maxLength": 1}, {"pattern": "^a"}]),
        "required": lambda: rng.sample(["a", "b", "c"], rng.randint(0, 2)),
        "minProperties": lambda: rng.randint(0, 2), "maxProperties": lambda: rng.randint(0, 3),
        "dependentRequired": lambda: {"a": ["b"]}, "dependentSchemas": named,
        "allOf": few, "anyOf": few, "oneOf": few, "not": inner, "if": inner, "then": inner, "else": inner,
        "$ref": lambda: rng.choice(["#/$defs/one", "#two"]),
    }
    schema = {name: makers[name]() for name in rng.sample(sorted(makers), rng.randint(1, 4))}
    if depth == 0:
        schema["$defs"] = {"one": {"type": ["integer", "string", "object"]},
                           "two": {"$anchor": "two", "not": {"const": 1}}}
    return schema


def generated():
    rng = random.Random(20201212)
    groups = []
    while len(groups) < 400:
        schema = random_schema(rng)
        tests = [{"instance": i, "valid": oracle(schema, i)} for i in (random_instance(rng) for _ in range(12))]
        if len({test["valid"] for test in tests}) == 2:  # a schema that decides something
            groups.append({"name": f"random {len(groups)}", "schema": schema, "tests": tests})
    return groups


def handwritten():
    groups = []
    for name, schema, instances in HAND:
        tests = []
        for instance in instances:
            if isinstance(instance, Spec):
                tests.append({"instance": instance.instance, "valid": instance.valid, "clause": instance.clause})
            else:
                tests.append({"instance": instance, "valid": oracle(schema, instance)})
        groups.append({"name": name, "schema": schema, "tests": tests})
    return groups


def main():
    stale = []
    for file, groups in (("handwritten.json", handwritten()), ("generated.json", generated())):
        text = "[\n" + ",\n".join(json.dumps(group) for group in groups) + "\n]\n"
        path = os.path.join(HERE, file)
        if "--check" not in sys.argv:
            with open(path, "w", encoding="ascii") as out:
                out.write(text)
        elif open(path, encoding="ascii").read() != text:
            stale.append(file)
    if stale:
        sys.exit(f"not what the oracle says: {', '.join(stale)}; run make.py and look at the difference")


main()
