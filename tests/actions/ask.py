"""Asks the kernel of Agent OS for actions, one JSON object of its arguments after the other; prints each reply as a line.

The wire is Varlink: a JSON object and a NUL. {"method": ..., "parameters": ...} is sent as it is, anything else as Execute.
"""
import json
import socket
import sys

PATH = "/run/agentos/kernel.sock"


def call(connection, request):
    if "method" not in request:
        request = {"method": "io.agentos.Kernel.Execute", "parameters": request}
    connection.sendall(json.dumps(request).encode() + b"\0")
    reply = b""
    while not reply.endswith(b"\0"):
        piece = connection.recv(1 << 16)
        if not piece:
            raise SystemExit("the daemon closed the connection")
        reply += piece
    return json.loads(reply[:-1])


with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(PATH)
    for text in sys.argv[1:] or sys.stdin:
        reply = call(connection, json.loads(text))
        print(json.dumps(reply.get("parameters") | ({"error_name": reply["error"]} if "error" in reply else {})), flush=True)
