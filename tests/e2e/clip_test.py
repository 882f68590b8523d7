"""A clip out of a brief: scenes with faults are made again, the others are not, and the film passes by itself."""
import json
import shutil
import unittest

from cli_test import Case

BRIEF = """# Coffee
- Fresh every morning
The coffee is fresh.

# Cells
- Powerhouses
The mitochondria are the powerhouse of the cell.
"""


@unittest.skipUnless(shutil.which("ffmpeg"), "needs ffmpeg")
@unittest.skipUnless(shutil.which("chromium-headless-shell") or shutil.which("chromium"), "needs Chromium")
class Clip(Case):
    def test_only_the_scene_with_a_fault_is_made_again(self):
        self.write("brief.txt", BRIEF)
        events = self.events("loop", "clip", "--input", "brief.txt", "--out", "out", "--set", "make.size=640x360")
        self.assertEqual([e["body"]["state"] for e in events if e["kind"] == "end"], ["passed"])
        laps = [sum(e["kind"] == "made" and e["body"]["track"] == track for e in events) for track in range(2)]
        self.assertEqual(laps[0], 1, "a scene that passed is not made again")
        self.assertGreater(laps[1], 1, "flite says mitochondria wrongly at first")
        self.assertEqual(sorted(p.name for p in (self.dir / "out").iterdir() if p.suffix in (".mp4", ".srt")),
                         ["P001.mp4", "P002.mp4", "clip.mp4", "clip.srt"])
        self.assertIn("The mitochondria are the powerhouse", (self.dir / "out/clip.srt").read_text())
        out, _ = self.lathe("--json", "judge", "run", "clip", "out/clip.mp4", "--set", "script=brief.txt")
        self.assertEqual(json.loads(out)["outcome"], "pass")
        self.write("other.txt", BRIEF.replace("Coffee", "Cocoa"))
        out, _ = self.lathe("judge", "run", "clip", "out/clip.mp4", "--set", "script=other.txt", code=1)
        self.assertRegex(out, r"scene 1 @ .*'Cocoa'")
        out, _ = self.lathe("judge", "run", "clip", "brief.txt", code=1)
        self.assertIn("cannot be read as a film", out)
        self.lathe("report", "last", "--out", "r.html")
        self.assertIn("<video", (self.dir / "r.html").read_text())

    def test_scenes_that_a_model_draws(self):
        """A page with a fault is drawn again; a picture that is right stays while its line is said another way."""
        self.write("brief.txt", BRIEF)
        page = ('<!doctype html><html><meta charset=utf-8><title>s</title><style>body{margin:40px;background:#10233f;color:#fff;'
                'font:40px DejaVu Sans}</style><h1>%s</h1><p>Fresh every morning</p></html>')
        svg = ('<svg xmlns="http://www.w3.org/2000/svg" width="640" height="360"><rect width="640" height="360" fill="#f6f1e4"/><text x="40" y="120" '
               'font-family="DejaVu Sans" font-size="64">Cells</text><text x="40" y="220" font-family="DejaVu Sans" font-size="40">Powerhouses</text></svg>')
        replies = [("# Coffee", 1, page % "Cofee"), ("# Coffee", 2, "Here you are:\n```html\n" + page % "Coffee" + "\n```\n"), ("# Cells", 1, svg)]
        self.write("artist.toml", "".join(f"[[reply]]\npurpose = \"make\"\nlap = {lap}\nwhen = {json.dumps(when)}\ntext = {json.dumps(text)}\n"
                                          for when, lap, text in replies))
        events = self.events("loop", "clip-drawn", "--input", "brief.txt", "--out", "out", "--set", "make.size=640x360",
                             "--worker", f"artist=script:{self.dir}/artist.toml")
        self.assertEqual([e["body"]["state"] for e in events if e["kind"] == "end"], ["passed"], events[-3:])
        drawn, kept = ([e["body"] for e in events if e["kind"] == "made" and e["body"]["track"] == track] for track in range(2))
        self.assertEqual(["model" in each["facts"] for each in drawn], [True, True])
        self.assertEqual(["model" in each["facts"] for each in kept], [True] + [False] * (len(kept) - 1))
        self.assertGreater(len(kept), 1, "flite says mitochondria wrongly at first")
        out, _ = self.lathe("--json", "judge", "run", "clip", "out/clip.mp4", "--set", "script=brief.txt")
        self.assertEqual(json.loads(out)["outcome"], "pass")

    def test_a_script_out_of_notes(self):
        """What the model writes has to have the form that the clip takes."""
        self.write("notes.md", "Coffee is fresh every morning. Cells have powerhouses.\n")
        scene = "# The coffee\n- Fresh every morning\nThe coffee that we drink here is fresh every single morning.\n"
        wrong = "\n".join([scene] * 2) + "\nAnd that is all.\n"
        self.write("writer.toml", "".join(f"[[reply]]\npurpose = \"make\"\nlap = {lap}\ntext = {json.dumps(text)}\n"
                                          for lap, text in ((1, wrong), (2, "\n".join([scene] * 3)))))
        events = self.events("loop", "clip-script", "--input", "notes.md", "--out", "out", "--worker", f"writer=script:{self.dir}/writer.toml")
        self.assertEqual([e["body"]["state"] for e in events if e["kind"] == "end"], ["passed"])
        self.assertEqual(sum(e["kind"] == "made" for e in events), 2)


if __name__ == "__main__":
    unittest.main()
