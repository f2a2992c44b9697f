// An encoder of frames: 3x3 convolutions of stride 2, each rectified, then one dense layer.
#pragma once

#include "flow.h"

namespace {

template <class T> inline void rectify(T *x, int64_t count) {
    for (int64_t i = 0; i < count; ++i) x[i] = x[i] < T(0) ? T(0) : x[i];
}

// One convolution, with zeros around its source. The channels of a pixel are stored together, so a
// row of three taps is contiguous, and the convolution is the sum of three dense layers of rows.
template <class T> struct Convolution {
    const int64_t inputs, outputs, height, width, out_height, out_width, pitch;
    Dense<T> above, centre, below;
    Buffer<T> bias, source, row;

    // weight (outputs, inputs, 3, 3), bias (outputs); the source is height x width.
    Convolution(int64_t inputs, int64_t outputs, int64_t height, int64_t width, const T *weight,
                const T *bias_in)
        : inputs(inputs), outputs(outputs), height(height), width(width),
          out_height((height + 1) / 2), out_width((width + 1) / 2), pitch(round_up(outputs)),
          above(taps(weight, 0)), centre(taps(weight, 1)), below(taps(weight, 2)), bias(pitch),
          source((height + 2) * (width + 2) * inputs), row(out_width * pitch) {
        copy(bias.data, bias_in, outputs);
    }

    Dense<T> taps(const T *weight, int64_t y) const {
        return Dense<T>(pitch, 3 * inputs, [&](int64_t o, int64_t i) {
            const int64_t x = i / inputs, channel = i % inputs;
            return o < outputs ? weight[((o * inputs + channel) * 3 + y) * 3 + x] : T(0);
        });
    }

    // Where row y of the source begins. The border around the source must stay zero.
    T *source_row(int64_t y) const { return source + ((y + 1) * (width + 2) + 1) * inputs; }

    // Write row y of the result to `to`.
    void operator()(int64_t y, T *to) const {
        for (int64_t x = 0; x < out_width; ++x) copy(row + x * pitch, bias.data, pitch);
        const int64_t line = (width + 2) * inputs;
        const T *from = source + 2 * y * line;
        above.add(out_width, from, 2 * inputs, row, pitch);
        centre.add(out_width, from + line, 2 * inputs, row, pitch);
        below.add(out_width, from + 2 * line, 2 * inputs, row, pitch);
        rectify(row.data, out_width * pitch);
        for (int64_t x = 0; x < out_width; ++x) copy(to + x * outputs, row + x * pitch, outputs);
    }
};

// Sizes as Python passes them; channels are those of the image and of each convolution.
struct EncoderSizes {
    int64_t height, width, convolutions, features;
    const int64_t *channels;
};

// An encoder; it allocates nothing after its construction.
template <class T> struct Encoder {
    const int64_t count, features, height, width;
    Convolution<T> **const convolutions;
    const Convolution<T> &last;
    Buffer<T> encoded, bias, of_number, sum;
    Dense<T> dense;
    const uint8_t *image;
    T *result;

    // in: weight and bias of each convolution; then weight (F, C H W + 1) of the dense layer, whose
    // last column multiplies the number beside the image, and bias (F). The image is (H, W, 3), the
    // result (F).
    Encoder(const EncoderSizes &n, const T *const *in, const uint8_t *image, T *result)
        : count(n.convolutions), features(n.features), height(n.height), width(n.width),
          convolutions(new Convolution<T> *[count]), last(stack(n, in)),
          encoded(last.out_height * last.out_width * last.outputs), bias(round_up(features)),
          of_number(round_up(features)), sum(round_up(features)),
          dense(round_up(features), last.out_height * last.out_width * last.outputs,
                [&](int64_t o, int64_t i) {
                    // Here channels vary fastest, in the layer pixels do.
                    const int64_t pixels = last.out_height * last.out_width;
                    const int64_t at = i % last.outputs * pixels + i / last.outputs;
                    return o < features ? in[2 * count][o * columns() + at] : T(0);
                }),
          image(image), result(result) {
        copy(bias.data, in[2 * count + 1], features);
        for (int64_t o = 0; o < features; ++o)
            of_number[o] = in[2 * count][(o + 1) * columns() - 1];
    }
    Encoder(const Encoder &) = delete;
    ~Encoder() {
        for (int64_t k = 0; k < count; ++k) delete convolutions[k];
        delete[] convolutions;
    }

    const Convolution<T> &stack(const EncoderSizes &n, const T *const *in) const {
        int64_t h = height, w = width;
        for (int64_t k = 0; k < count; ++k) {
            convolutions[k] = new Convolution<T>(n.channels[k], n.channels[k + 1], h, w, in[2 * k],
                                                 in[2 * k + 1]);
            h = convolutions[k]->out_height, w = convolutions[k]->out_width;
        }
        return *convolutions[count - 1];
    }

    int64_t columns() const { return last.out_height * last.out_width * last.outputs + 1; }

    void operator()(T number) {
        const int64_t line = width * convolutions[0]->inputs;
        for (int64_t y = 0; y < height; ++y) {
            T *to = convolutions[0]->source_row(y);
            for (int64_t i = 0; i < line; ++i) to[i] = T(image[y * line + i]) / T(127.5) - T(1);
        }
        for (int64_t k = 0; k < count; ++k)
            for (int64_t y = 0; y < convolutions[k]->out_height; ++y)
                (*convolutions[k])(y, &last == convolutions[k]
                                          ? encoded + y * last.out_width * last.outputs
                                          : convolutions[k + 1]->source_row(y));
        for (int64_t o = 0; o < features; ++o) sum[o] = bias[o] + number * of_number[o];
        dense.add(1, encoded, 0, sum, 0);
        rectify(sum.data, features);
        copy(result, sum.data, features);
    }
};

}  // namespace
