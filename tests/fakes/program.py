#!/usr/bin/env python3
"""A fake program that serves a model: /health and the chat of OpenAI's API, with faults.

What it does wrong its flags say, or the last message of a talk: "grow 64" holds 64 MiB more, "die" kills it in the
middle of its answer, "wait" never ends. Every other answer repeats the message. --notes FILE gets a line
"NAME PID" for each process.
"""
import argparse
import http.server
import json
import os
import signal
import sys
import time

HELD = []


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--notes")
    parser.add_argument("--exit", type=int, help="ends at once with this code")
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--deaf", action="store_true", help="ignores SIGTERM")
    parser.add_argument("--child", action="store_true", help="leaves a child behind in a session of its own")
    parser.add_argument("--hold", type=int, default=0, help="MiB")
    return parser.parse_args()


def note(args, name):
    if args.notes:
        with open(args.notes, "a") as file:
            file.write(f"{name} {os.getpid()}\n")


def hold(mebibytes):
    HELD.append(bytearray(os.urandom(4096)) * (256 * mebibytes))


def leave_child(args):
    if os.fork():
        return os.wait()
    os.setsid()
    if os.fork():
        os._exit(0)
    note(args, "child")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
    os._exit(0)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *_):
        pass

    def json(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/health":
            self.json(503 if self.server.args.never_ready else 200, {})
        elif self.path == "/v1/models":
            self.json(200, {"object": "list", "data": [{"id": "inner", "object": "model", "owned_by": "fake",
                                                         "meta": {"n_ctx_train": 4096, "n_params": 7}}]})
        else:
            self.json(404, {"error": {"message": "no such path"}})

    def event(self, delta, finish=None, **more):
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "inner",
                 "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/embeddings":
            return self.json(200, {"data": [{"embedding": [1.0, 2.0]} for _ in body["input"]], "usage": {"prompt_tokens": 2}})
        if self.path == "/v1/tokenize":
            return self.json(200, {"tokens": list(body["content"].encode())})
        if self.path == "/v1/apply-template":
            return self.json(200, {"tokens": list(body["messages"][-1]["content"].encode())})
        if self.path == "/v1/detokenize":
            return self.json(200, {"content": bytes(body["tokens"]).decode()})
        if self.path != "/v1/chat/completions":
            return self.json(404, {"error": {"message": "no such path"}})
        if body["model"] != "inner":
            return self.json(404, {"error": {"message": f"no model {body['model']}"}})
        text = body["messages"][-1]["content"]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.event({"role": "assistant", "content": ""})
        if text.startswith("grow "):
            hold(int(text.split()[1]))
        for word in text.split():
            self.event({"content": word + " "})
        if text == "die":
            print("something is badly wrong", flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
            time.sleep(60)
        while text == "wait":
            time.sleep(0.05)
            self.event({"content": "."})
        self.event({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": len(text.split())})
        self.wfile.write(b"data: [DONE]\n\n")


def main():
    args = options()
    note(args, "program")
    if args.exit is not None:
        print("loading", file=sys.stderr)
        print("cannot open the weights", file=sys.stderr, flush=True)
        sys.exit(args.exit)
    if args.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if args.child:
        leave_child(args)
    if args.hold:
        hold(args.hold)
    http.server.ThreadingHTTPServer.daemon_threads = True
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    except OSError as error:
        sys.exit(f"port {args.port}: {error.strerror}")
    server.args = args
    server.serve_forever()


main()
