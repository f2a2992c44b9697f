// The LiquidFlow: dense gates, the exact flow between events, and their gradients.
#pragma once

#include "simd.h"

namespace {

// A matrix that adds its product with rows x to rows y, packed as [vector of outputs][input].
template <class T> struct Dense {
    int64_t outputs, inputs;
    Buffer<T> packed;

    // `weight(output, input)` gives an entry; `outputs` is a multiple of 16.
    template <class Weight>
    Dense(int64_t outputs, int64_t inputs, Weight weight)
        : outputs(outputs), inputs(inputs), packed(outputs * inputs) {
        for (int64_t o = 0; o < outputs; ++o)
            for (int64_t i = 0; i < inputs; ++i)
                packed[(o / lanes<T> * inputs + i) * lanes<T> + o % lanes<T>] = weight(o, i);
    }

    void add(int64_t rows, const T *x, int64_t x_pitch, T *y, int64_t y_pitch) const {
        for (int64_t first = 0; first < outputs; first += lanes<T>)
            by_fours(rows, [&](int64_t row, auto count) {
                constexpr int E = decltype(count)::value;
                const T *weights = packed.data + first * inputs, *source = x + row * x_pitch;
                T *to = y + row * y_pitch + first;
                Vector<T> sum[E];
                for (int e = 0; e < E; ++e) sum[e] = load(to + e * y_pitch);
                for (int64_t i = 0; i < inputs; ++i)
#pragma GCC unroll 4
                    for (int e = 0; e < E; ++e)
                        sum[e] += load(weights + i * lanes<T>) * source[e * x_pitch + i];
                for (int e = 0; e < E; ++e) store(to + e * y_pitch, sum[e]);
            });
    }
};

// Sizes as Python passes them.
struct FlowSizes {
    int64_t batch, length, inputs, units;
    double input_limit;
};

// The sequential part of a LiquidFlow. A row of gates is padded: targets start at 0, time constants
// at `pitch`.
template <class T> struct Flow {
    const int64_t units, pitch;
    const bool reads_state;
    Dense<T> state, state_transposed;
    Buffer<T> offset, scale;

    // in: state weight (2N, N) or null, offset and scale (2N).
    Flow(int64_t n, const T *const *in, bool backward)
        : units(n), pitch(round_up(n)), reads_state(in[0]),
          state(reads_state ? 2 * pitch : 0, n,
                [&](int64_t o, int64_t i) {
                    const int64_t unit = o % pitch;
                    return unit < n ? in[0][(o / pitch * n + unit) * n + i] : T(0);
                }),
          state_transposed(
              reads_state && backward ? pitch : 0, 2 * pitch,
              [&](int64_t o, int64_t i) {
                  const int64_t unit = i % pitch;
                  return unit < n && o < n ? in[0][(i / pitch * n + unit) * n + o] : T(0);
              }),
          offset(2 * pitch), scale(2 * pitch) {
        pad(offset, in[1]);
        pad(scale, in[2]);
    }

    void pad(T *to, const T *from) const {
        copy(to, from, units);
        copy(to + pitch, from + units, units);
    }

    void unpad(T *to, const T *from) const {
        copy(to, from, units);
        copy(to + units, from + pitch, units);
    }

    // Turn the drive y (rows, 2 pitch) into openings of the gates, in place.
    void open(int64_t rows, const T *v, T *y) const {
        state.add(rows, v, pitch, y, 2 * pitch);
        for (int64_t at = 0; at < rows * 2 * pitch; at += lanes<T>)
            store(y + at, logistic<T>(load(y + at)));
    }

    // Target, rate (the time constant's inverse) and exponent dt / tau of one vector of neurons.
    struct Gates {
        Vector<T> target, rate, z;
        Gates(const Flow &flow, const T *opening, T dt, int64_t i) {
            const T *offset = flow.offset + i, *scale = flow.scale + i;
            const int64_t pitch = flow.pitch;
            target = load(offset) + load(scale) * load(opening + i);
            Vector<T> log_tau =
                load(offset + pitch) + load(scale + pitch) * load(opening + pitch + i);
            rate = exponential<T>(-log_tau);
            // Beyond the limit nothing of v is left, and infinity times zero would be NaN.
            z = clamp<T>(dt * rate, 0, Number<T>::limit);
        }
        Vector<T> share() const { return -exponential_less_one<T>(-z); }
    };

    void advance(int64_t rows, T *v, const T *dt, int64_t dt_pitch, T *y) const {
        open(rows, v, y);
        for (int64_t row = 0; row < rows; ++row)
            for (int64_t i = 0; i < pitch; i += lanes<T>) {
                Gates gates(*this, y + row * 2 * pitch, dt[row * dt_pitch], i);
                T *to = v + row * pitch + i;
                store(to, between<T>(load(to), gates.target, gates.share()));
            }
    }
};

// in: drive (B, T, 2N), dt (B, T), v (B, N), then the arrays of Flow. out: states (B, T, N).
template <class T> void flow_forward(const FlowSizes &n, const T *const *in, T *const *out) {
    Flow<T> cell(n.units, in + 3, false);
    const int64_t pitch = cell.pitch;
    Buffer<T> v(n.batch * pitch), y(n.batch * 2 * pitch);
    for (int64_t b = 0; b < n.batch; ++b) copy(v + b * pitch, in[2] + b * n.units, n.units);
    for (int64_t t = 0; t < n.length; ++t) {
        for (int64_t b = 0; b < n.batch; ++b)
            cell.pad(y + b * 2 * pitch, in[0] + (b * n.length + t) * 2 * n.units);
        cell.advance(n.batch, v, in[1] + t, n.length, y);
        for (int64_t b = 0; b < n.batch; ++b)
            copy(out[0] + (b * n.length + t) * n.units, v + b * pitch, n.units);
    }
}

// in: as in the forward pass, then states and their gradient. out: gradients of drive, dt and v.
// The caller computes the gradient of the state weight, the product of drive gradient and states.
template <class T> void flow_backward(const FlowSizes &n, const T *const *in, T *const *out) {
    const T *dt = in[1], *states = in[6], *states_grad = in[7];
    Flow<T> cell(n.units, in + 3, true);
    const int64_t pitch = cell.pitch;
    Buffer<T> v(n.batch * pitch), v_grad(n.batch * pitch);
    Buffer<T> y(n.batch * 2 * pitch), y_grad(n.batch * 2 * pitch);
    for (int64_t t = n.length; t-- > 0;) {
        for (int64_t b = 0; b < n.batch; ++b) {
            const int64_t k = b * n.length + t;
            copy(v + b * pitch, t ? states + (k - 1) * n.units : in[2] + b * n.units, n.units);
            for (int64_t i = 0; i < n.units; ++i)
                v_grad[b * pitch + i] += states_grad[k * n.units + i];
            cell.pad(y + b * 2 * pitch, in[0] + k * 2 * n.units);
        }
        cell.open(n.batch, v, y);
        for (int64_t b = 0; b < n.batch; ++b) {
            const int64_t k = b * n.length + t;
            Vector<T> dt_grad{};
            for (int64_t i = 0; i < pitch; i += lanes<T>) {
                typename Flow<T>::Gates gates(cell, y + b * 2 * pitch, dt[k], i);
                const T *s = y + b * 2 * pitch + i, *scale = cell.scale + i;
                T *to = y_grad + b * 2 * pitch + i;
                Vector<T> share = gates.share(), kept = T(1) - share;
                Vector<T> grad = load(v_grad + b * pitch + i);
                Vector<T> z_grad = grad * (gates.target - load(v + b * pitch + i)) * kept;
                dt_grad += z_grad * gates.rate;
                Vector<T> target_opening = load(s), tau_opening = load(s + pitch);
                store(to, grad * share * load(scale) * (target_opening * (T(1) - target_opening)));
                store(to + pitch, -z_grad * gates.z * load(scale + pitch) *
                                      (tau_opening * (T(1) - tau_opening)));
                store(v_grad + b * pitch + i, grad * kept);
            }
            T sum = 0;
            for (int64_t lane = 0; lane < lanes<T>; ++lane) sum += dt_grad[lane];
            out[1][k] = sum;
            cell.unpad(out[0] + k * 2 * n.units, y_grad + b * 2 * pitch);
        }
        cell.state_transposed.add(n.batch, y_grad, 2 * pitch, v_grad, pitch);
    }
    for (int64_t b = 0; b < n.batch; ++b) copy(out[2] + b * n.units, v_grad + b * pitch, n.units);
}

// One cell for single events; it allocates nothing after its construction.
template <class T> struct FlowStep {
    Flow<T> cell;
    const int64_t inputs;
    const T input_limit;
    Dense<T> input;
    Buffer<T> bias, clamped, v, y;
    const T *u, *state;
    T *flowed;

    // in: the arrays of Flow, then input weight (2N, I) and bias (2N).
    FlowStep(const FlowSizes &n, const T *const *in, const T *u, const T *state, T *flowed)
        : cell(n.units, in, false), inputs(n.inputs), input_limit(T(n.input_limit)),
          input(2 * cell.pitch, n.inputs,
                [&](int64_t o, int64_t i) {
                    const int64_t unit = o % cell.pitch, row = o / cell.pitch * n.units + unit;
                    return unit < n.units ? in[3][row * n.inputs + i] : T(0);
                }),
          bias(2 * cell.pitch), clamped(n.inputs), v(cell.pitch), y(2 * cell.pitch), u(u),
          state(state), flowed(flowed) {
        cell.pad(bias, in[4]);
    }

    void operator()(T dt) {
        for (int64_t i = 0; i < inputs; ++i) {
            const T low = u[i] < -input_limit ? -input_limit : u[i];
            clamped[i] = low > input_limit ? input_limit : low;
        }
        copy(v.data, state, cell.units);
        copy(y.data, bias.data, 2 * cell.pitch);
        input.add(1, clamped, 0, y, 2 * cell.pitch);
        cell.advance(1, v, &dt, 0, y);
        copy(flowed, v.data, cell.units);
    }
};

}  // namespace
