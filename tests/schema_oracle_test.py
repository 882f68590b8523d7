"""Constrained decoding against python3-jsonschema: every text that the grammar of a schema writes at random must fit
the schema, and fitting texts that were written by hand in the grammar's order of members must be allowed.

usage: schema_oracle_test.py <lathe_constraint_driver> <model.gguf>
"""
import datetime
import json
import re
import subprocess
import sys

import jsonschema

WALKS = 60
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date", raises=ValueError)
def is_date(text):
    # The days of a month are not counted by a grammar: 30 and 31 are possible in every one.
    return bool(re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", text))


@FORMATS.checks("time", raises=ValueError)
def is_time(text):
    datetime.datetime.strptime(text[:8], "%H:%M:%S")
    return bool(re.fullmatch(r".{8}(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", text))


@FORMATS.checks("date-time", raises=ValueError)
def is_date_time(text):
    return text[10] == "T" and is_date(text[:10]) and is_time(text[11:])


@FORMATS.checks("uuid", raises=ValueError)
def is_uuid(text):
    return bool(re.fullmatch(r"[\da-fA-F]{8}(-[\da-fA-F]{4}){3}-[\da-fA-F]{12}", text))


INTEGER, STRING = {"type": "integer"}, {"type": "string"}
TREE = {"$defs": {"node": {"type": "object", "properties": {
    "value": INTEGER, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    "required": ["value"], "additionalProperties": False}}, "$ref": "#/$defs/node"}
EXPRESSION = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 99},
                        {"type": "object", "properties": {"op": {"enum": ["+", "-"]}, "left": {"$ref": "#"},
                                                          "right": {"$ref": "#"}},
                         "required": ["op", "left", "right"], "additionalProperties": False}]}
TOOL = {"type": "object", "properties": {
    "name": {"const": "read_file"},
    "arguments": {"type": "object", "properties": {"path": {"type": "string", "minLength": 1},
                                                   "lines": {"type": "array", "prefixItems": [INTEGER, INTEGER],
                                                             "items": False, "minItems": 2}},
                  "required": ["path"], "additionalProperties": False}},
        "required": ["name", "arguments"], "additionalProperties": False}
TAGGED = {"oneOf": [{"type": "object", "properties": {"kind": {"const": kind}, "size": size},
                     "required": ["kind", "size"], "additionalProperties": False}
                    for kind, size in (("circle", INTEGER), ("box", {"type": "array", "items": INTEGER, "minItems": 2,
                                                                     "maxItems": 2}))]}

