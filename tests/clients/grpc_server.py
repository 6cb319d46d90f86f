"""A gRPC server of others' make: generic handlers of bytes, all four kinds of calls. Prints its port."""

import sys
import time
from concurrent import futures

import grpc


def identity(context):
    """What the gateway has said of who asks goes back in trailers."""
    told = dict(context.invocation_metadata())
    context.set_trailing_metadata(
        (("x-seen-user", told.get("x-user-id", "-")), ("x-bytes-bin", b"\0\xff"))
    )


def unary(request, context):
    identity(context)
    if request == b"fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now")
    if request == b"wait":
        while context.is_active():
            time.sleep(0.01)
        return b""
    context.send_initial_metadata((("x-first", "1"),))
    return request[::-1]


def down(request, context):
    identity(context)
    for number in range(int(request)):
        yield b"%d" % number


def up(requests, context):
    identity(context)
    return b"%d" % sum(len(request) for request in requests)


def both(requests, context):
    identity(context)
    for request in requests:
        yield request[::-1]


class Handlers(grpc.GenericRpcHandler):
    def service(self, call):
        return {
            "/banking.Echo/Unary": grpc.unary_unary_rpc_method_handler(unary),
            "/banking.Echo/Down": grpc.unary_stream_rpc_method_handler(down),
            "/banking.Echo/Up": grpc.stream_unary_rpc_method_handler(up),
            "/banking.Echo/Both": grpc.stream_stream_rpc_method_handler(both),
        }.get(call.method)


server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
server.add_generic_rpc_handlers((Handlers(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
sys.stdin.read()
server.stop(0)
