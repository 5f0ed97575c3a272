"""Native libraries beside the benchmark: PyTorch on CUDA, and BLAS and LAPACK through SciPy.

    python3 torch_bench.py --serve torch|torch-tf32|scipy    the other side of peers/native.mjs, JSON lines both ways
    python3 torch_bench.py --out torch.json [--quick]         PyTorch alone

Times are CUDA events around the repetitions after a warm-up, or a clock where there is no CUDA.
"""

import argparse
import json
import statistics
import sys
import time


class Torch:
    """f32 on CUDA, with TF32 off, or on for products."""

    def __init__(self, tf32):
        import torch

        if not torch.cuda.is_available():
            raise RuntimeError(f"torch {torch.__version__} finds no CUDA device")
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        self.torch = torch
        self.device = torch.device("cuda")
        products = {
            "gram": {"A @ A.T": lambda x: [x["A"] @ x["A"].T]},
            "matmul": {"A @ B": lambda x: [x["A"] @ x["B"]]},
            "sandwich": {"P @ G @ Q": lambda x: [x["P"] @ x["G"] @ x["Q"]]},
        }
        rest = {
            "invert": {
                "cholesky, cholesky_inverse": lambda x: [
                    torch.cholesky_inverse(torch.linalg.cholesky(S)) for S in x["list"]
                ],
                "linalg.inv": lambda x: [torch.linalg.inv(S) for S in x["list"]],
            },
            "eigh": {"linalg.eigh": lambda x: [part for S in x["list"] for part in torch.linalg.eigh(S)]},
        }
        self.operations = products if tf32 else {**products, **rest}
        self.version = f"{torch.__version__}, CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}"

    def upload(self, array):
        return self.torch.from_numpy(array).to(self.device)

    def download(self, tensor):
        return tensor.cpu().numpy()

    def timed(self, body):
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.torch.cuda.synchronize()
        start.record()
        body()
        end.record()
        self.torch.cuda.synchronize()
        return start.elapsed_time(end)


class SciPy:
    """OpenBLAS, or whatever else SciPy was built with, on all cores."""

    def __init__(self):
        import numpy as np
        import scipy
        from scipy.linalg import blas, lapack

        def inverse(S):
            # S is symmetric, so its rows may be taken for columns, which LAPACK wants.
            factor, info = lapack.spotrf(S.T, lower=1, clean=0)
            X, again = lapack.spotri(factor, lower=1, overwrite_c=1)
            if info or again:
                raise ArithmeticError("not positive definite")
            upper = np.triu_indices(len(X), 1)
            X[upper] = X.T[upper]
            return X.T

        def inverses(x):
            return [np.stack([inverse(S) for S in M]) if M.ndim == 3 else inverse(M) for M in x["list"]]

        def half(A):
            # One triangle, as the name says: nothing mirrors it.
            return blas.ssyrk(1.0, A.T, trans=1, lower=1)

        def mirrored(x):
            S = half(x["A"])
            upper = np.triu_indices(len(S), 1)
            S[upper] = S.T[upper]
            return [S.T]

        self.operations = {
            "gram": {"A @ A.T": lambda x: [x["A"] @ x["A"].T], "ssyrk, mirrored": mirrored},
            "matmul": {"A @ B": lambda x: [x["A"] @ x["B"]]},
            "sandwich": {"P @ G @ Q": lambda x: [x["P"] @ x["G"] @ x["Q"]]},
            "invert": {
                "spotrf, spotri": inverses,
                "linalg.inv, f64 inside": lambda x: [np.linalg.inv(S) for S in x["list"]],
            },
            "eigh": {"linalg.eigh, f64 inside": lambda x: [part for S in x["list"] for part in np.linalg.eigh(S)]},
        }
        self.version = f"{scipy.__version__}, NumPy {np.__version__}"

    def upload(self, array):
        return array

    def download(self, array):
        return array

    def timed(self, body):
        start = time.perf_counter()
        body()
        return 1000 * (time.perf_counter() - start)


LIBRARIES = {"torch": lambda: Torch(False), "torch-tf32": lambda: Torch(True), "scipy": SciPy}


def repeated(library, function, states, first, repetitions):
    def body():
        for k in range(repetitions):
            function(states[(first + k) % len(states)])

    return library.timed(body)


