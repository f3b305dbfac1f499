"""Uses all of the SDK inside a component: every datatype out of the host and
back, each kind of error, a model."""

import samara_sdk
from samara_sdk import FP32, Datatype, Error, ErrorKind, Tensor, function
from samara_sdk.datatype import TensorSpec

NAMES = {datatype.label.lower(): datatype for datatype in Datatype}


@function(
    inputs={"ask": TensorSpec(Datatype.BYTES, (1,)), **{name: kind[-1] for name, kind in NAMES.items()}},
    outputs={"answer": FP32[-1], **{f"{name}-out": kind[-1] for name, kind in NAMES.items()}},
)
def every(ask, **tensors):
    (asked,) = ask.texts()
    given = {name: tensors[name] for name in NAMES}
    if asked == "values":
        given = {name: Tensor.of(list(tensor.values()), tensor.datatype) for name, tensor in given.items()}
    elif asked == "crash":
        raise LookupError("nothing is there")
    elif asked == "model":
        answer = samara_sdk.model("digits").run({"pixels": [[[[8.0] * 8] * 8]]})
        return answers(given, answer["probabilities"].values())
    elif asked == "bad model input":
        samara_sdk.model("digits").run({"pixels": [8.0]})
    elif asked == "no model":
        samara_sdk.model("letters")
    elif asked == "wrong shape":
        return answers(given, [[1.0], [2.0]])
    elif asked != "as they are":
        raise Error(f"you asked for {asked}", ErrorKind[asked])
    return answers(given, [])


def answers(tensors, answer):
    return {"answer": list(answer), **{f"{name}-out": tensor for name, tensor in tensors.items()}}
