// The kernel for any processor, and the choice of the instruction set.
#define NAME baseline
#define BYTES 16
#include "kernel.h"

// Its name is the version of the interface, by which native/__init__.py checks it.
EXPORT void version_2() {}

// The widest instruction set that was built and that this processor has.
EXPORT const char *widest() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        return "avx512";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
    return "baseline";
}