def serve(name):
    import numpy as np

    library = LIBRARIES[name]()
    sets = {}

    def matrices(description):
        """One matrix, or a list of stacks, out of a file of f32 numbers."""
        numbers = np.fromfile(description["file"], dtype=np.float32)
        shapes = description["shapes"]
        parts, at = [], 0
        for shape in shapes:
            size = int(np.prod(shape))
            parts.append(library.upload(numbers[at : at + size].reshape(shape).copy()))
            at += size
        return parts

    def upload(names, **description):
        parts = matrices(description)
        state = {"list": parts} if names == ["list"] else dict(zip(names, parts))
        sets[len(sets)] = state
        return {"set": len(sets) - 1}

    def run(kind, formulation, chosen, first, repetitions):
        states = [sets[k] for k in chosen]
        return {"ms": repeated(library, library.operations[kind][formulation], states, first, repetitions)}

    def read(kind, formulation, set, file):
        results = [library.download(part) for part in library.operations[kind][formulation](sets[set])]
        with open(file, "wb") as out:
            for part in results:
                out.write(np.ascontiguousarray(part, dtype=np.float32).tobytes())
        return {"shapes": [list(part.shape) for part in results]}

    def drop(chosen):
        for k in chosen:
            sets[k] = None
        return {}

    commands = {"upload": upload, "run": run, "read": read, "drop": drop}
    formulations = {kind: list(ways) for kind, ways in library.operations.items()}
    answer({"version": library.version, "formulations": formulations})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(commands[request.pop("command")](**request))
        except Exception as error:  # The benchmark makes a row of it.
            answer({"error": f"{type(error).__name__}: {error}"})


def answer(message):
    print(json.dumps(message), flush=True)


def alone(out, quick):
    """PyTorch's figures without the benchmark: medians of samples of at least 50 ms."""
    result = {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "rows": []}
    for name in ["torch", "torch-tf32"]:
        try:
            library = LIBRARIES[name]()
        except Exception as error:
            result["error"] = f"{type(error).__name__}: {error}"
            break
        result["version"] = library.version
        for kind, label, state in cases(library, quick):
            for formulation, function in library.operations.get(kind, {}).items():
                row = {"library": name, "operation": kind, "case": label, "formulation": formulation}
                try:
                    row.update(samples(library, function, [state]))
                except Exception as error:
                    row["error"] = f"{type(error).__name__}: {error}"
                result["rows"].append(row)
    with open(out, "w") as file:
        json.dump(result, file, indent=1)
    if "error" in result:
        print(f"PyTorch was not measured: {result['error']}")
    for row in result["rows"]:
        figure = row.get("error") or f"{row['ms']:.3f} ms"
        print(f"{row['library']:10} {row['operation']:8} {row['case']:14} {row['formulation']:28} {figure}")


def cases(library, quick):
    torch, device = library.torch, library.device
    normal = lambda *shape: torch.randn(*shape, device=device)

    def spd(*shape):
        B = normal(*shape)
        return B @ B.mT / shape[-1] + 0.01 * torch.eye(shape[-1], device=device)

    for d, n in [(256, 1024)] if quick else [(256, 16384), (512, 4096), (1024, 2048), (1024, 8192), (2048, 16384), (4096, 4096)]:
        yield "gram", f"{d}x{n}", {"A": normal(d, n)}
    for n in [256] if quick else [512, 1024, 2048, 4096]:
        yield "matmul", str(n), {"A": normal(n, n), "B": normal(n, n)}
    for shape in [(256, 256)] if quick else [(256, 256), (512, 512), (1024, 1024), (2048, 2048), (4096, 4096), (256, 32, 32), (256, 128, 128), (64, 512, 512)]:
        yield "invert", "x".join(map(str, shape)), {"list": [spd(*shape)]}
    for shape in [(64, 64)] if quick else [(128, 128), (256, 256), (512, 512), (256, 128, 128)]:
        yield "eigh", "x".join(map(str, shape)), {"list": [spd(*shape)]}


def samples(library, function, states, count=15, least=50.0):
    first = repeated(library, function, states, 0, 1)
    warm = repeated(library, function, states, 0, 3) / 3
    repetitions = max(1, min(2000, round(least / max(warm, 1e-3))))
    times = [repeated(library, function, states, 0, repetitions) / repetitions for _ in range(count if warm < 1000 else 3)]
    return {"ms": statistics.median(times), "samples": times, "repetitions": repetitions, "firstMs": first}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", choices=list(LIBRARIES))
    parser.add_argument("--out", default="torch.json")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if arguments.serve:
        try:
            serve(arguments.serve)
        except Exception as error:
            answer({"error": f"{type(error).__name__}: {error}"})
    else:
        alone(arguments.out, arguments.quick)
