#!/usr/bin/env python3
"""Chat templates against Jinja2 itself, set up as Hugging Face's apply_chat_template does it.

usage: templates_test.py DRIVER DATA     DRIVER: lathe_template_driver, DATA: tests/data/templates

Renders every DATA/*.jinja over every conversation of DATA/conversations.json, and every snippet of
DATA/snippets.json; the two texts must be the same, and where one refuses the other must.
"""
import copy
import datetime
import json
import pathlib
import subprocess
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = 1767225600 + 12345678  # some day of 2026


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def environment():
    env = jinja2.sandbox.SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.filters["from_json"] = json.loads
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: datetime.datetime.fromtimestamp(
        NOW, datetime.timezone.utc).strftime(form)
    return env


class Driver:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def render(self, template, variables):
        request = {"template": template, "variables": variables, "now": NOW}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the driver died of\n{template}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def compare(env, driver, name, template, variables):
    """Whether both agree; says where not."""
    try:
        wanted = {"text": env.from_string(template).render(**copy.deepcopy(variables))}
    except Exception as error:  # whatever Jinja2 refuses
        wanted = {"error": f"{type(error).__name__}: {error}"}
    got = driver.render(template, variables)
    if ("error" in wanted) == ("error" in got) and wanted.get("text") == got.get("text"):
        return True, got
    print(f"{name}:\n  jinja2 {json.dumps(wanted, ensure_ascii=False)}\n  lathe  {json.dumps(got, ensure_ascii=False)}")
    return False, got



def main():
    driver = Driver(sys.argv[1])
    data = pathlib.Path(sys.argv[2])
    env = environment()
    good, bad, refused = 0, 0, 0

    snippets = json.loads((data / "snippets.json").read_text())
    for template in snippets["templates"]:
        same, _ = compare(env, driver, f"snippet {template!r}", template, snippets["variables"])
        good, bad = good + same, bad + (not same)

    conversations = json.loads((data / "conversations.json").read_text())
    files = sorted(data.glob("*.jinja"))
    for file in files:
        rendered = 0
        for name, variables in conversations.items():
            same, got = compare(env, driver, f"{file.name}, {name}", file.read_text(), variables)
            good, bad = good + same, bad + (not same)
            refused += "error" in got
            if "error" in got:
                continue
            rendered += 1
            # What a user wrote never comes back as the template's own words.
            for message in variables["messages"]:
                content = message.get("content")
                if message["role"] == "user" and isinstance(content, str) and "<|" in content:
                    if content.strip() not in got["user"]:
                        print(f"{file.name}, {name}: {content!r} is not marked in {got['user']!r}")
                        bad += 1
            # And the template's own markers never come back as the caller's.
            if "<|" in got["user"] and "<|" not in json.dumps(variables["messages"]):
                print(f"{file.name}, {name}: the template's marker is marked as the user's")
                bad += 1
        if rendered < 6:
            print(f"{file.name}: only {rendered} conversations were rendered")
            bad += 1
    if driver.close() != 0:
        print("the driver failed")
        bad += 1
    print(f"{good} alike ({refused} refused by both), {bad} not, {len(files)} templates, "
          f"{len(snippets['templates'])} snippets")
    return 1 if bad or not files or not good else 0


sys.exit(main())
