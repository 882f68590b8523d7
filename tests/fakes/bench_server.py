#!/usr/bin/env python3
"""A fake OpenAI-compatible server of known times for `lathe bench`, with the faults that a benchmark must find.

It takes llama-server's flags (-m FILE --host H --port N), so that it can stand beside. An answer has --tokens tokens, the
first one --first ms after the request, the others --gap ms apart. Without --port it takes a free one and prints it.
"""
import argparse
import http.server
import json
import os
import sys
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("-m", "--model", default="fake")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--first", type=float, default=30)
parser.add_argument("--gap", type=float, default=2)
parser.add_argument("--tokens", type=int, default=12)
parser.add_argument("--fault", choices=["buffers", "empty", "secret", "cuts", "errors", "dies", "breaks"])
parser.add_argument("--dies-after", type=int, default=16, help="requests")
parser.add_argument("--notes")
ARGS = parser.parse_args()
LOCK = threading.Lock()
SEEN, ASKED = set(), [0]


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.reply(200, {"status": "ok", "data": [{"id": os.path.basename(ARGS.model)}]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = request["messages"][-1]["content"]
        with LOCK:
            ASKED[0] += 1
            number, known = ASKED[0], prompt in SEEN
            SEEN.add(prompt)
        if ARGS.fault == "errors" and number > 7 and number % 20 == 0:
            return self.reply(500, {"error": {"message": "out of luck"}})
        if ARGS.fault == "dies" and number > ARGS.dies_after:
            os._exit(1)
        tokens = min(ARGS.tokens, request["max_tokens"])
        if ARGS.fault == "cuts":
            tokens //= 2
        first = ARGS.first / 10 if known and ARGS.fault == "secret" else ARGS.first
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        if ARGS.fault == "empty":
            self.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        if ARGS.fault == "buffers":
            time.sleep((first + ARGS.gap * (tokens - 1)) / 1e3)
        else:
            time.sleep(first / 1e3)
        for i in range(tokens):
            if i and ARGS.fault != "buffers":
                time.sleep(ARGS.gap / 1e3)
            if ARGS.fault == "breaks" and i == 3 and number > 7:
                return
            self.event({"choices": [{"index": 0, "delta": {"content": f"word{i} "}}]})
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
        self.event({"choices": [], "usage": {"prompt_tokens": len(prompt.split()) + 5, "completion_tokens": tokens,
                                             "prompt_tokens_details": {"cached_tokens": 0}}})
        self.event("[DONE]", flush=True)

    kept = b""

    def event(self, body, flush=False):
        self.kept += b"data: " + (body if body == "[DONE]" else json.dumps(body)).encode() + b"\n\n"
        if flush or ARGS.fault != "buffers":
            self.wfile.write(self.kept)
            self.kept = b""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


server = Server((ARGS.host, ARGS.port), Handler)
if ARGS.notes:
    with open(ARGS.notes, "a") as notes:
        notes.write(f"{os.getpid()} {' '.join(sys.argv[1:])}\n")
if not ARGS.port:
    print(server.server_address[1], flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
