"""Documents of a directory: indexed, searched, given to the units of a recipe, and quoted."""
import json
import math
import os
import pathlib
import re
import struct
import subprocess
import unittest

from cli_test import Case, SOURCE

MODEL = SOURCE / "tests/data/models/bert.gguf"

RECIPE = """recipe = "answer"
version = 1
privacy = "any"
[unit]
from = "questions.txt"
[context]
from = "docs/**"
k = 2
[make]
kind = "text"
ladder = ["w"]
task = "Answer, and quote what you answer from."
[[judge]]
kind = "cited"
[stop]
laps = 2
time = "10m"
"""


def pdf_of_objects(objects):
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, table, len(objects) + 1, len(out))


def stream(head, data):
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (head, len(data), data)


def pdf(pages):
    """Pages with these lines, 72 points from the left."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"]
    kids = []
    for lines in pages:
        text = b"BT /F1 12 Tf 72 720 Td 14 TL %s ET" % b" ".join(b"(%s) Tj T*" % line.encode("cp1252") for line in lines)
        objects += [stream(b"", text), b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << /Font "
                                       b"<< /F1 3 0 R >> >> >>" % (len(objects) + 1)]
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(kids))
    return pdf_of_objects(objects)


def pdf_of_picture(pgm):
    """A page that is a grey picture, and no text."""
    _, size, _, data = pgm.split(b"\n", 3)
    width, height = map(int, size.split())
    return pdf_of_objects([
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /XObject << /I 5 0 R >> >> >>",
        stream(b"", b"q 595 0 0 842 0 0 cm /I Do Q"),
        stream(b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8" % (width, height), data)])


class Index(Case):
    def setUp(self):
        super().setUp()
        self.write("docs/guide.md", "# Setup\n\nThe port is 8080.\n\n## Names\n\nDevice QX-4711-B is the blue one.\n")
        self.write("docs/more/cafe.txt", "Zoë's café opens at nine.\n")
        self.write("docs/.env", "SECRET=1\n")
        self.write("docs/bytes.bin", b"\0\1\2")

    def index(self, *flags):
        return self.events("index", "docs", *flags)[0]

    def search(self, query, *flags, where="docs"):
        return self.events("index", "search", where, query, *flags)[0]

    def test_index_and_search(self):
        made = self.index()
        self.assertEqual((made["files"], made["chunks"], made["read"], made["by"]), (2, 3, 2, ["words"]))
        self.assertEqual([each["path"] for each in made["unread"]], ["bytes.bin"])
        self.assertEqual(made["ignored"], [".env"])
        self.assertEqual(os.stat(made["index"]).st_mode & 0o777, 0o600)
        found = self.search("What is QX-4711-B?")
        self.assertEqual(found["stale"], [])
        hit = found["hits"][0]
        self.assertEqual((hit["file"], hit["place"], hit["heading"]), ("guide.md", "lines 5 to 7", "Setup › Names"))
        self.assertEqual(hit["text"], "## Names\n\nDevice QX-4711-B is the blue one.")
        self.assertEqual(self.search("CAFE zoe")["hits"][0]["file"], "more/cafe.txt")
        self.assertEqual(found, self.search("What is QX-4711-B?"))
        # Changed, and gone.
        self.write("docs/guide.md", "# Setup\n\nThe port is 9090.\n")
        (self.dir / "docs/more/cafe.txt").unlink()
        self.assertEqual(self.search("port")["stale"], ["guide.md", "more/cafe.txt"])
        out, _ = self.lathe("index", "search", "docs", "port")
        self.assertIn("[1] guide.md, lines 1 to 3 · Setup · stale", out)
        self.assertIn("stale: more/cafe.txt has changed or is gone", out)
        made = self.index()
        self.assertEqual((made["files"], made["read"], made["gone"]), (1, 1, 1))
        self.assertIn("9090", self.search("port")["hits"][0]["text"])
        self.assertEqual(self.search("cafe")["hits"], [])

    def test_names_and_mistakes(self):
        self.index("--name", "guides")
        self.assertEqual(self.search("port", where="guides")["hits"][0]["file"], "guide.md")
        for arguments, says in ((["index"], "name a directory"), (["index", "none"], "no such directory"),
                                (["index", "docs", "--name", "../x"], "is no name of an index"),
                                (["index", "search", "nowhere", "x"], "`lathe index DIR` makes one"),
                                (["index", "search", "guides", "x", "-k", "0"], "-k")):
            code = 2 if "nowhere" not in arguments and "none" not in arguments else None
            self.assertIn(says, self.lathe(*arguments, code=code)[1])
        pathlib.Path(self.journal / "indexes/foreign.db").write_text("a text, and long enough to be looked at as a header")
        self.assertIn("remove the file", self.lathe("index", "docs", "--name", "foreign", code=None)[1])

    def test_vectors_against_all_of_them(self):
        texts = [f"a cab {'and a cab ' * (i % 7)}at {i * i} {'dab' if i % 9 == 0 else 'abc'}" for i in range(24)]
        for i, text in enumerate(texts):
            self.write(f"many/{i:02}.txt", text + "\n")
        words = self.events("index", "many", "--name", "words")[0]
        both = self.events("index", "many", "--name", "both", "--embed", MODEL)[0]
        self.assertEqual((words["by"], both["by"]), (["words"], ["words", "vectors"]))

        def vector(text):
            self.lathe("embed", MODEL, text, "--out", "e.f32", "--force")
            data = (self.dir / "e.f32").read_bytes()
            values = struct.unpack(f"<{len(data) // 4}f", data)
            largest, length = max(map(abs, values)), math.hypot(*values)
            return [round(127 * x / largest) for x in values], largest / 127 / length

        query = "a dab at 81"
        (asked, scale), vectors = vector(query), {text: vector(text) for text in texts}
        cosine = {text: sum(map(int.__mul__, asked, v)) * scale * s for text, (v, s) in vectors.items()}
        by_words = self.search(query, "-k", "50", where="words")["hits"]
        scores = {hit["text"]: 1 / (61 + rank) for rank, hit in enumerate(by_words)}
        ids = {hit["text"]: hit["id"] for hit in self.search(query, "-k", "50", where="both")["hits"]}
        self.assertEqual(len(ids), 24)
        for rank, text in enumerate(sorted(texts, key=lambda text: (-cosine[text], ids[text]))):
            scores[text] = scores.get(text, 0) + 1 / (61 + rank)
        expected = sorted(texts, key=lambda text: (-scores[text], ids[text]))
        hits = self.search(query, "-k", "10", where="both")["hits"]
        self.assertEqual([hit["text"] for hit in hits], expected[:10])
        for hit in hits:
            self.assertAlmostEqual(hit["score"], scores[hit["text"]], 12)

    def test_a_recipe_with_context(self):
        self.write("recipe.toml", RECIPE)
        self.write("questions.txt", "Which one is QX-4711-B?\n")
        self.write("worker.toml", "[[reply]]\nlap = 1\ntext = 'It is \"the red one\" [1].'\n"
                                  "[[reply]]\nwhen = '[1] guide.md, lines 5 to 7'\nlap = 2\n"
                                  "text = 'It is \"the blue one\" [1].'\n")
        events = self.events("loop", "recipe.toml", "--worker", f"w=script:{self.dir}/worker.toml")
        self.assertEqual([e["body"]["state"] for e in events if e["kind"] == "end"], ["passed"])
        outcomes = [e["body"]["judgement"]["outcome"] for e in events if e["kind"] == "verdict"]
        self.assertEqual(outcomes, ["fail", "pass"])
        verdict = next(e["body"]["judgement"] for e in events if e["kind"] == "verdict")
        self.assertIn("word for word", verdict["critiques"][0]["claim"])
        unit = next(e["body"]["units"][0] for e in self.events("show", "last") if e["kind"] == "units")
        passages = unit["data"]["passages"]
        self.assertEqual(passages[0]["file"], "guide.md")
        self.assertTrue(re.fullmatch(r"[0-9a-f]{64}:\d+-\d+", passages[0]["id"]))
        self.lathe("replay", "last")
        self.lathe("recipe", "explain", "./recipe.toml")

    def test_documents_that_people_have(self):
        """A PDF with words, with a page that is a picture, DOCX, ODT, HTML, and one that is broken."""
        self.write("many/a.pdf", pdf([["Invoice QX-4711", "The total is 319 euros."], []]))
        # A page as a scanner has it: a picture of words.
        self.write("words.pdf", pdf([["Delivered in September"]]))
        subprocess.run(["pdftoppm", "-r", "150", "-gray", "-singlefile", "words.pdf", "scan"], cwd=self.dir, check=True)
        self.write("many/scan.pdf", pdf_of_picture((self.dir / "scan.pgm").read_bytes()))
        markdown = "# Contract\n\nIt ends on 3 May.\n\n| part | price |\n|---|---|\n| wheel | 42 |\n"
        for kind in ("docx", "odt", "html"):
            subprocess.run(["pandoc", "-f", "markdown", "-o", self.dir / f"many/{kind}.{kind}"], input=markdown.encode(), check=True)
        self.write("many/broken.pdf", "%PDF-1.4 and no more")
        made = self.events("index", "many")[0]
        self.assertEqual([each["path"] for each in made["unread"]], ["broken.pdf"])
        self.assertIn("pdftotext", made["unread"][0]["why"])
        hit = self.search("total of QX-4711", where="many")["hits"][0]
        self.assertEqual((hit["file"], hit["place"], hit["page"]), ("a.pdf", "page 1", 1))
        left, top, right, bottom = hit["box"]
        self.assertTrue(70 < left < 74 < right < 300 and 50 < top < bottom < 100, hit["box"])
        self.assertEqual(self.search("delivered September", where="many")["hits"][0]["file"], "scan.pdf")
        found = self.search("contract ends May wheel", where="many")["hits"]
        self.assertEqual({hit["file"] for hit in found[:3]}, {"docx.docx", "odt.odt", "html.html"})
        for hit in found[:3]:
            self.assertIn("wheel", hit["text"])
            self.assertEqual(hit["heading"], "Contract")
        self.assertEqual(self.events("index", "many")[0]["kept"], 5)
        # Where the programs are missing, the remedy is named.
        self.write("bin/x", "")
        out, _ = self.lathe("index", "many", "--name", "bare", prefix=("env", f"PATH={self.dir}/bin"))
        self.assertIn("install the Debian package poppler-utils", out)
        self.assertIn("install the Debian package pandoc", out)

    def scan(self, name, *lines):
        """Pages as a scanner has them: pictures of words."""
        self.write("words.pdf", pdf([lines]))
        subprocess.run(["pdftoppm", "-r", "150", "-gray", "-singlefile", "words.pdf", "scan"], cwd=self.dir, check=True)
        return self.write(name, pdf_of_picture((self.dir / "scan.pgm").read_bytes()))

    def test_languages_of_scans(self):
        self.scan("many/scan.pdf", "Die Straßenbahn fährt übermäßig", "langsam über die große Brücke.")
        self.write("many/a.txt", "A tram.\n")
        self.assertEqual(self.events("index", "many")[0]["read"], 2)
        text = lambda: self.search("Die Brücke langsam", where="many")["hits"][0]["text"]
        self.assertNotIn("Straßenbahn", text(), "in English there is no ß")
        made = self.events("index", "many", "--languages", "deu+eng")[0]
        self.assertEqual((made["read"], made["kept"]), (1, 1), "a scan is another text in another language")
        self.assertIn("Straßenbahn fährt übermäßig", text())
        self.assertEqual(self.events("index", "many", "--languages", "deu+eng")[0]["kept"], 2)
        for command in (["index", "many"], ["run", "no-model", "x"], ["serve", "no-models"]):
            _, err = self.lathe(*command, "--languages", "deu+fra", code=None)
            self.assertIn("install the Debian package tesseract-ocr-fra", err)
            _, err = self.lathe(*command, "--languages", "../x", code=None)
            self.assertIn("must be languages of Tesseract", err)
        self.write("recipe.toml", RECIPE.replace("k = 2", "k = 2\nlanguages = \"fra\""))
        self.write("questions.txt", "Which one?\n")
        _, err = self.lathe("loop", "recipe.toml", "--worker", f"w=script:{self.write('w.toml', '[[reply]]' + chr(10) + 'text = ' + chr(34) + 'x' + chr(34))}", code=None)
        self.assertIn("install the Debian package tesseract-ocr-fra", err)
        self.assertEqual(self.events("runs"), [], "nothing has begun")

    def test_documents_stay_where_they_may(self):
        """The recipe lets prompts travel, [context] does not let these files."""
        self.write("recipe.toml", RECIPE)
        self.write("questions.txt", "Which one is QX-4711-B?\n")
        far = ("--worker", "w=http://192.0.2.1:9/v1", "--allow", "any")
        _, err = self.lathe("loop", "recipe.toml", *far, code=None)
        self.assertIn("the worker 'w' is beyond what [context] allows", err)
        self.assertEqual(self.events("runs"), [], "nothing has begun")
        self.assertEqual(self.events("egress"), [], "and nothing has left")


if __name__ == "__main__":
    unittest.main()
