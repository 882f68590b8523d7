#!/usr/bin/env python3
"""Clips with one fault each: does the judge of clips find it, by the right criterion, at the right place?

usage: clip_catches.py LATHE --work DIR [--clips 30] [--a-kind 20] [--kinds tiny,frozen] [--loop 3] [--table]

Makes clips of two scenes out of bench/clips/scenes.txt with the recipe `clip`, judges them as they are (false alarms), puts
one fault of each kind into finished clips, and judges those. --loop N: N a kind go through a whole loop instead, the fault in
the first take of one scene, and must be caught and repaired without the other scene being made again. Every row is added to
DIR/rows.jsonl as it is known, so that a run that was stopped goes on; --table only prints.
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import time

SCENES = (pathlib.Path(__file__).parent / "clips/scenes.txt").read_text().strip().split("\n\n")
ENCODE = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "1", "-ar", "48000", "-c:s", "mov_text"]
NO_JUDGE = '\n[[judge]]\nname = "none"\nkind = "command"\ncommand = ["true"]\n\n[stop]\nlaps = 1\ntime = "5m"\n'
WRONG_WORDS = ["seven", "yellow", "morning", "garden", "window"]  # none of them is in a line of its own sound


def command(argv, fine=(0,), **more):
    done = subprocess.run([str(each) for each in argv], capture_output=True, text=True, **more)
    if done.returncode not in fine:
        raise RuntimeError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def parts(scene):
    lines = scene.splitlines()
    return lines[0], lines[1:-1], lines[-1]


def misspelt(word, index):
    """The word with two letters swapped, one doubled, or one lost: never the word itself."""
    middle = len(word) // 2
    swapped = word[:middle] + word[middle + 1] + word[middle] + word[middle + 2:] if middle + 1 < len(word) else word
    doubled = word[:middle] + word[middle] + word[middle:]
    lost = word[:middle] + word[middle + 1:]
    return next(each for each in ([swapped, doubled, lost] * 2)[index % 3:] if each != word)


def srt_time(seconds):
    ms = round(seconds * 1000)
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


class Clip:
    """A finished clip of two scenes, and what its judgement says of it."""

    def __init__(self, bench, index):
        self.bench, self.index = bench, index
        self.scenes = [SCENES[index % len(SCENES)], SCENES[(index + 11) % len(SCENES)]]
        self.dir = bench.dir / f"clip{index:02}"
        self.film = self.dir / "out/clip.mp4"
        self.script = self.dir / "brief.txt"
        self.dir.mkdir(exist_ok=True)
        self.script.write_text("\n\n".join(self.scenes) + "\n")
        if not self.film.exists():
            command([bench.lathe, "loop", "clip", "--input", self.script.name, "--out", "out"], cwd=self.dir)

    def facts(self):
        kept = self.dir / "facts.json"
        if not kept.exists():
            verdict, seconds = self.bench.judge(self.film, self.script)
            evidence = verdict["evidence"]
            kept.write_text(json.dumps(dict(outcome=verdict["outcome"], critiques=verdict["critiques"], scenes=evidence["scenes"],
                                            words=evidence["words"], seconds=evidence["film"]["seconds"], judged=seconds)))
        return json.loads(kept.read_text())

    def captions(self):
        blocks = (self.dir / "out/clip.srt").read_text().strip().split("\n\n")
        return [block.split("\n", 2)[1:] for block in blocks]

    # The clip with other pictures, sound or captions; chapters stay where `chapters` does not say otherwise.
    def changed(self, to, video="null", audio="anull", captions=None, chapters=None, inputs=()):
        srt, meta = to.with_suffix(".srt"), to.with_suffix(".ffmeta")
        rows = self.captions() if captions is None else captions
        srt.write_text("".join(f"{n + 1}\n{times}\n{text}\n\n" for n, (times, text) in enumerate(rows)))
        spans = chapters or [(each["start"], each["end"]) for each in self.facts()["scenes"]]
        meta.write_text(";FFMETADATA1\n" + "".join(f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={a * 1000:.0f}\nEND={b * 1000:.0f}\ntitle={n + 1}\n"
                                                   for n, (a, b) in enumerate(spans)))
        others = [argument for each in inputs for argument in ("-i", each)]
        command(["ffmpeg", "-v", "error", "-y", "-i", self.film, "-i", srt, "-i", meta, *others,
                 "-filter_complex", f"[0:v]{video}[v];[0:a]{audio}[a]",
                 "-map", "[v]", "-map", "[a]", "-map", "1:s", "-map_chapters", "2", "-map_metadata", "2", *ENCODE, to])

    # The clip with scene `n` made of another text: only its picture, held as long as the scene was, or its sound too. The
    # captions say what they did, and the other scene stays as it was: a fault of picture or sound and of nothing else.
    def remade(self, to, n, scene, text_size=None, sound=False):
        work = to.with_suffix("")
        work.mkdir(exist_ok=True)
        record = {"key": "P1", "text": scene} | ({"text_size": text_size} if text_size else {})
        (work / "u.jsonl").write_text(json.dumps(record) + "\n")
        (work / "spoil.toml").write_text(self.bench.recipe.split("[[judge]]")[0] + NO_JUDGE)
        command([self.bench.lathe, "loop", "spoil.toml", "--input", "u.jsonl", "--set", "unit.split=jsonl", "--out", "out"], cwd=work)
        film = work / "out/P1.mp4"
        new = float(command(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=duration", "-of", "csv=p=0", film]))
        spans = [(each["start"], each["end"]) for each in self.facts()["scenes"]]
        old, cut = spans[n][1] - spans[n][0], spans[0][1]
        keep = f"trim={cut}" if n == 0 else f"trim=0:{cut}"
        order = "[new][kept]" if n == 0 else "[kept][new]"
        slow = "null" if sound else f"setpts=PTS*{old / new:.5f}"
        video = f"{keep},setpts=PTS-STARTPTS,fps=25[kept];[3:v]setpts=PTS-STARTPTS,{slow},fps=25[new];{order}concat=n=2:v=1:a=0"
        if not sound:
            return self.changed(to, video, inputs=[film])
        order = order.replace("[new]", "[said]").replace("[kept]", "[heard]")
        audio = f"a{keep},asetpts=PTS-STARTPTS[heard];[3:a]asetpts=PTS-STARTPTS[said];{order}concat=n=2:v=0:a=1"
        said, late = (work / "out/clip.srt").read_text().split("\n")[1], new - old if n == 0 else 0
        captions = [[shifted(said, spans[n][0]), c[1]] if within(c, self.facts()["scenes"][n]) else [shifted(c[0], late), c[1]]
                    for c in self.captions()]
        return self.changed(to, video, audio, captions, [(0, cut + late), (cut + late, spans[1][1] + new - old)], [film])


# Each puts its fault into scene `n` of the clip, and says when in the clip it is (None: the scene's, or no time).
def misspelt_title(clip, to, n, i):
    heading, points, line = parts(clip.scenes[n])
    words = heading.split()
    at = len(words) - 1 - i % (len(words) - 1)
    words[at] = misspelt(words[at], i)
    clip.remade(to, n, "\n".join([" ".join(words), *points, line]))


def text_too_small(clip, to, n, _):
    clip.remade(to, n, clip.scenes[n], text_size=0.012)


def word_at(clip, n, i):
    """A word of the scene that carries meaning, with its time."""
    scene = clip.facts()["scenes"][n]
    words = [w for w in clip.facts()["words"] if scene["start"] <= w["start"] < scene["end"] and len(w["word"]) >= 5]
    return words[i % len(words)]


def slurred_word(clip, to, n, i):
    word = word_at(clip, n, i)
    at = f"enable='between(t,{word['start']:.2f},{word['end']:.2f})'"
    clip.changed(to, audio=f"lowpass=f=350:{at},lowpass=f=350:{at}")
    return word["start"], word["end"]


def wrong_word(clip, to, n, i):
    word = word_at(clip, n, i)["word"]
    heading, points, line = parts(clip.scenes[n])
    other = next(each for each in WRONG_WORDS[i % 5:] + WRONG_WORDS if each not in line.lower())
    said = re.sub(rf"\b{re.escape(word)}\b", other, line, count=1, flags=re.I)
    clip.remade(to, n, "\n".join([heading, *points, said]), sound=True)


def caption_missing(clip, to, n, _):
    scene = clip.facts()["scenes"][n]
    clip.changed(to, captions=[c for c in clip.captions() if not within(c, scene)])


def within(caption, scene):
    h, m, s = caption[0].split(" --> ")[0].replace(",", ".").split(":")
    return scene["start"] <= 3600 * int(h) + 60 * int(m) + float(s) < scene["end"]


def caption_differs(clip, to, n, i):
    scene, word = clip.facts()["scenes"][n], word_at(clip, n, i)["word"]
    other = WRONG_WORDS[i % 5] if WRONG_WORDS[i % 5] != word else "nothing"
    clip.changed(to, captions=[[c[0], re.sub(rf"\b{re.escape(word)}\b", other, c[1], count=1, flags=re.I) if within(c, scene) else c[1]]
                               for c in clip.captions()])


def scene_too_long(clip, to, n, _):
    """The scene's picture runs slower for 3 s more, and its sound ends with silence: the bar moves on as long."""
    more, spans = 3.0, [(s["start"], s["end"]) for s in clip.facts()["scenes"]]
    (a, b), cut = spans[n], spans[0][1]
    slow = f"setpts=PTS*{(b - a + more) / (b - a):.4f}"
    video = (f"split[p][q];[p]trim=0:{cut},setpts=PTS-STARTPTS,{slow if n == 0 else 'null'},fps=25[x];"
             f"[q]trim={cut},setpts=PTS-STARTPTS,{slow if n == 1 else 'null'},fps=25[y];[x][y]concat=n=2:v=1:a=0")
    audio = (f"asplit[r][s];[r]atrim=0:{cut},asetpts=PTS-STARTPTS{f',apad=pad_dur={more}' if n == 0 else ''}[z];"
             f"[s]atrim={cut},asetpts=PTS-STARTPTS{f',apad=pad_dur={more}' if n == 1 else ''}[w];[z][w]concat=n=2:v=0:a=1")
    late = more if n == 0 else 0
    captions = [[shifted(c[0], late) if not within(c, {"start": 0, "end": cut}) else c[0], c[1]] for c in clip.captions()]
    clip.changed(to, video, audio, captions, [(0, cut + late), (cut + late, spans[1][1] + more)])
    return clip.facts()["scenes"][n]["said"][1], b + more


