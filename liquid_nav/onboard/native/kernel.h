// The functions for one instruction set, as a plain C interface. A translation unit defines its
// NAME and BYTES; Python looks functions up by name, for the widest set that the machine has.
//
// Arrays are contiguous. Each template documents the order of its `in` and `out`.
#pragma once

#include "encoder.h"
#include "flow.h"
#include "ltc.h"

#define JOIN_(a, b, c) a##_##b##_##c
#define JOIN(a, b, c) JOIN_(a, b, c)
#define EXPORT extern "C" __attribute__((visibility("default")))

#define CELL(cell, Sizes, Step, T, type)                                                          \
    EXPORT void JOIN(cell##_forward, type, NAME)(const Sizes *n, const T *const *in,              \
                                                 T *const *out) {                                 \
        cell##_forward<T>(*n, in, out);                                                           \
    }                                                                                             \
    EXPORT void JOIN(cell##_backward, type, NAME)(const Sizes *n, const T *const *in,             \
                                                  T *const *out) {                                \
        cell##_backward<T>(*n, in, out);                                                          \
    }                                                                                             \
    EXPORT void *JOIN(cell##_make, type, NAME)(const Sizes *n, const T *const *in, const T *u,    \
                                               const T *state, T *flowed) {                       \
        return new Step<T>(*n, in, u, state, flowed);                                             \
    }                                                                                             \
    EXPORT void JOIN(cell##_step, type, NAME)(void *step, double dt) {                            \
        (*static_cast<Step<T> *>(step))(T(dt));                                                   \
    }                                                                                             \
    EXPORT void JOIN(cell##_free, type, NAME)(void *step) { delete static_cast<Step<T> *>(step); }

CELL(ltc, LtcSizes, LtcStep, float, float32)
CELL(ltc, LtcSizes, LtcStep, double, float64)
CELL(flow, FlowSizes, FlowStep, float, float32)
CELL(flow, FlowSizes, FlowStep, double, float64)

EXPORT void *JOIN(encoder_make, float32, NAME)(const EncoderSizes *n, const float *const *in,
                                               const uint8_t *image, float *result) {
    return new Encoder<float>(*n, in, image, result);
}
EXPORT void JOIN(encoder_step, float32, NAME)(void *encoder, double number) {
    (*static_cast<Encoder<float> *>(encoder))(float(number));
}
EXPORT void JOIN(encoder_free, float32, NAME)(void *encoder) {
    delete static_cast<Encoder<float> *>(encoder);
}
