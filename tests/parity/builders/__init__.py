"""Networks as users bring them, built node by node with the onnx helpers in the styles of several exporters."""

from . import dynamo, scikit, tensorflow, torchscript, transformer
from .net import Network  # noqa: F401

BUILDERS = {
    "squeezenet": torchscript.squeezenet,
    "densenet": torchscript.densenet,
    "efficientnet": torchscript.efficientnet,
    "mobilenetv3": dynamo.mobilenetv3,
    "mobilenetv3_ts": torchscript.mobilenetv3_torchscript,
    "resnext": dynamo.resnext,
    "unet": torchscript.unet,
    "deeplab": tensorflow.deeplab,
    "ssd": torchscript.ssd,
    "encoder": transformer.encoder,
    "encoder_dynamo": transformer.encoder_dynamo,
    "autoencoder": tensorflow.autoencoder,
    "lstm": torchscript.lstm,
    "mlp": scikit.mlp,
}