def shifted(times, late):
    def moved(text):
        h, m, s = text.replace(",", ".").split(":")
        return srt_time(3600 * int(h) + 60 * int(m) + float(s) + late)
    return " --> ".join(moved(each) for each in times.split(" --> "))


def stretch(clip, n, i, seconds, said=False):
    """A stretch of the scene, of what is said in it: near its start, its middle, its end."""
    scene = clip.facts()["scenes"][n]
    low, high = scene["said"] if said else (scene["start"] + 0.4, scene["end"] - 0.1)
    start = low + max(0, high - low - seconds) * (i % 3) / 2
    return start, min(start + seconds, high)


def frozen_stretch(clip, to, n, i):
    a, b = stretch(clip, n, i, 2.5)
    clip.changed(to, video=f"split[p][q];[p][q]freezeframes=first={a * 25:.0f}:last={b * 25:.0f}:replace={a * 25:.0f}")
    return a, b


def black_stretch(clip, to, n, i):
    a, b = stretch(clip, n, i, 0.8)
    clip.changed(to, video=f"drawbox=t=fill:color=black:enable='between(t,{a:.2f},{b:.2f})'")
    return a, b


def silent_stretch(clip, to, n, i):
    a, b = stretch(clip, n, i, 2.0, said=True)
    clip.changed(to, audio=f"volume=0:enable='between(t,{a:.2f},{b:.2f})'")
    return a, b


