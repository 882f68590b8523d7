"""Pictures and pages in the loop, as a user meets them."""
import base64
import ctypes
import email
import http.server
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import threading
import time
import unittest
import zlib

from cli_test import EXAMPLES, LATHE, Case

PAGES = pathlib.Path(__file__).parent.parent / "pages"
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, rows=None, bits=8, colour=2):
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = b"" if rows is None else zlib.compress(rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def poster(title="Summer Festival", subtitle="Music by the lake", ink="#ffffff", x=640, extra=""):
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="1280" height="720"><rect width="1280" height="720" fill="#102a43"/>
<circle cx="{x}" cy="430" r="130" fill="#ee6633"/>
<text x="640" y="150" font-size="90" font-weight="bold" text-anchor="middle" fill="{ink}" font-family="sans-serif">{title}</text>
<text x="640" y="660" font-size="40" text-anchor="middle" fill="#dddddd" font-family="serif">{subtitle}</text>{extra}</svg>"""


class Eyes(Case):
    def judge(self, file, *settings, kind="eyes", code=0, **kwargs):
        args = [part for setting in settings for part in ("--set", setting)]
        out, _ = self.lathe("--json", "judge", "run", kind, file, *args, code=code, **kwargs)
        return json.loads(out)

    def kinds(self, judged):
        return {finding["kind"] for finding in judged["evidence"].get("findings", [])}


class JudgeByHand(Eyes):
    WORDS = "expect=Summer Festival|Music by the lake"

    def test_exit_codes_and_boxes(self):
        good = self.write("good.svg", poster())
        self.assertEqual(self.judge(good, self.WORDS, "subject=center")["outcome"], "pass")
        bad = self.write("bad.svg", poster(title="Summer Festvial", x=200))
        judged = self.judge(bad, self.WORDS, "subject=center", code=1)
        self.assertEqual(self.kinds(judged), {"wrong", "off_center"})
        wrong = next(f for f in judged["evidence"]["findings"] if f["kind"] == "wrong")
        x, y, w, h = wrong["box"]
        self.assertTrue(600 < x < 760 and 60 < y < 100 and 300 < w < 480 and 50 < h < 110, wrong)
        self.assertIn("'Festival'", wrong["claim"])
        self.assertRegex(judged["critiques"][0]["locus"], r"^box \d+,\d+ \d+x\d+$")

    def test_the_source_is_a_second_witness(self):
        long = self.write("long.svg", poster(title="The Very Long Summer Festival Of Music"))
        judged = self.judge(long, "expect=The Very Long Summer Festival Of Music|Music by the lake", code=1)
        clipped = [f for f in judged["evidence"]["findings"] if f["kind"] == "clipped"]
        self.assertEqual(len(clipped), 1, judged)
        self.assertRegex(clipped[0]["claim"], r"by its source it ends \d+ px beyond")

    def test_unsure_is_no_pass(self):
        file = self.write("cyrillic.svg", poster())
        self.assertEqual(self.judge(file, "expect=Лето", "any_text=true", code=1)["outcome"], "fail")
        noise = random.Random(1)
        rows = b"".join(b"\0" + noise.randbytes(400 * 3) for _ in range(300))
        judged = self.judge(self.write("noise.png", png(400, 300, rows)), "subject=center", code=3)
        self.assertEqual(judged["outcome"], "abstain")
        self.assertIn("too busy", judged["evidence"]["unsure"][0])

    @unittest.skipUnless(list(pathlib.Path("/usr/share/tesseract-ocr").glob("*/tessdata/deu.traineddata")), "no German model")
    def test_languages(self):
        file = self.write("german.svg", poster(title="Straße nach Köln", subtitle="größer als 50 %"))
        self.assertEqual(self.judge(file, "expect=Straße nach Köln|größer als 50 %", "lang=deu+eng")["outcome"], "pass")
        wrong = self.judge(file, "expect=Straße nach Bonn|größer als 50 %", "lang=deu+eng", code=1)
        self.assertIn("'Bonn'", wrong["evidence"]["findings"][0]["claim"])

    def test_a_language_that_is_not_there_is_refused_at_once(self):
        file = self.write("good.svg", poster())
        self.assertIn("tesseract-ocr-tlh-latn", self.lathe("judge", "run", "eyes", file, "--set", "lang=eng+tlh_latn",
                                                           code=3)[1])
        self.lathe("judge", "run", "eyes", file, "--set", "lang=../eng", code=2)

    def test_wrong_settings(self):
        good = self.write("good.svg", poster())
        for setting in ("subject=middle", "size=big", "aspect=wide", "contrast=40", "colour=red"):
            self.lathe("judge", "run", "eyes", good, "--set", setting, code=2)

    def test_same_as(self):
        reference = self.write("reference.svg", poster())
        same = self.judge(reference, f"reference={reference}", kind="same_as")
        self.assertEqual(same["evidence"]["similarity"], 1)
        other = self.write("other.svg", poster(x=250))
        judged = self.judge(other, f"reference={reference}", "part_max=0.3", kind="same_as", code=1)
        self.assertIn("differs at the middle", judged["critiques"][0]["claim"])
        self.assertEqual(judged, self.judge(other, f"reference={reference}", "part_max=0.3", kind="same_as", code=1))
        self.judge(other, "reference=missing.png", kind="same_as", code=3)

    def test_a_page_without_chromium_is_refused(self):
        tools = self.dir / "bin"
        tools.mkdir()
        page = self.write("page.html", "<!doctype html><p>Hello</p>")
        done = self.lathe("judge", "run", "page", page, code=3, prefix=("env", f"PATH={tools}"))
        self.assertIn("apt-get install chromium-headless-shell", done[1])


class Thumbnails(Eyes):
    def test_awkward_inputs_pass_or_are_given_up_with_the_reason(self):
        events = self.events("loop", "thumbnail", "--input", EXAMPLES / "thumbnail/awkward.jsonl", "--set",
                             "unit.split=jsonl", "--out", self.dir / "out", code=None)
        made = sum(e["kind"] == "made" for e in events)
        verdicts = [e["body"]["judgement"] for e in events if e["kind"] == "verdict"]
        self.assertGreaterEqual(made, 30)
        self.assertTrue(all(v["outcome"] in ("pass", "fail") for v in verdicts))
        passed = len(list((self.dir / "out").glob("*.png")))
        gave_up = len(list((self.dir / "out/gave_up").glob("*.png")))
        self.assertEqual(passed + gave_up, 30)
        self.assertGreaterEqual(passed, 27)
        for verdict in verdicts:
            if verdict["outcome"] == "fail":
                self.assertTrue(all(c["claim"] for c in verdict["critiques"]))
        self.lathe("replay", "last")
        self.lathe("report", "last", "--out", self.dir / "report.html")
        html = (self.dir / "report.html").read_text()
        self.assertGreaterEqual(html.count("data:image/png;base64,"), made)
        self.assertIn("stroke='#e5252a'", html)
        self.assertNotIn("<script", html)


def pixels(file):
    """A PNG of 8-bit RGBA, row by row, as PNG's specification has it."""
    width, height, bits, colour = struct.unpack(">IIBB", file[16:26])
    assert (bits, colour, file[28]) == (8, 6, 0), file[:32]
    data, at = b"", 8
    while at < len(file):
        size, kind = struct.unpack(">I4s", file[at:at + 8])
        data += file[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    data, rows, above = zlib.decompress(data), [], bytes(4 * width)
    for y in range(height):
        how, line = data[y * (4 * width + 1)], bytearray(data[y * (4 * width + 1) + 1:(y + 1) * (4 * width + 1)])
        for i in range(len(line)):
            left, up, corner = (line[i - 4], above[i], above[i - 4]) if i >= 4 else (0, above[i], 0)
            guess = left + up - corner
            nearest = min((left, up, corner), key=lambda each: abs(guess - each))
            line[i] = (line[i] + (0, left, up, (left + up) // 2, nearest)[how]) % 256
        rows.append([tuple(line[i:i + 4]) for i in range(0, len(line), 4)])
        above = line
    return rows


class Painted(Eyes):
    """A server of pictures: one wrong, one right; it changes the wrong one into the right one."""

    TITLE = "Summer Festival|Music by the lake"

    def laid_out(self, title):
        out = self.dir / "laid out" / title
        self.lathe("loop", "thumbnail", "--input", self.write("title.txt", title), "--out", out)
        return next(out.glob("*.png")).read_bytes()

    def serve(self, answer):
        seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def reply(self, status, body):
                body = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.reply(200, {"data": [{"id": "sd-cpp-local", "object": "model", "owned_by": "local"}]})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind = self.headers["Content-Type"]
                if kind.startswith("multipart/"):
                    form = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
                    fields = {part.get_param("name", header="Content-Disposition"): part.get_payload(decode=True)
                              for part in form.get_payload()}
                else:
                    fields = json.loads(body)
                seen.append((self.path, fields))
                self.reply(*answer(self.path))

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"painter=http://127.0.0.1:{server.server_address[1]}/v1", seen

    def paint(self, worker):
        events = self.events("loop", "thumbnail", "--input", self.write("title.txt", self.TITLE), "--worker", worker,
                             "--out", self.dir / "out")
        self.lathe("replay", "last")
        return ([e["body"] for e in events if e["kind"] == "made"],
                [e["body"]["judgement"] for e in events if e["kind"] == "verdict"],
                next((self.dir / "out").glob("*.png")).read_bytes())

    def test_a_word_is_mended_where_it_stands(self):
        wrong, right = self.laid_out(self.TITLE.replace("Festival", "Festvial")), self.laid_out(self.TITLE)

        def answer(path):
            picture = right if path.endswith("/edits") else wrong
            return 200, {"data": [{"b64_json": base64.b64encode(picture).decode()}]}

        worker, seen = self.serve(answer)
        made, (first, last), result = self.paint(worker)
        self.assertEqual(self.kinds(first), {"wrong"})
        self.assertEqual(last["outcome"], "pass")
        self.assertEqual(result, right)
        self.assertEqual([path for path, _ in seen], ["/v1/images/generations", "/v1/images/edits"])
        asked, change = seen[0][1], seen[1][1]
        self.assertIn('"Summer Festival", "Music by the lake"', asked["prompt"])
        self.assertEqual(asked["size"], "1024x576")
        self.assertEqual(change["seed"].decode(), str(asked["seed"]))
        self.assertIn("'Festival'", change["prompt"].decode())
        self.assertEqual(change["image"], wrong)
        # Open around the finding, and nowhere else.
        mask = pixels(change["mask"])
        x, y, w, h = first["evidence"]["findings"][0]["box"]
        for row, line in enumerate(mask):
            for column, pixel in enumerate(line):
                inside = x - 12 <= column < x + w + 12 and y - 12 <= row < y + h + 12
                self.assertEqual(pixel, (255, 255, 255, 0) if inside else (0, 0, 0, 255), (column, row))

    def test_a_refusal_is_said_and_the_layout_follows(self):
        worker, seen = self.serve(lambda path: (400, {"error": {"code": "content_policy_violation",
                                                                "message": "no festivals here"}}))
        made, verdicts, result = self.paint(worker)
        self.assertEqual(verdicts[-1]["outcome"], "pass")
        self.assertEqual(len(seen), 2, "a fresh sample is asked for once")
        self.assertIn("no festivals here", json.dumps(made[0]))
        self.assertEqual(struct.unpack(">II", result[16:24]), (1280, 720))


class Sources(Eyes):
    def drawn(self, recipe, name, input):
        worker = f"artist=script:{EXAMPLES / name / 'worker.toml'}"
        events = self.events("loop", recipe, "--input", EXAMPLES / name / input, "--worker", worker, "--out",
                             self.dir / "out")
        made = [e for e in events if e["kind"] == "made"]
        self.assertEqual(len(made), 2, "the first draft is faulty, the second right")
        return [e["body"]["judgement"] for e in events if e["kind"] == "verdict"]

    def test_svg_figure(self):
        first, last = self.drawn("svg-figure", "svg-figure", "figures.jsonl")
        self.assertLessEqual({"clipped", "contrast", "wrong"}, self.kinds(first))
        self.assertEqual(last["outcome"], "pass")
        self.assertTrue((self.dir / "out/funnel.svg").read_text().startswith("<svg"))

    WEBP = "data:image/webp;base64,UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="

    def test_pictures_in_a_drawing(self):
        def image(url):
            return self.write("image.svg", poster(extra=f'<image href="{url}" x="1200" y="700" width="9" height="9"/>'))

        self.judge(image(self.WEBP), JudgeByHand.WORDS)
        # Its label may lie: what counts are its bytes.
        self.judge(image(self.WEBP.replace("webp", "png", 1)), JudgeByHand.WORDS)
        refused = {
            "put its elements straight into the drawing": "data:image/svg+xml;base64," + base64.b64encode(poster().encode()).decode(),
            "put its elements": "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E",
            "claims 30000x30000 pixels": "data:image/png;base64," + base64.b64encode(png(30000, 30000, b"")).decode(),
            "embed a PNG, JPEG or WebP": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=",
            "or draw it with shapes": "data:image/webp;base64,AAAA",
        }
        for sentence, url in refused.items():
            judged = self.judge(image(url), JudgeByHand.WORDS, code=1)
            self.assertIn(sentence, judged["critiques"][0]["claim"])
            self.assertNotIn("SIGSYS", json.dumps(judged))

    @unittest.skipUnless(CHROMIUM, "no Chromium")
    def test_mockup_to_page(self):
        verdicts = self.drawn(EXAMPLES / "mockup-to-page/recipe.toml", "mockup-to-page", "brief.md")
        self.assertLessEqual({"script", "claim", "contrast", "link", "overflow"}, self.kinds(verdicts[0]))
        self.assertEqual([v["outcome"] for v in verdicts[-2:]], ["pass", "pass"])
        self.assertGreater(verdicts[-1]["evidence"]["similarity"], 0.75)
        self.lathe("report", "last", "--out", self.dir / "report.html")
        self.assertIn("opacity=", (self.dir / "report.html").read_text())


LOOK_RECIPE = """recipe = "look-poster"
version = 1
[unit]
from = "titles.txt"
split = "line"
[make]
kind = "poster"
size = "640x360"
subject = "circle"
[[judge]]
kind = "eyes"
expect = "{unit}"
subject = "center"
[[judge]]
kind = "look"
worker = "seer"
questions = ["Is the subject centred? yes", "Is any text garbled? no"]
[stop]
laps = 2
"""


class Looks(Eyes):
    """A model with eyes, scripted, beside the exact judge of the same pictures: it objects to all but those whose source
    says FINE."""

    QUESTIONS = 'questions=["Is the subject centred? yes", "Is any text garbled? no"]'
    SEER = ("--worker", "seer=script:seer.toml")

    def setUp(self):
        super().setUp()
        self.write("titles.txt", "Coffee|Fresh every morning\n")
        self.write("look.toml", LOOK_RECIPE)
        self.write("seer.toml", self.reply("FINE", "no", "", "whole") +
                   self.reply("", "yes", 'it reads "Cofee"', "box 10,5 80x30"))

    def reply(self, when, garbled, evidence, where):
        answers = [{"n": 1, "evidence": "a circle", "where": "centre", "answer": "yes"},
                   {"n": 2, "evidence": evidence, "where": where, "answer": garbled}]
        text = json.dumps({"nonce": "{echo}", "answers": answers})
        return f"[[reply]]\nwhen = '{when}'\npurpose = 'look'\necho = 'Nonce: '\ntext = '''{text}'''\n"

    def judged(self, code):
        """The verdicts on the first candidate by judge, and the report."""
        events = self.events("loop", "look.toml", *self.SEER, "--out", "out", "--force", code=code)
        self.lathe("report", "last", "--out", "r.html", "--force")
        self.lathe("replay", "last")
        verdicts = [e["body"]["judgement"] for e in events if e["kind"] == "verdict"]
        return dict(zip(("eyes", "look"), verdicts)), (self.dir / "r.html").read_text()

    def test_it_advises_then_gates_and_both_verdicts_stand(self):
        out, _ = self.lathe("recipe", "check", "look.toml")
        self.assertIn("'look' is not calibrated", out)
        verdicts, report = self.judged(code=0)
        self.assertEqual((verdicts["eyes"]["outcome"], verdicts["look"]["outcome"]), ("pass", "abstain"))
        self.assertEqual(verdicts["look"]["evidence"]["would"], "fail")

        for name in ("a", "b"):
            self.write(f"{name}.svg", poster())
        self.write("labels.jsonl", "".join(
            json.dumps({"file": name + ".svg", "label": label, "source": source}) + "\n"
            for name, label, source in 10 * [("a", "pass", "FINE"), ("b", "fail", "spoilt")]))
        self.lathe("judge", "calibrate", "look", "labels.jsonl", "--set", "worker=seer", "--set", self.QUESTIONS,
                   *self.SEER, "--out", "cal.json")
        self.write("look.toml", LOOK_RECIPE.replace('worker = "seer"', 'worker = "seer"\ncalibration = "cal.json"'))
        self.assertNotIn("not calibrated", self.lathe("recipe", "check", "look.toml")[0])
        verdicts, report_gated = self.judged(code=1)
        self.assertEqual((verdicts["eyes"]["outcome"], verdicts["look"]["outcome"]), ("pass", "fail"))

        for html in (report, report_gated):
            self.assertRegex(html, r">pass</span>[^<]*eyes")
            self.assertRegex(html, r">(abstain|fail)</span>[^<]*look")
            self.assertIn("The answer must be no, but is yes: Is any text garbled?", html)
            self.assertIn("it reads &quot;Cofee&quot;", html)
            self.assertIn("<rect x='60.2' y='14.2'", html)  # 10 % of 640 and 5 % of 360, less the frame's padding

    @unittest.skipUnless(CHROMIUM, "no Chromium")
    def test_a_page_is_shown_as_its_screenshot(self):
        page = self.write("page.html", "<!doctype html><title>t</title><h1>Cofee</h1>")
        out, _ = self.lathe("--json", "judge", "run", "look", page, "--set", "worker=seer", "--set", "window=700x400",
                            "--set", self.QUESTIONS, *self.SEER, code=3)
        evidence = json.loads(out)["evidence"]
        self.assertEqual(evidence["picture"], {"width": 700, "height": 400})
        view, = evidence["views"]
        self.assertEqual(view["findings"], [{"box": [70, 20, 560, 120]}])
        self.assertEqual(struct.unpack(">II", base64.b64decode(view["png"])[16:24]), (700, 400))

    def test_a_worker_that_refuses_pictures_gives_no_advice_and_says_why(self):
        self.write("seer.toml", "[[reply]]\nerror = 'this model reads text'\nkind = 'invalid'\n")
        verdicts, report = self.judged(code=0)
        self.assertEqual(verdicts["look"]["outcome"], "abstain")
        self.assertIn("this model reads text", report)
        self.assertEqual(verdicts["eyes"]["outcome"], "pass")

    def test_a_model_that_is_known_to_be_blind_is_named_before_any_work(self):
        model = pathlib.Path(__file__).resolve().parents[1] / "data/models/llama-q4_0.gguf"
        worker = ("--worker", f"seer={model}")
        picture = self.write("a.svg", poster())
        _, err = self.lathe("judge", "run", "look", picture, "--set", "worker=seer", "--set", self.QUESTIONS, *worker,
                            code=2)
        self.assertIn("'llama-q4_0' reads no pictures: lay its encoder", err)
        out, _ = self.lathe("loop", "look.toml", *worker)
        self.assertIn("note: the judge 'look' will give no advice: worker seer", out)
        self.assertIn("'look' gave no advice", out)
        self.write("cal.json", "{}")
        self.write("look.toml", LOOK_RECIPE.replace('worker = "seer"', 'worker = "seer"\ncalibration = "cal.json"'))
        before = self.lathe("--json", "runs")[0]
        self.assertIn("reads no pictures", self.lathe("loop", "look.toml", *worker, code=2)[1])
        self.assertEqual(self.lathe("--json", "runs")[0], before)


class Listener:
    """A web server on the loopback that counts who comes."""

    def __enter__(self):
        seen = self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args):
        self.server.shutdown()
        self.server.server_close()


class HostilePictures(Eyes):
    def assert_refused(self, name, bytes, seconds=30):
        file = self.write(name, bytes)
        begin = time.monotonic()
        judged = self.judge(file, code=1)
        self.assertEqual(judged["outcome"], "fail", name)
        self.assertTrue(judged["critiques"][0]["claim"], name)
        self.assertLess(time.monotonic() - begin, seconds, name)
        return judged

    def test_truncated_and_random_files(self):
        rows = b"".join(b"\0" + bytes(300) for _ in range(100))
        whole = {"png": png(100, 100, rows), "svg": poster().encode()}
        noise = random.Random(7)
        magic = {"png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0", "webp": b"RIFF\x40\0\0\0WEBPVP8 ",
                 "svg": b"<svg ", "gif": b"GIF89a"}
        for kind, bytes_ in whole.items():
            self.assert_refused(f"half.{kind}", bytes_[:len(bytes_) // 2])
        for kind, start in magic.items():
            self.assert_refused(f"random.{kind}", start + noise.randbytes(5000))
        self.assert_refused("empty.png", b"")
        self.assert_refused("short.png", b"\x89PN")

    def test_bombs(self):
        self.assert_refused("nothing.png", png(0, 0))
        self.assert_refused("bomb.png", png(60000, 60000, bytes(7501 * 200), bits=1, colour=0))
        self.assert_refused("wide.png", png(1 << 30, 1))
        frame = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0"
        gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 100_000 + b"\x3b"
        self.assert_refused("frames.gif", gif)
        million = "".join(f'<rect x="{i % 900}" width="3" height="3"/>' for i in range(300_000))
        deep = "<g>" * 100_000 + "</g>" * 100_000
        self.assert_refused("deep.svg", f'<svg xmlns="http://www.w3.org/2000/svg">{deep}</svg>')
        elements = "<a/>" * 1_000_000
        self.assert_refused("million.svg", f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{elements}</svg>')
        self.assert_refused("large.svg", f'<svg xmlns="http://www.w3.org/2000/svg">{million * 4}</svg>')
        bomb = '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa">' + "".join(
            f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi")) + "]>"
        self.assert_refused("laughs.svg", bomb + '<svg xmlns="http://www.w3.org/2000/svg"><text>&i;</text></svg>')
        blur = '<filter id="f" x="-9" y="-9" width="99" height="99"><feTurbulence numOctaves="99999" baseFrequency="1"/></filter>'
        self.assert_refused("filter.svg", f'<svg xmlns="http://www.w3.org/2000/svg" width="4000" height="4000">{blur}'
                            + '<rect width="4000" height="4000" filter="url(#f)"/>' * 50 + "</svg>", seconds=90)

    def test_nothing_is_read_or_sent(self):
        secret = self.write("secret.txt", "treasure")
        self.write("inner.svg", poster(title="SECRET"))
        with Listener() as web:
            url = f"http://127.0.0.1:{web.port}"
            tries = {
                "entity": f'<!DOCTYPE svg [<!ENTITY x SYSTEM "file://{secret}">]>' + poster(title="&x;"),
                "http": poster(extra=f'<image href="{url}/a.png" width="9" height="9"/>'),
                "file": poster(extra=f'<image href="file://{secret}" width="9" height="9"/>'),
                "relative": poster(extra='<image href="inner.svg" width="900" height="600"/>'),
                "style": poster(extra=f"<style>@import url({url}/s.css);</style>"),
                "fill": poster(extra=f'<rect width="9" height="9" fill="url({url}/f.svg#x)"/>'),
                "script": poster(extra=f'<script>fetch("{url}/j")</script>'),
                "handler": poster(extra=f'<rect width="9" height="9" onload="fetch(\'{url}/k\')"/>'),
                "use": poster(extra=f'<use href="{url}/u.svg#a"/>'),
                "include": poster(extra=f'<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="{secret}" parse="text"/>'),
            }
            for name, svg in tries.items():
                file = self.write(f"{name}.svg", svg)
                log = self.dir / f"{name}.strace"
                tracer = ("strace", "-f", "-e", "trace=openat,open,connect,socket,execve", "-o", str(log))
                out, _ = self.lathe("--json", "judge", "run", "eyes", file, "--set", "any_text=true", code=1,
                                    prefix=tracer if "SANITIZE" not in os.environ else ())
                self.assertNotIn("treasure", out, name)
                self.assertNotIn("SECRET", out, name)
                calls = log.read_text() if log.exists() else ""
                self.assertNotIn(str(secret), calls, name)
                self.assertNotIn("inner.svg", calls, name)
                self.assertNotRegex(calls, r"AF_INET|connect\(", name)
            self.assertEqual(web.seen, [])


@unittest.skipUnless(CHROMIUM, "no Chromium")
class OrdinaryPages(Eyes):
    """Pages as people write them, with letters of 11 to 15 px on all kinds of backgrounds, at 1280 and 390 px."""
    WORDS = {
        "shop": "Products|Support|About|Coffee, roasted today|Free delivery above 30 euros|New|12.50 a bag|Organic|Peru|Full body, low acidity",
        "dark_docs": "Getting started|Configuration|Limits|Install the package|serve --port 8080|Requests above 64 MB are refused",
        "dashboard": "Sales this week|Orders|1,284|Revenue|$48,310|Refunds|17|Region|Change|North|+8.2%|Overseas",
        "sign_up": "Create your account|It takes less than a minute|Name|E-mail|Sign up|By signing up you accept the terms",
    }

    def view(self, name, *changes, code=1):
        text = (PAGES / f"{name}.html").read_text()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        judged = self.judge(self.write(f"{name}.html", text), f"expect={self.WORDS[name]}", kind="page", code=code)
        return [(f["kind"], f["about"]) for f in judged["evidence"].get("findings", [])]

    def test_good_ones_pass(self):
        for name in self.WORDS:
            self.assertEqual(self.view(name, code=0), [], name)

    def test_faults_are_found_and_nothing_else(self):
        self.assertEqual(self.view("shop", ("roasted today", "roastde today")), [("wrong", "roasted")])
        self.assertEqual(self.view("shop", ("12.50", "15.20")), [("wrong", "12.50")])
        self.assertEqual(self.view("dashboard", ("$48,310", "$84,310")), [("wrong", "$48,310")])
        self.assertEqual([kind for kind, _ in self.view("dashboard", ("<td>Overseas", "<td>"))], ["missing"])
        # Too faint, by the pixels and by the style sheet.
        faint = self.view("sign_up", ("background:#5b2a86;color:#fff", "background:#5b2a86;color:#7a4da3"))
        self.assertEqual({kind for kind, _ in faint}, {"contrast"})
        self.assertTrue(any("Sign" in about for _, about in faint), faint)

    def test_words_behind_something_do_not_count(self):
        cover = "<div style='position:absolute;left:0;top:0;width:100%;height:60px;background:#888'></div></body>"
        found = self.view("shop", ("</body>", cover))
        self.assertTrue({"Products", "Support", "About"} <= set(" ".join(about for _, about in found).split()), found)


@unittest.skipUnless(CHROMIUM, "no Chromium")
class SeenPages(Eyes):
    """What is on a page once it has come to rest, and how much its letters stand out as they are seen."""

    def view(self, body, *settings, code=0):
        page = self.write("page.html", "<!doctype html><html lang=en><head><meta charset=utf-8><title>T</title><style>"
                          "body{font:20px/1.5 sans-serif;background:#fff;color:#222;margin:20px}</style></head><body>"
                          f"<h1>Opening hours</h1>{body}</body></html>")
        return self.judge(page, 'widths=["800"]', *settings, kind="page", code=code)

    def test_colours_as_seen(self):
        for faint in ("<p style='color:rgba(34,34,34,.25)'>Nearly invisible words here</p>",
                      "<p style='opacity:.25'>Nearly invisible words here</p>",
                      "<div style='opacity:.5'><p style='opacity:.5'>Nearly invisible words here</p></div>",
                      "<div style='background:rgba(0,0,0,.4)'><p style='color:#999'>Nearly invisible words here</p></div>"):
            found = self.view(faint, code=1)["evidence"]["findings"]
            self.assertEqual([(f["kind"], f["about"]) for f in found], [("contrast", "Nearly invisible words here")], faint)
            self.assertRegex(found[0]["claim"], r"\d\.\d : 1, at least 4\.5 : 1")

    def test_disabled_controls_are_exempt(self):
        for control in ("<button disabled style='background:#eee;color:#aaa;font-size:20px'>Not available</button>",
                        "<button aria-disabled=true style='background:#eee;color:#aaa;font-size:20px'>Not available</button>",
                        "<label style='color:#bbb'>Not available <input disabled></label>"):
            self.view(control)
        self.assertEqual(self.kinds(self.view("<button style='background:#eee;color:#aaa'>Available</button>", code=1)), {"contrast"})

    def test_what_cannot_be_told_is_said(self):
        for body, why in (("<p style='background:linear-gradient(#fff,#eee)'>Letters on something</p>", "a gradient"),
                          ("<p style='filter:saturate(2)'>Letters on something</p>", "a filter")):
            judged = self.view(body)
            self.assertIn(f"contrast of 'Letters on something' not known: {why}", judged["evidence"]["caveat"])
            page = self.dir / "page.html"
            out, _ = self.lathe("judge", "run", "page", page, "--set", 'widths=["800"]')
            self.assertIn("note: contrast of 'Letters on something' not known", out)

    def test_words_that_come_late(self):
        late = "<p id=l></p><script>setTimeout(() => { l.textContent = 'Words that come late' }, %d)</script>"
        for milliseconds in (700, 3000):
            self.view(late % milliseconds, "expect=Opening hours|Words that come late")
        typed = ("<p id=l></p><script>let n = 0; const t = 'Words that come late', i = setInterval(() => {"
                 " l.textContent = t.slice(0, ++n); if (n === t.length) clearInterval(i) }, 150)</script>")
        self.view(typed, "expect=Opening hours|Words that come late")
        shown = "<style>@keyframes f{from{opacity:0}}p{animation:f .5s 2s both}</style><p>Words that come late</p>"
        self.view(shown, "expect=Opening hours|Words that come late")

    def test_a_page_that_never_rests_is_said_to(self):
        clock = "<p id=l>0</p><script>let n = 0; setInterval(() => { l.textContent = ++n }, 300)</script>"
        self.assertIn("never comes to rest", self.view(clock)["evidence"]["caveat"])
        self.assertNotIn("caveat", self.view("<style>@keyframes s{to{rotate:360deg}}i{display:block;width:40px;height:40px;"
                                             "background:#06c;animation:s 1s linear infinite}</style><i></i>")["evidence"])


@unittest.skipUnless(CHROMIUM, "no Chromium")
class HostilePages(Eyes):
    def view(self, body, code=1, *settings):
        page = self.write("page.html", f"<!doctype html><html><body><h1>Hello</h1>{body}</body></html>")
        begin = time.monotonic()
        judged = self.judge(page, "widths=600", *settings, kind="page", code=code)
        self.assertLess(time.monotonic() - begin, 100)
        return judged

    def test_a_plain_page_passes(self):
        self.assertEqual(self.view("<p>All is well.</p>", 0, "expect=Hello|All is well")["outcome"], "pass")

    def test_loops_for_ever(self):
        self.assertIn("unfinished", self.kinds(self.view("<script>for(;;);</script>")))

    def test_loops_later(self):
        self.assertIn("unfinished", self.kinds(self.view("<script>setTimeout(() => { for(;;); }, 50)</script>")))

    def test_eats_memory(self):
        judged = self.view("<script>const a = []; for (;;) a.push(new Uint8Array(1 << 24).fill(1));</script>")
        self.assertTrue(self.kinds(judged) & {"unfinished", "unreadable"})

    def test_opens_windows_and_dialogs(self):
        judged = self.view("<script>window.open('http://a.test'); alert('boo')</script>")
        self.assertIn("intrusion", self.kinds(judged))

    def test_reads_and_sends_nothing(self):
        secret = self.write("secret.txt", "treasure")
        with Listener() as web:
            url = f"http://127.0.0.1:{web.port}"
            judged = self.view(
                f"<img src='{url}/img'><img src='file://{secret}'><iframe src='{url}/frame'></iframe>"
                f"<iframe src='file://{secret}'></iframe><link rel=stylesheet href='{url}/css'>"
                f"<script src='{url}/js'></script><script>fetch('{url}/fetch'); new WebSocket('ws://127.0.0.1:{web.port}/ws');"
                f"navigator.sendBeacon('{url}/beacon'); fetch('file://{secret}').then(r => r.text()).then(t => document.title = t)"
                "</script>")
            self.assertEqual(web.seen, [])
        self.assertIn("outside", self.kinds(judged))
        self.assertNotIn("treasure", json.dumps(judged))
        asked = " ".join(f["claim"] for f in judged["evidence"]["findings"])
        for path in ("/img", "/frame", "/js", "/fetch"):
            self.assertIn(path, asked)

    def test_ways_out_are_noted(self):
        ways = {
            "goes to file:///etc/passwd": "<script>location = 'file:///etc/passwd'</script>",
            "goes to mailto:a@b.test": "<script>location = 'mailto:a@b.test'</script>",
            "goes to strange:thing": "<a id=a href='strange:thing'>x</a><script>a.click()</script>",
            "goes to http://a.test/r": "<meta http-equiv=refresh content='60; url=http://a.test/r'>",
            "goes to http://a.test/f": "<form id=f method=post action='http://a.test/f'></form><script>f.submit()</script>",
            "goes to blob:": "<script>location = URL.createObjectURL(new Blob(['x'], {type: 'text/html'}))</script>",
            "starts a download": "<a id=a download=x href='data:application/octet-stream,aaaa'>x</a><script>a.click()</script>",
            "opens a window for http://a.test/w": "<script>open('http://a.test/w')</script>",
            "http://a.test/worker": "<script>new Worker(URL.createObjectURL(new Blob([\"fetch('http://a.test/worker')\"])))</script>",
            "asks for stun:a.test": "<script>new RTCPeerConnection({iceServers: [{urls: 'stun:a.test'}]})</script>",
            "http://a.test/later": "<script>setTimeout(() => fetch('http://a.test/later').catch(() => 0), 1500)</script>",
        }
        for what, body in ways.items():
            judged = self.view(body)
            claims = [f["claim"] for f in judged["evidence"]["findings"] if f["kind"] == "outside"]
            self.assertEqual(len(claims), 1, f"{what}: {judged}")
            self.assertIn(what, claims[0])

    def test_inner_links_and_frames_are_no_ways_out(self):
        self.view("<h2 id=b>Below</h2><a id=a href='#b'>Down</a><script>a.click(); history.pushState(0, '', '/x')</script>"
                  "<iframe title=i srcdoc='<p>Inside</p>'></iframe>", 0)

    def test_burning_the_processor_is_a_fault(self):
        for body in ("<script>setInterval(() => { const t = Date.now(); while (Date.now() - t < 1000); }, 1)</script>",
                     "<script>new Worker(URL.createObjectURL(new Blob(['for(;;);'])))</script>",
                     "<script>(function f() { const t = Date.now(); while (Date.now() - t < 60); requestAnimationFrame(f) })()</script>"):
            judged = self.view(body)
            self.assertEqual(self.kinds(judged), {"unfinished"}, body)
            self.assertIn("never leave the processor alone", judged["critiques"][0]["claim"])

    def test_goes_elsewhere(self):
        with Listener() as web:
            judged = self.view(f"<script>location = 'http://127.0.0.1:{web.port}/away'</script>")
            self.assertEqual(web.seen, [])
        self.assertEqual(judged["outcome"], "fail")

    def test_leaves_no_process(self):
        """Whoever loses its parent becomes this process's child."""
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        self.addCleanup(ctypes.CDLL(None).prctl, 36, 0, 0, 0, 0)
        self.view("<script>for(;;);</script>")
        for _ in range(50):  # the dead are collected; the living stay
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.1)
            except ChildProcessError:
                return
        self.fail(subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "pid,stat,args"], capture_output=True, text=True).stdout)


class AxeCore(Eyes):
    """Contrast on tests/pages/contrast.html, decided by the page judge and by axe-core in the same browser."""

    # Texts on which the two differ, and why ours is meant.
    OURS = {
        "→": "pass",  # a sign by itself: no words, nothing to note
        "White lifted over black good": "pass",  # the order of painting is known
        "White over a sunk black good": "pass",
        "Letters with a shadow": "unknown",  # what a shadow adds is not computed
        "Blended letters": "unknown",
        "Filtered letters": "unknown",
    }
    RUN = """axe.run({runOnly: ["color-contrast"]}).then(found => {
      const own = selector => { const e = document.querySelector(selector);
        const text = e.matches("select") ? e.selectedOptions[0].text : e.matches("input, textarea") ? e.value : e.innerText;
        return text.trim().replace(/\\s+/g, " ").slice(0, 80); };
      const of = list => list.flatMap(rule => rule.nodes.map(node => own(node.target[0])));
      return {fail: of(found.violations), unknown: of(found.incomplete), pass: of(found.passes)};
    })"""

    def axe(self, html):
        """What axe-core finds, asked over the debugging pipe of a browser of its own."""
        to_browser, ours = os.pipe()
        theirs, from_browser = os.pipe()
        flags = ["--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                 f"--user-data-dir={self.dir / 'profile'}", "--remote-debugging-pipe"]
        browser = subprocess.Popen(["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", CHROMIUM, *flags],
                                   pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(browser.wait)
        self.addCleanup(lambda: os.killpg(browser.pid, 9))
        os.close(to_browser)
        os.close(from_browser)
        asking, answers = open(ours, "wb"), open(theirs, "rb")
        self.addCleanup(asking.close)
        self.addCleanup(answers.close)
        number = 0

        def ask(method, session=None, **params):
            nonlocal number
            number += 1
            message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
            asking.write(json.dumps(message).encode() + b"\0")
            asking.flush()
            while True:
                text = bytearray()
                while (byte := answers.read(1)) != b"\0":
                    self.assertTrue(byte, f"the browser ended at {method}")
                    text += byte
                answer = json.loads(text)
                if answer.get("id") == number:
                    self.assertNotIn("error", answer, method)
                    return answer["result"]

        target = ask("Target.createTarget", url="about:blank")["targetId"]
        session = ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        ask("Emulation.setDeviceMetricsOverride", session, width=1280, height=800, deviceScaleFactor=1, mobile=False)
        frame = ask("Page.getFrameTree", session)["frameTree"]["frame"]["id"]
        ask("Page.setDocumentContent", session, frameId=frame, html=html)
        library = (PAGES.parent / "clients/node_modules/axe-core/axe.min.js").read_text()
        ask("Runtime.evaluate", session, expression=library)
        found = ask("Runtime.evaluate", session, expression=self.RUN, awaitPromise=True, returnByValue=True)
        self.assertNotIn("exceptionDetails", found)
        return found["result"]["value"]

    def test_contrast_is_decided_as_axe_core_decides_it(self):
        page = PAGES / "contrast.html"
        theirs = self.axe(page.read_text())
        evidence = self.judge(page, 'widths=["1280"]', kind="page", code=1)["evidence"]
        failed = {f["about"] for f in evidence["findings"] if f["kind"] == "contrast"}
        unknown = {m[1] for m in map(re.compile("^contrast of '(.*)' not known", re.S).match, evidence["not_known"]) if m}
        differ = []
        for decision, texts in theirs.items():
            for text in texts:
                ours = "fail" if text in failed else "unknown" if text in unknown else "pass"
                if ours != self.OURS.get(text, decision):
                    differ.append((text, ours, decision))
        known = {text for texts in theirs.values() for text in texts}
        differ += [(text, "fail", "nothing") for text in failed - known if self.OURS.get(text) != "fail"]
        differ += [(text, "unknown", "nothing") for text in unknown - known if self.OURS.get(text) != "unknown"]
        self.assertEqual(differ, [])
        self.assertGreater(min(len(theirs["fail"]), len(theirs["pass"])), 20)
        self.assertGreater(len(theirs["unknown"]), 5)


if __name__ == "__main__":
    unittest.main()
