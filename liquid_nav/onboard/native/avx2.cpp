// x86-64 of 2013 and later. The pragma comes before everything, so that all below is built for it.
#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#define NAME avx2
#define BYTES 32
#include "kernel.h"
#endif
