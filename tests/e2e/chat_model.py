"""A model behind OpenAI's chat API whose answers a test decides: what such servers share on the wire."""
import http.server
import json


class ChatModel(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # the end of the connection ends the body

    def log_message(self, *args):
        pass

    def do_GET(self):
        body = json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "test"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def request_body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def chunk(self, delta, finish=None):
        data = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "scripted",
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def end(self, finish):
        self.chunk({}, finish)
        self.wfile.write(b"data: [DONE]\n\n")

    def answer(self, delta, finish):
        self.begin()
        self.chunk({"role": "assistant", **delta})
        self.end(finish)

    def call(self, number, tool, **arguments):
        """The answer is one call of a tool."""
        self.answer({"tool_calls": [{"index": 0, "id": f"call_{number}", "type": "function",
                                     "function": {"name": tool, "arguments": json.dumps(arguments)}}]}, "tool_calls")
