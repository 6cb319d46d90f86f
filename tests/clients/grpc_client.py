"""A gRPC client with the user's certificate. Arguments: the gateway's address, the host, the folder with the files, and what
to do: `calls`, or the method of one call whose code is printed."""

import json
import queue
import sys

import grpc

address, host, folder, what = sys.argv[1:5]


def read(name):
    with open(f"{folder}/{name}", "rb") as file:
        return file.read()


credentials = grpc.ssl_channel_credentials(read("ca.pem"), read("client.key"), read("client.pem"))
options = (("grpc.ssl_target_name_override", host), ("grpc.default_authority", host))
channel = grpc.secure_channel(address, credentials, options)


def say(name, value, call):
    trailers = {key: value for key, value in call.trailing_metadata() or () if isinstance(value, str)}
    code = call.code() if hasattr(call, "code") else None
    print(json.dumps([name, value, code.name, trailers.get("x-seen-user")]), flush=True)


if what == "calls":
    unary = channel.unary_unary("/banking.Echo/Unary")
    value, call = unary.with_call(b"abc", timeout=20)
    first = dict(call.initial_metadata()).get("x-first")
    raw = dict(call.trailing_metadata())["x-bytes-bin"]
    say("unary", [value.decode(), first, raw.hex()], call)
    large = b"x" * 3_000_000 + b"y"
    value, call = unary.with_call(large, timeout=20)
    say("large", value == large[::-1], call)
    for request, timeout in ((b"fail", 20), (b"wait", 0.3)):
        try:
            unary(request, timeout=timeout)
        except grpc.RpcError as error:
            say(request.decode(), error.details(), error)
    try:
        channel.unary_unary("/banking.Echo/Nothing")(b"", timeout=20)
    except grpc.RpcError as error:
        say("nothing", error.details(), error)
    call = channel.unary_stream("/banking.Echo/Down")(b"500", timeout=20)
    say("down", len(list(call)), call)
    value, call = channel.stream_unary("/banking.Echo/Up").with_call(iter([b"x" * 1000] * 300), timeout=20)
    say("up", value.decode(), call)
    waiting = queue.Queue()
    call = channel.stream_stream("/banking.Echo/Both")(iter(waiting.get, None), timeout=20)
    said = []
    # Each answer before the next question.
    for part in (b"one", b"two", b"three"):
        waiting.put(part)
        said.append(next(call).decode())
    waiting.put(None)
    rest = list(call)
    say("both", said + rest, call)
    call = channel.stream_stream("/banking.Echo/Both")(iter(queue.Queue().get, None), timeout=20)
    call.cancel()
    say("cancelled", None, call)
else:
    try:
        channel.unary_unary(what)(b"abc", timeout=20)
        print("OK")
    except grpc.RpcError as error:
        print(error.code().name, "|", error.details())
