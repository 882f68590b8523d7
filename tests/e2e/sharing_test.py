"""`lathe key`, and people with keys at a real server: every API knows them, whoever comes too often waits, nobody's prefixes are others'."""
import concurrent.futures
import contextlib
import http.client
import json
import sqlite3
import stat
import unittest

from cli_test import Case
from serve_test import Server, TINY


class Keys(Case):
    def key(self, *args, code=0):
        out, err = self.lathe("--json", "key", *args, code=code)
        return [json.loads(line) for line in out.splitlines()] if code == 0 else [], err

    def test_a_key_is_shown_once_listed_and_revoked(self):
        made, _ = self.key("add", "anna", "--class", "background", "--weight", "2", "--tokens-day", "1000", "--parallel", "3",
                           "--models", "a,b", "--expires", "2099-01-31")
        self.assertTrue(made[0]["key"].startswith("lathe-"))
        files = list(self.dir.rglob("keys.toml"))
        self.assertEqual(len(files), 1)
        self.assertNotIn(made[0]["key"], files[0].read_text())
        self.assertEqual(stat.S_IMODE(files[0].stat().st_mode), 0o600)
        row = self.key("list")[0][0]
        self.assertEqual({"name": "anna", "state": "valid", "class": "background", "weight": 2.0, "tokens_day": 1000, "joules_day": None,
                          "parallel": 3, "models": ["a", "b"], "expires": "2099-01-31T00:00:00Z", "revoked": None},
                         {key: value for key, value in row.items() if key != "created"})
        self.key("add", "ben")
        self.key("revoke", "anna")
        self.assertEqual([(row["name"], row["state"]) for row in self.key("list")[0]], [("anna", "revoked"), ("ben", "valid")])
        self.assertIn("was revoked", self.key("revoke", "anna", code=2)[1])
        self.assertIn("did you mean 'ben'", self.key("revoke", "bem", code=2)[1])
        self.assertIn("choose another name", self.key("add", "anna", code=2)[1])

    def test_what_cannot_be_a_key_is_refused_with_the_remedy(self):
        for words, args in {
            "is none": ("an\nna",),
            "is the name of the server's own key": ("owner",),
            "must lie in [0.01, 100]": ("x", "--weight", "0"),
            "is past": ("x", "--expires", "2020-01-01"),
            "write it like 2026-01-31": ("x", "--expires", "tomorrow"),
            "leave it out for no limit": ("x", "--tokens-day", "0"),
        }.items():
            self.assertIn(words, self.key("add", *args, code=2)[1])
        for weight in ("1e9", "nan", "-1"):
            self.assertIn("must lie in", self.key("add", "x", "--weight", weight, code=2)[1])
        self.assertEqual(self.key("list")[0], [])

    def test_many_at_once_lose_none(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: self.key("add", f"k{i}"), range(16)))
        self.assertEqual(len(self.key("list")[0]), 16)


