#!/usr/bin/env python3
"""Reads an SBOM of cargo-cyclonedx and the packages of `cargo tree` (one `NAME vVERSION` a line), writes the SBOM of what is
compiled in. cargo-cyclonedx goes by `cargo metadata`, which also lists what optional features would bring: ring, a MySQL client.
"""
import json
import sys

bom_file, tree_file, folder = sys.argv[1:]
with open(tree_file) as lines:
    compiled = {tuple(line.split()[:2]) for line in lines if line.strip()}
with open(bom_file) as text:
    # Where it was made is nobody's concern, and differs.
    bom = json.loads(text.read().replace(f"path+file://{folder}#", "").replace("?download_url=file://.", ""))

kept = [part for part in bom["components"] if (part["name"], "v" + part["version"]) in compiled]
known = {(part["name"], "v" + part["version"]) for part in kept}
missing = {package for package in compiled - known if package[0] != "sekisho"}
if missing:
    sys.exit(f"The SBOM lacks {sorted(missing)}")
bom["components"] = kept
refs = {part["bom-ref"] for part in kept} | {bom["metadata"]["component"]["bom-ref"]}
bom["dependencies"] = [
    {**entry, "dependsOn": [ref for ref in entry.get("dependsOn", []) if ref in refs]}
    for entry in bom["dependencies"]
    if entry["ref"] in refs
]
with open(bom_file, "w") as out:
    json.dump(bom, out, indent=1, ensure_ascii=False)
    out.write("\n")