def too_quiet(clip, to, *_):
    clip.changed(to, audio="volume=-18dB")


def too_loud(clip, to, *_):
    clip.changed(to, audio="volume=20dB")


def sound_shorter(clip, to, *_):
    end = clip.facts()["seconds"]
    clip.changed(to, audio=f"atrim=0:{end - 0.8:.2f}")
    return end - 0.8, end


def picture_shorter(clip, to, *_):
    end = clip.facts()["seconds"]
    clip.changed(to, video=f"trim=0:{end - 0.6:.2f}")
    return end - 0.6, end


# Kind: how it is made, the fingerprint of the criterion that must find it, whether it belongs to one scene.
KINDS = {
    "misspelt title": (misspelt_title, r"eyes:(wrong|missing)", True),
    "text too small": (text_too_small, r"eyes:too_small", True),
    "slurred word": (slurred_word, r"word:|ears:|signal:", True),
    "wrong word": (wrong_word, r"word:|ears:", True),
    "caption missing": (caption_missing, r"clip:caption_missing", True),
    "caption differs": (caption_differs, r"clip:caption_text", True),
    "scene too long": (scene_too_long, r"clip:longer", True),
    "frozen": (frozen_stretch, r"clip:frozen", True),
    "black": (black_stretch, r"clip:black", True),
    "silent": (silent_stretch, r"clip:silent", True),
    "too quiet": (too_quiet, r"clip:loudness", False),
    "too loud": (too_loud, r"clip:loudness", False),
    "sound shorter": (sound_shorter, r"clip:lengths", False),
    "picture shorter": (picture_shorter, r"clip:lengths", False),
}


