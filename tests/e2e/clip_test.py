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


if __name__ == "__main__":
    unittest.main()
