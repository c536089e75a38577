"""What Istio's API says of resources: JSON texts of them, one a line, on standard input; for each, a JSON list of mistakes.

The models are those that cloudcoil generates from Istio's CustomResourceDefinitions, and Pydantic judges by them. Of cloudcoil
itself, which needs a newer Python, only the names that the models are declared with are here: their builders are not used. Other
than an API server, which drops them, this takes unknown fields for mistakes.
"""

import importlib
import json
import sys
from types import ModuleType
from typing import Generic, TypeVar

import pydantic
from typing_extensions import Never, Self


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class Builder(Generic[TypeVar("Model")]):
    pass


class ListBuilder(Generic[TypeVar("Model"), TypeVar("ModelBuilder")]):
    pass


class ObjectMeta(Strict):
    class Builder:
        pass

    class BuilderContext:
        pass

    name: str
    namespace: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


def main():
    declare("cloudcoil.apimachinery", ObjectMeta=ObjectMeta)
    declare("cloudcoil.resources", Resource=Strict)
    declare(
        "cloudcoil.pydantic",
        UNSET=None,
        BaseBuilder=object,
        BaseModel=Strict,
        BaseModelBuilder=object,
        BuilderContextBase=Builder,
        GenericListBuilder=ListBuilder,
        ListBuilderContext=Builder,
        Never=Never,
        Self=Self,
    )
    # Without their packages' own code, which would load the models of all versions.
    for package in ["cloudcoil", "cloudcoil.models", "cloudcoil.models.istio"]:
        declare(package).__path__ = [f"{folder}/{package.replace('.', '/')}" for folder in sys.path]
    for group in ["extensions", "networking", "security"]:
        declare(f"{MODELS}.{group}").__path__ = [f"{folder}/{MODELS.replace('.', '/')}/{group}" for folder in sys.path]
    for line in sys.stdin:
        print(json.dumps(mistakes(json.loads(line))), flush=True)


def mistakes(resource):
    group, _, version = resource["apiVersion"].partition("/")
    try:
        models = importlib.import_module(f"{MODELS}.{group.removesuffix('.istio.io')}.{version}")
        model = getattr(models, resource["kind"])
    except (ImportError, AttributeError):
        return [f"Istio has no {resource['kind']} in {resource['apiVersion']}"]
    try:
        model.model_validate_json(json.dumps(resource))
    except pydantic.ValidationError as error:
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return []


def declare(name, **content):
    module = ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module
    return module


MODELS = "cloudcoil.models.istio"

if __name__ == "__main__":
    main()
