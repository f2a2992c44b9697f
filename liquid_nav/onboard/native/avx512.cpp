// x86-64 servers of 2017 and later. The pragma comes before everything, see avx2.cpp.
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma")
#define NAME avx512
#define BYTES 64
#include "kernel.h"
#endif
