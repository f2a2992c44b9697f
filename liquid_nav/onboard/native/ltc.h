// The LTC: sums over synapses, the exponential step in substeps, and their gradients.
#pragma once

#include "simd.h"

namespace {

// Synapses from `sources` values x onto `targets` neurons. Slope, offset, w and w E are packed as
// vectors, in the order in which each of the two directions reads them. Padding is 0.
template <class T> struct Synapses {
    int64_t targets, sources;
    Buffer<T> by_target;  // [vector of targets][source]
    Buffer<T> by_source;  // [vector of sources][target]
    Buffer<T> gradients;  // like by_source

    // slope and offset (targets, sources), gains (targets, 2, sources).
    Synapses(int64_t targets, int64_t sources, const T *slope, const T *offset, const T *gains,
             bool backward)
        : targets(targets), sources(sources), by_target(4 * round_up(targets) * sources),
          by_source(backward ? 4 * round_up(sources) * targets : 0),
          gradients(backward ? 4 * round_up(sources) * targets : 0) {
        constexpr int64_t W = lanes<T>;
        for (int64_t i = 0; i < targets; ++i)
            for (int64_t j = 0; j < sources; ++j) {
                const T *gain = gains + 2 * i * sources + j;
                const T values[] = {slope[i * sources + j], offset[i * sources + j], gain[0],
                                    gain[sources]};
                for (int k = 0; k < 4; ++k) {
                    by_target[((i / W * sources + j) * 4 + k) * W + i % W] = values[k];
                    if (!backward) continue;
                    by_source[((j / W * targets + i) * 4 + k) * W + j % W] = values[k];
                }
            }
    }

    // Add conductance and current for `rows` rows of x to g and c, whose rows are `pitch` apart.
    void open(int64_t rows, const T *x, int64_t x_pitch, T *g, T *c, int64_t pitch) const {
        constexpr int64_t W = lanes<T>;
        for (int64_t first = 0; first < targets; first += W) {
            const T *packed = by_target.data + first * sources * 4;
            by_fours(rows, [&](int64_t row, auto count) {
                constexpr int E = decltype(count)::value;
                const T *source = x + row * x_pitch;
                T *g_row = g + row * pitch + first, *c_row = c + row * pitch + first;
                Vector<T> conductance[E], current[E];
                for (int e = 0; e < E; ++e) {
                    conductance[e] = load(g_row + e * pitch);
                    current[e] = load(c_row + e * pitch);
                }
                for (int64_t j = 0; j < sources; ++j) {
                    const T *p = packed + 4 * W * j;
                    Vector<T> slope = load(p), offset = load(p + W);
                    Vector<T> w = load(p + 2 * W), w_reversal = load(p + 3 * W);
#pragma GCC unroll 4
                    for (int e = 0; e < E; ++e) {
                        Vector<T> s = logistic<T>(slope * source[e * x_pitch + j] + offset);
                        conductance[e] += w * s;
                        current[e] += w_reversal * s;
                    }
                }
                for (int e = 0; e < E; ++e) {
                    store(g_row + e * pitch, conductance[e]);
                    store(c_row + e * pitch, current[e]);
                }
            });
        }
    }

    // Given the gradients of g and c, whose rows are `pitch` apart, add the gradients of the
    // parameters to `gradients` and that of x to x_grad. Rows of both are round_up(sources) apart.
    void backward(int64_t rows, const T *x, const T *g_grad, const T *c_grad, int64_t pitch,
                  T *x_grad) {
        constexpr int64_t W = lanes<T>;
        const int64_t x_pitch = round_up(sources);
        for (int64_t first = 0; first < sources; first += W)
            for (int64_t i = 0; i < targets; ++i) {
                const int64_t at = (first * targets + i * W) * 4;
                const T *p = by_source.data + at;
                Vector<T> slope = load(p), offset = load(p + W);
                Vector<T> w = load(p + 2 * W), w_reversal = load(p + 3 * W);
                Vector<T> sums[4] = {};
                for (int64_t row = 0; row < rows; ++row) {
                    Vector<T> value = load(x + row * x_pitch + first);
                    Vector<T> z = slope * value + offset, s = logistic<T>(z);
                    const T dg = g_grad[row * pitch + i], dc = c_grad[row * pitch + i];
                    Vector<T> ds = (w * dg + w_reversal * dc) * (s - s * s);
                    // The clamped logistic ends at 1e-38, which a huge input must not amplify.
                    ds = z < -Number<T>::limit ? Vector<T>{} : ds;
                    sums[0] += ds * value;
                    sums[1] += ds;
                    sums[2] += s * dg;
                    sums[3] += s * dc;
                    T *dx = x_grad + row * x_pitch + first;
                    store(dx, load(dx) + ds * slope);
                }
                // Rows are summed first, so that a long sequence adds few, large terms.
                T *total = gradients.data + at;
                for (int k = 0; k < 4; ++k) store(total + k * W, load(total + k * W) + sums[k]);
            }
    }

    // Write the gradients in the layout of the constructor.
    void unpack(T *slope, T *offset, T *gains) const {
        constexpr int64_t W = lanes<T>;
        for (int64_t i = 0; i < targets; ++i)
            for (int64_t j = 0; j < sources; ++j) {
                const T *from = gradients.data + (j / W * targets + i) * 4 * W + j % W;
                slope[i * sources + j] = from[0];
                offset[i * sources + j] = from[W];
                gains[2 * i * sources + j] = from[2 * W];
                gains[(2 * i + 1) * sources + j] = from[3 * W];
            }
    }
};

// Sizes as Python passes them.
struct LtcSizes {
    int64_t batch, length, inputs, units, max_substeps;
    double max_step;
};

// An LTC with its parameters packed; rows of states are padded to `pitch`.
template <class T> struct Ltc {
    const int64_t units, pitch, max_substeps;
    const double max_step;
    Synapses<T> sensory, recurrent;
    Buffer<T> leak, leak_current, capacitance;

    // in: leak, leak current and capacitance (N), then slope, offset and gains of the sensory
    // synapses and of the recurrent ones.
    Ltc(const LtcSizes &n, const T *const *in, bool backward)
        : units(n.units), pitch(round_up(n.units)), max_substeps(n.max_substeps),
          max_step(n.max_step), sensory(n.units, n.inputs, in[3], in[4], in[5], backward),
          recurrent(n.units, n.units, in[6], in[7], in[8], backward), leak(pitch),
          leak_current(pitch), capacitance(pitch) {
        // The padding of a row must not divide by zero.
        for (int64_t i = 0; i < pitch; ++i) leak[i] = capacitance[i] = 1;
        copy(leak.data, in[0], units);
        copy(leak_current.data, in[1], units);
        copy(capacitance.data, in[2], units);
    }

    // Compute conductance g and current c of leak and sensory synapses.
    void drive(int64_t rows, const T *u, int64_t u_pitch, T *g, T *c) const {
        for (int64_t row = 0; row < rows; ++row) {
            copy(g + row * pitch, leak.data, pitch);
            copy(c + row * pitch, leak_current.data, pitch);
        }
        sensory.open(rows, u, u_pitch, g, c, pitch);
    }

    // What is left of dt after `substep` whole steps; not positive if this substep is not needed.
    T left(T dt, int64_t substep) const { return dt - T(substep * max_step); }
    bool is_last(T dt, int64_t substep) const {
        return substep + 1 >= max_substeps || !(left(dt, substep + 1) > 0);
    }
    T duration(T dt, int64_t substep) const {
        T rest = left(dt, substep);
        return substep + 1 < max_substeps && rest > T(max_step) ? T(max_step) : rest;
    }

    // The substeps of one interval: which rows take part in each, the states from which they start
    // and the gates there, packed without the rows that have finished.
    struct Substeps {
        int64_t rows, pitch, count = 0;
        Buffer<T> x, g, c;
        Buffer<int64_t> index, active;
        Substeps(int64_t rows, int64_t pitch, int64_t kept)
            : rows(rows), pitch(pitch), x(kept * rows * pitch), g(kept * rows * pitch),
              c(kept * rows * pitch), index(kept * rows), active(kept) {}
    };

    // What the forward pass saves for the backward pass of one interval: the drive and the gates of
    // the first substep, which is the only one of most intervals.
    struct Saved {
        T *drive, *first;
        bool known;
    };

    // Advance v over dt, whose rows are `dt_pitch` apart, with the drive in `saved`. If
    // `saved.known`, read the first gates from there and keep every substep in `steps`. Otherwise
    // keep only the last one, and write the first gates unless they are null.
    void advance(T *v, const T *dt, int64_t dt_pitch, Substeps &steps, Saved saved) const {
        const int64_t block = steps.rows * pitch;
        const T *g = saved.drive, *c = saved.drive + block;
        for (int64_t s = 0; s < max_substeps; ++s) {
            const int64_t slot = saved.known ? s : 0, base = slot * block;
            int64_t *index = steps.index + slot * steps.rows, active = 0;
            T *x = steps.x + base, *conductance = steps.g + base, *current = steps.c + base;
            for (int64_t row = 0; row < steps.rows; ++row)
                if (s == 0 || left(dt[row * dt_pitch], s) > 0) {
                    copy(x + active * pitch, v + row * pitch, pitch);
                    copy(conductance + active * pitch, g + row * pitch, pitch);
                    copy(current + active * pitch, c + row * pitch, pitch);
                    index[active++] = row;
                }
            if (active == 0) return;
            steps.active[slot] = active;
            steps.count = s + 1;
            if (s == 0 && saved.known) {
                copy(conductance, saved.first, block);
                copy(current, saved.first + block, block);
            } else {
                recurrent.open(active, x, pitch, conductance, current, pitch);
            }
            if (s == 0 && saved.first && !saved.known) {
                copy(saved.first, conductance, block);
                copy(saved.first + block, current, block);
            }
            for (int64_t a = 0; a < active; ++a) {
                const T h = duration(dt[index[a] * dt_pitch], s);
                for (int64_t i = 0; i < pitch; i += lanes<T>) {
                    const int64_t at = a * pitch + i;
                    Vector<T> open = load(conductance + at);
                    Vector<T> share = -exponential_less_one<T>(-(h * open / load(capacitance + i)));
                    store(v + index[a] * pitch + i,
                          between<T>(load(x + at), load(current + at) / open, share));
                }
            }
        }
    }
};

// in: u (B, T, I), dt (B, T), v (B, N), then the arrays of Ltc. out: states (B, T, N) and, unless
// null, what the backward pass needs (T, 4, B, pitch), see Ltc::Saved.
template <class T> void ltc_forward(const LtcSizes &n, const T *const *in, T *const *out) {
    const T *u = in[0], *dt = in[1];
    Ltc<T> cell(n, in + 3, false);
    const int64_t pitch = cell.pitch, block = n.batch * pitch;
    Buffer<T> v(block), scratch(2 * block);
    typename Ltc<T>::Substeps steps(n.batch, pitch, 1);
    for (int64_t b = 0; b < n.batch; ++b) copy(v + b * pitch, in[2] + b * n.units, n.units);
    for (int64_t t = 0; t < n.length; ++t) {
        T *drive = out[1] ? out[1] + 4 * t * block : scratch.data;
        cell.drive(n.batch, u + t * n.inputs, n.length * n.inputs, drive, drive + block);
        cell.advance(v, dt + t, n.length, steps,
                     {drive, out[1] ? drive + 2 * block : nullptr, false});
        for (int64_t b = 0; b < n.batch; ++b)
            copy(out[0] + (b * n.length + t) * n.units, v + b * pitch, n.units);
    }
}

// in: as in the forward pass, then states, what was saved and the gradient of the states. out:
// gradients of everything the forward pass takes, in its order; that of u can be null.
template <class T> void ltc_backward(const LtcSizes &n, const T *const *in, T *const *out) {
    const T *u = in[0], *dt = in[1], *states = in[12], *saved = in[13], *states_grad = in[14];
    Ltc<T> cell(n, in + 3, true);
    const int64_t pitch = cell.pitch, block = n.batch * pitch, u_pitch = round_up(n.inputs);
    int64_t most = 1;
    for (int64_t k = 0; k < n.batch * n.length; ++k)
        while (!cell.is_last(dt[k], most - 1)) ++most;
    typename Ltc<T>::Substeps steps(n.batch, pitch, most);
    Buffer<T> v(block), v_grad(block), x_grad(block), g_grad(block), c_grad(block);
    Buffer<T> g_sum(block), c_sum(block), u_now(n.batch * u_pitch), u_grad(n.batch * u_pitch);
    Buffer<T> leak_grad(pitch), leak_current_grad(pitch), capacitance_grad(pitch);
    for (int64_t t = n.length; t-- > 0;) {
        for (int64_t b = 0; b < n.batch; ++b) {
            const T *from = t ? states + (b * n.length + t - 1) * n.units : in[2] + b * n.units;
            copy(v + b * pitch, from, n.units);
            const T *grad = states_grad + (b * n.length + t) * n.units;
            for (int64_t i = 0; i < n.units; ++i) v_grad[b * pitch + i] += grad[i];
            copy(u_now + b * u_pitch, u + (b * n.length + t) * n.inputs, n.inputs);
        }
        T *drive = const_cast<T *>(saved) + 4 * t * block;
        cell.advance(v, dt + t, n.length, steps, {drive, drive + 2 * block, true});
        __builtin_memset(g_sum, 0, sizeof(T) * block);
        __builtin_memset(c_sum, 0, sizeof(T) * block);
        for (int64_t s = steps.count; s-- > 0;) {
            const int64_t *index = steps.index + s * n.batch, active = steps.active[s];
            const T *x = steps.x + s * block, *g = steps.g + s * block, *c = steps.c + s * block;
            for (int64_t a = 0; a < active; ++a) {
                const int64_t row = index[a], k = row * n.length + t;
                const T h = cell.duration(dt[k], s);
                Vector<T> dt_grad{};
                for (int64_t i = 0; i < pitch; i += lanes<T>) {
                    const int64_t at = a * pitch + i, to = row * pitch + i;
                    Vector<T> open = load(g + at), rate = open / load(cell.capacitance + i);
                    // Beyond the limit nothing of v is left, and infinity times zero would be NaN.
                    Vector<T> z = clamp<T>(h * rate, 0, Number<T>::limit);
                    Vector<T> share = -exponential_less_one<T>(-z), kept = T(1) - share;
                    Vector<T> target = load(c + at) / open, grad = load(v_grad + to);
                    Vector<T> z_grad = grad * (target - load(x + at)) * kept;
                    Vector<T> c_step = grad * share / open;
                    Vector<T> g_step = z_grad * z / open - c_step * target;
                    dt_grad += z_grad * rate;
                    store(c_grad + at, c_step);
                    store(g_grad + at, g_step);
                    store(c_sum + to, load(c_sum + to) + c_step);
                    store(g_sum + to, load(g_sum + to) + g_step);
                    T *sum = capacitance_grad + i;
                    store(sum, load(sum) - z_grad * z / load(cell.capacitance + i));
                    store(x_grad + at, grad * kept);
                }
                // The length of substeps before the last does not depend on dt.
                if (cell.is_last(dt[k], s)) {
                    T sum = 0;
                    for (int64_t lane = 0; lane < lanes<T>; ++lane) sum += dt_grad[lane];
                    out[1][k] = sum;
                }
            }
            cell.recurrent.backward(active, x, g_grad, c_grad, pitch, x_grad);
            for (int64_t a = 0; a < active; ++a)
                copy(v_grad + index[a] * pitch, x_grad + a * pitch, pitch);
        }
        for (int64_t b = 0; b < n.batch; ++b)
            for (int64_t i = 0; i < n.units; ++i) {
                leak_grad[i] += g_sum[b * pitch + i];
                leak_current_grad[i] += c_sum[b * pitch + i];
            }
        __builtin_memset(u_grad, 0, sizeof(T) * n.batch * u_pitch);
        cell.sensory.backward(n.batch, u_now, g_sum, c_sum, pitch, u_grad);
        for (int64_t b = 0; out[0] && b < n.batch; ++b)
            copy(out[0] + (b * n.length + t) * n.inputs, u_grad + b * u_pitch, n.inputs);
    }
    for (int64_t b = 0; b < n.batch; ++b) copy(out[2] + b * n.units, v_grad + b * pitch, n.units);
    copy(out[3], leak_grad.data, n.units);
    copy(out[4], leak_current_grad.data, n.units);
    copy(out[5], capacitance_grad.data, n.units);
    cell.sensory.unpack(out[6], out[7], out[8]);
    cell.recurrent.unpack(out[9], out[10], out[11]);
}

// One cell for single events; it allocates nothing after its construction.
template <class T> struct LtcStep {
    Ltc<T> cell;
    typename Ltc<T>::Substeps steps;
    Buffer<T> v, drive;
    const T *u, *state;
    T *flowed;
    LtcStep(const LtcSizes &n, const T *const *in, const T *u, const T *state, T *flowed)
        : cell(n, in, false), steps(1, cell.pitch, 1), v(cell.pitch), drive(2 * cell.pitch),
          u(u), state(state), flowed(flowed) {}
    void operator()(T dt) {
        copy(v.data, state, cell.units);
        cell.drive(1, u, 0, drive, drive + cell.pitch);
        cell.advance(v, &dt, 0, steps, {drive, nullptr, false});
        copy(flowed, v.data, cell.units);
    }
};

}  // namespace
