"""Two processes over loopback, four virtual CPU devices each, train as one process with eight does; none waits for a dead one."""

import socket
import subprocess
import time

from artifex.training.processes import ADDRESS, COUNT, INDEX

FSDP = {"fsdp_enabled": True, "fsdp_min_weight_size": 1}
SIZES = {
    "model__size": 16,
    "model__latent_dim": 8,
    "data__dataset__examples": 96,
    "data__dataset__size": 16,
    "data__dataset__held_out_size": 16,
    "data__dataset__held_out_examples": 20,
    "training__batch_size": 16,
    "training__log_every": 1,
}


class Pair:
    """Two processes of one ``artifex train --distributed``."""

    def __init__(self, tiny, folder, fields, *arguments):
        self._tiny, self._file = tiny, folder / "run.yaml"
        tiny.config(**fields).to_yaml(self._file)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self._folder = folder
        self.processes = []

    def start(self, index, *arguments):
        environment = {
            ADDRESS: self._address,
            COUNT: "2",
            INDEX: str(index),
            "JAX_COORDINATOR_BIND_ADDRESS": self._address,
            "JAX_NUM_CPU_DEVICES": "4",
            "JAX_PLATFORMS": "cpu",
        }
        output = self._folder / f"output_{index}.txt"
        with output.open("w") as file:
            process = self._tiny.popen(
                "train",
                str(self._file),
                "--distributed",
                *arguments,
                environment=environment,
                cwd=self._folder,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def end(self, timeout=60):
        """Exit codes and outputs."""
        try:
            codes = [process.wait(timeout) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        return codes, [(self._folder / f"output_{i}.txt").read_text() for i in range(len(self.processes))]


def test_x(tiny, tmp_path):
    fields = SIZES | {"mesh": FSDP, "training__ema_decay": 0.9}
    pair = Pair(tiny, tmp_path, fields)
    for i in range(2):
        pair.start(i, "-o", "run")
    t = time.time()
    codes, out = pair.end()
    print(time.time() - t, codes, out[0], "=======", out[1])
    print(sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))[:60])
    print((tmp_path / "run/metrics.jsonl").read_text())