class People(Server):
    def key(self, name, *args):
        return json.loads(self.lathe("--json", "key", "add", name, *args)[0])["key"]

    def ask(self, key, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        connection.request("POST" if body is not None else "GET", path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def talk(self, text="hello", **more):
        return {"model": TINY[0], "messages": [{"role": "user", "content": text}], "max_tokens": 8, "seed": 1, **more}

    def test_keys_come_and_go_while_the_server_runs(self):
        self.start()
        self.assertEqual(self.ask("", "/v1/models")[0], 200, "nobody has a key: nobody is asked for one")
        anna = self.key("anna")
        self.assertEqual(self.ask("", "/v1/models")[0], 401)
        for path, body in {"/v1/chat/completions": self.talk(), "/v1/messages": self.talk(), "/api/chat": self.talk(),
                           "/v1/responses": {"model": TINY[0], "input": "hello", "max_output_tokens": 8},
                           "/v1/embeddings": {"model": TINY[0], "input": "hello"}}.items():
            for stream in (False, True):
                self.assertEqual(self.ask("", path, {**body, "stream": stream})[0], 401, path)
                self.assertEqual(self.ask(anna, path, {**body, "stream": stream})[0], 200, path)
        self.assertEqual(self.ask(anna, "/models/unload", {"model": TINY[0]})[0], 403)
        self.lathe("key", "revoke", "anna")
        status, _, text = self.ask(anna, "/v1/models")
        self.assertEqual(status, 401)
        self.assertIn("revoked", text)

    def test_a_streamed_call_counts_to_the_token(self):
        self.start()
        once = self.key("once")
        status, _, text = self.ask(once, "/v1/chat/completions", self.talk())
        usage = json.loads(text)["usage"]["total_tokens"]
        exact, more = self.key("exact", "--tokens-day", str(usage)), self.key("more", "--tokens-day", str(usage + 1))
        for key in (exact, more):
            self.assertEqual(self.ask(key, "/v1/chat/completions", self.talk(stream=True))[0], 200)
        status, headers, text = self.ask(exact, "/v1/messages", self.talk())
        self.assertEqual((status, headers["x-should-retry"]), (429, "false"), text)
        self.assertLessEqual(int(headers["Retry-After"]), 86400)
        self.assertEqual(self.ask(more, "/v1/messages", self.talk())[0], 200)

    def test_prefixes_are_each_keys_own(self):
        self.start()
        anna, ben = self.key("anna"), self.key("ben")
        cached = lambda key: json.loads(self.ask(key, "/v1/chat/completions", self.talk("x" * 400))[2])["usage"][
            "prompt_tokens_details"]["cached_tokens"]
        self.assertEqual(cached(anna), 0)
        self.assertEqual(cached(ben), 0)
        self.assertGreater(cached(anna), 100)

    def environment(self):
        return super().environment() | {"OWNERS": "the-owners-key"}

    def chats(self, key, method, path, body=None, code=200, change=True):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": "Bearer " + key} | ({"X-Lathe": "1"} if change else {})
        connection.request(method, "/v1/chats" + path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        self.assertEqual(answer.status, code, said)
        return json.loads(said)

    def test_chats_are_each_keys_own(self):
        anna, ben, owner = self.key("anna"), self.key("ben"), self.environment()["OWNERS"]
        self.start("--api-key-env", "OWNERS", "--journal", self.dir / "journal")
        ask = self.chats
        turns = [{"role": "user", "text": "Where is the swordfish?", "note": 7}, {"role": "assistant", "text": "In the Ägäis."}]
        kept = ask(anna, "POST", "", {"turns": turns, "model": "m", "settings": {"system": "be brief"}})
        self.assertEqual(kept["revision"], 1)
        path = "/" + kept["id"]
        ask(ben, "POST", "", {"turns": [{"role": "user", "text": "mine"}], "title": "Ben's"})
        ask(owner, "POST", "", {"turns": [{"role": "user", "text": "the owner's own"}]})
        row = ask(anna, "GET", "")["data"]
        self.assertEqual([(each["title"], each["model"]) for each in row], [("Where is the swordfish?", "m")])
        self.assertEqual(ask(anna, "GET", path)["turns"], turns, "as they were written")
        self.assertEqual(ask(anna, "GET", path)["settings"], {"system": "be brief"})
        for typed, found in {"sword%66": 1, "agais+where": 1, "mine": 0, "%22%20OR%20": 0}.items():
            self.assertEqual(len(ask(anna, "GET", "?search=" + typed)["data"]), found, typed)
        for other in (ben, owner):
            self.assertEqual([each["id"] for each in ask(other, "GET", "?search=swordfish")["data"]], [])
            ask(other, "GET", path, code=404)
            ask(other, "POST", path, {"turns": turns, "seen": 1}, code=404)
            ask(other, "DELETE", path, code=404)
        self.assertEqual([(row["key"], row["chats"]) for row in ask(owner, "GET", "")["others"]], [("anna", 1), ("ben", 1)])
        self.assertNotIn("others", ask(anna, "GET", ""))
        longer = turns + [{"role": "user", "text": "And the codfish?"}]
        self.assertEqual(ask(anna, "POST", path, {"turns": longer, "seen": 1})["revision"], 2)
        self.assertIn("elsewhere", ask(anna, "POST", path, {"turns": turns, "seen": 1}, code=409)["error"]["message"])
        for body, words in {
            "{}": "turns", '{"turns": []}': "turns", '{"turns": [{"role": "system", "text": "x"}]}': "role", '{"turns": ["x"]}': "turns",
            json.dumps({"turns": turns, "title": "x" * 201}): "title", json.dumps({"turns": turns, "settings": 1}): "settings",
        }.items():
            self.assertIn(words, json.dumps(ask(anna, "POST", "", json.loads(body), code=400)), body)
        # As deep as a request may be: what was taken comes back.
        deep = json.loads('{"a":' * 120 + "1" + "}" * 120)
        nested = ask(anna, "POST", "", {"turns": [{"role": "user", "text": "deep", "more": deep}]})
        self.assertEqual(ask(anna, "GET", "/" + nested["id"])["turns"][0]["more"], deep)
        ask(anna, "DELETE", "/" + nested["id"])
        ask(anna, "GET", "?serch=x", code=400)
        ask(anna, "GET", "?search=%zz", code=400)
        ask(anna, "POST", "", {"turns": turns}, code=403, change=False)
        ask(anna, "DELETE", path, code=403, change=False)
        ask("lathe-none", "GET", "", code=401)
        # Forgotten: in no file of the journal.
        files = lambda: b"".join(each.read_bytes() for each in self.dir.rglob("chats.db*"))
        self.assertIn(b"codfish", files())
        ask(anna, "DELETE", path)
        self.assertNotIn(b"codfish", files())
        self.assertNotIn(b"swordfish", files())
        self.assertEqual(ask(anna, "GET", "")["data"], [])
        rows = [json.loads(line) for line in self.lathe("--json", "chats")[0].splitlines()]
        self.assertEqual([(row["key"], row["chats"]) for row in rows], [("owner", 1), ("ben", 1)])
        self.assertIn("1 chat of it stays", self.lathe("key", "revoke", "ben")[0])
        self.lathe("chats", "forget", "ben")
        self.assertIn("has no chats", self.lathe("chats", "forget", "ben", code=2)[1])
        self.assertNotIn(b"mine", files())

    def test_chats_of_long_ago_are_forgotten(self):
        anna = self.key("anna")
        self.start()
        self.chats(anna, "POST", "", {"turns": [{"role": "user", "text": "long ago"}]})
        with contextlib.closing(sqlite3.connect(next(self.dir.rglob("chats.db")))) as book, book:
            book.execute("UPDATE chats SET changed_ms = changed_ms - 31 * 86400000")
        self.assertEqual(len(self.chats(anna, "GET", "")["data"]), 1)
        (next(self.dir.rglob("keys.toml")).parent / "lathe.toml").write_text("[journal]\nkeep_days = 30\n")
        self.assertEqual(self.chats(anna, "GET", "")["data"], [])

    def test_background_work_beside_people_says_the_same(self):
        self.start("--sequences", "1")
        night, anna = self.key("night", "--class", "background"), self.key("anna")
        body = self.talk("all night", max_tokens=600, logit_bias={str(i): -100 for i in range(256, 319)})
        text = lambda answer: json.loads(answer[2])["choices"][0]["message"]["content"]
        alone = text(self.ask(night, "/v1/chat/completions", body))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            work = [pool.submit(self.ask, night, "/v1/chat/completions", body) for _ in range(2)]
            for i in range(8):
                self.assertEqual(self.ask(anna, "/v1/chat/completions", self.talk(str(i), max_tokens=60))[0], 200)
            for each in work:
                self.assertEqual(text(each.result()), alone)


if __name__ == "__main__":
    unittest.main()
