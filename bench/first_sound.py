"""How long `lathe talk` takes from the end of a question to its first sound, and from a stop to silence.

usage: first_sound.py LATHE [--turns 10] [--model models/starter-q8_0.gguf] [--hook STEP]

Two thinkers: a script, whose answer is there at once (what is left is the hook, the voice and the player's start), and a model
of a `lathe serve`, loaded before. Each is asked `--turns` times, with another seed and in a talk of its own. The sound goes to
a player that a shell script stands for, so that no loudspeaker counts; for the second row of each a signal ends the answer
once it sounds.
"""
import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import tempfile
import urllib.request

ANSWER = "Good morning to you, and welcome to the show. The weather is fine today. That is all that there is to say about it."
QUESTION = "a function that returns the sum of a list"


class Place:
    def __init__(self, directory, lathe, hook):
        self.dir, self.lathe, self.hook = pathlib.Path(directory), lathe, hook
        self.quick = self.dir / "quick"
        self.env = {**os.environ, "PATH": f"{self.dir}:{os.environ['PATH']}", "XDG_CONFIG_HOME": str(self.dir)}
        player = self.dir / "pw-play"
        player.write_text(f"#!/bin/sh\n[ -e {self.quick} ] || exec sleep 600\n")
        player.chmod(0o755)

    def start(self, *args, **more):
        command = [self.lathe, "--journal", self.dir / "journal", "--json", *args]
        return subprocess.Popen([str(each) for each in command], stdout=subprocess.PIPE, text=True, cwd=self.dir, env=self.env, **more)

    def answer(self, worker, seed, stops):
        """The event that ends the answer to one question."""
        hook = [part for step in self.hook for part in ("--hook", step)]
        process = self.start("talk", "thinker", "--worker", f"thinker={worker}", "--seed", seed, "--max-tokens", 120, *hook, stdin=subprocess.PIPE)
        process.stdin.write(f"{QUESTION}\n")
        process.stdin.flush()
        for line in process.stdout:
            event = json.loads(line)
            if stops and event["event"] == "sound":
                process.send_signal(signal.SIGINT)
            if event["event"] == "answer":
                break
        process.stdin.close()
        process.wait()
        return event

    def rows(self, name, worker, turns):
        for what, field, stops in (("first sound", "first_sound_ms", False), ("silence after a stop", "stopped_after_ms", True)):
            self.quick.unlink(missing_ok=True) if stops else self.quick.touch()
            answers = [self.answer(worker, seed, stops) for seed in range(1, turns + 1)]
            times = sorted(answer[field] for answer in answers if field in answer)
            print(f"| {name}: {what} | {len(times)} | {statistics.median(times):.0f} | {times[-1]:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("lathe", type=pathlib.Path)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[1] / "models/starter-q8_0.gguf")
    parser.add_argument("--hook", action="append", default=[])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Place(directory, args.lathe.resolve(), args.hook)
        print("| thinker | answers | median, ms | slowest |\n|---|---|---|---|")
        (place.dir / "script.toml").write_text(f'[[reply]]\ntext = "{ANSWER}"\n')
        place.rows("a script", f"script:{place.dir}/script.toml", args.turns)
        server = place.start("serve", args.model.resolve(), "--port", "0")
        try:
            url = next(event["url"] for event in map(json.loads, server.stdout) if event["event"] == "ready")
            body = json.dumps({"model": args.model.stem, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 1}).encode()
            urllib.request.urlopen(urllib.request.Request(f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"})).read()
            place.rows(args.model.stem, f"{url}/v1#{args.model.stem}", args.turns)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
