"""Put a linear head on a backbone: two operators behind the bottleneck."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from edgeclf.errors import ModelError
from edgeclf.training.head import Head
from edgeclf.zoo import graph
from edgeclf.zoo.backbone import Backbone

LOGITS = "edgeclf_logits"  # the backbone's own tensors have other names


def assemble(
    backbone: Backbone, head: Head, output_name: str, *, multi_label: bool = False
) -> bytes:
    """Return the float `.tflite` classifier: backbone, FULLY_CONNECTED, SOFTMAX.

    Args:
        backbone: Feature extractor with output `(1, depth)`.
        head: Its linear layer.
        output_name: Name of the output tensor, shape `(1, num_classes)`, float32
            probabilities.
        multi_label: Whether it ends in LOGISTIC instead: a probability for each tag,
            whatever the others have.

    Raises:
        ModelError: The backbone or the head has a tensor of that name.
    """
    model = graph.read_model(backbone.content)
    subgraph = model.subgraphs[0]
    num_classes, depth = head.weights.shape
    bottleneck = int(subgraph.outputs[0])

    weights = graph.add_tensor(
        model, "edgeclf_head/weights", (num_classes, depth), data=head.weights
    )
    bias = graph.add_tensor(model, "edgeclf_head/bias", (num_classes,), data=head.bias)
    logits = graph.add_tensor(model, LOGITS, (1, num_classes))
    if output_name.encode() in [tensor.name for tensor in subgraph.tensors]:
        raise ModelError(
            f"Expected a name for the output tensor that neither the backbone "
            f"{backbone.name} nor the head uses. Received: {output_name!r}."
        )
    scores = graph.add_tensor(model, output_name, (1, num_classes))
    graph.add_operator(
        model,
        schema.BuiltinOperator.FULLY_CONNECTED,
        [bottleneck, weights, bias],
        [logits],
        options_type=schema.BuiltinOptions.FullyConnectedOptions,
        options=schema.FullyConnectedOptionsT(),
    )
    if multi_label:  # LOGISTIC has no options
        graph.add_operator(model, schema.BuiltinOperator.LOGISTIC, [logits], [scores])
    else:
        softmax = schema.SoftmaxOptionsT()
        softmax.beta = 1.0
        graph.add_operator(
            model,
            schema.BuiltinOperator.SOFTMAX,
            [logits],
            [scores],
            options_type=schema.BuiltinOptions.SoftmaxOptions,
            options=softmax,
        )
    subgraph.outputs = [scores]
    model.signatureDefs = model.signatureDefs or []  # the quantizer walks over them
    for signature in model.signatureDefs:
        for output in signature.outputs:
            output.tensorIndex = scores
    model.description = b"edgeclf"
    return graph.pack_model(model)
