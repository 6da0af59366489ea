"""Integers of several images side by side: what C++ gives for each image alone, whatever registers the processor has."""

import platform
import subprocess
from pathlib import Path

import pytest

PROGRAM = r"""
#include "muxflow/types.hpp"
#include <cstdio>
using namespace muxflow;

static unsigned long long seed = 1;
static unsigned long long digest = 0;
static int failures = 0;

template <class T> T random() {
  seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
  const T ends[4] = {0, static_cast<T>(-1), static_cast<T>(1), static_cast<T>(T(1) << (8 * sizeof(T) - 1))};
  return (seed >> 60) < 4 ? ends[seed >> 60] : static_cast<T>(seed >> 20);
}
template <class T> Images<T> randoms() {
  Images<T> value;
  for (int i = 0; i < MUXFLOW_IMAGES; ++i) set_image(value, i, random<T>());
  return value;
}
template <class R, class V> void expect(const V& met, int image, R wanted, const char* what) {
  digest = digest * 31 + static_cast<unsigned long long>(wanted);
  const R value = of_image(Images<R>(met), image);
  if (value != wanted && ++failures < 9) std::printf("%s: image %d\n", what, image);
}
#define BOTH(op) expect<decltype(u op v)>(a op b, i, u op v, #op); expect<decltype(u op 3)>(a op 3, i, u op 3, #op " 3"); \
  expect<decltype(3 op v)>(3 op b, i, 3 op v, "3 " #op);
#define EACH(op) expect<int>(a op b, i, u op v, #op); expect<int>(a op 3, i, u op 3, #op " 3");
#define ASSIGN(op) { Images<T> c = a; c op b; T w = u; w op v; expect<T>(c, i, w, #op); }

template <class T, class U> void pair() {
  const Images<T> a = randoms<T>();
  const Images<U> b = randoms<U>();
  for (int i = 0; i < MUXFLOW_IMAGES; ++i) {
    const T u = of_image(a, i);
    const U v = of_image(b, i);
    BOTH(+) BOTH(-) BOTH(*) BOTH(&) BOTH(|) BOTH(^)
    EACH(<) EACH(<=) EACH(>) EACH(>=) EACH(==) EACH(!=)
    ASSIGN(+=) ASSIGN(-=) ASSIGN(*=) ASSIGN(&=) ASSIGN(|=) ASSIGN(^=)
    expect<U>(Images<U>(a), i, static_cast<U>(u), "conversion");
    expect<T>(choose(a < b, a, Images<T>(b)), i, u < v ? u : static_cast<T>(v), "choose");
  }
}
template <class T> void one() {
  const Images<T> a = randoms<T>();
  for (int i = 0; i < MUXFLOW_IMAGES; ++i) {
    const T u = of_image(a, i);
    expect<decltype(u >> 3)>(a >> 3, i, u >> 3, ">>");
    expect<decltype(u << 3)>(a << 3, i, u << 3, "<<");
    expect<decltype(-u)>(-a, i, -u, "-");
    expect<decltype(~u)>(~a, i, ~u, "~");
    expect<int>(!(a < 3), i, !(u < 3), "!");
    expect<int>((a < 3) | (a > 9), i, u < 3 || u > 9, "|");
    expect<int>((a > 3) & (a < 9), i, u > 3 && u < 9, "&");
    Images<T> c = a;
    c >>= 2;
    expect<T>(c, i, u >> 2, ">>=");
  }
  pair<T, int8_t>(); pair<T, uint8_t>(); pair<T, int16_t>(); pair<T, uint16_t>();
  pair<T, int32_t>(); pair<T, uint32_t>(); pair<T, int64_t>(); pair<T, uint64_t>();
}
int main() {
  for (int round = 0; round < 9; ++round) {
    one<int8_t>(); one<uint8_t>(); one<int16_t>(); one<uint16_t>();
    one<int32_t>(); one<uint32_t>(); one<int64_t>(); one<uint64_t>();
  }
  std::printf("%d %llx\n", failures, digest);
}
"""


def machines() -> list[str]:
    """Widths of registers that this processor has."""
    if platform.machine() != "x86_64":
        return ["native"]
    flags = Path("/proc/cpuinfo").read_text().split()
    return ["x86-64", *(["x86-64-v3"] if "avx2" in flags and "bmi2" in flags else []), "native"]


@pytest.mark.parametrize("images", [4, 32])
def test_as_plain_integers(include, tmp_path, images):
    (tmp_path / "main.cpp").write_text(PROGRAM)
    answers = set()
    for machine in machines() if images == 32 else ["native"]:
        command = ["g++", "-std=c++11", "-O1", "-w", "-fwrapv", f"-march={machine}", "-DMUXFLOW_NATIVE"]
        command += [f"-DMUXFLOW_IMAGES={images}", f"-I{include}", "main.cpp", "-o", "run"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[:3000]
        answers.add(subprocess.run(["./run"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
    (answer,) = answers
    assert answer.startswith("0 "), answer
