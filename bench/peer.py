"""PyTorch's time for the shapes of `bench gpu`: eager, fp16, its own kernels as they are picked by default.

Reads {"device": "cuda", "shapes": [{"name", "operation", "inputs", "settings", "copies"}]} on stdin and writes
{"torch", "device", "rows": [{"name", "ms"} or {"name", "error"}]} on stdout. Inputs are named in limn's layout (NHWC, [in, out]);
here each gets the layout that PyTorch likes. `copies` of inputs and outputs take turns, so that no run finds its own in the caches.
"""

import json
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    sys.exit(f"no PyTorch: {error}")


def random(device, shape):
    return (torch.rand(shape, device=device) * 2 - 1).half()


def operation_of(device, operation, inputs, settings):
    """A function of no arguments that runs the operation once, on random inputs of its own."""
    tensors = [random(device, shape) for shape in inputs]
    if operation == "matmul":
        x, weight = tensors[0], tensors[1].t().contiguous()
        return lambda: F.linear(x, weight)
    if operation == "conv2d":
        # A permuted view of NHWC is what PyTorch calls channels_last.
        x = tensors[0].permute(0, 3, 1, 2)
        weight = tensors[1].permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
        return lambda: F.conv2d(x, weight, padding=settings["padding"])
    if operation == "attention":
        heads = settings["heads"]
        q, k, v = (x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2) for x in tensors)
        return lambda: F.scaled_dot_product_attention(q, k, v)
    if operation == "groupNorm":
        x = tensors[0].permute(0, 3, 1, 2).contiguous()
        return lambda: F.silu(F.group_norm(x, settings["groups"], tensors[1], tensors[2], 1e-5))
    if operation == "layerNorm":
        return lambda: F.layer_norm(tensors[0], tensors[1].shape, tensors[1], tensors[2], 1e-5)
    raise ValueError(f"unknown operation {operation}")


def cuda_millis(run):
    """Median of events around each of 50 runs, queued while the GPU is busy, so that none waits for the host."""
    busy = random("cuda", (8192, 8192))
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(50)]
    for i in range(20):
        run(i)
    torch.cuda.synchronize()
    for _ in range(3):
        busy @ busy
    for i, (begin, end) in enumerate(events):
        begin.record()
        run(i)
        end.record()
    torch.cuda.synchronize()
    return statistics.median(begin.elapsed_time(end) for begin, end in events)


def cpu_millis(run):
    times = []
    for i in range(6):
        begin = time.perf_counter()
        run(i)
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times[1:])


@torch.inference_mode()
def millis(device, shape):
    copies = shape["copies"]
    runs = [operation_of(device, shape["operation"], shape["inputs"], shape["settings"]) for _ in range(copies)]
    outputs = [None] * copies

    def run(i):
        outputs[i % copies] = None
        outputs[i % copies] = runs[i % copies]()

    return cuda_millis(run) if device == "cuda" else cpu_millis(run)


def row_of(device, shape):
    try:
        return {"name": shape["name"], "ms": millis(device, shape)}
    except Exception as error:  # one shape that fails leaves the others
        return {"name": shape["name"], "error": (str(error) or type(error).__name__).splitlines()[0]}


def main():
    request = json.load(sys.stdin)
    device = request["device"]
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"PyTorch {torch.__version__} sees no CUDA device")
    torch.manual_seed(1)
    rows = [row_of(device, shape) for shape in request["shapes"]]
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    json.dump({"torch": torch.__version__, "device": name, "rows": rows}, sys.stdout)


main()
