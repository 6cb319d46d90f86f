"""Decodes standard input, as clients do: the whole body, or with `so-far` what is readable of its beginning."""

import sys
import zlib

import brotli
import zstandard

coding, wanted = sys.argv[1:]
body = sys.stdin.buffer.read()
if coding == "br":
    decoder = brotli.Decompressor()
    text = decoder.process(body)
    whole = decoder.is_finished()
else:
    decoder = zlib.decompressobj(wbits=31) if coding == "gzip" else zstandard.ZstdDecompressor().decompressobj()
    text = decoder.decompress(body)
    whole = decoder.eof and not decoder.unused_data
sys.stdout.buffer.write(text)
if whole != (wanted == "whole"):
    sys.exit(f"{coding} is {'whole' if whole else 'not whole'}")
