// Casts one ray for each pixel at spheres, boxes and cylinders above a textured ground, with a sky.
//
// The optical frame of the camera is x right, y down, z forward. A ray is (x, y, 1) in this frame, so
// that its parameter is the depth along the optical axis. The functions have a C interface for ctypes.

#include <algorithm>
#include <cmath>
#include <cstdint>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr int32_t kVersion = 2;

struct Vector {
  float x, y, z;
};

struct Matrix {
  Vector x, y, z;  // rows
};

float dot(Vector a, Vector b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
Vector operator*(const Matrix& m, Vector v) { return {dot(m.x, v), dot(m.y, v), dot(m.z, v)}; }
Vector operator-(Vector a, Vector b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
Vector column(const Matrix& m, int k) {
  const float* f = &m.x.x + k;
  return {f[0], f[3], f[6]};
}
// a^T b
Matrix transposed_times(const Matrix& a, const Matrix& b) {
  Matrix c;
  Vector* rows[] = {&c.x, &c.y, &c.z};
  for (int k = 0; k < 3; ++k) {
    Vector axis = column(a, k);
    *rows[k] = {dot(axis, column(b, 0)), dot(axis, column(b, 1)), dot(axis, column(b, 2))};
  }
  return c;
}

enum Kind : int32_t { kSphere, kBox, kCylinder };

}  // namespace

// sim/render/raycaster.py repeats the memory layout of these three structs.
struct Solid {
  int32_t kind, label;
  Vector centre;
  Matrix rotation;  // from the frame of the solid to the world frame
  Vector half;      // sphere: radius first; box: half sides; cylinder: radius, radius, half height
  Vector colour;    // 0 to 255
};

struct View {
  int32_t width, height;
  float focal, cx, cy;
  Matrix rotation;  // from the optical frame to the world frame
  Vector eye;
  float near, far;
};

struct Look {
  Vector light;
  float ambient;
  Vector horizon, zenith;  // 0 to 255
  float scale, haze_length, fog_length, farthest;
  int32_t levels;
  const int32_t* sizes;
  const int32_t* offsets;
  const float* texels;  // R, G, B of each texel in turn
};

namespace {

// Depth at which the ray from `o` along `d`, both in the frame of the solid, enters the solid; it is
// negative if the ray misses. `normal` receives the surface normal at that point.
float enter(const Solid& solid, Vector o, Vector d, Vector* normal) {
  const Vector h = solid.half;
  if (solid.kind == kSphere) {
    const float a = dot(d, d), b = dot(o, d), c = dot(o, o) - h.x * h.x;
    const float root = b * b - a * c;
    if (root < 0) return -1;
    const float t = (-b - std::sqrt(root)) / a;
    if (normal) *normal = {(o.x + t * d.x) / h.x, (o.y + t * d.y) / h.x, (o.z + t * d.z) / h.x};
    return t;
  }
  float in = -INFINITY, out = INFINITY;
  Vector face = {0, 0, 0};
  const float origin[] = {o.x, o.y, o.z}, way[] = {d.x, d.y, d.z}, side[] = {h.x, h.y, h.z};
  float* at[] = {&face.x, &face.y, &face.z};
  for (int k = solid.kind == kBox ? 0 : 2; k < 3; ++k) {
    if (way[k] == 0) {
      if (std::fabs(origin[k]) > side[k]) return -1;
      continue;
    }
    const float inverse = 1 / way[k], sign = way[k] > 0 ? 1.0f : -1.0f;
    const float first = (-sign * side[k] - origin[k]) * inverse;
    if (first > in) {
      in = first;
      face = {0, 0, 0};
      *at[k] = -sign;
    }
    out = std::min(out, (sign * side[k] - origin[k]) * inverse);
  }
  if (solid.kind == kCylinder) {
    const float a = d.x * d.x + d.y * d.y, b = o.x * d.x + o.y * d.y;
    const float c = o.x * o.x + o.y * o.y - h.x * h.x;
    const float root = b * b - a * c;
    if (root < 0 || (a == 0 && c > 0)) return -1;
    if (a > 0) {
      const float width = std::sqrt(root), first = (-b - width) / a;
      if (first > in) {
        in = first;
        face = {(o.x + in * d.x) / h.x, (o.y + in * d.y) / h.x, 0};
      }
      out = std::min(out, (-b + width) / a);
    }
  }
  if (normal) *normal = face;
  return in <= out ? in : -1;
}

uint8_t level(float value) { return uint8_t(std::nearbyint(std::min(std::max(value, 0.0f), 255.0f))); }

// Colour of the ground, computed in the same steps as `Background.colours` in sim/render/background.py.
Vector ground(const Look& look, Vector eye, Vector ray, float pixel_angle) {
  const float height = std::max(eye.z, 1e-3f);
  const float distance = std::min(height / -ray.z, look.farthest);
  const float footprint = pixel_angle * distance * std::sqrt(distance / height);
  const float texel = look.scale / look.sizes[0];
  // The base-2 logarithm, rounded to the nearest integer.
  int exponent;
  const float mantissa = std::frexp(std::max(footprint / texel, 1.0f), &exponent);
  const int level = std::min(exponent - (mantissa < float(M_SQRT1_2)), look.levels - 1);
  const int size = look.sizes[level];
  const float* texels = look.texels + 3 * int64_t(look.offsets[level]);
  const float per_metre = size / look.scale;
  const float x = (eye.x + ray.x * distance) * per_metre - 0.5f;
  const float y = (eye.y + ray.y * distance) * per_metre - 0.5f;
  const float left = std::floor(x), bottom = std::floor(y);
  const float right = x - left, top = y - bottom;
  auto wrap = [size](int k) { return (k % size + size) % size; };
  const int column = wrap(int(left)), row = wrap(int(bottom));
  const int next_column = column + 1 == size ? 0 : column + 1, next_row = row + 1 == size ? 0 : row + 1;
  const float* low = texels + 3 * (row * size + column);
  const float* low_next = texels + 3 * (row * size + next_column);
  const float* high = texels + 3 * (next_row * size + column);
  const float* high_next = texels + 3 * (next_row * size + next_column);
  const float clear = std::exp(-distance / look.haze_length);
  float colour[3];
  const float horizon[] = {look.horizon.x, look.horizon.y, look.horizon.z};
  for (int k = 0; k < 3; ++k) {
    const float lower = low[k] + (low_next[k] - low[k]) * right;
    const float upper = high[k] + (high_next[k] - high[k]) * right;
    colour[k] = horizon[k] + (lower + (upper - lower) * top - horizon[k]) * clear;
  }
  return {colour[0], colour[1], colour[2]};
}

struct Rectangle {
  int left, right, top, bottom;  // right and bottom are exclusive
};

// The pixels whose rays may hit a solid: a rectangle around the projected corners of its bounding
// box. `seen` is the centre of the solid and `turn` its rotation, both in the optical frame.
Rectangle covered(const Solid& solid, Vector seen, const Matrix& turn, const View& view) {
  const Rectangle all = {0, view.width, 0, view.height};
  const Vector h = solid.kind == kSphere ? Vector{solid.half.x, solid.half.x, solid.half.x} : solid.half;
  float left = INFINITY, right = -INFINITY, top = INFINITY, bottom = -INFINITY;
  int behind = 0;
  for (int corner = 0; corner < 8; ++corner) {
    const Vector own = {corner & 1 ? h.x : -h.x, corner & 2 ? h.y : -h.y, corner & 4 ? h.z : -h.z};
    const Vector offset = turn * own;
    const float depth = seen.z + offset.z;
    if (depth < view.near) {
      ++behind;
      continue;
    }
    const float u = view.cx + view.focal * (seen.x + offset.x) / depth;
    const float v = view.cy + view.focal * (seen.y + offset.y) / depth;
    left = std::min(left, u);
    right = std::max(right, u);
    top = std::min(top, v);
    bottom = std::max(bottom, v);
  }
  if (behind == 8) return {0, 0, 0, 0};
  if (behind > 0) return all;
  // A ray passes through the centre of its pixel; the margin allows for rounding errors.
  auto first = [](float edge, int count) {
    return int(std::min(std::max(std::ceil(edge - 0.01f), 0.0f), float(count)));
  };
  auto end = [](float edge, int count) {
    return int(std::min(std::max(std::floor(edge + 0.01f) + 1, 0.0f), float(count)));
  };
  return {first(left, view.width), end(right, view.width), first(top, view.height),
          end(bottom, view.height)};
}

}  // namespace

EXPORT int32_t raycast_version() { return kVersion; }

// Draws `count` solids with the ground and the sky behind them.
//   image    RGB, height * width * 3
//   labels   label of the solid in each pixel, -1 for ground and sky, height * width
//   depth    metres along the optical axis, infinite for the sky, height * width
EXPORT void raycast_draw(const View* view_, const Look* look_, const Solid* solids, int32_t count,
                         uint8_t* image, int32_t* labels, float* depth) {
  const View& view = *view_;
  const Look& look = *look_;
  const int width = view.width, height = view.height;
  std::fill(labels, labels + width * height, -1);
  std::fill(depth, depth + width * height, INFINITY);
  // First find the nearest solid of each pixel; `labels` holds its index in `solids` until then.
  for (int number = 0; number < count; ++number) {
    const Solid& solid = solids[number];
    const Vector away = solid.centre - view.eye;
    const Vector seen = {dot(column(view.rotation, 0), away), dot(column(view.rotation, 1), away),
                         dot(column(view.rotation, 2), away)};
    const Matrix turn = transposed_times(view.rotation, solid.rotation);
    const Rectangle place = covered(solid, seen, turn, view);
    const Matrix back = transposed_times(solid.rotation, view.rotation);
    const Vector o = {-dot(column(solid.rotation, 0), away), -dot(column(solid.rotation, 1), away),
                      -dot(column(solid.rotation, 2), away)};
    for (int v = place.top; v < place.bottom; ++v) {
      for (int u = place.left; u < place.right; ++u) {
        const Vector d = back * Vector{(u - view.cx) / view.focal, (v - view.cy) / view.focal, 1};
        const float t = enter(solid, o, d, nullptr);
        const int pixel = v * width + u;
        if (t >= view.near && t <= view.far && t < depth[pixel]) {
          depth[pixel] = t;
          labels[pixel] = number;
        }
      }
    }
  }
  // Then compute the colours, and replace the indices by the labels of the solids.
  for (int v = 0; v < height; ++v) {
    for (int u = 0; u < width; ++u) {
      const int pixel = v * width + u;
      const Vector straight = {(u - view.cx) / view.focal, (v - view.cy) / view.focal, 1};
      const Vector d = view.rotation * straight;
      Vector colour;
      if (labels[pixel] >= 0) {
        const Solid& solid = solids[labels[pixel]];
        labels[pixel] = solid.label;
        const Matrix& r = solid.rotation;
        const Vector away = solid.centre - view.eye;
        const Vector o = {-dot(column(r, 0), away), -dot(column(r, 1), away),
                          -dot(column(r, 2), away)};
        const Vector way = {dot(column(r, 0), d), dot(column(r, 1), d), dot(column(r, 2), d)};
        Vector normal = {0, 0, 0};
        enter(solid, o, way, &normal);
        const float lit = std::max(dot(r * normal, look.light), 0.0f);
        const float share = look.ambient + (1 - look.ambient) * lit;
        colour = {solid.colour.x * share, solid.colour.y * share, solid.colour.z * share};
        if (look.fog_length < INFINITY) {
          const float distance = depth[pixel] * std::sqrt(dot(straight, straight));
          const float clear = std::exp(-distance / look.fog_length);
          const Vector fog = look.horizon, own = colour - fog;
          colour = {fog.x + own.x * clear, fog.y + own.y * clear, fog.z + own.z * clear};
        }
      } else {
        const float scale = 1 / std::sqrt(dot(straight, straight));
        const Vector ray = {d.x * scale, d.y * scale, d.z * scale};
        if (ray.z < 0) {
          colour = ground(look, view.eye, ray, 1 / view.focal);
          depth[pixel] = view.eye.z / -d.z;
        } else {
          const Vector rise = look.zenith - look.horizon;
          colour = {look.horizon.x + rise.x * ray.z, look.horizon.y + rise.y * ray.z,
                    look.horizon.z + rise.z * ray.z};
        }
      }
      image[3 * pixel] = level(colour.x);
      image[3 * pixel + 1] = level(colour.y);
      image[3 * pixel + 2] = level(colour.z);
    }
  }
}
