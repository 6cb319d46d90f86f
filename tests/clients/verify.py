# Drives the verifier of docs/backends.md: `ASSERTION METHOD URL` a line in, `good SUBJECT` or `refused WHY` a line out.
import sys

sys.path.insert(0, sys.argv[1])
from verifier import Refused, Verifier

verifier = Verifier(*sys.argv[2:5], refetch_after=0)
for line in sys.stdin:
    try:
        print("good", verifier.verify(*line.rstrip("\n").split("\t"))["sub"], flush=True)
    except Refused as refused:
        print("refused", refused, flush=True)
