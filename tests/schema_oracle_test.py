"""Constrained decoding against python3-jsonschema: every text that the grammar of a schema writes at random must fit
the schema, and fitting texts that were written by hand in the grammar's order of members must be allowed.

usage: schema_oracle_test.py <lathe_constraint_driver> <model.gguf>
"""
import datetime
import ipaddress
import json
import re
import subprocess
import sys
import urllib.parse

import jsonschema

WALKS = 60
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date", raises=ValueError)
def is_date(text):
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text)) and bool(datetime.date.fromisoformat(text))


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


@FORMATS.checks("ipv4", raises=ValueError)
def is_ipv4(text):
    return bool(ipaddress.IPv4Address(text))


@FORMATS.checks("ipv6", raises=ValueError)
def is_ipv6(text):
    return ipaddress.IPv6Address(text) is not None


@FORMATS.checks("hostname")
def is_hostname(text):
    return len(text) <= 253 and all(re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)", part) for part in text.split("."))


@FORMATS.checks("email")
def is_email(text):
    name, _, host = text.partition("@")
    atom = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
    return len(name) <= 64 and bool(re.fullmatch(atom + r"(\." + atom + ")*", name)) and is_hostname(host)


@FORMATS.checks("uri", raises=ValueError)
def is_uri(text):
    parts = urllib.parse.urlsplit(text)
    port = parts.port  # raises where it is no number
    good = re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*", text)
    return bool(good) and (port is None or port <= 65535)


@FORMATS.checks("duration")
def is_duration(text):
    return bool(re.fullmatch(r"P(?=.)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)", text))