# (schema, texts that it must allow)
CASES = [
    (True, ['{"a": [1, null]}', "-0.5e+3", '"\\u00e4"']),
    ({}, ["[]", "null"]),
    ({"type": "object"}, ["{}", '{"x": {"y": [true, false]}}']),
    ({"type": "array"}, ["[]", '[1, "a", [2], {}]']),
    (INTEGER, ["0", "-17", "9007199254740993"]),
    ({"type": "number"}, ["0", "-1.25", "3e8", "6.02E-23"]),
    (STRING, ['""', '"line\\nbreak \\"quoted\\" \\\\ \\u20ac ä€😀"']),
    ({"type": "boolean"}, ["true", "false"]),
    ({"type": "null"}, ["null"]),
    ({"type": ["string", "null", "integer"], "minLength": 2, "maximum": 5}, ['"ab"', "null", "5", "-77"]),
    ({"type": "integer", "minimum": -13, "maximum": 1234}, ["-13", "0", "999", "1234"]),
    ({"type": "integer", "exclusiveMinimum": 7, "exclusiveMaximum": 10}, ["8", "9"]),
    ({"type": "integer", "minimum": 1.5}, ["2", "100000"]),
    ({"type": "integer", "maximum": -1}, ["-1", "-100"]),
    ({"type": "string", "minLength": 2, "maxLength": 4}, ['"ab"', '"äöü😀"', '"\\n\\t"']),
    ({"type": "string", "pattern": "^[a-z]{2,5}(-[0-9]+)?$"}, ['"ab"', '"lathe-12"']),
    ({"type": "string", "pattern": "^b.d"}, ['"bad"', '"bödyy"']),
    ({"type": "string", "pattern": "x?[0-9]$"}, ['"7"', '"any x7"']),
    ({"type": "string", "pattern": "^(?:GET|POST) /[^ ?]*$"}, ['"GET /"', '"POST /a/b"']),
    # Without \s and \S: ECMA's white space and Python's are not the same.
    ({"type": "string", "pattern": "^\\w+ \\d{3}$"}, ['"a_b 123"']),
    ({"type": "string", "pattern": "^(?:\\\\\"\\w+|end)$"}, ['"\\\\\\"x"', '"end"']),
    ({"type": "string", "format": "date"}, ['"2026-02-28"']),
    ({"type": "string", "format": "time"}, ['"23:59:59Z"', '"00:00:00.25+05:30"']),
    ({"type": "string", "format": "date-time"}, ['"2026-11-20T15:30:00Z"']),
    ({"type": "string", "format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"']),
    ({"enum": ["red", 3, None, {"a": [1]}, "ä\n"]}, ['"red"', "3", "null", '"ä\\n"']),
    ({"type": "string", "enum": ["red", 3, "blue"]}, ['"red"', '"blue"']),
    ({"const": {"x": [1, 2]}}, ['{"x":[1,2]}']),
    ({"type": "object", "properties": {"b": INTEGER, "a": STRING, "c": {"type": "boolean"}}, "required": ["a"],
      "additionalProperties": False}, ['{"a": ""}', '{"b": 1, "a": "x", "c": true}', '{"b": 1, "a": "x"}',
                                       '{\n  "b": 1,\n  "a": "x"\n}']),
    ({"type": "object", "properties": {"a": INTEGER, "ab": STRING}},
     ["{}", '{"a": 1, "more": null}', '{"ab": "x", "b": [1]}']),
    ({"type": "object", "properties": {"id": STRING}, "required": ["id"], "additionalProperties": INTEGER},
     ['{"id": "x", "n": 3}', '{"id": "x"}']),
    ({"type": "object", "properties": {"": INTEGER, 'quote"\\': INTEGER, "tab\t": STRING}, "required": ["", "tab\t"],
      "additionalProperties": False}, ['{"": 1, "quote\\"\\\\": 2, "tab\\t": "x"}']),
    ({"type": "array", "items": INTEGER}, ["[]", "[1]", "[1, 2, 3]"]),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
     ["[true, false]", "[true,true,true]"]),
    ({"type": "array", "maxItems": 0}, ["[]"]),
    ({"type": "array", "prefixItems": [INTEGER, STRING], "items": {"type": "null"}}, ["[]", "[1]", '[1, "a", null]']),
    ({"type": "array", "prefixItems": [INTEGER, STRING], "items": False, "minItems": 1}, ["[1]", '[1, "a"]']),
    ({"type": "array", "prefixItems": [INTEGER], "minItems": 3, "maxItems": 4}, ['[1, "x", {}]', "[1, 2, 3, 4]"]),
    ({"anyOf": [{"type": "integer", "minimum": 5}, STRING, {"type": "array", "items": {"type": "null"}}]},
     ["7", '"x"', "[null]"]),
    ({"oneOf": [INTEGER, {"type": "null"}]}, ["3", "null"]),
    (TAGGED, ['{"kind": "circle", "size": 3}', '{"kind": "box", "size": [1, 2]}']),
    ({"allOf": [{"type": "object", "properties": {"a": INTEGER}, "required": ["a"]},
                {"properties": {"b": STRING}, "required": ["b"]}]},
     ['{"a": 1, "b": "x"}', '{"a": 1, "b": "x", "c": 2}']),
    ({"$defs": {"base": {"type": "object", "properties": {"id": INTEGER}, "required": ["id"]}},
      "allOf": [{"$ref": "#/$defs/base"}], "properties": {"x": INTEGER}}, ['{"x": 1, "id": 2}']),
    (TREE, ['{"value": 1}', '{"value": 1, "children": [{"value": 2, "children": []}, {"value": 3}]}']),
    (EXPRESSION, ["7", '{"op": "+", "left": 1, "right": {"op": "-", "left": 2, "right": 3}}']),
    (TOOL, ['{"name": "read_file", "arguments": {"path": "a.c"}}',
            '{"name": "read_file", "arguments": {"path": "a.c", "lines": [1, 20]}}']),
    ({"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "array", "items": {
        "type": "object", "properties": {"c": {"enum": ["x"]}}, "required": ["c"], "additionalProperties": False}}},
        "required": ["b"], "additionalProperties": False}}, "required": ["a"], "additionalProperties": False},
     ['{"a": {"b": [{"c": "x"}, {"c": "x"}]}}']),
    ({"title": "T", "description": "d", "default": 3, "examples": [1], "type": "integer", "minimum": 0}, ["1"]),
]