def times_in(locus):
    found = re.search(r"(\d+\.?\d*)(?:-(\d+\.?\d*))? s", locus)
    return (float(found[1]), float(found[2] or found[1])) if found else None


def at_place(critique, scene, when):
    """Whether the critique's place is the fault's: its time overlaps (by 0.3 s), else its scene is the one."""
    times = times_in(critique["locus"])
    if not when:
        return not critique["locus"] or times is not None
    return times is not None and times[0] <= when[1] + 0.3 and times[1] >= when[0] - 0.3


def elsewhere(row):
    """Whether a scene without a fault was accused as well."""
    scenes = {int(n) for c in row["critiques"] for n in re.findall(r"^scene (\d+)", c["locus"]) + re.findall(r"^scene (\d+):", c["claim"])}
    return KINDS[row["kind"]][2] and bool(scenes - {row["scene"]})


class Bench:
    def __init__(self, options):
        self.lathe, self.dir = options.lathe.resolve(), options.work.resolve()
        self.recipe = (pathlib.Path(__file__).parent.parent / "recipes/clip.toml").read_text()
        self.dir.mkdir(parents=True, exist_ok=True)
        self.rows_file = self.dir / "rows.jsonl"
        self.rows = [json.loads(line) for line in self.rows_file.read_text().splitlines()] if self.rows_file.exists() else []
        self.clips = {}

    def clip(self, index):
        if index not in self.clips:
            self.clips[index] = Clip(self, index)
        return self.clips[index]

    def judge(self, film, script):
        start = time.time()
        out = command([self.lathe, "--json", "judge", "run", "clip", film, "--set", f"script={script}"], fine=(0, 1, 3))
        return json.loads(out), round(time.time() - start, 1)

    def known(self, kind, index):
        return any(row["kind"] == kind and row["clip"] == index for row in self.rows)

    def add(self, row):
        self.rows.append(row)
        with self.rows_file.open("a") as out:
            out.write(json.dumps(row) + "\n")
        print(f"{row['kind']}, clip {row['clip']}: {row['said']}", file=sys.stderr, flush=True)

    def unspoiled(self, index):
        if not self.known("unspoiled", index):
            facts = self.clip(index).facts()
            self.add(dict(kind="unspoiled", clip=index, outcome=facts["outcome"], critiques=facts["critiques"], seconds=facts["seconds"],
                          caught=facts["outcome"] != "pass", right=False, said=facts["outcome"]))

    def spoiled(self, kind, index):
        if self.known(kind, index):
            return
        make, criterion, of_scene = KINDS[kind]
        clip, n = self.clip(index), index % 2
        to = clip.dir / f"{kind.replace(' ', '_')}.mp4"
        when = make(clip, to, n, index)
        verdict, seconds = self.judge(to, clip.script)
        if of_scene and not when:
            scene = verdict["evidence"]["scenes"][n] if len(verdict["evidence"].get("scenes", [])) > n else clip.facts()["scenes"][n]
            when = (scene["start"], scene["end"])
        right = any(re.search(criterion, c["fingerprint"]) and at_place(c, n, when) for c in verdict["critiques"])
        caught = verdict["outcome"] == "fail"
        self.add(dict(kind=kind, clip=index, scene=n + 1, at=when, outcome=verdict["outcome"], caught=caught, right=right, judged=seconds,
                      critiques=[{k: c[k] for k in ("fingerprint", "locus", "claim", "evidence")} for c in verdict["critiques"]],
                      said="right" if right else f"{verdict['outcome']}: {[(c['fingerprint'], c['locus']) for c in verdict['critiques']]}"))

    def looped(self, kind, index):
        """The recipe's judges on scripted takes: the fault in the first take of scene `n`, the clip's own scenes after it."""
        make, criterion, _ = KINDS[kind]
        if self.known("loop: " + kind, index):
            return
        clip, n = self.clip(index), 1 if "shorter" in kind else index % 2
        work = clip.dir / f"loop_{kind.replace(' ', '_')}"
        work.mkdir(exist_ok=True)
        make(clip, work / "whole.mp4", n, index)
        chapters = json.loads(command(["ffprobe", "-v", "error", "-show_chapters", "-of", "json", work / "whole.mp4"]))["chapters"]
        span = ["-ss", chapters[n]["start_time"]] + ([] if n else ["-to", chapters[0]["end_time"]])
        command(["ffmpeg", "-v", "error", "-y", *span, "-i", work / "whole.mp4", "-map", "0:v", "-map", "0:a", "-map", "0:s?",
                 "-map_chapters", "-1", *ENCODE, work / f"P{n + 1:03}-1.mp4"])
        for scene in ("P001.mp4", "P002.mp4"):
            (work / scene).write_bytes((clip.dir / "out" / scene).read_bytes())
        files = ["P001.mp4", "P002.mp4", f"P{n + 1:03}-1.mp4"]
        maker = f"""[make]
kind = "command"
command = ["sh", "-c", "cat $1-$2.mp4 2>/dev/null || cat $1.mp4", "sh", "{{key}}", "{{lap}}"]
files = {json.dumps(files)}
media_type = "video/mp4"
extension = "mp4"
ladder = ["takes"]

"""
        (work / "takes.toml").write_text(re.sub(r"\[make\].*?(?=\[\[judge)", lambda _: maker, self.recipe, count=1, flags=re.S))
        out = command([self.lathe, "--json", "loop", "takes.toml", "--input", "../brief.txt", "--out", "out"], fine=(0, 1, 2), cwd=work)
        events = [json.loads(line) for line in out.splitlines()]
        (work / "events.jsonl").write_text(out)
        laps = [sum(e["kind"] == "made" and e["body"]["track"] == track for e in events) for track in range(2)]
        state = [e["body"]["state"] for e in events if e["kind"] == "end"]
        caught = re.search(criterion, json.dumps([e for e in events if e["kind"] == "verdict" and e["body"].get("track") == n])) is not None
        right = caught and state == ["passed"] and laps[n] == 2 and laps[1 - n] == 1
        self.add(dict(kind="loop: " + kind, clip=index, scene=n + 1, laps=laps, state=state, caught=caught, right=right,
                      said="repaired" if right else f"{state}, laps {laps}, caught {caught}"))

    def table(self):
        kinds = collections.defaultdict(list)
        for row in self.rows:
            kinds[row["kind"]].append(row)
        print("| fault | clips | caught | by the right criterion, at the right place | the other scene accused too |\n|---|---|---|---|---|")
        for kind in KINDS:
            if rows := kinds[kind]:
                print(f"| {kind} | {len(rows)} | {sum(r['caught'] for r in rows)} | {sum(r['right'] for r in rows)} | {sum(map(elsewhere, rows))} |")
        unspoiled = kinds["unspoiled"]
        print(f"| none | {len(unspoiled)} | {sum(r['caught'] for r in unspoiled)} false alarms | | |")
        if any(kind.startswith("loop: ") for kind in kinds):
            print("\n| fault in a first take | loops | caught | only that scene made again, passed |\n|---|---|---|---|")
        for kind in KINDS:
            if rows := kinds["loop: " + kind]:
                print(f"| {kind} | {len(rows)} | {sum(r['caught'] for r in rows)} | {sum(r['right'] for r in rows)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lathe", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--a-kind", type=int, default=20)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--loop", type=int, default=0)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    bench = Bench(options)
    if not options.table:
        for index in range(options.clips):
            bench.unspoiled(index)
            if index < options.a_kind:
                for kind in options.kinds.split(","):
                    bench.spoiled(kind, index)
            for kind in options.kinds.split(",") if index < options.loop else []:
                bench.looped(kind, index)
    bench.table()


if __name__ == "__main__":
    main()
