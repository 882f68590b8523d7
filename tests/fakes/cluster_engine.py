#!/usr/bin/env python3
"""A fake engine of many machines: vLLM on Ray, or llama-server with --rpc, as their clients meet them.

--notes FILE gets "start PID" for each process and "body JSON" for each question. It answers with the last message,
word by word. --die MODE: in the middle of its answers a machine is lost, in the first process alone (by the notes);
what an engine does then MODE says: "cut" (llama-server: the process aborts), "exit" (vLLM: an error
event, then it ends), "unwell" (an error event, then it stays, and its /health says 503).
"""
import argparse
import http.server
import json
import os
import pathlib
import time

DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."
# What vLLM's chat knows of what a lathe may send.
KNOWN = {"model", "messages", "stream", "stream_options", "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "stop",
         "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format", "tools", "tool_choice",
         "parallel_tool_calls"}


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", choices=["vllm", "llama"], required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--notes", type=pathlib.Path, required=True)
    parser.add_argument("--load", type=float, default=0, help="seconds")
    parser.add_argument("--strict", action="store_true", help="a vLLM that refuses what it does not know")
    parser.add_argument("--die", choices=["cut", "exit", "unwell"])
    return parser.parse_args()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    @property
    def engine(self):
        return self.server

    def json(self, status, body):
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def error(self, status, message, kind, **more):
        self.json(status, {"error": {"message": message, "type": kind, "code": status, **more}})

    def still_loading(self):
        """llama-server listens while it loads, and says so to everything."""
        if time.monotonic() >= self.engine.ready_at:
            return False
        self.error(503, "Loading model", "unavailable_error")
        return True

    def do_GET(self):
        vllm = self.engine.args.engine == "vllm"
        if self.still_loading():
            return None
        if self.path == "/health":
            if self.engine.lost:
                return self.json(503, None)
            return self.json(200, None if vllm else {"status": "ok"})
        if self.path == "/v1/models":
            row = {"id": "org/big", "object": "model", "created": 1764600000, "owned_by": "vllm", "root": "org/big", "parent": None,
                   "max_model_len": 32768, "permission": [{"id": "modelperm-1", "object": "model_permission", "allow_sampling": True}]}
            if not vllm:
                row = {"id": "big-00001-of-00003.gguf", "object": "model", "created": 1764600000, "owned_by": "llamacpp",
                       "meta": {"vocab_type": 2, "n_vocab": 151936, "n_ctx_train": 262144, "n_embd": 4096, "n_params": 235093634560,
                                "size": 142253826048}}
            return self.json(200, {"object": "list", "data": [row]} | ({} if vllm else {"models": [{"name": row["id"]}]}))
        return self.json(404, {"detail": "Not Found"})

    def event(self, data):
        text = data if isinstance(data, str) else json.dumps(data)
        frame = f"data: {text}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(frame), frame))
        self.wfile.flush()

    def chunk(self, delta, finish=None, **more):
        self.event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1764600000, "model": self.asked["model"],
                    "choices": [] if delta is None else
                    [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], **more})

    def do_POST(self):
        args = self.engine.args
        vllm = args.engine == "vllm"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.still_loading():
            return None
        self.engine.note("body " + json.dumps(body))
        if self.path != "/v1/chat/completions":
            return self.json(404, {"detail": "Not Found"})
        if self.engine.lost:
            return self.error(500, DEAD, "InternalServerError", param=None)
        if vllm and body["model"] != "org/big":
            return self.json(404, {"object": "error", "message": f"The model `{body['model']}` does not exist.", "type": "NotFoundError",
                                   "param": None, "code": 404})
        if args.strict and (unknown := [name for name in body if name not in KNOWN]):
            said = [{"type": "extra_forbidden", "loc": ("body", name), "msg": "Extra inputs are not permitted", "input": body[name]}
                    for name in unknown]
            return self.json(400, {"object": "error", "message": str(said), "type": "BadRequestError", "param": None, "code": 400})
        self.asked = body
        return self.answer(body["messages"][-1]["content"].split(), vllm)

    def answer(self, words, vllm):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8" if vllm else "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.chunk({"role": "assistant", "content": "" if vllm else None})
        for i, word in enumerate(words):
            self.chunk({"content": word + " "})
            if i == 0 and self.engine.dies:
                return self.die()
        usage = {"prompt_tokens": 7, "completion_tokens": len(words), "total_tokens": 7 + len(words)}
        timings = {"prompt_n": 7, "prompt_ms": 11.5, "predicted_n": len(words), "predicted_ms": 40.0, "predicted_per_second": 75.0}
        if vllm:
            self.chunk({"content": ""}, "stop", stop_reason=None)
            self.chunk(None, usage=usage | {"prompt_tokens_details": None})
        else:
            self.chunk({}, "stop", system_fingerprint="b9704")
            self.chunk(None, usage=usage, timings=timings)
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")
        return None

    def die(self):
        mode = self.engine.args.die
        if mode == "cut":
            print("ggml-rpc.cpp:491: Remote RPC server crashed or returned malformed response", flush=True)
            os.abort()
        self.engine.lost = True
        try:
            self.event({"error": {"message": DEAD, "type": "InternalServerError", "param": None, "code": 500}})
            self.event("[DONE]")
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except OSError:
            pass  # who has read the error need not stay
        if mode == "exit":
            print("EngineDeadError: the Ray worker of rank 9 died unexpectedly", flush=True)
            os._exit(1)


class Engine(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, args):
        self.args = args
        self.note(f"start {os.getpid()}")
        first = args.notes.read_text().count("start ") == 1
        self.dies = args.die is not None and first
        self.lost = False
        self.ready_at = time.monotonic() + args.load
        if args.engine == "vllm":  # it does not listen before it can be asked
            time.sleep(args.load)
        super().__init__(("127.0.0.1", args.port), Handler)

    def note(self, line):
        with open(self.args.notes, "a", encoding="utf-8") as file:
            file.write(line + "\n")


Engine(options()).serve_forever()