# What cannot be kept as it is meant is refused, with these words.
REFUSED = [
    ({"type": "string", "enum": [1, 2]}, "'enum'"),
    ({"type": "integer", "const": "x"}, "'const'"),
    ({"oneOf": [INTEGER, {"type": "number"}]}, "'oneOf'"),
    ({"oneOf": [{"type": "object", "properties": {"a": INTEGER}}, {"type": "object"}]}, "'oneOf'"),
    ({"allOf": [{"properties": {"a": INTEGER}, "additionalProperties": False}, {"properties": {"b": INTEGER}}]},
     "'additionalProperties'"),
    ({"allOf": [{"type": "array", "prefixItems": [INTEGER]}, {"items": {"type": "null"}}]}, "'items'"),
    ({"type": "object", "required": "a"}, "'required'"),
]


def main():
    driver, model = sys.argv[1:]
    tasks = [{"schema": schema, "seed": seed, "count": WALKS, "texts": texts}
             for seed, (schema, texts) in enumerate(CASES)]
    tasks += [{"schema": schema, "seed": 0, "count": 0, "texts": []} for schema, _ in REFUSED]
    done = subprocess.run([driver, model], input="\n".join(json.dumps(task) for task in tasks).encode() + b"\n",
                          capture_output=True, timeout=800)
    sys.stderr.write(done.stderr.decode(errors="replace"))
    assert done.returncode == 0, done.returncode
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(tasks)
    findings, texts = [], 0
    for (schema, given), answer in zip(CASES, answers):
        if "error" in answer:
            findings.append(f"{json.dumps(schema)}: refused: {answer['error']}")
            continue
        validator = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
        written = answer["written"]
        if len(written) < WALKS * 3 // 4:
            findings.append(f"{json.dumps(schema)}: only {len(written)} of {WALKS} walks came to an end")
        for text in written:
            texts += 1
            try:
                problem = next(validator.iter_errors(json.loads(text)), None)
            except ValueError as error:
                problem = error
            if problem is not None:
                findings.append(f"{json.dumps(schema)} wrote {text!r}: {problem}")
                break
        for text, accepted in zip(given, answer["accepted"]):
            assert validator.is_valid(json.loads(text)), f"{schema}: {text} does not fit"
            if not accepted:
                findings.append(f"{json.dumps(schema)} does not allow {text!r}")
    for (schema, words), answer in zip(REFUSED, answers[len(CASES):]):
        if words not in answer.get("error", ""):
            findings.append(f"{json.dumps(schema)}: to be refused for {words}, got {answer}")
    for finding in findings:
        print(finding)
    print(f"{len(CASES)} schemas, {texts} texts, {len(findings)} findings")
    return 1 if findings else 0


sys.exit(main())