ZOD_EMAIL = (r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$")
ZOD_DURATION = (r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$")
ZOD_DATE = (r"^(?:(?:\d\d[2468][048]|\d\d[13579][26]|\d\d0[48]|[02468][048]00|[13579][26]00)-02-29|\d{4}-(?:(?:0[13578]"
            r"|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|(?:02)-(?:0[1-9]|1\d|2[0-8])))$")
ZOD_DATE_TIME = ZOD_DATE[:-1] + r"T(?:(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:Z))$"
ZOD_UUID = (r"^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
            r"|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$")
ZOD_IPV4 = (r"^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\.){3}"
            r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])$")
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
    # Bounds of numbers.
    ({"type": "number", "minimum": 0, "maximum": 1}, ["0", "1", "0.25", "0.999"]),
    ({"type": "number", "exclusiveMinimum": 0}, ["0.001", "7", "123456.5"]),
    ({"type": "number", "minimum": -2.5, "exclusiveMaximum": 0.125}, ["-2.5", "-1", "0", "0.1249"]),
    ({"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.2}, ["0.15", "0.1000001"]),
    ({"type": "number", "maximum": -1e3}, ["-1000", "-1000.5"]),
    ({"type": "number", "minimum": 1e-5, "maximum": 1e21}, ["0.00001", "12345678901234"]),
    ({"type": "number", "multipleOf": 0.25, "minimum": 0, "maximum": 100}, ["0.25", "7", "99.75", "1.5"]),
    ({"type": "number", "multipleOf": 5}, ["0", "-15", "1005"]),
    ({"type": "integer", "multipleOf": 7, "minimum": 1}, ["7", "700"]),
    ({"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807}, ["0", "-123"]),
    ({"minimum": 3}, ["3", "3.5"]),
    # Texts.
    ({"type": "string", "pattern": "^[a-z]+$", "maxLength": 20}, ['"ab"']),
    ({"type": "string", "pattern": "^[a-z]+$", "minLength": 3, "maxLength": 4}, ['"abc"', '"abcd"']),
    ({"type": "string", "maxLength": 5000}, ['"abc"']),
    ({"type": "string", "pattern": "^x?(?=a)[ab]c"}, ['"xacx"']),
    ({"type": "string", "pattern": "^(?!con$|nul$)[a-z]{3}$"}, ['"cot"', '"nux"']),
    ({"type": "string", "pattern": "^a|b$"}, ['"ax"', '"xb"']),
    ({"type": "string", "pattern": "^\\x41\\u0042[^\\d\\n]$"}, ['"ABx"']),
    ({"type": "string", "format": "email"}, ['"ada.l@example.org"']),
    ({"type": "string", "format": "uri"}, ['"https://example.org:80/a?b=c#d"', '"urn:a:b"']),
    ({"type": "string", "format": "uri", "minLength": 1, "maxLength": 65}, ['"http://a.b/c"']),
    ({"type": "string", "format": "ipv4"}, ['"127.0.0.1"', '"255.0.30.200"']),
    ({"type": "string", "format": "ipv6"}, ['"::1"', '"2001:db8::ff00:42:8329"', '"1:2:3:4:5:6:7:8"']),
    ({"type": "string", "format": "hostname"}, ['"a-b.example.org"']),
    ({"type": "string", "format": "duration"}, ['"P1Y2M3DT4H5M6S"', '"P3W"', '"PT5M"']),
    ({"type": "string", "format": "date"}, ['"2024-02-29"', '"2026-11-30"']),
    # What zod writes.
    ({"type": "string", "format": "email", "pattern": ZOD_EMAIL}, ['"ada.l@example.org"']),
    ({"type": "string", "format": "date", "pattern": ZOD_DATE}, ['"2024-02-29"']),
    ({"type": "string", "format": "date-time", "pattern": ZOD_DATE_TIME}, ['"2024-02-29T12:00:00Z"']),
    ({"type": "string", "format": "uuid", "pattern": ZOD_UUID}, ['"123e4567-e89b-12d3-a456-426614174000"']),
    ({"type": "string", "format": "ipv4", "pattern": ZOD_IPV4}, ['"10.0.0.1"']),
    ({"type": "string", "format": "duration", "pattern": ZOD_DURATION}, ['"P1Y"', '"PT5M"']),
    ({"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "number"}},
     ['{"a": 1.5}']),
    ({"type": "array", "prefixItems": [STRING, {"type": "number"}]}, ['["a", 1]']),
    # Members and items.
    ({"type": "object", "patternProperties": {"^S_": STRING, "^I_": INTEGER}, "additionalProperties": False},
     ['{"S_a": "x", "I_b": 1}', "{}"]),
    ({"type": "object", "properties": {"S_x": {"minLength": 2}}, "patternProperties": {"^S_": STRING}},
     ['{"S_x": "ab", "S_y": "", "z": 1}']),
    ({"type": "object", "propertyNames": {"pattern": "^[a-z]{1,3}$", "maxLength": 2}}, ['{"ab": 1}']),
    ({"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": INTEGER}, ['{"a": 1}']),
    ({"type": "object", "minProperties": 1, "properties": {"a": INTEGER, "b": INTEGER},
      "additionalProperties": False}, ['{"a": 1}', '{"b": 1}', '{"a": 1, "b": 2}']),
    ({"type": "object", "minProperties": 1, "maxProperties": 2}, ['{"a": 1}', '{"a": 1, "b": 2}']),
    ({"type": "object", "required": ["x"]}, ['{"x": null}']),
    ({"type": "object", "required": ["x"], "additionalProperties": INTEGER}, ['{"x": 3, "y": 4}']),
    ({"type": "array", "items": {"enum": ["a", "b", 3]}, "uniqueItems": True, "minItems": 1},
     ['["a"]', '["b", 3, "a"]']),
    ({"type": "array", "items": INTEGER, "maxItems": 3000}, ["[1, 2]"]),
    ({"type": "integer", "enum": [1, 5, 9], "minimum": 2}, ["5", "9"]),
    ({"enum": [f"value {i}" for i in range(8000)]}, ['"value 0"', '"value 7999"']),
    # Several at once.
    ({"type": "object", "properties": {"a": INTEGER, "b": INTEGER}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
      "additionalProperties": False}, ['{"a": 1}', '{"b": 1}']),
    ({"allOf": [{"type": "integer", "minimum": 3}, {"type": "number", "maximum": 5}]}, ["3", "5"]),
    ({"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "b$"}]}, ['"ab"', '"axb"']),
    ({"$defs": {"a": {"type": "object", "properties": {"x": INTEGER}}}, "$ref": "#/$defs/a", "required": ["x"]},
     ['{"x": 1}']),
    ({"allOf": [{"properties": {"a": {"minimum": 2}}}, {"properties": {"a": INTEGER}}], "required": ["a"],
      "unevaluatedProperties": False}, ['{"a": 2}']),
    # Annotations.
    ({"type": "object", "x-tag": 1, "id": "urn:x", "properties": {"n": {
        "type": "string", "example": "x", "nullable": True, "markdownDescription": "m"},
        "i": {"type": "integer", "format": "int32"}}, "required": ["n"], "additionalProperties": False},
     ['{"n": "x"}', '{"n": "x", "i": 3}']),
    ({**TAGGED, "discriminator": {"propertyName": "kind"}}, ['{"kind": "circle", "size": 3}']),
    ({"title": "T", "description": "d", "default": 3, "examples": [1], "type": "integer", "minimum": 0}, ["1"]),
]

# What can only be checked afterwards is named, and refused under strict. What nothing fits, or is no schema, is refused
# always.
UNKEPT = [
    ({"oneOf": [INTEGER, {"type": "number"}]}, "'oneOf'"),
    ({"oneOf": [{"type": "object", "properties": {"a": INTEGER}}, {"type": "object"}]}, "'oneOf'"),
    ({"allOf": [{"properties": {"a": INTEGER}, "additionalProperties": False}, {"properties": {"b": INTEGER}}]},
     "'additionalProperties'"),
    ({"allOf": [{"type": "array", "prefixItems": [INTEGER]}, {"items": {"type": "null"}}]}, "'items'"),
    ({"not": STRING}, "'not'"),
    ({"if": {}, "then": {}}, "'if'"),
    ({"type": "array", "contains": INTEGER}, "'contains'"),
    ({"type": "array", "uniqueItems": True}, "'uniqueItems'"),
    ({"type": "string", "pattern": "(a)\\1"}, "'pattern'"),
    ({"type": "string", "format": "regex"}, "'format'"),
    ({"type": "string", "maxLength": 1000000}, "'maxLength'"),
    ({"type": "object", "minProperties": 3}, "'minProperties'"),
    ({"type": "object", "dependentRequired": {"a": ["b"]}}, "'dependentRequired'"),
    ({"type": "number", "multipleOf": 123457}, "'multipleOf'"),
]
REFUSED = [
    ({"type": "string", "enum": [1, 2]}, "'enum'"),
    ({"type": "integer", "const": "x"}, "'const'"),
    ({"type": "object", "required": "a"}, "'required'"),
    ({"type": "object", "required": ["a"], "additionalProperties": False}, "'required'"),
    ({"type": "number", "minimum": 2, "maximum": 1}, "between the bounds"),
]


def main():
    driver, model = sys.argv[1:]
    tasks = [{"schema": schema, "seed": seed, "count": WALKS, "texts": texts}
             for seed, (schema, texts) in enumerate(CASES)]
    others = [(schema, words, key, strict) for schema, words in UNKEPT
              for key, strict in (("unkept", False), ("error", True))]
    others += [(schema, words, "error", strict) for schema, words in REFUSED for strict in (False, True)]
    tasks += [{"schema": schema, "strict": strict, "seed": 0, "count": 0, "texts": []}
              for schema, _, _, strict in others]
    done = subprocess.run([driver, model], input="\n".join(json.dumps(task) for task in tasks).encode() + b"\n",
                          capture_output=True, timeout=800)
    sys.stderr.write(done.stderr.decode(errors="replace"))
    assert done.returncode == 0, done.returncode
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(tasks)
    findings, texts = [], 0
    for (schema, given), answer in zip(CASES, answers):
        if "error" in answer or answer["unkept"]:
            findings.append(f"{json.dumps(schema)}: not kept: {answer}")
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
    for (schema, words, key, strict), answer in zip(others, answers[len(CASES):]):
        if words not in str(answer.get(key, "")):
            findings.append(f"{json.dumps(schema)} with strict {strict}: {key} is to name {words}, got {answer}")
    for finding in findings:
        print(finding)
    print(f"{len(CASES)} schemas, {texts} texts, {len(findings)} findings")
    return 1 if findings else 0


sys.exit(main())
