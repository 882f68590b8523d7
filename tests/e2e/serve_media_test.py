"""Pictures and sounds in requests to `lathe serve`, by the words of four APIs, with tiny models and their encoders."""
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import unittest
import urllib.request

import local_model_test
from cli_test import LATHE, SOURCE
from index_test import pdf
from pictures_test import png
from serve_test import Server

MEDIA = SOURCE / "tests/data/media"
HEARING = ("qwen2a", "qwen3a", "ultravox", "voxtral")
KINDS = ("gemma3", "gemma4v", "qwen2.5vl_merger", "qwen3vl_merger", "idefics3", "pixtral", "internvl", "mlp", "lfm2")


class ServeMedia(Server):
    def setUp(self):
        super().setUp()
        for kind in (*KINDS, *HEARING):
            shutil.copy(MEDIA / f"{kind}.llm.gguf", self.models)
            shutil.copy(MEDIA / f"{kind}.mmproj.gguf", self.models)
        self.base64 = base64.b64encode((MEDIA / "img_97x61.png").read_bytes()).decode()
        self.url_of = "data:image/png;base64," + self.base64
        self.start()

    def ask(self, model, *parts, status=200, **more):
        parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
        return self.call("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": parts}], "max_tokens": 6,
                                                  "temperature": 0, **more}, status)

    def picture(self, url=None):
        return {"type": "image_url", "image_url": {"url": url or self.url_of}}

    def metric(self, name):
        line = next(line for line in self.text("/metrics").splitlines() if line.startswith(f"lathe_{name} "))
        return int(line.split()[1])

    def text(self, path):
        return urllib.request.urlopen(self.url + path).read().decode()

    def test_every_kind(self):
        capabilities = {each["id"]: each["capabilities"] for each in self.call("/v1/models")["data"]}
        self.assertFalse([name for name in capabilities if "mmproj" in name])
        for kind in KINDS:
            model = f"{kind}.llm"
            self.assertIn("vision", capabilities[model])
            self.assertIn("vision", self.call("/api/show", {"model": model})["capabilities"])
            seen = self.ask(model, "Hi ", self.picture(), " what is it?")
            blind = self.ask(model, "Hi  what is it?")
            self.assertGreater(seen["usage"]["prompt_tokens"], blind["usage"]["prompt_tokens"] + 3, kind)
        self.assertNotIn("vision", capabilities["llama-q4_0"])
        self.assertIn("takes text only", self.ask("llama-q4_0", self.picture(), status=400)["error"]["message"])
        self.eventually(lambda: self.metric("media_encoded_total") == len(KINDS))
        # `lathe fit` counts what the server books for an encoder, to the byte; the server has two threads.
        two = lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
        for model in ("gemma3.llm", "qwen3vl_merger.llm", "llama-q4_0"):
            fit = subprocess.run([LATHE, "--json", "fit", self.models / f"{model}.gguf"], env=self.environment(), capture_output=True,
                                 preexec_fn=two)
            sized = json.loads(fit.stdout)
            booked = next(each["media"] for each in self.status()["models"] if each["name"] == model)
            self.assertEqual(sized["models"][0]["encoder"], booked, model)
            parts = ("weights", "kv", "step", "state", "scratch", "encoder")
            self.assertEqual(sized["together"]["sum"], sum(sized["together"][each] for each in parts))

    def test_sounds(self):
        capabilities = {each["id"]: each["capabilities"] for each in self.call("/v1/models")["data"]}
        data = base64.b64encode((MEDIA / "s3.wav").read_bytes()).decode()
        sound = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
        for kind, rows in zip(HEARING, (750, 52, 187, 187)):
            model = f"{kind}.llm"
            self.assertIn("audio", capabilities[model])
            self.assertIn("audio", self.call("/api/show", {"model": model})["capabilities"])
            heard = self.ask(model, "Hi ", sound, " what is it?")["usage"]["prompt_tokens"]
            deaf = self.ask(model, "Hi  what is it?")["usage"]["prompt_tokens"]
            self.assertIn(heard - deaf, range(rows - 1, rows + 4), kind)
            self.assertIn("takes texts and sounds only", self.ask(model, self.picture(), status=400)["error"]["message"])
        broken = {"type": "input_audio", "input_audio": {"data": data[:52], "format": "wav"}}
        self.assertIn("sound 1 of the messages", self.ask("qwen2a.llm", broken, status=400)["error"]["message"])

    def test_documents(self):
        """A PDF and a contract of a word processor, by three APIs: as if their texts had been sent."""
        paper = pdf([["Invoice QX-4711", "The total is 319 euros."]])
        data = base64.b64encode(paper).decode()
        read = "a.pdf\n```\n[page 1]\nInvoice QX-4711\nThe total is 319 euros.\n\n```\n"
        chat = self.ask("llama-q4_0", "Read", {"type": "file", "file": {"filename": "a.pdf", "file_data": data}})
        self.assertEqual(chat["choices"], self.ask("llama-q4_0", "Read\n" + read)["choices"])
        tokens = chat["usage"]["prompt_tokens"]
        self.assertEqual(tokens, self.ask("llama-q4_0", "Read\n" + read)["usage"]["prompt_tokens"])
        block = {"type": "document", "title": "a.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}
        asked = {"model": "llama-q4_0", "messages": [{"role": "user", "content": [{"type": "text", "text": "Read"}, block]}]}
        self.assertEqual(self.call("/v1/messages/count_tokens", asked)["input_tokens"], tokens)
        file = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64," + data}
        told = self.call("/v1/responses", {"model": "llama-q4_0", "temperature": 0, "max_output_tokens": 6, "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Read"}, file]}]})
        self.assertEqual(told["usage"]["input_tokens"], tokens)
        # A model with eyes gets the text beside its picture.
        self.assertGreater(self.ask("gemma3.llm", self.picture(), {"type": "file", "file": {"file_data": data}})["usage"]["prompt_tokens"],
                           self.ask("gemma3.llm", self.picture())["usage"]["prompt_tokens"] + 20)
        broken = {"type": "file", "file": {"filename": "b.pdf", "file_data": base64.b64encode(b"%PDF-1.4 and no more").decode()}}
        error = self.ask("llama-q4_0", broken, status=400)["error"]
        self.assertIn("the document b.pdf: ", error["message"])

    def test_films(self):
        """A film is pictures of it, each behind its time: to a model that reads those, and to no other."""
        path = self.models / "film.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10:duration=3", "-f", "lavfi",
                        "-i", "sine=duration=3", "-pix_fmt", "yuv420p", "-y", path], check=True)
        film = lambda data: {"type": "video_url", "video_url": {"url": "data:video/mp4;base64," + base64.b64encode(data).decode()}}
        words = self.ask("gemma3.llm", "What happens? film: a film of 3.0 seconds, as 3 of its pictures, each behind its time; its "
                         "sound is left out\n<0.5 seconds>\n<1.5 seconds>\n<2.5 seconds>")["usage"]["prompt_tokens"]
        shown = self.ask("gemma3.llm", "What happens?", film(path.read_bytes()))["usage"]["prompt_tokens"]
        one = self.ask("gemma3.llm", self.picture())["usage"]["prompt_tokens"] - self.ask("gemma3.llm", "")["usage"]["prompt_tokens"]
        self.assertIn(shown - words - 3 * one, range(-9, 10))
        self.eventually(lambda: self.metric("media_encoded_total") == 4)  # three pictures of the film, and the other one
        self.assertIn("takes text only", self.ask("llama-q4_0", film(path.read_bytes()), status=400)["error"]["message"])
        sound = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-vn", "-f", "mp4", "-movflags", "frag_keyframe+empty_moov", "-"],
                               check=True, capture_output=True).stdout
        self.assertIn("the document film: it has no moving picture", self.ask("gemma3.llm", film(sound), status=400)["error"]["message"])
        cut = self.ask("gemma3.llm", film(path.read_bytes()[:900]), status=400)["error"]["message"]
        self.assertIn("the document film: ", cut)

    def test_beside_others(self):
        """Eight pictures and sounds at once, then each again: the probabilities of each answer are, to the bit, those that it has alone."""
        rows = lambda i: (b"\0" + bytes((40 * i + 7 * x) % 256 for x in range(3 * 64))) * 48
        sound = base64.b64encode((MEDIA / "s3.wav").read_bytes()).decode()
        parts = [self.picture("data:image/png;base64," + base64.b64encode(png(64, 48, rows(i))).decode()) for i in range(6)]
        asks = [("qwen3vl_merger.llm", part) for part in parts[:3]] + [("gemma3.llm", part) for part in parts[3:]] + [
            ("qwen3a.llm", {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}})] * 2
        answer = lambda model, part: self.ask(model, "Look ", part, " and say", logprobs=True, top_logprobs=3)["choices"]
        together = [None] * len(asks)

        def ask(i):
            together[i] = answer(*asks[i])
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(asks))]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        self.end()
        for model, part in dict.fromkeys((model, json.dumps(part)) for model, part in asks):
            self.start()  # nothing is remembered
            alone = answer(model, json.loads(part))
            warm = answer(model, json.loads(part))
            self.end()
            for i, asked in enumerate(asks):
                if asked == (model, json.loads(part)):
                    self.assertEqual(together[i], alone)
                    self.assertEqual(together[i], warm)

    def peak(self):
        """The most memory that the server has had, in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])

    def test_hostile_files(self):
        """What is too large, two things at once or cut off is refused by its name; memory stays as it is, and others are served."""
        sound = lambda data: {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "flac"}}
        picture = lambda data: self.picture("data:image/png;base64," + base64.b64encode(data).decode())
        hours = subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono:d=14400", "-f", "flac", "-"],
                               check=True, capture_output=True).stdout
        small, tone = (MEDIA / "img_97x61.png").read_bytes(), (MEDIA / "s3.wav").read_bytes()
        page = b"<html><script>alert(1)</script></html>"
        self.ask("qwen3vl_merger.llm", picture(small))
        self.ask("qwen3a.llm", sound(tone))
        before = self.peak()
        for part, words in ((picture(png(10_000, 10_000, bytes(1251 * 10_000), bits=1, colour=0)), "picture 1 of the messages"),
                            (picture(small[:len(small) // 2]), "picture 1 of the messages"), (picture(small[:8] + page), "picture 1 of the messages"),
                            (picture(page + small), "is no PNG")):
            error = self.ask("qwen3vl_merger.llm", "Hi", part, status=400)["error"]["message"]
            self.assertIn(words, error)
        for part, words in ((sound(hours), "50 minutes"), (sound(tone[:20]), "sound 1 of the messages"), (sound(tone[:12] + page), "sound 1 of the messages")):
            self.assertIn(words, self.ask("qwen3a.llm", "Hi", part, status=400)["error"]["message"])
        # A polyglot is what its first bytes say, and nothing else of it is looked at.
        both = self.ask("qwen3vl_merger.llm", picture(small + page), " what?")
        self.assertEqual(both["choices"], self.ask("qwen3vl_merger.llm", picture(small), " what?")["choices"])
        # Forty pictures, all of them others.
        forty = [picture(png(40 + i, 40, (b"\0" + bytes(3 * (40 + i))) * 40)) for i in range(40)]
        seen = self.ask("qwen3vl_merger.llm", *forty)["usage"]["prompt_tokens"]
        self.assertGreater(seen, 40 * 3)
        self.assertLess(self.peak() - before, 128 << 20)
        self.assertEqual(self.ask("llama-q4_0", "Hi")["object"], "chat.completion")

    def test_chat_shows_files(self):
        """`/file` in a chat with a model of the server: pictures and films are shown as by the API, sounds are heard."""
        film = self.dir / "film.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10:duration=2", "-pix_fmt", "yuv420p", "-y", film],
                       check=True)
        shutil.copy(MEDIA / "img_97x61.png", self.dir / "photo.png")
        shutil.copy(MEDIA / "s3.wav", self.dir)
        chat = local_model_test.LocalChat()
        chat.dir, chat.journal, chat.addCleanup = self.dir, self.journal, self.addCleanup
        chat.start("--server", self.url, "--max-tokens", "2", model="gemma3.llm")
        chat.say("/file photo.png", r"photo\.png: a picture \(image/png\), with your next message")
        chat.say("What is it?", chat.ANSWERED)
        chat.say("/file film.mp4", r"film\.mp4: 2 pictures of a film, with your next message")
        chat.say("What happens?", chat.ANSWERED)
        chat.say("/retry", chat.ANSWERED)
        still, film = chat.questions()
        self.assertEqual([part["type"] for part in still], ["image_url", "text"])
        self.assertEqual([part["type"] for part in film], ["text", "image_url", "text", "image_url", "text"])
        self.assertIn("film.mp4: a film of 2.0 seconds", film[0]["text"])
        self.assertEqual(film[-1]["text"], "What happens?")
        self.eventually(lambda: self.metric("media_encoded_total") == 3)
        # The talk that was saved goes on; another model of it gets what it can take.
        chat.say("/clear", "")
        chat.say("/load talk.json", "4 messages")
        chat.say("And?", chat.ANSWERED)
        chat.say("/file s3.wav", r"s3\.wav: a sound")
        chat.say("Heard?", "error: .*takes texts and pictures only|error: .*sounds?")
        chat.leave()

    def test_four_apis(self):
        model = "qwen3vl_merger.llm"
        chat = self.ask(model, "Hi ", self.picture(), " what?")
        tokens, text = chat["usage"]["prompt_tokens"], chat["choices"][0]["message"]["content"]
        common = {"model": model, "temperature": 0}
        responses = self.call("/v1/responses", common | {"max_output_tokens": 6, "input": [{"role": "user", "content": [
            {"type": "input_text", "text": "Hi "}, {"type": "input_image", "image_url": self.url_of},
            {"type": "input_text", "text": " what?"}]}]})
        self.assertEqual(responses["usage"]["input_tokens"], tokens)
        self.assertEqual("".join(p["text"] for o in responses["output"] for p in o["content"]), text)
        block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": self.base64}}
        talk = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi "}, block, {"type": "text", "text": " what?"}]}]}
        messages = self.call("/v1/messages", common | talk | {"max_tokens": 6})
        self.assertEqual(messages["usage"]["input_tokens"] + messages["usage"].get("cache_read_input_tokens", 0), tokens)
        self.assertEqual("".join(block["text"] for block in messages["content"]), text)
        self.assertIn("leave it out", self.call("/v1/messages/count_tokens", common | talk, 400)["error"]["message"])
        ollama = self.call("/api/chat", {"model": model, "stream": False, "options": {"temperature": 0, "num_predict": 6},
                                         "messages": [{"role": "user", "content": "what?", "images": [self.base64]}]})
        self.assertGreater(ollama["prompt_eval_count"], 12)
        self.eventually(lambda: (self.metric("media_encoded_total"), self.metric("media_remembered_total")) == (1, 3))

    def test_clients(self):
        done = subprocess.run(["node", "--test", SOURCE / "tests/clients/pictures.test.mjs"], capture_output=True, timeout=300,
                              env={**self.environment(), "LATHE_URL": self.url, "LATHE_MODEL": "gemma3.llm"})
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace")[-4000:])

    def test_refusals(self):
        model = "gemma3.llm"
        for url, words in (("http://127.0.0.1/x.png", "data: URL"), ("file:///etc/passwd", "data: URL"),
                           ("data:image/png;base64,AAAA", "is no PNG"), (self.url_of[:4000], "picture 1 of the messages")):
            self.assertIn(words, self.ask(model, self.picture(url), status=400)["error"]["message"])
        self.assertIn("context", self.ask(model, *[self.picture()] * 100, *["more " * 3000], status=400)["error"]["message"])
        # What looks like a mark is text, and everybody else is served meanwhile.
        self.ask(model, "\ufffe0123456789abcdef0123456789abcdefn0\ufffe ", self.picture())
        media = lambda name: next(each["media"] for each in self.status()["models"] if each["name"] == name)
        self.eventually(lambda: media(model) > 64 << 20)
        self.assertEqual(media("llama-q4_0"), 0)


if __name__ == "__main__":
    unittest.main()
