"""What to do about operators that are not supported and that people often meet."""

ADVICE = {
    "Split": "use one convolution a part instead",
    "Slice": "use one convolution a part instead",
    "LSTM": "its gates and state are floats; use the quantized layer, muxflow.frontend.training.lstm.QuantLstm, which exports "
    "as LstmCell",
    "GRU": "use an LSTM (muxflow.frontend.training.lstm.QuantLstm), or convolutions over a window of time steps",
    "RNN": "use an LSTM (muxflow.frontend.training.lstm.QuantLstm), or convolutions over a window of time steps",
    "LayerNormalization": "use batch normalisation",
    "InstanceNormalization": "use batch normalisation",
    "FloatQuant": "use an integer quantizer (Quant)",
    "QuantizeLinear": "put a DequantizeLinear after it, with nothing but Clip between",
    "DequantizeLinear": "give the model a float input and a QuantizeLinear in front",
    "DynamicQuantizeLinear": "quantize statically (quantize_static), with scales that are constants",
    **dict.fromkeys(
        ("QLinearConv", "QLinearMatMul", "QLinearAdd", "QGemm", "ConvInteger", "MatMulInteger"),
        "write the file in QDQ form (quant_format=QuantFormat.QDQ)",
    ),
    "QuantAvgPool2d": "import the file from before FINN's conversion of average pools",
}
"""What to do, by the op type."""
HARDWARE = "fpgadataflow"
"""What the domain of FINN's hardware layers holds, or in older files their attribute `backend`."""
