#!/usr/bin/env python3
"""A fake OpenAI-compatible endpoint with scripted faults, for http_worker_test.cpp.

Listens on a free port of loopback and prints it. The first part of a path names the scenario:
http://127.0.0.1:PORT/SCENARIO/v1. GET /SCENARIO/seen lists the requests so far. Ends when its standard
input does.
"""
import base64
import collections
import email
import hashlib
import http.server
import json
import os
import struct
import sys
import threading
import time

# A second of a WAV: 22.05 kHz, 16 bit, mono.
SOUND_HEAD = b"RIFF" + struct.pack("<I4s4sIHHIIHH4sI", 36 + 44100, b"WAVE", b"fmt ", 16, 1, 1, 22050, 44100, 2, 16, b"data", 44100)
SOUND = SOUND_HEAD + b"\0\1" * 22050
SEEN = collections.defaultdict(list)


def chunk(delta=None, finish=None, **more):
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "fake-1",
            "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more}


USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 8}}


PICTURE = b"\x89PNG\r\n\x1a\n" + b"any bytes: nobody decodes them here"


def form_fields(kind, body):
    """A form's texts as they are, its files by name, type, size and hash."""
    parts = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body).get_payload()
    fields = {}
    for part in parts:
        data = part.get_payload(decode=True)
        name = part.get_param("name", header="Content-Disposition")
        fields[name] = data.decode() if part.get_filename() is None else {
            "file": part.get_filename(), "type": part.get_content_type(), "sha256": hashlib.sha256(data).hexdigest()}
    return json.dumps(fields)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # the end of the connection ends the body

    def log_message(self, *args):
        pass

    def reply(self, status, body, kind="application/json", **headers):
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def error(self, status, message, **headers):
        self.reply(status, {"error": {"message": message, "type": "t", "param": None, "code": None}}, **headers)

    def start_stream(self, kind="text/event-stream", **headers):
        self.reply(200, b"", kind, **headers)

    def event(self, data, end="\n\n"):
        text = data if isinstance(data, str) else json.dumps(data)
        self.wfile.write(("data: " + text + end).encode())
        self.wfile.flush()

    def good_stream(self, words=("Hel", "lo ", "wörld"), thought="hm"):
        self.start_stream()
        self.wfile.write(b": ping\r\n\r\n")
        self.event(chunk({"role": "assistant", "content": ""}), "\r\n\r\n")
        self.event(chunk({"reasoning_content": thought}))
        for word in words:
            self.event(chunk({"content": word}))
        self.event(chunk({"content": None}, "stop"))
        self.event({"choices": [], "usage": USAGE})
        self.event("[DONE]")

    def do_GET(self):
        scenario, _, rest = self.path[1:].partition("/")
        if rest == "seen":
            return self.reply(200, SEEN[scenario])
        SEEN[scenario].append({"method": "GET", "path": "/" + rest, "headers": dict(self.headers), "body": ""})
        if rest.partition("?")[0] == "v1/files/picture.png":
            return self.reply(200, PICTURE, "image/png")
        if rest == "v1/files/elsewhere.png":
            return self.reply(302, b"", Location="http://192.0.2.1/picture.png")
        if scenario == "models_none":
            return self.error(404, "no such path")
        if scenario == "models_401":
            return self.error(401, "no key")
        # A server says how much its models take, each kind of them in its own words.
        length = {"says_length": {"max_model_len": 4096}, "says_meta": {"max_model_len": 9, "meta": {"n_ctx": 2048, "n_ctx_train": 8192}}}
        names = ["fake-1"] if scenario == "one_model" else ["fake-1", "fake-2"]
        self.reply(200, {"object": "list", "data": [{"id": name, "owned_by": "lathe" if scenario == "ok_lathe" else "x"} | length.get(scenario, {})
                                                     for name in names]})

    def do_POST(self):
        scenario, _, rest = self.path[1:].partition("/")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        body = form_fields(kind, body) if kind.startswith("multipart/") else body.decode()
        SEEN[scenario].append({"method": "POST", "path": "/" + rest, "headers": dict(self.headers), "body": body})
        calls = sum(1 for seen in SEEN[scenario] if seen["method"] == "POST")
        try:
            getattr(self, "do_" + scenario)(calls)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def do_ok(self, _):
        self.good_stream()

    do_one_model = do_ok_foreign = do_ok_lathe = do_ok_with_media = do_ok

    def broken_once(self, calls, broken):
        self.good_stream() if calls > 1 else broken(calls)

    def do_no_finish_then_ok(self, calls):
        self.broken_once(calls, self.do_no_finish)

    def do_cut_then_ok(self, calls):
        self.broken_once(calls, self.do_cut)

    def do_error_then_ok(self, calls):
        self.broken_once(calls, self.do_error_later)

    def do_html_then_ok(self, calls):
        self.broken_once(calls, self.do_wrong_type)

    def do_cut_json_then_ok(self, calls):
        self.broken_once(calls, self.do_cut_json)

    def do_cut_json(self, _):
        self.reply(200, '{"choices": [{"message": {"content": "ha')

    def do_error_400(self, _):
        self.start_stream()
        self.event({"error": {"message": "maximum context length is 4096 tokens", "code": 400}})

    def do_aborted(self, _):
        self.start_stream()
        self.event(chunk({"content": "half"}, "abort"))

    def refuse(self, unknown):
        body = json.loads(SEEN[self.path[1:].partition("/")[0]][-1]["body"])
        return next((name for name in unknown if name in body), None)

    def do_unknown_fields(self, _):
        name = self.refuse(["seed", "max_tokens"])
        hint = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
        self.error(400, f"Unsupported parameter: '{name}' is not supported.{hint}") if name else self.good_stream()

    def do_unknown_fields_fastapi(self, _):
        name = self.refuse(["seed", "max_tokens"])
        detail = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted",
                   "input": "temperature model"}]
        self.reply(422, {"detail": detail}) if name else self.good_stream()

    def do_in_one_piece(self, _):
        calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                 {"id": "2", "type": "function", "function": {"name": "g", "arguments": '{"b":2}'}}]
        message = {"role": "assistant", "content": "Hello", "tool_calls": calls}
        self.reply(200, {"object": "chat.completion", "model": "fake-1", "usage": USAGE,
                         "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    def do_stream_called_text(self, _):
        kind, self.start_stream = self.start_stream, lambda: self.reply(200, b"", "text/plain")
        self.good_stream()
        self.start_stream = kind

    def do_thinks(self, _):
        self.good_stream(("\n<thi", "nk>FILE: ", "no</thi", "nk>\n\nthe ", "answer"), thought="")

    def do_thinks_from_the_prompt(self, _):
        self.good_stream(("so it is\n</", "think>\n\nthe answer"), thought="")

    def do_500_then_ok(self, calls):
        self.error(500, "just now not") if calls < 3 else self.good_stream()

    def do_always_500(self, _):
        self.error(503, "loading the model")

    def do_loads_a_while(self, calls):
        self.reply(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}) if calls < 6 else self.good_stream()

    def do_loads_for_good(self, _):
        self.do_loads_a_while(0)

    def do_never_retry(self, _):
        self.error(500, "broken for good", x_should_retry="false")

    def do_429(self, calls):
        self.error(429, "slow down", retry_after_ms="30") if calls == 1 else self.good_stream()

    def do_429_seconds(self, calls):
        self.error(429, "slow down", retry_after="0.05") if calls == 1 else self.good_stream()

    def do_429_long(self, _):
        self.error(429, "come back tomorrow", retry_after="86400")

    def do_400(self, _):
        self.error(400, "max_tokens is too large")

    def do_401(self, _):
        self.error(401, "Incorrect API key provided: " + self.headers.get("Authorization", ""))

    def do_404(self, _):
        self.error(404, "The model does not exist")

    do_models_none = do_404

    def do_redirect(self, _):
        self.reply(307, b"", Location="http://192.0.2.1/v1/chat/completions")

    def do_hang(self, _):
        time.sleep(30)

    def do_hang_later(self, _):
        self.start_stream()
        self.event(chunk({"content": "first"}))
        time.sleep(30)

    def do_drip(self, _):
        self.start_stream()
        while True:
            self.event(chunk({"content": "x"}))
            time.sleep(0.02)

    def do_no_finish_heard(self, calls):
        self.do_no_finish(calls)

    def do_no_finish(self, _):
        self.start_stream()
        self.event(chunk({"content": "{\"half\": "}))

    def do_done_without_finish(self, _):
        self.start_stream()
        self.event(chunk({"content": "half"}))
        self.event("[DONE]")

    def do_cut(self, _):
        self.start_stream(Content_Length="100000")
        self.event(chunk({"content": "whole"}, "stop"))

    def do_close(self, calls):
        if calls > 2:
            self.good_stream()

    def do_garbage(self, _):
        self.start_stream()
        self.event("{not json")

    def do_bad_utf8(self, _):
        self.start_stream()
        self.wfile.write(b'data: {"choices":[{"index":0,"delta":{"content":"\xff"},"finish_reason":"stop"}]}\n\n')

    def do_huge_line(self, _):
        self.start_stream()
        self.wfile.write(b"data: ")
        for _ in range(300):
            self.wfile.write(b"x" * (64 << 10))

    def do_endless_error(self, _):
        self.reply(400, b"y" * (8 << 20), "text/plain")

    def do_error_later(self, _):
        self.start_stream()
        self.event(chunk({"content": "half"}))
        self.event({"error": {"message": "CUDA out of memory", "code": 500}})
        self.event("[DONE]")

    def do_error_first(self, _):
        self.start_stream()
        self.event({"error": "context is full"})

    def do_wrong_type(self, _):
        self.reply(200, "<html>captive portal</html>", "text/html")

    def do_no_type(self, _):
        self.start_stream(kind=None)
        self.event(chunk({"content": "bare"}, "stop"))

    def do_length(self, _):
        self.start_stream()
        self.event(chunk({"content": "cut"}, "length"))

    def do_strange_finish(self, _):
        self.start_stream()
        self.event(chunk({"content": "cut"}, "bored"))

    def do_logprobs(self, _):
        self.start_stream()
        entry = {"token": "yes", "logprob": -0.1, "bytes": None,
                 "top_logprobs": [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": -2.5}]}
        first = chunk({"content": "yes"}, "stop")
        first["choices"][0]["logprobs"] = {"content": [entry], "refusal": None}
        self.event(first)

    def do_huge_header(self, _):
        self.send_response(200)
        for i in range(90):
            self.send_header(f"X-{i}", "z" * 1000)
        self.end_headers()

    def picture(self, **picture):
        self.reply(200, {"created": 1, "data": [picture]})

    def do_picture(self, _):
        self.picture(b64_json=base64.b64encode(PICTURE).decode())

    def do_picture_usage(self, _):
        self.reply(200, {"data": [{"b64_json": base64.b64encode(PICTURE).decode()}],
                         "usage": {"input_tokens": 9, "output_tokens": 1056}})

    def do_picture_unknown_fields(self, _):
        name = self.refuse(["seed", "response_format"])
        self.error(400, f"Unknown parameter: '{name}'.") if name else self.do_picture(0)

    def do_picture_no_edits(self, _):
        self.error(404, "no such path") if self.path.endswith("/edits") else self.do_picture(0)

    def do_picture_own_url(self, _):
        self.picture(url=f"http://{self.headers['Host']}/picture_own_url/v1/files/picture.png?key=1")

    def do_picture_own_path(self, _):
        self.picture(url="/picture_own_path/v1/files/picture.png")

    def do_picture_url_elsewhere(self, _):
        self.picture(url="http://192.0.2.1/picture.png?secret=1")

    def do_picture_url_other_port(self, _):
        self.picture(url=f"http://127.0.0.1:{self.server.server_address[1] ^ 1}/picture.png")

    def do_picture_url_file(self, _):
        self.picture(url="file:///etc/passwd")

    def do_picture_url_sends_on(self, _):
        self.picture(url="/picture_url_sends_on/v1/files/elsewhere.png")

    def do_picture_refused(self, _):
        self.reply(400, {"error": {"code": "content_policy_violation", "message": "Your request was rejected"}})

    def do_picture_refused_in_words(self, _):
        self.reply(422, {"detail": "NSFW content is not allowed by this prompt"})

    def do_picture_wrong_size(self, _):
        self.error(400, "Invalid value: '1280x720'. Supported values are: '1024x1024'")

    def do_picture_garbled(self, _):
        self.picture(b64_json=base64.b64encode(PICTURE).decode()[:20] + "*" * 20)

    def do_picture_is_text(self, _):
        self.picture(b64_json=base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode())

    def do_picture_none(self, _):
        self.reply(200, {"created": 1, "data": []})

    def do_picture_empty(self, _):
        self.picture(revised_prompt="a cat")

    def do_picture_page(self, _):
        self.reply(200, "<html>captive portal</html>", "text/html")

    def do_picture_cut(self, _):
        self.reply(200, '{"data": [{"b64_json": "iVBORw0KGgo', Content_Length="100000")

    def do_picture_huge(self, _):
        self.reply(200, b'{"data": [{"b64_json": "')
        for _ in range(800):
            self.wfile.write(b"A" * (64 << 10))

    def do_speech(self, _):
        self.reply(200, SOUND, "audio/wav")

    def do_speech_streamed(self, _):
        self.reply(200, SOUND[:40] + b"\xff\xff\xff\xff" + SOUND[44:], "audio/wav")

    def do_speech_mp3(self, _):
        self.reply(200, b"ID3\4\0 and so on", "audio/mpeg")

    def do_speech_pcm(self, _):
        self.reply(200, b"{[" * 1000, "audio/pcm;rate=22050")

    def do_speech_unknown_fields(self, _):
        name = self.refuse(["seed", "language"])
        self.error(400, f"Unknown parameter: '{name}'.") if name else self.do_speech(0)

    def do_speech_busy(self, calls):
        if calls < 3:
            return self.error(429 if calls == 1 else 503, "slow down", retry_after_ms="30")
        self.do_speech(0)

    def do_speech_cut_once(self, calls):
        self.reply(200, SOUND[:4000] if calls == 1 else SOUND, "audio/wav")

    def do_speech_cut(self, _):
        self.reply(200, SOUND[:4000], "audio/wav", Content_Length="44144")

    def do_speech_short(self, _):
        self.reply(200, SOUND[:4000], "audio/wav")

    def do_speech_half_sample(self, _):
        self.reply(200, b"\0\1\2", "audio/pcm")

    def do_speech_empty(self, _):
        self.reply(200, b"", "audio/wav")

    def do_speech_error(self, _):
        self.reply(200, {"error": {"message": "the voice is not loaded: " + self.headers.get("Authorization", "")}})

    def do_speech_error_as_wav(self, _):
        self.reply(200, b'{"error": "out of memory"}', "audio/wav")

    def do_speech_url(self, _):
        self.reply(200, {"url": "http://192.0.2.1/sound.wav?secret=1"})

    def do_speech_own_url(self, _):
        self.reply(200, {"data": {"url": f"http://{self.headers['Host']}/speech_own_url/v1/files/sound.wav"}})

    def do_speech_page(self, _):
        self.reply(200, "<html>captive portal</html>", "text/html")

    def do_speech_huge(self, _):
        self.reply(200, SOUND_HEAD, "audio/wav")
        for _ in range(1100):
            self.wfile.write(b"A" * (64 << 10))

    do_speech_400 = do_400
    do_speech_redirect = do_redirect
    do_speech_500 = do_always_500
    do_speech_hang = do_hang
    do_speech_cloud = do_speech
    do_picture_redirect = do_redirect
    do_picture_500 = do_always_500
    do_picture_hang = do_hang


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
os._exit(0)
