"""The accelerator as a Python object."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, Sequence, Tuple, TypeVar, Union

import numpy as np

from .backend import check_batch, check_timeout
from .clock import measured_clock, seconds_of
from .errors import AcceleratorError
from .interface import Interface, parse_interface, read_interface, read_self_test
from .packing import pack, unpack
from .registers import DMA_LONGEST_TRANSFER
from .results import Counters, Measurement, check_folder
from .weights import WEIGHTS_FILE, checksum, read_weights

if TYPE_CHECKING:
    import numpy.typing as npt

    from .backend import Backend
    from .interface import Seed
    from .packing import Codes, Words

    Images = Union[npt.ArrayLike, Sequence[npt.ArrayLike], Mapping[str, npt.ArrayLike]]
    Floats = npt.NDArray[np.float64]

T = TypeVar("T")
Each = Union[T, Tuple[T, ...]]
"""One value for one output, a tuple in order for several."""

LATENCY_RUNS = 11
"""Single images whose median is the latency."""

EMULATOR = "muxflow.board.emulator"
"""The module whose `Emulator` plays an accelerator, looked for by name: the driver itself needs nothing of Muxflow."""


class Accelerator:
    """An accelerator on the board, or its C simulation on any machine.

    `folder`: the deploy folder. `batch`: most frames in one DMA transfer; larger batches are cut, and two transfers'
    buffers take turns, so that one is packed while the other is under way. `timeout`: seconds for one transfer. `weights`:
    the weight file that is loaded at first, where weights are loaded at run time; the folder's own without one.

    Images are integer codes of the input quantizer, shape (N, *shape): an array for one input; for several a tuple or a
    list in the order of `interface.inputs`, or a dict by name. Several outputs are answered by a tuple in the order of
    `interface.outputs`.
    Raises AcceleratorError, as all its methods do.
    """

    interface: Interface
    _sent: int  # frames since the overlay was loaded
    _first: int  # the number of the one that began the last sequence
    _sequences: int  # those that a register began

    def __init__(
        self,
        folder: str | Path = ".",
        *,
        batch: int = 64,
        timeout: float = 10.0,
        weights: str | Path | None = None,
    ) -> None:
        from .pynq_backend import PynqBackend

        check_timeout(timeout)
        path = Path(folder)
        interface = read_interface(path)
        frames = _transfer_frames(interface, batch)
        self_test = read_self_test(path, interface)
        self._open(interface, self_test, PynqBackend(path, interface, frames), frames, timeout, path, weights)

    @classmethod
    def emulate(
        cls, project: str | Path, *, batch: int = 64, timeout: float = 600.0, weights: str | Path | None = None
    ) -> Accelerator:
        """Open the accelerator of an HLS project, played by its C simulation; needs Muxflow and a C++ compiler."""
        try:
            emulator = import_module(EMULATOR).Emulator
        except ImportError as error:
            raise AcceleratorError(
                f"the emulator needs Muxflow on this machine: pip install muxflow ({error})"
            ) from error
        check_timeout(timeout)
        backend = emulator(Path(project), AcceleratorError)
        try:
            interface = parse_interface(backend.interface, str(project))
            frames = _transfer_frames(interface, batch)
        except BaseException:
            backend.close()
            raise
        self = cls.__new__(cls)
        self._open(interface, backend.self_test, backend, frames, timeout, Path(project), weights)
        return self

    def _open(
        self,
        interface: Interface,
        self_test: dict[str, Codes],
        backend: Backend,
        frames: int,
        timeout: float,
        folder: Path,
        weights: str | Path | None,
    ) -> None:
        self.interface = interface
        self._self_test = self_test
        self._backend: Backend | None = backend
        self._frames = frames
        self._timeout = timeout
        self._seeds: dict[str, tuple[int, ...]] = {}
        self._stale = False
        self._anew = False  # whether the next frame is to begin a sequence
        self._forget()
        self._own_weights = folder / WEIGHTS_FILE
        self._words: Words | None = None
        self._empty = False
        self._busy = threading.Lock()
        try:
            if interface.weights is not None or weights is not None:
                self.load_weights(weights)
            if interface.seeds:
                self.write_seeds({})
            backend.clear_counters()
        except BaseException:
            self.close()
            raise

    def run(self, images: Images) -> Each[Codes]:
        """Give the output codes, shape (N, *shape) of an output."""
        return _each(self._run(self.interface.check(images)))

    def predict(self, images: Images) -> Each[Codes | Floats]:
        """Give the model's output: floats where an output is logits or values, else its codes."""
        answers = self._run(self.interface.check(images))
        return _each(tuple(port.predict(codes) for port, codes in zip(self.interface.outputs, answers)))

    def classify(self, images: Images, output: str | None = None) -> Each[npt.NDArray[np.int64]]:
        """Give the class of each image, shape (N,), by the output of that name or by every output that says the class."""
        wanted = self.interface.answering(output, classes=True)
        answers = dict(zip(self.interface.outputs, self._run(self.interface.check(images))))
        return _each(tuple(port.classify(answers[port]) for port in wanted))

    def encode(self, images: Images, output: str | None = None) -> Each[Codes]:
        """Give the codes, shape (N, *shape), of the output of that name or of every output that says no class."""
        wanted = self.interface.answering(output, classes=False)
        answers = dict(zip(self.interface.outputs, self._run(self.interface.check(images))))
        return _each(tuple(answers[port] for port in wanted))

    def self_test(self) -> int:
        """Run the stored images and compare with the stored outputs; gives how many images agreed.

        Raises AcceleratorError naming the first difference.
        """
        if any(self._seeds.get(seed.node) != seed.cells for seed in self.interface.seeds):
            raise AcceleratorError("the self test knows the stored seeds only; write_seeds({}) brings them back")
        if self._words is not None and not np.array_equal(self._words, self._read_weights(None)):
            raise AcceleratorError(
                "the self test knows the weights that the project was built with only; load_weights() brings them back"
            )
        self._anew = True
        answers = self._run(self._stored_images())
        self._anew = True
        for port, met in zip(self.interface.outputs, answers):
            expected = self._self_test[port.port]
            if np.array_equal(met, expected):
                continue
            image, *index = (int(position) for position in np.argwhere(met != expected)[0])
            wrong = int((met != expected).reshape(len(met), -1).any(axis=1).sum())
            where = "" if len(answers) == 1 else f", output {port.name}"
            raise AcceleratorError(
                f"self test{where}: {wrong} of {len(met)} images differ, first image {image} at {tuple(index)}: met "
                f"{met[(image, *index)]}, expected {expected[(image, *index)]}; the bitstream and the folder may be of different "
                "projects, or timing was not met"
            )
        return len(answers[0])

    def _stored_images(self) -> tuple[Codes, ...]:
        return tuple(self._self_test[port.port] for port in self.interface.inputs)

    def measure(self, batch: int = 256, *, record: str | Path | None = None) -> Measurement:
        """Measure the frame rate, pipelined over `batch` images, the latency of one image, and the real clock.

        Recurrent layers begin anew after it. `record`: a folder to keep the measurement in, for `muxflow report`.
        """
        check_batch(batch, "images; measure at least one")
        if record is not None:
            check_folder(Path(record))
        images = tuple(stored[np.arange(batch) % len(stored)] for stored in self._stored_images())
        words = self._pack(images)
        first = tuple(one[:1] for one in words)
        self._settle()
        self._stream(self._cut(words), len)  # the first transfer after loading fills caches
        pipelined = seconds_of(lambda: self._stream(self._cut(words), len))
        packed = seconds_of(lambda: self._run(images))
        latencies = sorted(seconds_of(lambda: self._stream(iter([first]), len)) for _ in range(LATENCY_RUNS))
        self._anew = True
        measured = Measurement(
            batch,
            batch / pipelined,
            batch / packed,
            latencies[LATENCY_RUNS // 2],
            self.counters().latency_cycles,
            self._opened().source,
            self.interface.clock_mhz,
            measured_clock(self.counters),
        )
        if record is not None:
            measured.record(Path(record), self.interface.digest)
        return measured

    def counters(self) -> Counters:
        """Give what the stream monitors counted since the accelerator was opened or `clear_counters`."""
        return self._opened().counters()

    def clear_counters(self) -> None:
        """Count anew."""
        self._opened().clear_counters()

    @property
    def seeds(self) -> dict[str, tuple[int, ...]]:
        """The start of each weight generator by node, cell 0 first; empty where seeds are fixed."""
        return dict(self._seeds)

    def write_seeds(self, seeds: Mapping[str, Sequence[int]]) -> None:
        """Give weight generators another start, by node, 0 and 1, cell 0 first; those not named get their stored one.

        Weights are made ahead of the images, so frames are sent and dropped until none comes from the start before.
        """
        backend = self._opened()
        known = {seed.node: seed for seed in self.interface.seeds}
        if not known:
            raise AcceleratorError(
                f"{self.interface.name}: seeds are fixed in the hardware; build it with writable seeds (docs/guide/driver.md)"
            )
        wanted = {node: seed.cells for node, seed in known.items()}
        for node, given in seeds.items():
            if node not in known:
                raise AcceleratorError(f"no weight generator {node!r}; there are {', '.join(known)}")
            cells = tuple(int(cell) for cell in given)
            if len(cells) != len(wanted[node]) or set(cells) - {0, 1}:
                raise AcceleratorError(f"seed of {node}: expected {len(wanted[node])} cells, each 0 or 1")
            wanted[node] = cells
        for node, seed in known.items():
            backend.write_seed(seed, wanted[node])
        self._seeds = wanted
        self._stale = True
        self._settle()

    def reset_state(self) -> None:
        """Let recurrent layers begin anew with the next frame, as they do after opening and after a transfer that failed.

        Without a call every frame goes on with the state that the one before left. One frame is sent and dropped before the
        next one, since layers may have read already with which frame they begin.
        """
        if not self.interface.states:
            raise AcceleratorError(
                f"{self.interface.name}: every frame begins anew; build it with --stateful to carry a state on "
                "(docs/guide/driver.md)"
            )
        self._opened()
        self._anew = True

    def load_weights(self, file: str | Path | None = None) -> None:
        """Load a weight file, written by `muxflow weights`, in place of the weights so far; the built ones without a file.

        No frame may be under way. Raises AcceleratorError, and keeps the weights, for a file that is damaged or of another
        design; and where the checksum that the accelerator gives back is not that of the file.
        """
        backend = self._opened()
        self._load(backend, self._read_weights(file))

    @contextmanager
    def _alone(self, remedy: str) -> Iterator[None]:
        """Hold the accelerator; raises AcceleratorError where frames or weights are under way, as of another thread."""
        if not self._busy.acquire(blocking=False):
            raise AcceleratorError(f"{self.interface.name}: frames or weights are under way; {remedy}")
        try:
            yield
        finally:
            self._busy.release()

    def _read_weights(self, file: str | Path | None) -> Words:
        if self.interface.weights is None:
            raise AcceleratorError(
                f"{self.interface.name}: weights are part of the bitstream; build it with --weights loaded "
                "(docs/guide/loaded_weights.md)"
            )
        return read_weights(self._own_weights if file is None else file, self.interface.weights)

    def _load(self, backend: Backend, words: Words) -> None:
        with self._alone("weights would change within a frame; load them between calls"):
            self._words = words
            self._empty = True
            self._anew = True
            with self._clean(backend):
                expected, met = checksum(words), backend.load_weights(words, self._timeout)
            if met != expected:
                raise AcceleratorError(
                    f"{self.interface.name}: the checksum of the loaded weights is 0x{met:016x}, expected 0x{expected:016x}; the "
                    "bitstream and the folder may be of different projects, or timing was not met"
                )
            self._empty = False

    def _settle(self) -> None:
        """Bring the accelerator to where the next frame may come: weights that a reset took, starts, a new sequence."""
        if self._empty:
            assert self._words is not None
            self._load(self._opened(), self._words)
        if self._stale:
            self._stale = False
            self._anew = True
            self._drop(self.interface.seeds)
        if self._anew:
            self._anew = False
            self._begin()

    def _begin(self) -> None:
        """Let the next frame begin a sequence, unless it is the first one or follows one that was dropped for this."""
        ahead = max((state.frames_ahead for state in self.interface.states), default=0)
        if ahead and self._sent != self._first:
            self._first, self._sequences = self._sent + ahead, self._sequences + 1
            for state in self.interface.states:
                self._opened().write_state(state, (self._first % 2, self._sequences % 2))
            self._drop(self.interface.states)

    def _drop(self, registers: Sequence[Seed]) -> None:
        """Send frames, and drop them, until none can have read the registers before they were written."""
        ahead = max(one.frames_ahead for one in registers)
        frames = (np.full((ahead, *port.shape), port.lowest, np.int64) for port in self.interface.inputs)
        self._stream(self._cut(self._pack(tuple(frames))), len)

    def _forget(self) -> None:
        """Count frames from the overlay's first one on, which begins a sequence."""
        self._sent = self._first = self._sequences = 0

    def close(self) -> None:
        """Give buffers back; a closed accelerator answers nothing."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def __enter__(self) -> Accelerator:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _opened(self) -> Backend:
        if self._backend is None:
            raise AcceleratorError(f"{self.interface.name}: the accelerator is closed; open it again")
        return self._backend

    def _cut(self, arrays: tuple[npt.NDArray[Any], ...]) -> Iterator[tuple[npt.NDArray[Any], ...]]:
        """Cut the frames of each input into batches of one transfer."""
        for first in range(0, len(arrays[0]), self._frames):
            yield tuple(array[first : first + self._frames] for array in arrays)

    def _pack(self, codes: tuple[Codes, ...]) -> tuple[Words, ...]:
        return tuple(pack(one, port) for one, port in zip(codes, self.interface.inputs))

    def _unpack(self, words: tuple[Words, ...]) -> tuple[Codes, ...]:
        return tuple(unpack(one, port) for one, port in zip(words, self.interface.outputs))

    def _run(self, codes: tuple[Codes, ...]) -> tuple[Codes, ...]:
        """Run the frames and return the codes of each output."""
        self._settle()
        taken = self._stream((self._pack(one) for one in self._cut(codes)), self._unpack)
        return tuple(np.concatenate(parts) for parts in zip(*taken))

    def _stream(self, batches: Iterator[tuple[Words, ...]], take: Callable[[tuple[Words, ...]], T]) -> list[T]:
        """Send batches of input words and take what comes back.

        Two slots in turn: the next batch is packed and the last one unpacked while one is under way.
        """
        backend = self._opened()
        taken = []
        pending = None
        with self._alone("one thread at a time may use it"), self._clean(backend):
            for number, words in enumerate(batches):
                slot = number % 2
                backend.load(slot, words)
                done = None if pending is None else backend.wait(pending, self._timeout)
                backend.start(slot)
                self._sent += len(words[0])
                pending = slot
                if done is not None:
                    taken.append(take(done))
            if pending is not None:
                taken.append(take(backend.wait(pending, self._timeout)))
        return taken

    @contextmanager
    def _clean(self, backend: Backend) -> Iterator[None]:
        """Load the overlay anew where what is in it fails: a word left in a FIFO would shift every later image."""
        try:
            yield
        except BaseException:
            backend.reset()
            self._forget()
            self._stale = bool(self._seeds)
            self._empty = self._words is not None
            raise


def _each(values: tuple[T, ...]) -> Each[T]:
    return values[0] if len(values) == 1 else values


def _transfer_frames(interface: Interface, batch: int) -> int:
    """Count the frames of one transfer: `batch`, fewer where the DMA's length register holds no more."""
    check_batch(batch, "frames; give a whole number, at least 1")
    words = max(port.words for port in interface.ports)
    fits = DMA_LONGEST_TRANSFER // (8 * words)
    if not fits:
        raise AcceleratorError(f"a frame has {8 * words} bytes; a DMA transfer holds {DMA_LONGEST_TRANSFER}")
    return min(batch, fits)
