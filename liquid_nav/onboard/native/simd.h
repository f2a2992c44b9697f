// Vectors as wide as one instruction set has them, and the three functions that the cells need.
//
// A translation unit defines BYTES, the width, before it includes this file. The width must not
// exceed what its instruction set has, or the compiler splits vectors at a great cost. Everything
// is in an anonymous namespace, so that the linker does not merge code of different sets.
#pragma once

#include <cstdint>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

template <class T> struct Number;

template <> struct Number<float> {
    typedef float Vector __attribute__((vector_size(BYTES)));
    typedef int32_t Bits __attribute__((vector_size(BYTES)));
    static constexpr int mantissa = 23;
    static constexpr Bits one = Bits{} + 0x3f800000;
    // 1.5 * 2^mantissa: adding it rounds to a whole number, which is then in the lowest bits.
    static constexpr float magic = 12582912.0f;
    static constexpr float limit = 87.0f;
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    // (exp(r) - 1 - r) / r^2 on |r| <= ln(2) / 2, highest power first: minimax, exp(r) to 3e-9.
    static constexpr float series[] = {1.3814539880e-3f, 8.3687451271e-3f, 4.1668390790e-2f,
                                       1.6666520399e-1f, 4.9999993432e-1f};
};

template <> struct Number<double> {
    typedef double Vector __attribute__((vector_size(BYTES)));
    typedef int64_t Bits __attribute__((vector_size(BYTES)));
    static constexpr int mantissa = 52;
    static constexpr Bits one = Bits{} + 0x3ff0000000000000;
    static constexpr double magic = 6755399441055744.0;
    static constexpr double limit = 708.0;
    static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
    // Taylor: 1 / 13!, ..., 1 / 2!; the rest is below 1e-17.
    static constexpr double series[] = {
        1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
        1.0 / 5040,       1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      1.0 / 2};
};

template <class T> using Vector = typename Number<T>::Vector;
template <class T> constexpr int64_t lanes = BYTES / sizeof(T);

template <class T> inline Vector<T> load(const T *from) {
    Vector<T> vector;
    __builtin_memcpy(&vector, from, sizeof vector);
    return vector;
}

template <class T> inline void store(T *to, Vector<T> vector) {
    __builtin_memcpy(to, &vector, sizeof vector);
}

// The larger and the smaller of two; the result is NaN where x is. Each is one instruction, which
// the compiler would use by itself only if it were allowed to ignore NaN.
#define PAIR(T, prefix, suffix)                                                                   \
    inline Vector<T> larger(Vector<T> low, Vector<T> x) { return prefix##_max_##suffix(low, x); } \
    inline Vector<T> smaller(Vector<T> high, Vector<T> x) { return prefix##_min_##suffix(high, x); }
#if BYTES == 64
PAIR(float, _mm512, ps)
PAIR(double, _mm512, pd)
#elif BYTES == 32
PAIR(float, _mm256, ps)
PAIR(double, _mm256, pd)
#elif defined(__x86_64__)
PAIR(float, _mm, ps)
PAIR(double, _mm, pd)
#else
template <class V> inline V larger(V bound, V x) { return x < bound ? bound : x; }
template <class V> inline V smaller(V bound, V x) { return x > bound ? bound : x; }
#endif

template <class T> inline Vector<T> clamp(Vector<T> x, T low, T high) {
    return smaller(high - Vector<T>{}, larger(low - Vector<T>{}, x));
}

// exp(x) = scale + scale * small, where small is exp(r) - 1 of the reduced argument r.
template <class T> struct Exponential {
    Vector<T> scale, small;
    explicit Exponential(Vector<T> x) {
        typedef Number<T> N;
        x = clamp<T>(x, -N::limit, N::limit);
        Vector<T> whole = x * T(1.44269504088896340736) + N::magic;
        auto bits = (typename N::Bits)whole;
        whole -= N::magic;
#if defined(__FMA__) || defined(__aarch64__)
        // A fused product is exact, so one constant suffices for the 1e-7 of a float.
        constexpr bool split = sizeof(T) == 8;
#else
        constexpr bool split = true;
#endif
        Vector<T> r = x - whole * (split ? N::ln2_high : T(0.693147180559945309));
        if (split) r -= whole * N::ln2_low;
        Vector<T> sum = N::series[0] - Vector<T>{};
#pragma GCC unroll 16
        for (unsigned k = 1; k < sizeof N::series / sizeof(T); ++k) sum = sum * r + N::series[k];
        small = sum * (r * r) + r;
        scale = (Vector<T>)((bits << N::mantissa) + N::one);
    }
};

template <class T> inline Vector<T> exponential(Vector<T> x) {
    Exponential<T> e(x);
    return e.scale * e.small + e.scale;
}

// exp(x) - 1, with all its digits near x = 0 and exactly 0 there.
template <class T> inline Vector<T> exponential_less_one(Vector<T> x) {
    Exponential<T> e(x);
    return e.scale * e.small + (e.scale - T(1));
}

template <class T> inline Vector<T> logistic(Vector<T> x) {
    return T(1) / (T(1) + exponential<T>(-x));
}

// v + (target - v) * share for a share in [0, 1]. Like torch.lerp it starts from the nearer end,
// so that no rounding overshoots and both ends are met exactly.
template <class T> inline Vector<T> between(Vector<T> v, Vector<T> target, Vector<T> share) {
    Vector<T> gap = target - v;
    return share < T(0.5) ? v + share * gap : target - gap * (T(1) - share);
}

inline int64_t round_up(int64_t count) { return (count + 15) / 16 * 16; }

// Memory that it owns, zero at first.
template <class T> struct Buffer {
    T *data;
    explicit Buffer(int64_t size) : data(new T[size]()) {}
    Buffer(const Buffer &) = delete;
    ~Buffer() { delete[] data; }
    operator T *() const { return data; }
};

template <class T> inline void copy(T *to, const T *from, int64_t count) {
    __builtin_memcpy(to, from, sizeof(T) * count);
}

// Call body(first, number) over `count` rows, four at a time as long as there are four.
template <class Body> inline void by_fours(int64_t count, Body body) {
    int64_t row = 0;
    for (; row + 4 <= count; row += 4) body(row, std::integral_constant<int, 4>{});
    for (; row < count; ++row) body(row, std::integral_constant<int, 1>{});
}

}  // namespace
