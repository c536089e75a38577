"""sbom.py FOLDER IN MODULE OUT: makes the module's SBOM of the one that cargo-cyclonedx has made in a folder.

cargo-cyclonedx takes the crates from `cargo metadata`, which also has crates that only a feature that is off would need. What is
compiled is on the standard input, as `cargo tree` tells it; what is in the module names itself where it could panic. If the SBOM
lacks any of it, or is not what CycloneDX's schema says, there is none.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

folder, made, module, published = sys.argv[1:]
bom = json.loads(Path(made).read_text().replace(f"file://{folder}", "file://"))
compiled = {tuple(line.split()[:2]) for line in sys.stdin if line.strip()}
filter_itself = bom["metadata"]["component"]


def is_compiled(component):
    return (component["name"], f"v{component['version']}") in compiled


bom["components"] = [component for component in bom["components"] if is_compiled(component)]
kept = {component["bom-ref"] for component in [filter_itself, *bom["components"]]}
bom["dependencies"] = [
    {**entry, "dependsOn": [other for other in entry.get("dependsOn", []) if other in kept]}
    for entry in bom["dependencies"]
    if entry["ref"] in kept
]

content = Path(module).read_bytes()
filter_itself["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
told = {f"{component['name']}-{component['version']}" for component in bom["components"]}
contained = {name.decode() for name in re.findall(rb"/registry/src/[^/]+/([\w.+-]+)/", content)}
if len(kept) != len(compiled):
    sys.exit(f"sbom: {len(compiled)} crates are compiled, of which it has {len(kept)}")
if not contained or contained - told:
    sys.exit(f"sbom: the module has {sorted(contained)}, of which it lacks {sorted(contained - told)}")
text = json.dumps(bom, indent=2)
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
if error:
    sys.exit(f"sbom: {error}")
Path(published).write_text(text + "\n")
print(f"sbom: {len(kept)} crates in {published}, {len(contained)} of which are seen in the module")
